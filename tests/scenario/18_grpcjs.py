#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=90
"""The Node client: all services once, and no call lost over a restart."""
import os
import subprocess
import unittest

import kamatest
from kamatest import Daemon

CLIENT = os.path.join(kamatest.SOURCE, "tests", "node", "client.js")


def start(address, mode):
    return subprocess.Popen(["node", CLIENT, address, mode],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            text=True)


class GrpcJs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        modules = os.path.join(os.path.dirname(CLIENT), "node_modules")
        if not os.path.isdir(modules):
            raise AssertionError("run `npm ci` in tests/node first "
                                 "(./dev test does)")

    def test_services(self):
        with Daemon("--group", "default", "--group", "many") as node:
            with start(node.address, "services") as client:
                output, _ = client.communicate(timeout=60 * kamatest.SLOWDOWN)
            self.assertEqual((client.returncode, output), (0, "ok\n"))

    def test_restart(self):
        """Calls with wait-for-ready outlive a node that drains and its
        successor on the same port; none fails."""
        address = "127.0.0.1:%d" % kamatest.free_port()
        first = Daemon(listen=address)
        self.addCleanup(first.kill)
        with start(address, "calls") as client:
            self.addCleanup(client.kill)
            self.assertEqual(client.stdout.readline(), "running\n")
            first.stop()
            with Daemon(listen=address) as second:
                with kamatest.Client(second) as other:
                    kamatest.wait_until(lambda: self.served(other))
                output, _ = client.communicate("stop\n",
                                               timeout=60 * kamatest.SLOWDOWN)
        self.assertEqual(client.returncode, 0)
        self.assertGreater(int(output), 1)

    def served(self, client):
        """Has the second node served a call of the first client's?"""
        try:
            return client.get(b"k") == b"v"
        except kamatest.grpc.RpcError:
            return False


if __name__ == "__main__":
    kamatest.main()
