#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=60
"""Keepalive on an idle channel is tolerated: no too_many_pings, at far more
than the one ping in 10 s that clients are configured to. Each is answered."""
import socket
import threading
import time
import unittest

import grpc

import kamatest
from kamatest import Client, Daemon
from rawframes import ACK, PING, SETTINGS, RawConnection, frame

EVERY_MS = 1000  # C-core sends no more
PINGS = 4
PING_BYTES = 17
KEEPALIVE = (("grpc.keepalive_time_ms", EVERY_MS),
             ("grpc.keepalive_timeout_ms", 5000 * kamatest.SLOWDOWN),
             ("grpc.keepalive_permit_without_calls", 1),
             ("grpc.http2.max_pings_without_data", 0),
             ("grpc.http2.min_time_between_pings_ms", EVERY_MS))


class Relay:
    """A port that passes bytes on to a node, and counts them and the
    connections."""

    def __init__(self, node):
        self.port = node.port
        self.connections = self.sent = self.received = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            server = socket.create_connection(("127.0.0.1", self.port))
            for way in ((client, server, "sent"), (server, client,
                                                   "received")):
                threading.Thread(target=self.pump, args=way,
                                 daemon=True).start()

    def pump(self, source, sink, counter):
        while True:
            try:
                data = source.recv(65536)
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(data)
            except OSError:
                return
            setattr(self, counter, getattr(self, counter) + len(data))

    def close(self):
        self.listener.close()


class Keepalive(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Daemon()
        cls.addClassCleanup(cls.node.stop)

    def test_grpcio(self):
        """An idle channel that pings stays the same connection, READY."""
        relay = Relay(self.node)
        self.addCleanup(relay.close)
        with Client(relay.address, KEEPALIVE) as client:
            states = []
            client.channel.subscribe(states.append)
            client.set(b"k", b"v")
            sent, received = relay.sent, relay.received
            kamatest.wait_until(
                lambda: relay.sent - sent >= PINGS * PING_BYTES and
                relay.received - received >= PINGS * PING_BYTES, 30,
                "%d pings and their answers" % PINGS)
            self.assertEqual(client.get(b"k"), b"v")
            self.assertEqual(relay.connections, 1)
            self.assertEqual([state for state in states if state in (
                grpc.ChannelConnectivity.TRANSIENT_FAILURE,
                grpc.ChannelConnectivity.SHUTDOWN)], [])

    def test_no_stream_at_all(self):
        """Nor does a connection that has never asked anything lose it."""
        with RawConnection(self.node) as raw:
            for n in range(100):
                data = n.to_bytes(8, "big")
                raw.send(frame(PING, 0, 0, data))
                while True:
                    kind, flags, _, payload = raw.read_frame()
                    if kind == PING:
                        break
                    self.assertEqual(kind in (SETTINGS, 8), True)
                self.assertEqual((flags, payload), (ACK, data))
                time.sleep(0.01)


if __name__ == "__main__":
    kamatest.main()
