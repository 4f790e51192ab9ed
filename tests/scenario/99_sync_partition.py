#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=180
"""Two of three nodes on one side and one on the other, in network namespaces between
which packets vanish, while both sides set and delete. After the heal all agree within
5 s, and no deleted key answers.

KAMA_SECONDS=20 99_sync_partition.py is the long form."""
import os
import threading
import time
import unittest

import etcdkit
import netkit
from kamatest import Client, wait_until
from synckit import GROUP, SyncCalls, quietly

SECONDS = float(os.environ.get("KAMA_SECONDS", "8"))
KEYS = [b"key-%d" % i for i in range(100)]


class NetSync(SyncCalls, netkit.NetCluster):
    """The calls of a synchronized cluster on nodes in namespaces."""


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
@unittest.skipIf(netkit.MISSING, netkit.MISSING)
class Partition(unittest.TestCase):
    def write(self, node, stopping):
        turn = 0
        with Client(node) as client:
            while not stopping.wait(0.002):
                key = KEYS[turn % len(KEYS)]
                turn += 1
                if turn % 7 == 0:
                    quietly(lambda k=key: client.delete(k, GROUP, timeout=2))
                else:
                    quietly(lambda k=key: client.set(
                        k, b"%d of %s" % (turn, node.address.encode()), GROUP,
                        timeout=2))

    @staticmethod
    def right(cluster):
        """Whether the nodes agree, and no deleted key answers."""
        return all(shown[:20] == [None] * 20
                   for shown in cluster.wait_agree(KEYS, seconds=30))

    def test_both_sides_write(self):
        with netkit.Net(3) as net, NetSync(net, "--group", GROUP) as cluster:
            for key in KEYS:
                cluster.set(cluster.nodes[0], key, b"before")
            cluster.wait_same(KEYS)
            net.part([0, 1], [2])
            net.cut_etcd([2])
            stopping = threading.Event()
            threads = [threading.Thread(target=self.write,
                                        args=(node, stopping))
                       for node in cluster.nodes]
            for thread in threads:
                thread.start()
            stopping.wait(SECONDS)
            stopping.set()
            for thread in threads:
                thread.join()
            gone = KEYS[:20]
            for key in gone:
                for node in (cluster.nodes[0], cluster.nodes[2]):
                    cluster.delete(node, key)
            net.heal()
            healed = time.monotonic()
            wait_until(lambda: self.right(cluster), 30, "all to agree")
            print("all agree %.1f s after the heal" %
                  (time.monotonic() - healed))
            wait_until(lambda: cluster.agreed(cluster.nodes), 60, "one view")
            self.assertTrue(self.right(cluster))


if __name__ == "__main__":
    unittest.main()
