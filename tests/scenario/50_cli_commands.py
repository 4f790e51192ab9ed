# SPDX-License-Identifier: MIT
"""Every command of kamacache-cli on a real node: what it prints into a pipe,
with --raw and with --json, and its exit codes."""
import re
import unittest

from clikit import MISS, OK, REFUSED, USAGE, cli, cli_json
from kamatest import Client, Daemon, Folder, group, main, pb2

LOADER = r"""
case $1 in
miss) exit 4 ;;
fail) printf 'no \033[31mluck\n' >&2; exit 3 ;;
esac
printf 'loaded %s' "$1"
"""


class CommandsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Folder()
        script = cls.folder.script("load", LOADER)
        cls.node = Daemon(
            "--group", "default", "--group", "users:ttl=1h",
            "--group", "small:max_bytes=1m,max_value_bytes=100",
            "--group", group("l", loader="exec:%s {key}" % script))
        cls.client = Client(cls.node)
        cls.client.set(b"first", b"", wait_for_ready=True)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.node.stop()
        cls.folder.__exit__()

    def run_cli(self, *arguments, code=OK, out=None, **kwargs):
        done = cli(self.node, *arguments, **kwargs)
        self.assertEqual(done.returncode, code, done)
        if out is not None:
            self.assertEqual(done.stdout, out, done.stderr.decode())
        if code in (OK, MISS):
            self.assertEqual(done.stderr, b"")
        return done

    # -- one key ----------------------------------------------------------

    def test_get(self):
        for value in (b"", b"x", b"two\nlines\n", b"\0\xff\x1b[31m"):
            with self.subTest(value=value):
                self.client.set(b"k", value)
                self.run_cli("get", "k", out=value + b"\n")
                self.run_cli("--raw", "get", "k", out=value)
                code, got = cli_json(self.node, "get", "k")
                self.assertEqual((code, got["found"], got["ttl_ms"]),
                                 (OK, True, -1))
        self.run_cli("get", "absent", code=MISS, out=b"")
        self.run_cli("--raw", "get", "absent", code=MISS, out=b"")
        self.assertEqual(cli_json(self.node, "get", "absent"),
                         (MISS, {"key": "absent", "found": False}))

    def test_get_json_bytes(self):
        self.client.set(b"k\xff", b"\0\xfe\xff")
        self.client.set(b"t", b"\0\"\\\xc3\xa9")
        code, got = cli_json(self.node, "get", b"k\xff")
        self.assertEqual((code, got["key_base64"], got["value_base64"]),
                         (OK, "a/8=", "AP7/"))
        self.assertEqual(cli_json(self.node, "get", "t")[1]["value"],
                         "\0\"\\é")

    def test_set(self):
        self.run_cli("set", "s", "v", out=b"")
        self.assertEqual(self.client.get(b"s"), b"v")
        self.assertEqual(cli_json(self.node, "set", "s", ""),
                         (OK, {"ok": True}))
        self.assertEqual(self.client.get(b"s"), b"")
        self.run_cli("set", "s", "-5", out=b"")
        self.assertEqual(self.client.get(b"s"), b"-5")
        self.run_cli("set", "s", "--", "--five", out=b"")
        self.assertEqual(self.client.get(b"s"), b"--five")
        self.run_cli("-q", "set", '"a\\x00b"', '"\\x00\\n"')
        self.assertEqual(self.client.get(b"a\0b"), b"\0\n")

    def test_set_with_a_condition(self):
        """A condition that is not met is exit code 1, and changes nothing."""
        self.run_cli("set", "if", "0", "--xx", code=MISS, out=b"")
        self.run_cli("set", "if", "1", "--nx", out=b"")
        self.run_cli("set", "if", "2", "--nx", code=MISS, out=b"")
        etag = cli_json(self.node, "get", "if")[1]["etag"]
        self.assertRegex(etag, "^[0-9a-f]{16}$")
        self.run_cli("set", "if", "2", "--etag=" + etag, "--ttl=1h", out=b"")
        self.run_cli("set", "if", "3", "--etag", etag, code=MISS, out=b"")
        self.assertEqual(cli_json(self.node, "set", "if", "3", "--nx"),
                         (MISS, {"ok": False}))
        self.assertEqual(self.client.get(b"if"), b"2")
        self.assertEqual(cli_json(self.node, "--xx", "set", "if", "3"),
                         (OK, {"ok": True}))
        self.run_cli("set", "if", "--xx", stdin=b"from stdin", out=b"")
        self.assertEqual(self.client.get(b"if"), b"from stdin")
        self.client.set(b"long", b"v" * 5000)
        etag = cli_json(self.node, "get", "long")[1]["etag"].upper()
        self.run_cli("set", "long", "short", "--etag=" + etag, out=b"")

    def test_conditions_that_make_no_sense(self):
        for words, part in (
                (("--nx", "--xx"), b"--nx, --xx and --etag cannot be used"),
                (("--xx", "--etag=00"), b"--nx, --xx and --etag cannot be"),
                (("--etag=",), b'--etag: "" is no etag; --json get prints'),
                (("--etag=abc",), b'"abc" is no etag'),
                (("--etag=0g",), b'"0g" is no etag'),
                (("--etag=" + "00" * 33,), b"is no etag")):
            done = self.run_cli("set", "odd", "v", *words, code=USAGE)
            self.assertIn(part, done.stderr)
        done = self.run_cli("set", "odd", "v", "--etag=abcd", code=REFUSED)
        self.assertIn(b"if_match: 2 bytes", done.stderr)
        done = self.run_cli("mset", "odd", "v", "--nx", code=USAGE)
        self.assertIn(b"--nx: not an option of this command", done.stderr)
        self.run_cli("exists", "odd", code=MISS, out=b"0\n")

    def test_arguments_are_literal(self):
        """What the shell hands over is the key and the value, byte for byte,
        whatever it looks like; a JSON string keeps its quotes."""
        odd = ['"hello"', '"', '"open', '\\n', '"a\\x00b"', "'q'", "(miss)",
               "-q", "--", "--quoted", "-", " ", "é\n\t", b"\xff\xfe\x1b[m"]
        for text in odd:
            data = text if isinstance(text, bytes) else text.encode()
            with self.subTest(text=text):
                self.run_cli("set", "--", text, text)
                self.assertEqual(self.client.get(data), data)
                self.run_cli("--raw", "get", "--", text, out=data)
                self.run_cli("mget", "--", text)
                self.run_cli("del", "--", text, out=b"1\n")
        self.run_cli("set", "j", '"hello"')
        self.run_cli("--raw", "get", "j", out=b'"hello"')
        # Short options stand before the command: behind it they are keys.
        self.run_cli("set", "-q", '"v"')
        self.run_cli("--raw", "get", "-q", out=b'"v"')
        # A group, a pattern and a name for stats are arguments, too.
        self.run_cli("-g", '"users"', "get", "k", code=REFUSED)
        self.run_cli("stats", '"users"', code=REFUSED)
        self.run_cli("keys", '"hello"', out=b"")

    def test_quoted_arguments(self):
        """With -q, quotes are the notation that keys are shown in. What does
        not begin with a quote still stands for itself."""
        for flag in ("-q", "--quoted"):
            self.run_cli(flag, "set", '"a\\x00b"', '"\\xff\\n"')
            self.assertEqual(self.client.get(b"a\0b"), b"\xff\n")
            self.run_cli(flag, "--raw", "get", '"a\\0b"', out=b"\xff\n")
            self.run_cli(flag, "set", "plain\\n", "it's")
            self.assertEqual(self.client.get(b"plain\\n"), b"it's")
            self.run_cli(flag, "set", '"--k"', '""')
            self.assertEqual(self.client.get(b"--k"), b"")
            self.run_cli(flag, "set", "--", "--k", "-1")
            self.assertEqual(self.client.get(b"--k"), b"-1")
            self.run_cli(flag, "-g", '"use\\x72s"', "get", "k", code=MISS)
            # Standard input is bytes, never notation.
            self.run_cli(flag, "set", '"in"', stdin=b'"hello"')
            self.assertEqual(self.client.get(b"in"), b'"hello"')
        self.run_cli("set", "k", "v", "--quoted")
        self.run_cli("set", "--quoted", '"k"', '"w"')
        self.assertEqual(self.client.get(b"k"), b"w")
        # The group of the environment is in the daemon's notation.
        for name in ("users", '"users"', '"u\\sers":ttl=1h\nother'):
            self.run_cli("get", "k", code=MISS, env={"KAMACACHE_GROUP": name})
        done = self.run_cli("get", "k", code=USAGE,
                            env={"KAMACACHE_GROUP": '"users'})
        self.assertIn(b"KAMACACHE_GROUP: a quote is not closed", done.stderr)

    def test_set_from_standard_input(self):
        for value in (b"", b"\n", b"line\n", b"\0" * 70000,
                      bytes(range(256)) * 4096):
            self.run_cli("set", "in", stdin=value)
            self.assertEqual(self.client.get(b"in"), value)
            self.run_cli("--raw", "get", "in", out=value)

    def test_set_ttl(self):
        for ttl, low, high in (("90s", 1, 90000), ("forever", -1, -1)):
            self.run_cli("-g", "users", "set", "t", "v", "--ttl", ttl)
            left = cli_json(self.node, "-g", "users", "get", "t")[1]["ttl_ms"]
            self.assertTrue(low <= left <= high, left)
        self.run_cli("-g", "users", "set", "t", "v")
        left = cli_json(self.node, "-g", "users", "get", "t")[1]["ttl_ms"]
        self.assertTrue(3500000 < left <= 3600000, left)
        for ttl in ("0", "-1", "soon", "", "1e3", "5", "never"):
            done = self.run_cli("set", "t", "v", "--ttl=" + ttl, code=USAGE)
            self.assertIn(b"--ttl: ", done.stderr)

    def test_del(self):
        self.client.set(b"d1", b"")
        self.client.set(b"d2", b"")
        self.run_cli("del", "d1", "d2", "d3", out=b"2\n")
        self.run_cli("del", "d1", "d2", code=MISS, out=b"0\n")
        self.client.set(b"d1", b"")
        self.assertEqual(cli_json(self.node, "del", "d1"),
                         (OK, {"removed": 1}))
        # An argument that is not well quoted: nothing is removed before.
        self.client.set(b"d1", b"")
        self.run_cli("-q", "del", "d1", '"open', code=USAGE)
        self.assertEqual(self.client.get(b"d1"), b"")

    def test_loader(self):
        self.run_cli("-g", "l", "get", "x y", out=b"loaded x y\n")
        self.run_cli("-g", "l", "get", "miss", code=MISS)
        done = self.run_cli("-g", "l", "get", "fail", code=5)
        self.assertIn(b"luck", done.stderr)
        self.assertIn(b"KAMA_ERR_LOADER", done.stderr)
        self.assertNotIn(b"\x1b", done.stderr)

    # -- many keys --------------------------------------------------------

    def test_mget(self):
        values = {b"m1": b"one", b"m 2": b"", b"m3": b"(miss)",
                  b"m4": b"\n", b"-m5": b"two words"}
        for key, value in values.items():
            self.client.set(key, value)
        keys = ["m1", "m 2", "m3", "m4", "-m5"]
        self.run_cli("mget", *keys, out=b'm1: one\n"m 2": ""\n'
                     b'm3: "(miss)"\nm4: "\\n"\n"-m5": "two words"\n')
        self.run_cli("--raw", "mget", "m1", "m3", "absent", code=MISS,
                     out=b"one\n(miss)\n\n")
        self.run_cli("mget", "m1", "absent", code=MISS,
                     out=b"m1: one\nabsent: (miss)\n")
        code, got = cli_json(self.node, "mget", "m1", "absent")
        self.assertEqual(code, MISS)
        self.assertEqual([(i["key"], i["status"], i.get("value"))
                          for i in got], [("m1", "KAMA_OK", "one"),
                                          ("absent", "KAMA_MISS", None)])
        done = self.run_cli("-g", "l", "mget", "a", "fail", "", code=5)
        lines = done.stdout.decode().split("\n")
        self.assertEqual((lines[0], lines[2]), (
            'a: "loaded a"',
            '"": (KAMA_ERR_INVALID: key: 0 bytes, at least 1)'))
        self.assertTrue(lines[1].startswith("fail: (KAMA_ERR_LOADER: "))
        self.assertIn("luck", lines[1])
        self.assertNotIn("\x1b", lines[1])
        code, got = cli_json(self.node, "-g", "l", "mget", "fail")
        self.assertEqual((code, got[0]["status"]), (5, "KAMA_ERR_LOADER"))
        self.assertIn("luck", got[0]["message"])

    def test_mget_asks_again(self):
        """What did not fit into one answer of the node is asked for again;
        a key that is too large by itself stays so."""
        values = {b"big%d" % i: bytes([i]) * (1 << 20) for i in range(10)}
        for key, value in values.items():
            self.client.set(key, value)
        keys = [b"small", *values, b"absent"]
        self.client.set(b"small", b"s")
        done = self.run_cli("--raw", "mget", *keys, code=MISS)
        self.assertTrue(done.stdout == b"s\n" + b"\n".join(
            values.values()) + b"\n\n", len(done.stdout))
        code, got = cli_json(self.node, "mget", *keys, b"k" * 4097)
        self.assertEqual(code, REFUSED)
        self.assertEqual([item["status"] for item in got],
                         ["KAMA_OK"] * 11 + ["KAMA_MISS",
                                             "KAMA_ERR_TOO_LARGE"])
        self.assertEqual([item["key"] for item in got[:12]],
                         [key.decode() for key in keys])

    def test_mget_of_more_keys_than_one_call_may_name(self):
        keys = ["%x" % i for i in range(70000)]
        self.client.set(keys[0].encode(), b"first")
        self.client.set(keys[-1].encode(), b"last")
        lines = self.run_cli("mget", *keys, code=MISS).stdout.splitlines()
        self.assertEqual(lines[0], b"0: first")
        self.assertEqual(lines[-1], keys[-1].encode() + b": last")
        self.assertEqual(len(lines), len(keys))

    def test_keys(self):
        for i in range(3000):
            self.client.set(b"n%d" % i, b"x" * (i % 7), group="users")
        listed = self.run_cli("-g", "users", "keys").stdout.split()
        self.assertEqual(set(listed), {b"n%d" % i for i in range(3000)})
        code, got = cli_json(self.node, "-g", "users", "keys", "n1?")
        self.assertEqual(code, OK)
        self.assertEqual({e["key"] for e in got},
                         {"n1%d" % i for i in range(10)})
        self.assertTrue(all(e["ttl_ms"] > 0 for e in got))
        limited = self.run_cli("-g", "users", "keys", "--limit", "5")
        self.assertEqual(limited.stdout.count(b"\n"), 5)
        self.run_cli("-g", "users", "keys", "nothing*", out=b"")
        self.assertEqual(cli_json(self.node, "-g", "users", "keys", "no*"),
                         (OK, []))
        self.run_cli("-g", "users", "clear", out=b"")
        self.run_cli("-g", "users", "keys", out=b"")

    # -- the node ---------------------------------------------------------

    def test_stats_has_every_counter_of_a_group(self):
        """The fields of GroupStats that this version fills in, as JSON and as
        a table."""
        later = {"stale_served"}
        counters = {field.name for field in pb2().GroupStats.DESCRIPTOR.fields
                    if field.type == field.TYPE_UINT64} - later
        stats, = cli_json(self.node, "stats", "small")[1]["groups"]
        self.assertEqual(set(stats) - counters,
                         {"name", "hit_ratio", "load_latency_ns"})
        self.assertEqual(counters - set(stats), set())
        text = self.run_cli("stats", "small").stdout.decode()
        names = re.findall(r"^  (\w+) +\d+$", text, re.M)
        self.assertEqual(set(names), counters)
        self.assertEqual(len(names), len(counters))

    def test_clear_stats_groups_ping(self):
        self.client.set(b"c", b"v", group="small")
        self.assertEqual(cli_json(self.node, "-g", "small", "clear"),
                         (OK, {"ok": True, "unsynced": []}))
        self.assertIn(b"  negative_entries ", self.run_cli("stats").stdout)
        code, got = cli_json(self.node, "stats", "small")
        stats, = got["groups"]
        self.assertEqual((code, got["node"], stats["name"], stats["entries"],
                          stats["clears"]), (OK, {}, "small", 0, 1))
        self.assertEqual(cli_json(self.node, "-g", "small", "stats")[1]
                         ["groups"][0]["name"], "small")
        got = cli_json(self.node, "stats")[1]
        self.assertEqual([g["name"] for g in got["groups"]],
                         ["default", "users", "small", "l"])
        self.assertGreater(got["node"]["calls"], 0)
        self.assertGreater(got["node"]["rss_bytes"], 1 << 20)
        self.assertGreaterEqual(got["node"]["connections"], 1)
        self.assertGreater(got["node"]["uptime_ms"], 0)
        version = cli("", "--version").stdout.split()[1]
        self.assertEqual(got["node"]["version"], version.decode())
        text = self.run_cli("stats").stdout
        self.assertTrue(text.startswith(b"group default\n"), text)
        self.assertRegex(text, rb"\nnode\n  version +%s\n  uptime +(\d+m )?\d+s\n"
                         rb"  rss_bytes +\d+\n" % re.escape(version))
        self.assertRegex(text, rb"\n  connections +[1-9]")

        code, got = cli_json(self.node, "groups")
        by_name = {g["name"]: g for g in got}
        self.assertEqual(by_name["users"]["ttl_ms"], 3600000)
        self.assertEqual(by_name["small"]["max_value_bytes"], 100)
        self.assertTrue(by_name["l"]["has_loader"])
        lines = self.run_cli("groups").stdout.splitlines()
        self.assertEqual([line.split()[0] for line in lines],
                         [b"default", b"users", b"small", b"l"])

        code, got = cli_json(self.node, "ping")
        self.assertEqual((code, got["status"]), (OK, "SERVING"))
        for _ in range(5):  # some fractions are short in any case
            self.assertRegex(self.run_cli("--json", "ping").stdout,
                             rb'"ms":\d+(\.\d{1,9})?(e-\d+)?\}')
        self.assertRegex(self.run_cli("ping").stdout,
                         rb"^SERVING \d+\.\d{3} ms\n$")

    def test_resize(self):
        """A size has the units of --group; the group is an argument."""
        self.run_cli("resize", "users", "32m", out=b"")
        self.assertEqual(self.client.stats("users").max_bytes, 32 << 20)
        self.run_cli("--raw", "resize", "users", "16777216", out=b"")
        code, got = cli_json(self.node, "resize", "users", "1g")
        self.assertEqual((code, got["ok"], got["max_bytes"],
                          got["old_max_bytes"]), (OK, True, 1 << 30, 16 << 20))
        self.assertEqual(got["bytes"], self.client.stats("users").bytes)
        groups = {g["name"]: g for g in cli_json(self.node, "groups")[1]}
        self.assertEqual(groups["users"]["max_bytes"], 1 << 30)
        done = self.run_cli("resize", "users", "4095k", code=REFUSED, out=b"")
        self.assertIn(b"resize: group users: max_bytes: 4193280 is less than 4 "
                      b"times max_value_bytes, which is 1048576; at least "
                      b"4194304 (KAMA_ERR_INVALID)", done.stderr)
        done = self.run_cli("resize", "no", "1g", code=REFUSED, out=b"")
        self.assertIn(b"KAMA_ERR_NO_GROUP", done.stderr)
        self.run_cli("-q", "resize", '"use\\x72s"', "64m", out=b"")

    def test_hotkeys(self):
        with Daemon("--group", "default", "--group", "g") as node, \
                Client(node) as client:
            self.assertEqual(cli_json(node, "hotkeys"), (OK, []))
            self.assertEqual(cli(node, "hotkeys").stdout,
                             b"GETS/S  ERROR  KEY\n")
            for key, size, gets in ((b"a", 10, 20), (b"b \xff", 3000, 5),
                                    (b"c", 200, 1)):
                client.set(key, bytes(size), "g")
                for _ in range(gets):
                    client.get(key, "g")
            lines = cli(node, "-g", "g", "hotkeys").stdout.splitlines()
            self.assertEqual([line.split(b"  ")[-1] for line in lines],
                             [b"KEY", b"a", b'"b \\xff"', b"c"])
            for line in lines[1:]:
                self.assertRegex(line, rb"^ *\d+\.\d +0\.0 ")
            self.assertEqual(cli(node, "-g", "g", "--raw", "hotkeys", "-n",
                                 "2").stdout, b"a\nb \xff\n")
            code, got = cli_json(node, "-g", "g", "-n1", "hotkeys")
            self.assertEqual((code, len(got), got[0]["key"],
                              got[0]["error_per_s"]), (OK, 1, "a", 0))
            self.assertGreater(got[0]["gets_per_s"], 0)
            self.assertEqual(
                cli(node, "-g", "g", "hotkeys", "--largest").stdout,
                b'BYTES  KEY\n 2.9k  "b \\xff"\n  200  c\n   10  a\n')
            self.assertEqual(
                cli(node, "-g", "g", "hotkeys", "--largest", "--bytes",
                    "--limit=1").stdout, b'BYTES  KEY\n 3000  "b \\xff"\n')
            self.assertEqual(
                cli_json(node, "-g", "g", "hotkeys", "--largest", "-n", "2"),
                (OK, [{"key_base64": "YiD/", "value_bytes": 3000},
                      {"key": "c", "value_bytes": 200}]))

    def test_unknown_group(self):
        for command in (["get", "k"], ["set", "k", "v"], ["del", "k"],
                        ["mget", "k"], ["keys"], ["clear"], ["stats"]):
            done = self.run_cli("-g", "no\x1bne", *command, code=REFUSED,
                                out=b"")
            self.assertIn(b"KAMA_ERR_NO_GROUP", done.stderr)
            self.assertIn(b'no group "no\\x1bne"', done.stderr)
        self.run_cli("--json", "-g", "none", "keys", code=REFUSED,
                            out=b"")

    def test_limits(self):
        key = "k" * 4096
        self.run_cli("set", key, "v")
        self.run_cli("get", key, out=b"v\n")
        for command in (["get", key + "k"], ["set", key + "k", "v"],
                        ["del", key + "k"], ["mget", key + "k"]):
            done = self.run_cli(*command, code=REFUSED)
            if command[0] != "mget":
                self.assertIn(b"4096", done.stderr)
        done = self.run_cli("get", "", code=REFUSED)
        self.assertIn(b"KAMA_ERR_INVALID", done.stderr)
        self.run_cli("-g", "small", "set", "v", "x" * 100)
        done = self.run_cli("-g", "small", "set", "v", "x" * 101,
                            code=REFUSED)
        self.assertIn(b"KAMA_ERR_TOO_LARGE", done.stderr)
        self.run_cli("set", "v", stdin=b"x" * (1 << 20))
        self.run_cli("set", "v", stdin=b"x" * ((1 << 20) + 1), code=REFUSED)
        self.run_cli("keys", "x" * 1024)
        self.run_cli("keys", "x" * 1025, code=REFUSED)


