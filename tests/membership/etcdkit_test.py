#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""The etcd and the proxy that scenarios use (tests/scenario/etcdkit.py)."""
import socket
import unittest

import etcdkit
from etcdkit import Etcd, TcpProxy


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class EtcdTest(unittest.TestCase):
    def test_life(self):
        """Data outlives a kill, and is gone after an empty start."""
        with Etcd() as etcd:
            etcd.put("/a", "1")
            etcd.restart()
            self.assertEqual(etcd.get("/a"), "1")
            self.assertEqual(list(etcd.records("/")), ["/a"])
            etcd.compact()
            self.assertEqual(etcd.leases(), [])
            etcd.restart(empty=True)
            self.assertIsNone(etcd.get("/a"))


class ProxyTest(unittest.TestCase):
    def setUp(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.server.close)
        self.proxy = TcpProxy("127.0.0.1:%d" % self.server.getsockname()[1])
        self.addCleanup(self.proxy.close)
        self.near, self.far = self.connect()

    def connect(self):
        host, port = self.proxy.address.split(":")
        near = socket.create_connection((host, int(port)), 10)
        far, _ = self.server.accept()
        far.settimeout(10)
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        return near, far

    def check_flow(self, near, far):
        near.sendall(b"there")
        self.assertEqual(far.recv(5, socket.MSG_WAITALL), b"there")
        far.sendall(b"back")
        self.assertEqual(near.recv(4, socket.MSG_WAITALL), b"back")

    def test_stalled_bytes_come_later(self):
        self.check_flow(self.near, self.far)
        self.proxy.stall()
        self.near.sendall(b"late")
        self.far.settimeout(0.2)
        with self.assertRaises(TimeoutError):
            self.far.recv(4)
        self.far.settimeout(10)
        self.proxy.flow()
        self.assertEqual(self.far.recv(4, socket.MSG_WAITALL), b"late")

    def test_swallowed_bytes_never_come(self):
        before = self.proxy.bytes
        self.proxy.swallow()
        self.near.sendall(b"lost")
        self.far.settimeout(0.2)
        with self.assertRaises(TimeoutError):
            self.far.recv(4)
        self.assertEqual(self.proxy.bytes, before)

    def test_a_cut_ends_connections(self):
        self.proxy.cut()
        with self.assertRaises(ConnectionError):
            if self.near.recv(1) == b"":
                raise ConnectionError
        self.proxy.flow()
        self.check_flow(*self.connect())

    def test_delayed_bytes_come(self):
        self.proxy.delay(0.05)
        self.check_flow(self.near, self.far)


if __name__ == "__main__":
    unittest.main(verbosity=2)
