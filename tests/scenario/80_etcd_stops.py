#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""Nodes that are told to stop while etcd is frozen, or gone."""
import signal
import time
import unittest

import kamatest
from etcdkit import MISSING
from faultkit import GROUP, KEYS, FaultCluster, say
from kamatest import Client


@unittest.skipIf(MISSING, MISSING)
class Stops(unittest.TestCase):
    def expect_end(self, daemon, code, seconds):
        since = time.monotonic()
        self.assertEqual(daemon.wait(), code)
        took = time.monotonic() - since
        self.assertLess(took, seconds * kamatest.SLOWDOWN)
        return took

    def test_nodes_are_stopped_while_it_is_away(self):
        """A frozen etcd, then none: the goodbye cannot be written, and a node
        ends all the same."""
        with FaultCluster(3) as cluster:
            a, b, c = cluster.nodes
            cluster.etcd.freeze()
            a.daemon.signal(signal.SIGTERM)
            say("etcd is frozen: ended %.2f s after SIGTERM",
                self.expect_end(a.daemon, 0, 8))
            cluster.etcd.thaw()
            cluster.etcd.kill()
            b.daemon.signal(signal.SIGTERM)
            say("etcd is killed: ended %.2f s after SIGTERM",
                self.expect_end(b.daemon, 0, 8))
            with Client(c) as client:  # the keys of all three
                for key in KEYS:
                    self.assertEqual(client.get(key, GROUP), b"0")
            c.daemon.signal(signal.SIGTERM)
            c.daemon.wait_line("draining")
            time.sleep(0.1)  # 50 ms later it counts as a second signal
            c.daemon.signal(signal.SIGTERM)
            self.expect_end(c.daemon, 128 + signal.SIGTERM, 2)


if __name__ == "__main__":
    unittest.main()
