#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: labels=nosan timeout=120
"""The memory of entries that have expired, or were cleared, comes back within seconds
although nobody calls the node; then the statistics count what gets would find."""
import unittest

import kamatest
from kamatest import Client, Daemon, pb2, v2, wait_until

ITEMS = 200000
OTHERS = 2000
MIB = 1 << 20


class NobodyCalls(unittest.TestCase):
    def setUp(self):
        self.node = Daemon("--group", "g:max_bytes=128m")
        self.addCleanup(self.node.stop)
        self.client = Client(self.node)
        self.addCleanup(self.client.close)
        self.empty = self.memory()

    def memory(self):
        return self.node.memory_kib() * 1024

    def fill(self, prefix, count, ttl_ms):
        for i in range(0, count, 20000):
            v2(self.client.channel, "MSet", pb2().MSetRequest(
                group="g", entries=[
                    pb2().MSetEntry(key=b"%s-%d" % (prefix, n), value=bytes(100),
                                    ttl_ms=ttl_ms)
                    for n in range(i, min(i + 20000, count))]))

    def comes_back(self, full):
        wait_until(lambda: self.memory() < self.empty + (full - self.empty) / 4,
                   what="the memory")

    def wait_for_entries(self, count):
        wait_until(lambda: self.client.stats("g").entries == count,
                   what="%d entries" % count)

    def test_expired(self):
        """Also among entries that live for an hour, or for ever."""
        self.fill(b"hour", OTHERS, 3600000)
        self.fill(b"ever", OTHERS, 0)
        self.fill(b"short", ITEMS, 4000)
        full = self.memory()
        self.assertGreater(full - self.empty, 20 * MIB)
        self.comes_back(full)
        self.wait_for_entries(2 * OTHERS)
        stats = self.client.stats("g")
        self.assertEqual(stats.expirations, ITEMS)
        self.assertLess(stats.bytes, 8 * MIB)
        self.assertEqual(self.client.get(b"hour-7", "g"), bytes(100))

    def test_few_among_many(self):
        """Entries do not stay because nearly all others do."""
        self.fill(b"hour", ITEMS, 3600000)
        self.fill(b"short", 10, 1000)
        self.wait_for_entries(ITEMS)

    def test_cleared(self):
        self.fill(b"ever", ITEMS, 0)
        full = self.memory()
        v2(self.client.channel, "Clear", pb2().ClearRequest(group="g"))
        self.comes_back(full)
        self.assertEqual(self.client.stats("g").entries, 0)


if __name__ == "__main__":
    kamatest.main()
