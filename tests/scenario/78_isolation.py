#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""A node is cut off from etcd and from the others, and keys are deleted on both
sides. When it is back, all agree, and nobody has what was deleted.
KAMA_SECONDS says for how long the node is cut off."""
import os
import threading
import time
import unittest

import grpc

import etcdkit
import kamatest
from clusterkit import LEASE_SECONDS, Cluster
from kamatest import HttpOrigin, wait_until

SECONDS = float(os.environ.get("KAMA_SECONDS", str(LEASE_SECONDS + 3)))
AGREE_SECONDS = 5


class Side(threading.Thread):
    """Changes keys in the database, and deletes them through one node, until
    the end. A delete that fails is not tried again."""

    def __init__(self, number, database, node):
        super().__init__(daemon=True)
        self.keys = [b"side-%d-%d" % (number, i) for i in range(60)]
        self.database = database
        self.node = node
        self.sure = set()  # keys whose last delete was acknowledged
        self.refused = {}  # kama-status: how often
        self.problems = []
        self.end = threading.Event()

    def run(self):
        version = 0
        while not self.end.is_set():
            version += 1
            for key in self.keys:
                if not self.end.is_set():
                    self.change(key, b"version %d" % version)

    def change(self, key, value):
        client = self.node.client
        try:
            client.get(key, "g")
            self.database[key.decode()] = value
            self.sure.discard(key)
            client.delete(key, "g")
            self.sure.add(key)
        except grpc.RpcError as error:
            status = kamatest.kama_status(error)
            self.refused[status] = self.refused.get(status, 0) + 1
            if status not in ("KAMA_ERR_PEER", "KAMA_ERR_TRY_AGAIN",
                              "KAMA_ERR_NOT_READY"):
                self.problems.append((key, status, error.details()))


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class Isolation(unittest.TestCase):
    def setUp(self):
        self.database = {}
        origin = HttpOrigin(
            lambda path: (200, self.database.get(path[1:], b"first")))
        self.addCleanup(origin.__exit__)
        self.cluster = Cluster(3, "--group", origin.group("g", sync="owner"),
                               etcd_proxies=True, peer_proxies=True)
        self.addCleanup(self.cluster.close)

    def expect_agreement(self, sides):
        """No node has an old value of a key whose delete was acknowledged."""
        for side in sides:
            self.assertEqual(side.problems, [])
            for key in side.sure:
                for node in self.cluster.nodes:
                    self.assertEqual(node.client.get(key, "g"),
                                     self.database[key.decode()],
                                     (key, node, side.node))

    def test_deletes_on_both_sides(self):
        cluster = self.cluster
        lonely, b, c = cluster.nodes
        sides = [Side(number, self.database, node)
                 for number, node in enumerate((lonely, b, c))]
        for side in sides:
            side.node.client.get(b"any", "g")
            side.start()
        cluster.isolate(lonely)
        time.sleep(SECONDS)
        cluster.wait_view([b, c], max(2, LEASE_SECONDS + 2 - SECONDS))
        self.assertEqual(lonely.node().degraded, "lease")
        with self.assertRaises(grpc.RpcError) as caught:
            lonely.client.set(b"any", b"value", "g")
        self.assertEqual(kamatest.kama_status(caught.exception),
                         "KAMA_ERR_NOT_READY")
        cluster.heal(lonely)
        begin = time.monotonic()
        cluster.wait_view(seconds=AGREE_SECONDS)
        print("all agree %.2f s after the network is whole" %
              (time.monotonic() - begin))
        wait_until(lambda: all(len(side.sure) > 30 for side in sides), 10,
                   "deletes that are acknowledged on all sides")
        for side in sides:
            side.end.set()
            side.join(60)
            print("%r: %d keys sure, refused: %s" % (
                side.node, len(side.sure), side.refused))
        self.expect_agreement(sides)


if __name__ == "__main__":
    kamatest.main()
