#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=60
"""A daemon starts, says what it serves, becomes ready, serves and stops."""
import os
import signal
import socket
import unittest

import kamatest
from kamatest import Daemon, Client, Folder


class Start(unittest.TestCase):
    def test_lines(self):
        """One structured line each, in the order of what happens."""
        with Daemon("--group", "users:max_bytes=8m,ttl=5s", "--group",
                    "b") as node:
            pass
        self.assertEqual(
            [line["msg"] for line in node.lines],
            ["starting", "group", "group", "admin port", "listening", "ready",
             "summary", "draining", "stopped"])
        for line in node.lines:
            self.assertRegex(line["ts"],
                             r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
            self.assertEqual((line["level"], line["component"]),
                             ("info", "kamacached"))
        starting, users, b, admin, listening, ready, _, draining, stopped = \
            node.lines
        self.assertEqual(starting["pid"], node.pid)
        self.assertRegex(starting["version"], r"^\d+\.\d+\.\d+$")
        self.assertEqual((users["name"], users["max_bytes"], users["ttl_ms"],
                          users["loader"]), ("users", 8 << 20, 5000, "none"))
        self.assertEqual((b["name"], b["max_bytes"], b["ttl_ms"]),
                         ("b", 64 << 20, -1))  # as in every answer: for ever
        self.assertEqual(admin["addr"], node.admin)
        self.assertEqual(listening["addr"], node.address)
        self.assertLess(ready["start_ms"], 1000 * kamatest.SLOWDOWN)
        self.assertEqual(draining["signal"], "SIGTERM")
        self.assertEqual(stopped["drain"], "complete")

    def test_loader_lines(self):
        with Folder() as folder:
            script = folder.script("origin", "echo hello")
            with Daemon("--group", kamatest.group(
                    "g", loader="exec:" + script)) as node:
                line = node.wait_line("loader")
                self.assertEqual((line["name"], line["group"]), ("exec", "g"))
                line = node.wait_line("group")
                self.assertEqual((line["loader"], line["sync"],
                                  line["sync_ack"]),
                                 ("exec", "broadcast", "async"))
            # What a loader was told may be secret: it is not in the log.
            self.assertNotIn(script, "\n".join(node.raw))

    def test_text_format(self):
        """logfmt is the default."""
        with Daemon(ready=False, log=()) as node:
            kamatest.wait_until(
                lambda: any("msg=ready" in line for line in node.raw))
        self.assertRegex(node.raw[0],
                         r"^ts=\S+Z level=info component=kamacached "
                         r"msg=starting version=")

    def test_default_group(self):
        """Without a --group there is `default`, of 64 MiB."""
        with Daemon() as node, Client(node) as client:
            client.set(b"k", b"v")
            self.assertEqual(client.get(b"k"), b"v")
            self.assertEqual(node.wait_line("group")["max_bytes"], 64 << 20)
            self.assertEqual(client.error(b"k", group="other")[0],
                             "KAMA_ERR_NO_GROUP")

    def test_interrupt(self):
        with Daemon() as node:
            node.signal(signal.SIGINT)
            self.assertEqual(node.wait(), 0)
            self.assertEqual(node.wait_line("draining")["signal"], "SIGINT")

    def test_hangup(self):
        """There is nothing to reload yet; it says so and goes on."""
        with Daemon() as node, Client(node) as client:
            node.signal(signal.SIGHUP)
            node.wait_line("nothing to reload")
            client.set(b"k", b"v")
            self.assertEqual(client.get(b"k"), b"v")

    def test_service_manager(self):
        """READY=1 when it serves, STOPPING=1 when it drains."""
        with Folder() as folder, socket.socket(
                socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            path = os.path.join(folder.path, "notify")
            manager.bind(path)
            manager.settimeout(10 * kamatest.SLOWDOWN)
            with Daemon(env={"NOTIFY_SOCKET": path}):
                self.assertEqual(manager.recv(100), b"READY=1")
            self.assertEqual(manager.recv(100), b"STOPPING=1")

    def test_small(self):
        """An idle daemon of two loops is small."""
        with Daemon("--threads=2") as node:
            self.assertLessEqual(node.threads(), 5 if not kamatest.SANITIZER
                                 else 8)
            if not kamatest.SANITIZER:
                self.assertLess(node.memory_kib("RssAnon"), 6 << 10)


if __name__ == "__main__":
    kamatest.main()
