#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=180
"""etcd ends and comes back, with its data and without, while clients read and
delete through every node. KAMA_FAULT_LONG=1 makes the outages longer."""
import os
import unittest

import kamatest
from etcdkit import MISSING
from faultkit import FaultCluster, count_lines, say, wait_degraded

LONG = os.environ.get("KAMA_FAULT_LONG") == "1"
OUTAGE_SECONDS = 30 if LONG else 12  # longer than a lease


@unittest.skipIf(MISSING, MISSING)
class Restarts(unittest.TestCase):
    def test_it_was_killed_and_comes_back_with_its_data(self):
        """Leases are whole again after a restart: nobody registers again."""
        with FaultCluster(3) as cluster:
            before = cluster.ids()
            with cluster.watched() as watch:
                watch.for_seconds(1)
                cluster.etcd.kill()
                watch.for_seconds(OUTAGE_SECONDS)
                for node in cluster.nodes:
                    wait_degraded(node)
                cluster.etcd.start()
                say("killed for %d s: right again after %.2f s",
                    OUTAGE_SECONDS, cluster.wait_right())
                watch.for_seconds(2)
            self.assertEqual(cluster.ids(), before)
            for node in cluster.nodes:
                self.assertEqual(
                    count_lines(node, event="lease", level="warn"), 1)
                self.assertLess(count_lines(node, level="warn"), 6)

    def test_it_comes_back_empty(self):
        """Members without a record are held in the view; everybody registers
        again with a new id."""
        with FaultCluster(3) as cluster:
            before = cluster.ids()
            with cluster.watched() as watch:
                watch.for_seconds(1)
                cluster.etcd.kill()
                watch.for_seconds(2)
                cluster.etcd.start(empty=True)
                say("restarted empty: right again after %.2f s",
                    cluster.wait_new_ids(before))
                watch.for_seconds(2)
            for node in cluster.nodes:
                self.assertEqual(count_lines(
                    node, msg="registered %s of the service kama-cache, again, "
                    "with the new id %s" % (
                        node.address, node.node().id.hex())), 1)

    def test_it_flaps(self):
        """Neither memory nor descriptors grow with the restarts."""
        rounds = 50 if LONG else 6
        sizes = []
        with FaultCluster(3) as cluster:
            with cluster.watched() as watch:
                for i in range(rounds):
                    cluster.etcd.restart()
                    watch.for_seconds(0.3)
                    if i in (rounds // 3, rounds - 1):
                        cluster.wait_right()
                        sizes.append([(node.daemon.memory_kib(),
                                       node.daemon.descriptors())
                                      for node in cluster.nodes])
            for node, early, late in zip(cluster.nodes, *sizes):
                say("%s: %d KiB, %d descriptors, then %d KiB, %d",
                    node.address, *early, *late)
                self.assertLess(late[1], early[1] + 6)
                if not kamatest.SANITIZER:
                    self.assertLess(late[0], early[0] + 4096)


if __name__ == "__main__":
    kamatest.main()