class ManyNodesTest(unittest.TestCase):
    def test_each_is_asked_itself(self):
        with Daemon() as one, Daemon() as two:
            for node, value in ((one, "1"), (two, "2")):
                self.assertEqual(cli(node, "set", "k", value).returncode, OK)
            for node, value in ((one, b"1\n"), (two, b"2\n")):
                self.assertEqual(cli(node, "get", "k").stdout, value)
            env = {"KAMACACHE_ENDPOINT": two.address}
            self.assertEqual(cli("", "get", "k", env=env).stdout, b"2\n")
            self.assertEqual(cli(one, "get", "k", env=env).stdout, b"1\n")
            self.assertEqual(
                cli("", "get", "k", "--endpoint=" + one.address,
                    env=env).stdout, b"1\n")

    def test_large_values(self):
        value = bytes(range(256)) * (64 << 12)
        big = "big:max_bytes=300m,max_value_bytes=64m"
        with Daemon("--group", big) as node:
            self.assertEqual(len(value), 64 << 20)
            done = cli(node, "-g", "big", "set", "k", stdin=value)
            self.assertEqual(done.returncode, OK, done)
            done = cli(node, "--raw", "-g", "big", "get", "k")
            self.assertEqual(done.returncode, OK, done.stderr)
            self.assertTrue(done.stdout == value)
            done = cli(node, "-g", "big", "set", "k", stdin=value + b"x")
            self.assertEqual(done.returncode, REFUSED, done.stderr)
            done = cli(node, "-g", "big", "set", "k",
                       stdin=value + b"x" * (1 << 20))
            self.assertEqual(done.returncode, REFUSED, done.stderr)


if __name__ == "__main__":
    main()
