#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""The start of a node whose only etcd answers after three seconds: a request that
was late does not cost it the connection, so that the next one is in time."""
import unittest

import kamatest
from etcdkit import MISSING, Etcd, TcpProxy
from kamatest import Daemon, wait_until


@unittest.skipIf(MISSING, MISSING)
class SlowStart(unittest.TestCase):
    def test_a_slow_endpoint_is_not_given_up(self):
        with Etcd() as etcd, TcpProxy(etcd.address) as proxy:
            proxy.delay(1.5)  # each way
            with Daemon("--etcd", proxy.address, "--start-timeout=60s",
                        ready=False) as node:
                wait_until(lambda: any(line.get("event") == "lease"
                                       for line in node.lines),
                           25 * kamatest.SLOWDOWN, "a lease")
                proxy.flow()
                node.wait_line("ready", 20 * kamatest.SLOWDOWN)


if __name__ == "__main__":
    kamatest.main()
