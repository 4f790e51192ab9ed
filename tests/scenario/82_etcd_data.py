#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=180
"""Somebody else's hands in etcd: leases revoked and keys deleted, while clients
read and delete through every node."""
import unittest

from clusterkit import SERVICE
from etcdkit import MISSING
from faultkit import MEMBERS, FaultCluster, count_lines, say
from kamatest import wait_until

PREFIX = "/kamacache/v1/%s/" % SERVICE


@unittest.skipIf(MISSING, MISSING)
class Data(unittest.TestCase):
    def test_a_lease_is_revoked(self):
        with FaultCluster(3) as cluster:
            node = cluster.nodes[1]
            before = cluster.ids()
            with cluster.watched() as watch:
                watch.for_seconds(1)
                cluster.etcd.revoke(cluster.record(node)["lease"])
                say("lease revoked: right again after %.2f s",
                    cluster.wait_right(also=lambda: node.node().id !=
                                       before[1]))
                watch.for_seconds(1)
            after = cluster.ids()
            self.assertEqual([after[0], after[2]], [before[0], before[2]])

    def test_the_key_of_a_member_is_deleted(self):
        with FaultCluster(3) as cluster:
            node = cluster.nodes[1]
            before = cluster.ids()
            lease = cluster.record(node)["lease"]
            with cluster.watched() as watch:
                watch.for_seconds(1)
                cluster.etcd.delete(MEMBERS + node.advertise)
                say("member key deleted: right again after %.2f s",
                    cluster.wait_right(also=lambda: node.node().id !=
                                       before[1]))
                watch.for_seconds(1)
            self.assertNotIn(lease, cluster.etcd.leases())
            self.assertNotEqual(cluster.record(node)["lease"], lease)

    def test_the_other_keys_are_deleted(self):
        """`registry` is written again, and nobody registers again."""
        with FaultCluster(3) as cluster:
            before = cluster.ids()
            with cluster.watched() as watch:
                watch.for_seconds(1)
                cluster.etcd.delete(PREFIX + "registry")
                wait_until(lambda: cluster.etcd.get(PREFIX + "registry"), 30,
                           "registry to be written again")
                watch.for_seconds(1)
                cluster.etcd.delete(PREFIX + "joins")
                watch.for_seconds(1)
                say("registry and joins deleted: right again after %.2f s",
                    cluster.wait_right())
            self.assertEqual(cluster.ids(), before)

    def test_everything_is_deleted(self):
        with FaultCluster(3) as cluster:
            before = cluster.ids()
            with cluster.watched() as watch:
                watch.for_seconds(1)
                cluster.etcd.delete(PREFIX, prefix=True)
                say("all keys deleted: right again after %.2f s",
                    cluster.wait_new_ids(before))
                watch.for_seconds(1)


if __name__ == "__main__":
    unittest.main()
