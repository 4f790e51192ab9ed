#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=180
"""An etcd that is frozen, while clients read and delete through every node."""
import unittest

from etcdkit import MISSING
from faultkit import FaultCluster, count_lines, say, wait_degraded


@unittest.skipIf(MISSING, MISSING)
class Frozen(unittest.TestCase):
    def test_etcd_is_frozen_for_15_seconds(self):
        """Longer than a lease. All members say degraded and serve."""
        with FaultCluster(3) as cluster:
            with cluster.watched() as watch:
                watch.for_seconds(1)
                cluster.etcd.freeze()
                watch.for_seconds(11)
                for node in cluster.nodes:
                    wait_degraded(node)
                watch.for_seconds(3)
                cluster.etcd.thaw()
                say("etcd was frozen for 15 s: right again after %.2f s",
                    cluster.wait_right())
                watch.for_seconds(2)
            for node in cluster.nodes:
                self.assertLess(count_lines(node, level="warn"), 12)


if __name__ == "__main__":
    unittest.main()
