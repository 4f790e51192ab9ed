#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=240
"""A group whose values are on some of the nodes: a set goes to the nodes that hold
the key, a node that joins gets what it holds from the node before, and what a node
does not hold any more it forgets a minute later."""
import unittest

import etcdkit
from kamatest import wait_until
from synckit import GROUP, SyncCluster

KEYS = [b"key-%d" % i for i in range(300)]


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class Moves(unittest.TestCase):
    def holders(self, cluster, key):
        return [node for node in cluster.running()
                if cluster.here(node, key) is not None]

    def entries(self, cluster):
        return [node.entries(GROUP) for node in cluster.running()]

    def test_one_copy(self):
        with SyncCluster(2, GROUP + ":sync=shard:1") as cluster:
            first = cluster.nodes[0]
            cluster.mset(first, [(key, b"v-" + key) for key in KEYS])
            cluster.wait_applied()
            for key in KEYS:
                self.assertEqual(self.holders(cluster, key),
                                 [cluster.owner(key, GROUP)])
            cluster.add().start()
            cluster.wait_view()
            third = cluster.nodes[2]
            moved = [key for key in KEYS if cluster.owner(key, GROUP) is third]
            self.assertGreater(len(moved), len(KEYS) // 5)
            self.assertEqual(sum(self.entries(cluster)), len(KEYS))
            for key in moved[::2]:
                reply = third.call("Get", group=GROUP, key=key)
                self.assertEqual(reply.value, b"v-" + key)
            self.assertEqual(third.entries(GROUP), len(moved[::2]))
            wait_until(lambda: sum(self.entries(cluster)) <=
                       len(KEYS) - len(moved[1::2]), 90,
                       "the nodes to forget what they do not hold")
            for key in moved[::2]:
                self.assertEqual(self.holders(cluster, key), [third])
            for key in set(KEYS) - set(moved):
                self.assertEqual(self.holders(cluster, key),
                                 [cluster.owner(key, GROUP)])

    def test_two_copies(self):
        with SyncCluster(3, GROUP + ":sync=shard:2") as cluster:
            for number, node in enumerate(cluster.nodes):
                cluster.mset(node, [(key, b"%d" % number) for key in KEYS])
            cluster.wait_applied()
            for key in KEYS:
                holders = self.holders(cluster, key)
                self.assertEqual(len(holders), 2)
                self.assertIn(cluster.owner(key, GROUP), holders)
                for node in cluster.nodes:
                    reply = node.call("Get", group=GROUP, key=key)
                    self.assertEqual(reply.value, b"2")
                self.assertEqual(self.holders(cluster, key), holders)
            for key in KEYS:
                cluster.delete(cluster.nodes[1], key)
            cluster.wait_applied()
            self.assertEqual(self.entries(cluster), [0, 0, 0])


if __name__ == "__main__":
    unittest.main()
