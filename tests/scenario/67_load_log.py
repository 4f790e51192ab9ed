#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=60
"""What the daemon's log says about loads: each group's failures as warnings,
limited and counted; at the level debug, every step of a get."""
import threading
import unittest

import kamatest
from kamatest import Client, Daemon, Folder

KEY = b'fail "\n\x1b' + b"k" * 200
SHOWN = 'fail \\"\\n\\x1b' + "k" * 31 + "..."


def events(node, name):
    return [line for line in node.lines if line.get("event") == name]


class LoadLog(unittest.TestCase):
    def setUp(self):
        folder = Folder()
        self.addCleanup(folder.__exit__)
        self.script = folder.script("origin", """
            case $1 in
                fail*) echo "no luck with it" >&2; exit 1 ;;
                none*) exit 4 ;;
                hang*) exec sleep 60 ;;
                *) printf loaded ;;
            esac""")
        self.release = folder.path + "/release"
        self.waiting = folder.script("waiting", """
            while [ ! -e %s ]; do sleep 0.02; done; printf late""" %
                                     self.release)

    def daemon(self, *arguments, script=None):
        groups = [kamatest.group(name, loader="exec:%s {key}" %
                                 (script or self.script),
                                 loader_timeout="500ms", negative_ttl="1m")
                  for name in ("users", "orders")]
        node = Daemon(*arguments, "--group", groups[0], "--group", groups[1])
        self.addCleanup(node.stop)
        return node

    def test_a_failure_is_a_warning(self):
        """With sentence, group, quoted and shortened key; a miss is none."""
        node = self.daemon()
        with Client(node) as client:
            client.error(b"none", "users")
            client.get(b"good", "users")
            client.error(KEY, "users")
            client.error(b"hang", "orders")
        kamatest.wait_until(lambda: len(events(node, "load_failed")) == 2)
        failed, hung = events(node, "load_failed")
        self.assertEqual((failed["level"], failed["component"],
                          failed["group"], failed["status"],
                          failed["suppressed"]),
                         ("warn", "node", "users", "KAMA_ERR_LOADER", 0))
        self.assertIn("no luck with it", failed["msg"])
        self.assertTrue(failed["msg"].startswith("group users: "))
        self.assertTrue(failed["msg"].endswith('(key "%s")' % SHOWN),
                        failed["msg"])
        self.assertLess(len(failed["key"]), 100)
        self.assertGreater(failed["took_us"], 0)
        self.assertEqual((hung["group"], hung["key"], hung["status"]),
                         ("orders", "hang", "KAMA_ERR_TIMEOUT"))
        self.assertGreaterEqual(hung["took_us"], 400000)
        for raw in node.raw:
            self.assertNotIn("\x1b", raw)
        self.assertEqual(events(node, "get") + events(node, "load"), [])

    def test_warnings_are_limited_per_group_and_counted(self):
        node = self.daemon()
        failures = 0
        with Client(node) as client:
            calls = [client.get_future(b"fail %d" % i, "users")
                     for i in range(100)]
            for call in calls:
                self.assertIsNotNone(call.exception())
            failures += 100
            first = events(node, "load_failed")
            self.assertLess(len(first), 50)
            client.error(b"fail", "orders")  # has a limit of its own
            kamatest.wait_until(lambda: any(
                line["group"] == "orders"
                for line in events(node, "load_failed")))

            def all_are_counted():
                nonlocal failures
                client.error(b"fail again", "users")
                failures += 1
                lines = [line for line in events(node, "load_failed")
                         if line["group"] == "users"]
                told = sum(1 + line["suppressed"] for line in lines)
                return told == failures and any(
                    "more failures since the last warning" in line["msg"]
                    for line in lines)

            kamatest.wait_until(all_are_counted, 20)

    def steps(self, node, key):
        return [(line["event"], line["msg"].split(": ", 1)[1])
                for line in node.lines
                if line.get("key") == key and line["level"] == "debug"]

    def test_debug_follows_a_get(self):
        node = self.daemon("--log-level=debug")
        with Client(node) as client:
            client.get(b"tom", "users")
            client.get(b"tom", "users")
            client.error(b"none", "users")
            client.error(b"none", "users")
            client.error(b"fail", "users")
        kamatest.wait_until(lambda: len(self.steps(node, "fail")) == 4)
        expected = {
            "tom": ["not in memory: starts a load", "the loader is called",
                    "the load ended with KAMA_OK after",
                    "answered with KAMA_OK after", "answered from memory"],
            "none": ["not in memory: starts a load", "the loader is called",
                     "the load ended with KAMA_MISS after",
                     "answered with KAMA_MISS after",
                     "answered from memory: there is no such key"],
            "fail": ["not in memory: starts a load", "the loader is called",
                     "the load ended with KAMA_ERR_LOADER after",
                     "answered with KAMA_ERR_LOADER after"],
        }
        for key, starts in expected.items():
            steps = self.steps(node, key)
            self.assertEqual([event for event, _ in steps],
                             ["get", "load", "load", "get", "get"]
                             [:len(starts)])
            for (_, text), start in zip(steps, starts):
                self.assertTrue(text.startswith(start), (key, steps))
                self.assertTrue(text.endswith('(key "%s")' % key))

    def test_debug_shows_who_waits_for_whom(self):
        """And a value that was not kept, because a delete came first."""
        node = self.daemon("--log-level=debug", script=self.waiting)
        with Client(node) as client:
            calls = [client.get_future(b"tom", "users")]
            kamatest.wait_until(lambda: len(self.steps(node, "tom")) == 2)
            calls.append(client.get_future(b"tom", "users"))
            kamatest.wait_until(lambda: len(self.steps(node, "tom")) == 3)
            client.delete(b"tom", "users")
            threading.Thread(target=self.let_go).start()
            for call in calls:
                self.assertIsNone(call.exception())
        kamatest.wait_until(lambda: len(self.steps(node, "tom")) == 6)
        texts = [text for _, text in self.steps(node, "tom")]
        self.assertTrue(texts[2].startswith(
            "not in memory: waits for the load that is running"))
        self.assertIn("it is not kept, because the key was changed meanwhile",
                      texts[3])
        for text in texts[4:]:
            self.assertTrue(text.startswith("answered with KAMA_OK after"))

    def let_go(self):
        with open(self.release, "w", encoding="ascii"):
            pass


if __name__ == "__main__":
    kamatest.main()
