#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""A node that cannot reach etcd for longer than its lease, and reaches the
others: they give it up and tell it so."""
import time
import unittest

import grpc

import kamatest
from etcdkit import MISSING
from faultkit import GROUP, FaultCluster, say
from kamatest import Client, wait_until


@unittest.skipIf(MISSING, MISSING)
class GivenUp(unittest.TestCase):
    def test_a_node_without_etcd_is_told_that_it_is_gone(self):
        """Its lease expires. It is told by the others, owns nothing, and goes
        on to answer gets until it can register again."""
        with FaultCluster(3, etcd_proxies=True) as cluster:
            node = cluster.nodes[0]
            before = node.node().id
            with cluster.watched() as watch:
                watch.for_seconds(1)
                since = time.monotonic()
                node.etcd_proxy.swallow()
                wait_until(lambda: any(
                    "says that this node was given up" in line["msg"]
                    for line in list(node.daemon.lines)), 30, "gone")
                say("without etcd: told gone after %.2f s",
                    time.monotonic() - since)
                watch.for_seconds(2)
                self.expect_no_mutation(node)
                node.etcd_proxy.cut()
                node.etcd_proxy.flow()
                say("etcd is back: right again after %.2f s",
                    cluster.wait_right(also=lambda: node.node().id != before))
                watch.for_seconds(1)

    def expect_no_mutation(self, node):
        with Client(node) as client, self.assertRaises(
                grpc.RpcError) as caught:
            client.set(b"a", b"1", GROUP)
        self.assertIn(kamatest.kama_status(caught.exception),
                      ("KAMA_ERR_TRY_AGAIN", "KAMA_ERR_NOT_READY",
                       "DEADLINE_EXCEEDED"))


if __name__ == "__main__":
    unittest.main()
