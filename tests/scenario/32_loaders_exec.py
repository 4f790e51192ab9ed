# SPDX-License-Identifier: MIT
"""A group whose origin is a program: what it gets and says, how it dies, that
it leaves nothing behind, and another node as the origin."""
import glob
import os
import re
import unittest

from kamatest import (CLI, SOURCE, Client, Daemon, Folder, group, main,
                      wait_until)

SCRIPT = r"""
case $1 in
miss) exit 4 ;;
fail) echo "no luck" >&2; exit 3 ;;
crash) kill -SEGV $$ ;;
sleep) sleep 600 ;;
flood) exec cat /dev/zero ;;
orphan) sleep 600 & ;;
esac
printf '%s:' "$1"
cat
"""


def children(pid):
    """Process ids below pid, the dead ones that wait for it included."""
    found = []
    for path in glob.glob("/proc/%d/task/*/children" % pid):
        with open(path, encoding="ascii") as text:
            found += text.read().split()
    return found


class ExecTest(unittest.TestCase):
    def setUp(self):
        self.folder = Folder()
        self.addCleanup(self.folder.__exit__)

    def node(self, arguments="{key}", **options):
        script = self.folder.script("load", SCRIPT)
        return Daemon("--group", group(
            "g", loader="exec:%s %s" % (script, arguments), **options))

    def test_answers(self):
        with self.node() as node, Client(node) as client:
            self.assertEqual(client.get(b"tom", "g"), b"tom:tom")
            self.assertEqual(client.get(b"x $(id) '\n", "g"),
                             b"x $(id) '\n:x $(id) '\n")
            for key, status, text in ((b"miss", "KAMA_MISS", ""),
                                      (b"fail", "KAMA_ERR_LOADER", "no luck"),
                                      (b"crash", "KAMA_ERR_LOADER", "signal"),
                                      (b"a\0b", "KAMA_ERR_INVALID", "NUL"),
                                      (b"-x", "KAMA_ERR_INVALID", "option"),
                                      (b"flood", "KAMA_ERR_TOO_LARGE", "")):
                got, sentence = client.error(key, "g")
                self.assertEqual(got, status, sentence)
                self.assertIn(text, sentence)
            self.assertEqual(client.get(b"orphan", "g"), b"orphan:orphan")

    def test_binary_key_on_standard_input(self):
        with self.node("x") as node, Client(node) as client:
            self.assertEqual(client.get(b"\0\xff\n", "g"), b"x:\0\xff\n")

    def test_nothing_is_left(self):
        with self.node(loader_timeout="300ms") as node, \
                Client(node) as client:
            self.assertEqual(client.get(b"first", "g"), b"first:first")
            descriptors = node.descriptors()
            calls = [client.get_future(key, "g") for key in
                     (b"sleep", b"flood", b"crash", b"fail", b"miss")]
            for call in calls:
                self.assertIsNotNone(call.exception())
            wait_until(lambda: not children(node.pid), what="no children")
            self.assertEqual(node.descriptors(), descriptors)

    def test_another_node_as_origin(self):
        with open(os.path.join(SOURCE, "docs/LOADERS.md"),
                  encoding="utf-8") as text:
            wrapper = next(block for block in re.findall(
                r"^```sh\n#!/bin/sh\n(.*?)^```", text.read(), re.M | re.S)
                if "from-node" in block)
        script = self.folder.script("from-node", wrapper)
        near = group("g", loader="exec:%s -- {key}" % script)
        with Daemon() as far:
            env = {"FROM_NODE": far.address, "PATH": os.path.dirname(CLI) +
                   ":" + os.environ["PATH"]}
            with Daemon("--group", near, env=env) as node, \
                    Client(far) as origin, Client(node) as client:
                for key in (b"tom", b'"quoted"', b"-x y", "日本".encode()):
                    origin.set(key, b"value\0\n")
                    self.assertEqual(client.get(key, "g"), b"value\0\n")
                self.assertEqual(client.error(b"nobody", "g")[0], "KAMA_MISS")


if __name__ == "__main__":
    main()
