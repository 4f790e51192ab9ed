#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""A group of a node gets another bound while the node serves: what it uses follows
it down, and more is kept after it has gone up; every surface shows it at once."""
import os
import threading
import unittest
import urllib.request

import grpc

import kamatest
from kamatest import Client, Daemon, pb2, v2

MIB = 1 << 20
VALUE = os.urandom(200 << 10)


class Resize(unittest.TestCase):
    def setUp(self):
        self.node = Daemon("--group", "g:max_bytes=96m,max_value_bytes=1m",
                           "--admin", "127.0.0.1:0")
        self.addCleanup(self.node.stop)
        self.client = Client(self.node)
        self.addCleanup(self.client.close)

    def resize(self, max_bytes, group="g"):
        return v2(self.client.channel, "Resize",
                  pb2().ResizeRequest(group=group, max_bytes=max_bytes))

    def fill(self, count, value=VALUE):
        for i in range(count):
            self.client.set(b"%d" % i, value, "g")

    def shown(self):
        """The bound, as Stats, Groups and the metrics show it."""
        groups = v2(self.client.channel, "Groups", pb2().GroupsRequest()).groups
        with urllib.request.urlopen("http://%s/metrics" % self.node.admin) as r:
            line, = [line for line in r.read().decode().split("\n")
                     if line.startswith('kamacache_max_bytes{group="g"}')]
        return (self.client.stats("g").max_bytes, groups[0].max_bytes,
                int(float(line.split()[1])))

    def test_down_and_up(self):
        self.fill(450)
        full = self.client.stats("g")
        self.assertEqual(full.entries, 450)
        reply = self.resize(16 * MIB)
        self.assertEqual(reply.old_max_bytes, 96 * MIB)
        self.assertLessEqual(reply.bytes, 16 * MIB)
        small = self.client.stats("g")
        self.assertEqual(self.shown(), (16 * MIB,) * 3)
        self.assertTrue(12 * MIB < small.bytes <= 16 * MIB, small.bytes)
        self.assertEqual(small.evictions, 450 - small.entries)
        self.fill(300)
        self.assertLessEqual(self.client.stats("g").bytes, 16 * MIB)
        self.assertEqual(self.resize(128 * MIB).old_max_bytes, 16 * MIB)
        self.assertEqual(self.shown(), (128 * MIB,) * 3)
        self.fill(600)
        self.assertEqual(self.client.stats("g").entries, 600)

    def test_many_small_entries(self):
        """The index and what remembers evicted keys shrink as well."""
        entries = [pb2().MSetEntry(key=b"%d" % i, value=b"v")
                   for i in range(400000)]
        for i in range(0, len(entries), 20000):
            v2(self.client.channel, "MSet", pb2().MSetRequest(
                group="g", entries=entries[i:i + 20000]))
        self.assertEqual(self.client.stats("g").entries, 400000)
        self.assertLessEqual(self.resize(4 * MIB).bytes, 4 * MIB)
        self.fill(3)
        self.assertEqual(self.client.get(b"2", "g"), VALUE)

    def test_while_others_work(self):
        """Sets and gets of other clients do not fail during a resize."""
        done = threading.Event()
        failures = []

        def work(number):
            with Client(self.node) as client:
                i = 0
                while not done.is_set():
                    try:
                        client.set(b"%d:%d" % (number, i % 500), VALUE, "g")
                        client.error(b"absent", "g")
                    except (grpc.RpcError, AssertionError) as error:
                        failures.append(error)
                        return
                    i += 1
        threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(5):
            self.resize(8 * MIB)
            self.resize(64 * MIB)
        last = self.resize(8 * MIB)
        done.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(last.old_max_bytes, 64 * MIB)
        self.assertLessEqual(self.client.stats("g").bytes, 8 * MIB)

    def test_refused(self):
        for bad, words in ((0, "65536"), (65535, "65536"),
                           (4 * MIB - 1, "4 times max_value_bytes, which is "
                            "1048576; at least 4194304")):
            with self.assertRaises(grpc.RpcError) as caught:
                self.resize(bad)
            self.assertEqual(kamatest.kama_status(caught.exception),
                             "KAMA_ERR_INVALID")
            self.assertIn(words, caught.exception.details())
            self.assertIn("max_bytes: %d " % bad, caught.exception.details())
        with self.assertRaises(grpc.RpcError) as caught:
            self.resize(64 * MIB, "nowhere")
        self.assertEqual(kamatest.kama_status(caught.exception),
                         "KAMA_ERR_NO_GROUP")
        self.assertEqual(self.shown(), (96 * MIB,) * 3)
        self.assertEqual(self.resize(4 * MIB).old_max_bytes, 96 * MIB)


if __name__ == "__main__":
    kamatest.main()
