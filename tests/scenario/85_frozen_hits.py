#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=180
"""A node that stood still for longer than its lease serves nothing old after it has
heard of anybody."""
import time
import unittest

import kamatest
from etcdkit import MISSING
from faultkit import KEYS, FaultCluster, say
from frozenkit import FrozenCase, wait_given_up
from kamatest import Client


@unittest.skipIf(MISSING, MISSING)
class FrozenHits(FrozenCase):
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
