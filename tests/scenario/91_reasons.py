#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=60
"""A node says why its misses are misses, why entries have left, and what its memory
is used for: in /metrics, in Stats and in the client alike."""
import unittest

import kamatest
import metricskit
from clikit import cli_json
from kamatest import Client, Daemon, pb2, v2

MISSES = ("absent", "expired", "evicted", "deleted")
REASONS = ("capacity", "expired", "deleted", "replaced", "cleared", "moved")
USES = {"live": "live_bytes", "holes": "hole_bytes", "free": "free_bytes",
        "blocks": "block_bytes", "held": "pinned_bytes",
        "index": "index_bytes", "ghosts": "ghost_bytes",
        "fixed": "fixed_bytes"}


class Reasons(unittest.TestCase):
    def setUp(self):
        self.node = Daemon("--group", "g:max_bytes=1m,max_value_bytes=200k")
        self.addCleanup(self.node.stop)
        self.client = Client(self.node)
        self.addCleanup(self.client.close)

    def metrics(self, name, label, values):
        samples = metricskit.read(metricskit.scrape(self.node))
        return {value: metricskit.total(samples, name, group="g",
                                        **{label: value})
                for value in values}

    def misses(self):
        return self.metrics("kamacache_misses_total", "reason", MISSES)

    def removals(self):
        return self.metrics("kamacache_evictions_total", "reason", REASONS)

    def set(self, key, value=b"v", ttl_ms=0):
        v2(self.client.channel, "Set", pb2().SetRequest(
            group="g", key=key, value=value, ttl_ms=ttl_ms))

    def miss(self, key):
        self.assertEqual(self.client.error(key, "g")[0], "KAMA_MISS")

    def test_misses_and_removals(self):
        self.miss(b"never")
        self.set(b"deleted")
        self.client.delete(b"deleted", "g")
        self.miss(b"deleted")
        self.set(b"expired", ttl_ms=1)
        kamatest.wait_until(lambda: self.removals()["expired"] == 1)
        self.miss(b"expired")
        self.set(b"replaced")
        self.set(b"replaced", b"a longer value")
        self.assertEqual(self.misses(), {"absent": 1, "expired": 1,
                                         "evicted": 0, "deleted": 1})
        self.assertEqual(self.removals(), {
            "capacity": 0, "expired": 1, "deleted": 1, "replaced": 1,
            "cleared": 0, "moved": 0})
        v2(self.client.channel, "Clear", pb2().ClearRequest(group="g"))
        self.assertEqual(self.removals()["cleared"], 1)

    def test_evictions(self):
        """The keys that were evicted last are remembered as such."""
        entries = [pb2().MSetEntry(key=b"%d" % i, value=b"v" * 100)
                   for i in range(20000)]
        v2(self.client.channel, "MSet",
           pb2().MSetRequest(group="g", entries=entries))
        evicted = self.removals()["capacity"]
        self.assertGreater(evicted, 5000)
        self.assertEqual(evicted, self.client.stats("g").evictions)
        for i in range(2000):
            v2(self.client.channel, "MGet", pb2().MGetRequest(
                group="g", keys=[b"%d" % (19999 - i)]))
        misses = self.misses()
        self.assertGreater(misses["evicted"], 0)
        self.assertGreater(misses["evicted"], 9 * misses["absent"])

    def test_uses(self):
        """The uses of memory are all of it, and each surface says the same."""
        self.set(b"large", b"x" * 100000)
        for i in range(100):
            self.set(b"%d" % i)
        for i in range(50):
            self.client.delete(b"%d" % (2 * i), "g")
        uses = self.metrics("kamacache_store_bytes", "use", USES)
        stats = self.client.stats("g")
        self.assertEqual(sum(uses.values()), stats.bytes)
        self.assertEqual(uses, {use: getattr(stats, row)
                                for use, row in USES.items()})
        self.assertGreater(uses["blocks"], 100000)
        self.assertGreater(uses["holes"], 0)
        code, shown = cli_json(self.node, "stats", "g")
        self.assertEqual(code, 0)
        group, = shown["groups"]
        self.assertEqual(uses, {use: group[row] for use, row in USES.items()})


if __name__ == "__main__":
    kamatest.main()
