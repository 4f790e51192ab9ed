#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=180
"""A node that stands still for longer than its lease: the others give it up, tell
it so, and it registers again with a new id. It serves nothing old after it has
heard of anybody."""
import time
import unittest

from etcdkit import MISSING
from faultkit import FaultCluster, say
from frozenkit import FrozenCase, wait_given_up


@unittest.skipIf(MISSING, MISSING)
class Frozen(FrozenCase):
    def test_a_node_is_frozen_for_longer_than_its_lease(self):
        with FaultCluster(3) as cluster:
            node = cluster.nodes[0]
            self.fill(node)
            before = node.node().id
            with cluster.watched(cluster.nodes[1:]) as watch:
                since = time.monotonic()
                node.freeze()
                wait_given_up(cluster, node)
                say("frozen: given up after %.2f s", time.monotonic() - since)
                watch.for_seconds(1)
            self.change_all(cluster)
            node.thaw()
            took = cluster.wait_right(also=lambda: node.node().id != before)
            say("thawed: right again after %.2f s", took)
            self.expect_new(cluster, node)


if __name__ == "__main__":
    unittest.main()
