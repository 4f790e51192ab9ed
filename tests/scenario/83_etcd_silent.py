#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=180
"""Connections to etcd on which nothing comes while a member leaves."""
import unittest

from etcdkit import MISSING
from faultkit import FaultCluster, say


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


if __name__ == "__main__":
    unittest.main()
