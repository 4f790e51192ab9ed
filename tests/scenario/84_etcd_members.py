#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""An etcd of three members, whose leader is killed and comes back, while
clients read and delete through every node."""
import unittest

from etcdkit import MISSING, EtcdCluster
from faultkit import FaultCluster, say
from kamatest import wait_until


class Endpoints(EtcdCluster):
    """As the etcd of a FaultCluster."""

    @property
    def address(self):
        return self.endpoints


@unittest.skipIf(MISSING, MISSING)
class Members(unittest.TestCase):
    def test_the_leader_is_killed(self):
        """Whether a node was connected to it or not: nobody loses its
        lease."""
        with Endpoints() as etcd, FaultCluster(3, etcd=etcd) as cluster:
            before = cluster.ids()
            with cluster.watched() as watch:
                watch.for_seconds(1)
                leader = etcd.leader()
                leader.kill()
                wait_until(etcd.leader, 30, "another leader")
                say("leader of three killed: right again %.2f s after the "
                    "election", cluster.wait_right())
                watch.for_seconds(5)  # a keepalive has been due
                cluster.wait_right()
                # A node joins while one member is missing.
                cluster.add().start()
                say("a node joined: right after %.2f s", cluster.wait_right())
                leader.start()
                # All connections were made while this one was down.
                for member in etcd.members:
                    if member is not leader:
                        member.restart()
                        wait_until(etcd.leader, 30, "a leader")
                        watch.for_seconds(1)
                say("each of the others restarted: right again after %.2f s",
                    cluster.wait_right())
                watch.for_seconds(4)
                cluster.wait_right()
            self.assertEqual(cluster.ids()[:3], before)


if __name__ == "__main__":
    unittest.main()
