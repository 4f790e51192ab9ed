#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""Many connections, and too many."""
import contextlib
import select
import socket
import unittest

import kamatest
from kamatest import Client, Daemon

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
IDLE = 2000


def connect(node):
    sock = socket.create_connection(("127.0.0.1", node.port), 10)
    sock.sendall(PREFACE)
    return sock


def answered(sock, seconds):
    """Did the node answer the preface with SETTINGS?"""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    try:
        return bool(poll.poll(seconds * 1000)) and len(sock.recv(9)) == 9
    except ConnectionResetError:
        return False


class Connections(unittest.TestCase):
    def setUp(self):
        kamatest.allow_descriptors(IDLE + 200)
        self.socks = []

    def tearDown(self):
        for sock in self.socks:
            sock.close()

    def connect_many(self, node, count):
        self.socks += [connect(node) for _ in range(count)]
        return self.socks[-count:]

    def test_idle(self):
        """2,000 idle connections: calls go on, memory per connection is small,
        and all of it comes back."""
        with Daemon() as node, Client(node) as client:
            client.set(b"k", b"v")
            descriptors = node.descriptors()
            memory = node.memory_kib("RssAnon")
            for sock in self.connect_many(node, IDLE):
                self.assertTrue(answered(sock, 10 * kamatest.SLOWDOWN))
            self.assertEqual(client.get(b"k"), b"v")
            more = node.memory_kib("RssAnon") - memory
            if not kamatest.SANITIZER:
                self.assertLess(more / IDLE, 40)
            for sock in self.socks:
                sock.close()
            kamatest.wait_until(lambda: node.descriptors() <= descriptors)
            self.assertEqual(client.get(b"k"), b"v")

    def test_no_descriptors(self):
        """At the limit of descriptors, connections that exist go on, the node
        does not spin, and it accepts again when some are free."""
        with Daemon("--max-connections=1000",
                    preexec=kamatest.limit_descriptors(64)) as node, \
                Client(node) as client:
            client.set(b"k", b"v")
            for _ in range(150):
                with contextlib.suppress(OSError):
                    self.socks.append(connect(node))
            served = [s for s in self.socks if answered(s, 0.01)]
            self.assertGreater(len(served), 20)
            self.assertLess(len(served), 64)
            cpu = node.cpu_seconds()
            select.select([], [], [], 1)
            for _ in range(20):
                self.assertEqual(client.get(b"k"), b"v")
            self.assertLess(node.cpu_seconds() - cpu,
                            0.5 * kamatest.SLOWDOWN)
            for sock in self.socks:
                sock.close()
            with Client(node) as late:
                self.assertEqual(late.get(b"k"), b"v")

    def test_few_descriptors(self):
        """Without --max-connections, of few descriptors half stay free."""
        with Daemon(preexec=kamatest.limit_descriptors(64)) as node:
            for sock in self.connect_many(node, 33):
                self.assertTrue(answered(sock, 10 * kamatest.SLOWDOWN))
            extra = socket.create_connection(("127.0.0.1", node.port), 10)
            self.assertEqual(extra.recv(1), b"")
            extra.close()

    def test_max_connections(self):
        """One more than --max-connections is closed at once."""
        with Daemon("--max-connections=10") as node:
            for sock in self.connect_many(node, 10):
                self.assertTrue(answered(sock, 10 * kamatest.SLOWDOWN))
            extra = socket.create_connection(("127.0.0.1", node.port), 10)
            self.assertEqual(extra.recv(1), b"")
            extra.close()
            self.socks.pop().close()

            def accepted():
                sock = socket.create_connection(("127.0.0.1", node.port), 10)
                self.socks.append(sock)
                try:
                    sock.sendall(PREFACE)
                    return answered(sock, 1)
                except BrokenPipeError:
                    return False
            kamatest.wait_until(accepted)

    def test_limit_is_raised(self):
        """A soft limit of descriptors below the hard one is no limit."""
        import resource
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        wanted = min(1000, hard)

        def lower():
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, wanted))
        with Daemon(preexec=lower) as node:
            for sock in self.connect_many(node, 200):
                self.assertTrue(answered(sock, 10 * kamatest.SLOWDOWN))


if __name__ == "__main__":
    kamatest.main()
