#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=180
"""A node that stands still for longer than its lease: the others give it up, tell
it so, and it registers again with a new id. It serves nothing old after it has
heard of anybody."""
import time
import unittest

import kamatest
from etcdkit import MISSING
from faultkit import GROUP, KEYS, FaultCluster, say
from kamatest import Client, wait_until


def wait_given_up(cluster, node):
    """Waits until the others have a view without the node."""
    others = cluster.others(node)
    wait_until(lambda: cluster.agreed(others), 30, "a view without %s" % node)
    return others


@unittest.skipIf(MISSING, MISSING)
class Frozen(unittest.TestCase):
    def fill(self, node):
        """Makes every key that the node owns a value in its memory."""
        with Client(node) as client:
            for key in KEYS:
                client.get(key, GROUP)

    def change_all(self, cluster):
        """Changes every value in the database, and deletes its key at the
        owner that the second node knows."""
        for key in KEYS:
            cluster.database.raise_number(key)
            owner = cluster.owner(key, GROUP, cluster.nodes[1])
            with Client(owner) as client:
                client.delete(key, GROUP)

    def is_new(self, cluster, client, key):
        return (int(client.get(key, GROUP)) ==
                cluster.database.numbers[key])

    def expect_new(self, cluster, node):
        """Each key has its present value."""
        with Client(node) as client:
            self.assertEqual([key for key in KEYS if not self.is_new(
                cluster, client, key)], [])

    def test_a_node_is_frozen_for_15_seconds(self):
        with FaultCluster(3) as cluster:
            node = cluster.nodes[0]
            self.fill(node)
            before = node.node().id
            with cluster.watched(cluster.nodes[1:]) as watch:
                since = time.monotonic()
                node.freeze()
                wait_given_up(cluster, node)
                say("frozen: given up after %.2f s", time.monotonic() - since)
                watch.for_seconds(15 - (time.monotonic() - since))
            self.change_all(cluster)
            node.thaw()
            took = cluster.wait_right(also=lambda: node.node().id != before)
            say("thawed: right again after %.2f s", took)
            self.expect_new(cluster, node)

    def test_hits_are_not_old_once_it_has_heard_of_anybody(self):
        """From one second after the node has reached a peer or etcd, which it
        does at once here, each get through it is new."""
        with FaultCluster(3) as cluster:
            node = cluster.nodes[0]
            self.fill(node)
            old_until = 0.0
            with Client(node) as client:
                node.freeze()
                wait_given_up(cluster, node)
                self.change_all(cluster)
                node.thaw()
                thawed = time.monotonic()
                while time.monotonic() < thawed + 3 * kamatest.SLOWDOWN:
                    for key in KEYS:
                        sent = time.monotonic()
                        if not self.is_new(cluster, client, key):
                            old_until = max(old_until, sent - thawed)
            say("old hits until %.3f s after the node was thawed", old_until)
            self.assertLess(old_until, 1.0 * kamatest.SLOWDOWN)
            cluster.wait_right()


if __name__ == "__main__":
    unittest.main()
