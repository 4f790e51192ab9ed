#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: labels=nosan timeout=180
"""Memory stays bounded under a flood of writes of mixed sizes."""
import random
import unittest

from kamatest import Client, Daemon

MAX_BYTES = 64 << 20
SLACK = 16 << 20


class Memory(unittest.TestCase):
    def flood(self, sizes, total, keys):
        """Sets until total bytes went in; the node's memory at the end."""
        rng = random.Random(4711)
        with Daemon("--group", "g:max_bytes=%d,max_value_bytes=1m"
                    % MAX_BYTES) as node, Client(node) as client:
            sent = worst = 0
            calls = []
            while sent < total:
                size = sizes(rng)
                key = b"%d" % rng.randrange(keys)
                calls.append(client.set_future(key, bytes(size), "g"))
                sent += size
                if len(calls) == 64:
                    for call in calls:
                        call.result()
                    calls = []
                    worst = max(worst, node.memory_kib() * 1024)
            for call in calls:
                call.result()
            stats = client.stats("g")
            self.assertLessEqual(stats.bytes, MAX_BYTES)
            self.assertGreater(stats.evictions, 0)
            self.assertLess(max(worst, node.memory_kib() * 1024),
                            1.05 * MAX_BYTES + SLACK)
            return stats

    def test_mixed_sizes(self):
        """64 B to 1 MiB, five times what fits."""
        stats = self.flood(lambda rng: int(2 ** rng.uniform(6, 20)),
                           5 * MAX_BYTES, 1 << 30)
        self.assertGreater(stats.value_bytes, 0.85 * MAX_BYTES)

    def test_large_then_small(self):
        """Memory freed in one size serves another."""
        state = {"left": 2 * MAX_BYTES}

        def size(_rng):
            state["left"] -= 1 << 20
            return (1 << 20) if state["left"] > 0 else 4000
        self.flood(size, 4 * MAX_BYTES, 1 << 30)


if __name__ == "__main__":
    unittest.main()
