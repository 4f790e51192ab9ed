#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""Keys whose owner changes are not loaded again: the new owner asks the one before, also
while that one stops, and a node that comes back empty asks those that have stayed."""
import threading
import time
import unittest

import etcdkit
import kamatest
from clusterkit import Cluster
from kamatest import HttpOrigin, wait_until

GROUP = "g"
KEYS = [b"key-%d" % i for i in range(300)]


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class MovedKeys(unittest.TestCase):
    def setUp(self):
        self.origin = HttpOrigin(lambda path: (200, path[1:].encode()))
        self.addCleanup(self.origin.__exit__)
        self.cluster = Cluster(3, "--group",
                               self.origin.group(GROUP, sync="broadcast"))
        self.addCleanup(self.cluster.close)

    def read(self, nodes, keys):
        for key in keys:
            for node in nodes:
                self.assertEqual(node.client.get(key, GROUP), key)

    def test_a_node_that_stops_hands_its_values_over(self):
        """Only the node that stops has the values of its keys. The others ask for
        them when they own the keys, which is before it has ended."""
        leaver, reader, _ = self.cluster.nodes
        mine = [key for key in KEYS
                if self.cluster.owner(key, GROUP, leaver) is leaver]
        self.read([leaver], mine)
        self.assertEqual(len(self.origin.requests), len(mine))
        begin = time.monotonic()
        stopping = threading.Thread(target=leaver.daemon.stop)
        stopping.start()
        wait_until(lambda: self.cluster.owner(mine[0], GROUP, reader)
                   is not leaver, what="another owner")
        for key in mine:  # over two seconds: it stays as long as it is asked
            self.read([reader], [key])
            time.sleep(2 / len(mine))
        stopping.join()
        print("%d keys handed over, stopped after %.2f s" % (
            len(mine), time.monotonic() - begin))
        self.assertEqual(len(self.origin.requests), len(mine))

    def test_a_rolling_restart_loads_nothing(self):
        """Under reads through all nodes that run. Without restarts there would be one
        load of each key."""
        self.read(self.cluster.nodes, KEYS)
        self.assertEqual(len(self.origin.requests), len(KEYS))
        for node in self.cluster.nodes:
            node.stop()
            self.read(self.cluster.running(), KEYS)
            node.start()
            self.cluster.wait_view()
            self.read(self.cluster.nodes, KEYS)
        loads = len(self.origin.requests)
        print("loads: %d, without restarts: %d" % (loads, len(KEYS)))
        self.assertLessEqual(loads, 1.1 * len(KEYS))

    def test_an_idle_node_ends_soon(self):
        begin = time.monotonic()
        self.cluster.nodes[0].stop()
        self.assertLess(time.monotonic() - begin, 3 * kamatest.SLOWDOWN)


if __name__ == "__main__":
    kamatest.main()
