# SPDX-License-Identifier: MIT
"""mset, mdel, exists, ttl and touch of kamacache-cli: what they print into a
pipe, in JSON and raw, and how they end."""
import time
import unittest

from clikit import MISS, OK, REFUSED, USAGE, cli, cli_json
from kamatest import Client, Daemon, group, main


class KeysTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Daemon("--group", "default",
                          "--group", group("timed", ttl="90s"))
        cls.addClassCleanup(cls.node.stop)
        cls.client = Client(cls.node)
        cls.addClassCleanup(cls.client.close)

    def run_cli(self, *arguments, code=OK, out=None):
        done = cli(self.node, *arguments)
        self.assertEqual(done.returncode, code, done)
        if out is not None:
            self.assertEqual(done.stdout, out)
        return done

    def test_mset_and_mdel(self):
        self.run_cli("mset", "a", "1", "b", "", "c d", "two words", out=b"")
        self.assertEqual([self.client.get(key) for key in
                          (b"a", b"b", b"c d")], [b"1", b"", b"two words"])
        self.assertEqual(cli_json(self.node, "mset", "a", "2"),
                         (OK, {"ok": True}))
        self.run_cli("mdel", "a", "x", "c d", out=b"2\n")
        self.run_cli("mdel", "a", "x", code=MISS, out=b"0\n")
        self.assertEqual(cli_json(self.node, "mdel", "b"),
                         (OK, {"removed": 1}))

    def test_a_refused_mset_stores_nothing(self):
        done = self.run_cli("mset", "r1", "v", "k" * 4097, "v", code=REFUSED)
        self.assertIn(b"entries[1]: key: 4097 bytes", done.stderr)
        self.assertIn(b"KAMA_ERR_TOO_LARGE", done.stderr)
        self.run_cli("exists", "r1", code=MISS, out=b"0\n")
        done = self.run_cli("mset", "r1", "v", "r2", code=USAGE)
        self.assertIn(b'the last key, "r2", has no value', done.stderr)
        self.run_cli("mset", "r1", code=USAGE)
        self.run_cli("mset", "r1", "v", "--ttl=soon", code=USAGE)
        self.run_cli("exists", "r1", code=MISS)

    def test_exists(self):
        self.run_cli("mset", "e1", "v", "e2", "v")
        self.run_cli("exists", "e1", out=b"1\n")
        self.run_cli("exists", "e1", "e2", "e1", out=b"3\n")
        self.run_cli("exists", "e1", "none", code=MISS, out=b"1\n")
        self.run_cli("--raw", "exists", "none", code=MISS, out=b"0\n")
        self.assertEqual(
            cli_json(self.node, "exists", "e1", "none"),
            (MISS, [{"key": "e1", "exists": True},
                    {"key": "none", "exists": False}]))

    def ttl_ms(self, key):
        """What is left, by the form that --ttl takes."""
        out = self.run_cli("-g", "timed", "ttl", key).stdout.decode()
        self.assertRegex(out, r"^\d+ms\n$")
        return int(out[:-3])

    def test_ttl_and_touch(self):
        timed = ("-g", "timed")
        self.run_cli(*timed, "mset", "t1", "v", "t2", "v", "--ttl=20s")
        self.assertTrue(10000 < self.ttl_ms("t1") <= 20000)
        self.run_cli(*timed, "touch", "t1", "--ttl=forever", out=b"")
        self.run_cli(*timed, "ttl", "t1", out=b"forever\n")
        self.run_cli(*timed, "--raw", "ttl", "t1", out=b"-1\n")
        self.assertEqual(cli_json(self.node, *timed, "ttl", "t1"),
                         (OK, {"key": "t1", "found": True, "ttl_ms": -1}))
        self.run_cli(*timed, "touch", "t1")
        self.assertTrue(60000 < self.ttl_ms("t1") <= 90000)
        self.assertEqual(cli_json(self.node, *timed, "touch", "t1"),
                         (OK, {"ok": True}))
        left = self.run_cli(*timed, "ttl", "t2").stdout.decode().strip()
        self.run_cli(*timed, "touch", "t1", "--ttl=" + left)
        self.assertTrue(0 < self.ttl_ms("t1") <= 20000)
        self.run_cli(*timed, "touch", "t1", "--ttl=0", code=USAGE)

    def test_what_is_not_there(self):
        for command in ("ttl", "touch"):
            self.run_cli(command, "none", code=MISS, out=b"")
        self.assertEqual(cli_json(self.node, "ttl", "none"),
                         (MISS, {"key": "none", "found": False}))
        self.assertEqual(cli_json(self.node, "touch", "none"),
                         (MISS, {"ok": False}))
        self.run_cli("mset", "short", "v", "--ttl=50ms")
        until = time.monotonic() + 20
        while cli(self.node, "exists", "short").returncode == OK:
            self.assertLess(time.monotonic(), until)
        self.run_cli("ttl", "short", code=MISS)

    def test_options_of_other_commands(self):
        for command in (["mdel", "k"], ["exists", "k"], ["ttl", "k"]):
            done = self.run_cli(*command, "--ttl=5s", code=USAGE)
            self.assertIn(b"--ttl: not an option of this command", done.stderr)
        done = self.run_cli("-g", "nowhere", "exists", "k", code=REFUSED)
        self.assertIn(b"KAMA_ERR_NO_GROUP", done.stderr)


if __name__ == "__main__":
    main()
