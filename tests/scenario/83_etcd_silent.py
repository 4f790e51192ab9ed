#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=180
"""Connections to etcd on which nothing comes while a member leaves, and
connections on which all is well for a while: they are kept. KAMA_FAULT_LONG=1
makes the while longer."""
import os
import unittest

from etcdkit import MISSING
from faultkit import FaultCluster, count_lines, say

LONG = os.environ.get("KAMA_FAULT_LONG") == "1"


@unittest.skipIf(MISSING, MISSING)
class Silent(unittest.TestCase):
    def test_etcd_is_silent_to_one_node_while_another_one_leaves(self):
        """The node hears of the unknown view by Hello, and owns nothing until
        it has read it."""
        with FaultCluster(3, etcd_proxies=True) as cluster:
            deaf, leaver, other = cluster.nodes
            with cluster.watched([deaf, other]) as watch:
                watch.for_seconds(1)
                deaf.etcd_proxy.swallow()
                leaver.stop()
                watch.for_seconds(4)
                deaf.etcd_proxy.cut()  # what was swallowed is lost for good
                deaf.etcd_proxy.flow()
                say("etcd was silent while a member left: right again after "
                    "%.2f s", cluster.wait_right())
                watch.for_seconds(1)

    def test_etcd_stays_silent_to_one_node(self):
        """Nothing comes any more, and no connection is lost: PINGs find out,
        or the next reading does."""
        with FaultCluster(3, etcd_proxies=True) as cluster:
            deaf, leaver, other = cluster.nodes
            with cluster.watched([deaf, other]) as watch:
                watch.for_seconds(1)
                deaf.etcd_proxy.swallow()
                leaver.stop()
                watch.for_seconds(2)
                deaf.etcd_proxy.flow()  # the connections have a hole
                say("etcd was silent while a member left, and its connections "
                    "stayed: right again after %.2f s", cluster.wait_right())
                watch.for_seconds(1)

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
