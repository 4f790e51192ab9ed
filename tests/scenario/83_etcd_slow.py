#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=180
"""An etcd that is frozen, silent or slow, while clients read and delete through
every node. KAMA_FAULT_LONG=1 makes the slowness last longer."""
import os
import unittest

from etcdkit import MISSING
from faultkit import (MEMBERS, FaultCluster, count_lines, say, wait_degraded)

LONG = os.environ.get("KAMA_FAULT_LONG") == "1"


@unittest.skipIf(MISSING, MISSING)
class Slow(unittest.TestCase):
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

    @staticmethod
    def create_revision(cluster, node):
        key = MEMBERS + node.advertise
        lines = cluster.etcd.ctl("get", "-w", "fields", "--", key).splitlines()
        return next(line for line in lines if "CreateRevision" in line)


if __name__ == "__main__":
    unittest.main()
