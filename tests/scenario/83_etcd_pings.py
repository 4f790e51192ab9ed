#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=180
"""A node keeps its connections to etcd, which ends those that send too many PINGs.
KAMA_FAULT_LONG=1 watches them for longer."""
import os
import unittest

from etcdkit import MISSING
from faultkit import FaultCluster, count_lines

LONG = os.environ.get("KAMA_FAULT_LONG") == "1"


@unittest.skipIf(MISSING, MISSING)
class Pings(unittest.TestCase):
    def test_etcd_is_not_asked_too_often(self):
        """etcd ends connections whose PINGs come more often than it permits
        ("too_many_pings"). Each node keeps its two connections."""
        with FaultCluster(3, etcd_proxies=True) as cluster:
            proxies = [node.etcd_proxy for node in cluster.nodes]
            with cluster.watched() as watch:
                watch.for_seconds(1)
                before = [proxy.accepted for proxy in proxies]
                watch.for_seconds(60 if LONG else 12)
                after = [proxy.accepted for proxy in proxies]
            self.assertEqual(after, before)
            self.assertEqual([proxy.connections for proxy in proxies],
                             [2, 2, 2])
            self.assertNotIn("too_many_pings", cluster.etcd.log)
            for node in cluster.nodes:
                self.assertEqual(count_lines(node, level="warn"), 0)


if __name__ == "__main__":
    unittest.main()
