#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=180
"""More than the members in etcd: history that is compacted, and junk below the
prefix, while clients read and delete through every node. KAMA_FAULT_LONG=1 writes
100,000 keys of junk."""
import os
import subprocess
import unittest

from clusterkit import SERVICE
from etcdkit import ETCDCTL, MISSING
from faultkit import MEMBERS, FaultCluster, count_lines, say

LONG = os.environ.get("KAMA_FAULT_LONG") == "1"
PREFIX = "/kamacache/v1/%s/" % SERVICE


def put_many(etcd, pairs):
    """Writes many keys through one etcdctl, whose input is transactions of
    100 puts."""
    pairs = list(pairs)
    for i in range(0, len(pairs), 100):
        puts = "".join("put %s %s\n" % pair for pair in pairs[i:i + 100])
        etcd.ctl("txn", "--interactive=true", text="\n%s\n\n" % puts)


@unittest.skipIf(MISSING, MISSING)
class Junk(unittest.TestCase):
    def test_history_is_compacted_while_a_node_is_cut_off(self):
        with FaultCluster(2, etcd_proxies=True) as cluster:
            cut = cluster.nodes[0]
            with cluster.watched() as watch:
                watch.for_seconds(1)
                cut.etcd_proxy.cut()
                cluster.add().start()
                put_many(cluster.etcd, ((PREFIX + "other/%d" % i, "x")
                                        for i in range(1000)))
                cluster.etcd.compact()
                watch.for_seconds(3)
                cut.etcd_proxy.flow()
                say("compacted while cut off: right again after %.2f s",
                    cluster.wait_right())
                watch.for_seconds(1)

    def test_junk_below_the_prefix_is_ignored(self):
        with FaultCluster(3) as cluster:
            etcd, before = cluster.etcd, cluster.ids()
            view = cluster.nodes[0].node().view_id
            record = cluster.record(cluster.nodes[0])["value"]
            with cluster.watched() as watch:
                watch.for_seconds(1)
                etcd.put(MEMBERS + "10.0.0.1:1", "{ no JSON")
                etcd.put(MEMBERS + "10.0.0.2:1", record)  # another address
                etcd.put(MEMBERS, "")
                etcd.put(MEMBERS + "\x1b[31m\n", "[" * 5000)
                etcd.put(PREFIX + "what/else", "\x1b")
                # A neighbour whose name begins with the one of the service.
                etcd.put("/kamacache/v1/%s-staging/members/10.0.0.4:1" %
                         SERVICE, record)
                subprocess.run(
                    [ETCDCTL, "--endpoints", etcd.address, "put",
                     MEMBERS + "10.0.0.5:1"], input=b"\0" * 1000, check=True,
                    stdout=subprocess.DEVNULL,
                    env=dict(os.environ, ETCDCTL_API="3"))
                etcd.ctl("put", MEMBERS + "10.0.0.6:1", text="x" * 1000000)
                many = 100000 if LONG else 3000
                put_many(etcd, ((MEMBERS + "10.1.0.0:%d" % i, "x")
                                for i in range(many)))
                watch.for_seconds(2)
                # A node that joins reads all of it at once.
                cluster.add().start()
                say("%d keys of junk: right again after %.2f s", many,
                    cluster.wait_right())
                watch.for_seconds(1)
            self.assertEqual(cluster.ids()[:3], before)
            self.assertNotEqual(cluster.nodes[0].node().view_id, view)
            for node in cluster.nodes:
                self.assertLess(count_lines(node, event="junk"), 4)
                self.assertNotIn("\x1b", "".join(node.daemon.raw))


if __name__ == "__main__":
    unittest.main()
