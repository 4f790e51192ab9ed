#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: labels=nosan timeout=60
"""Nodes whose wall clocks differ: up to a minute is all right, and more is
refused by a sentence that names both clocks."""
import glob
import unittest

import kamatest
from clusterkit import Cluster, node_port
from etcdkit import MISSING
from kamatest import Daemon

FAKETIME = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")


@unittest.skipIf(MISSING, MISSING)
@unittest.skipUnless(FAKETIME, "faketime is missing")
class Clocks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(2, "--group", "g")
        cls.addClassCleanup(cls.cluster.close)

    def begin(self, offset):
        """One more node, whose clock is wrong by offset ("+50s")."""
        node = Daemon(
            "--etcd", self.cluster.etcd.address, "--group", "g", ready=False,
            listen="127.0.0.1:%d" % node_port(),
            env={"LD_PRELOAD": FAKETIME[0], "FAKETIME": offset,
                 "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
        self.addCleanup(node.kill)
        return node

    def test_less_than_a_minute_is_all_right(self):
        for offset in ("+50s", "-50s"):
            node = self.begin(offset)
            node.wait_line("ready")
            self.assertEqual(len(self.cluster.nodes[0].members()), 3)
            node.stop()
            self.cluster.wait_view()

    def test_a_node_with_another_clock_does_not_start(self):
        """It would own keys, and nobody would ask it for them."""
        for offset, how in (("+3600s", "3600 s behind that of this node"),
                            ("-3600s", "3600 s ahead of that of this node")):
            node = self.begin(offset)
            self.assertEqual(node.wait(), 1)
            # Under faketime the last line of a log may be lost.
            for line in node.lines:
                if line["msg"] == "cannot start":
                    self.assertIn("differs by more than 60 s from those of 2 "
                                  "of the 2", line["reason"])
            clocks = [line["msg"] for line in node.lines
                      if "ms since 1970" in line["msg"]]
            self.assertEqual(len(clocks), 2, node.raw)
            for other, said in zip(sorted(self.cluster.nodes,
                                          key=lambda n: n.advertise),
                                   sorted(clocks)):
                self.assertIn("the clock of %s is %s" % (other.advertise, how),
                              said)
            self.cluster.wait_view()
            self.cluster.nodes[0].client.set(b"k", b"v", "g")


if __name__ == "__main__":
    kamatest.main()
