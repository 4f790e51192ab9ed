#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=90
"""A group with sync=local on the nodes of a cluster: each node loads, keeps and
changes what it has, whatever becomes of the view."""
import unittest

import kamatest
from clusterkit import Cluster
from etcdkit import MISSING
from kamatest import HttpOrigin, group


@unittest.skipIf(MISSING, MISSING)
class LocalGroups(unittest.TestCase):
    def check(self, node, key, loaded):
        """Loads a key, and changes it on this node alone."""
        client = node.client
        self.assertEqual(client.get(key, "local"), loaded)
        client.set(key, b"set", "local")
        self.assertEqual(client.get(key, "local"), b"set")
        self.assertTrue(client.delete(key, "local"))
        self.assertEqual(client.get(key, "local"), loaded)

    def test_each_node_keeps_its_own(self):
        with HttpOrigin(lambda path: (200, path[1:].encode())) as origin:
            groups = ("--group", origin.group("local", sync="local"),
                      "--group", group("set", sync="local"))
            with Cluster(2, *groups) as cluster:
                for number, node in enumerate(cluster.nodes):
                    self.check(node, b"k", b"k")
                    node.client.set(b"mine", b"%d" % number, "set")
                self.assertEqual(origin.requests.count("/k"), 4)
                third = cluster.add().start()
                cluster.wait_view()
                self.check(third, b"k", b"k")
                third.kill()
                cluster.wait_view(seconds=30)
                for number, node in enumerate(cluster.running()):
                    self.assertEqual(node.client.get(b"k", "local"), b"k")
                    self.check(node, b"new", b"new")
                    self.assertEqual(node.client.get(b"mine", "set"),
                                     b"%d" % number)
                    self.assertEqual(
                        node.client.error(b"absent", "set")[0], "KAMA_MISS")
                self.assertEqual(origin.requests.count("/k"), 6)


if __name__ == "__main__":
    kamatest.main()
