#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=180
"""An etcd that is slow, while clients read and delete through every node.
KAMA_FAULT_LONG=1 makes the slowness last longer."""
import os
import unittest

from etcdkit import MISSING
from faultkit import MEMBERS, FaultCluster, say

LONG = os.environ.get("KAMA_FAULT_LONG") == "1"


@unittest.skipIf(MISSING, MISSING)
class Slow(unittest.TestCase):
    def test_three_seconds_of_latency(self):
        """Slow, and never lost: the key of the member stays the same one."""
        with FaultCluster(3, etcd_proxies=True) as cluster:
            slow = cluster.nodes[0]
            before = cluster.ids()
            created = self.create_revision(cluster, slow)
            with cluster.watched() as watch:
                watch.for_seconds(1)
                slow.etcd_proxy.delay(1.5)  # each way
                watch.for_seconds(60 if LONG else 15)
                self.assertEqual(slow.node().degraded, "")
                slow.etcd_proxy.flow()
                say("3 s of latency: right again after %.2f s",
                    cluster.wait_right())
            self.assertEqual(cluster.ids(), before)
            self.assertEqual(self.create_revision(cluster, slow), created)

    @staticmethod
    def create_revision(cluster, node):
        key = MEMBERS + node.advertise
        lines = cluster.etcd.ctl("get", "-w", "fields", "--", key).splitlines()
        return next(line for line in lines if "CreateRevision" in line)


if __name__ == "__main__":
    unittest.main()
