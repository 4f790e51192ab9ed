#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""Values that a client asked for and does not read stay in the memory of their
group: one connection must not hold all of it."""
import struct
import unittest

import kamatest
from kamatest import Client, Daemon, message
from rawframes import (ACK, DATA, END_STREAM, HEADERS, PING, SETTINGS,
                       RawConnection, frame, grpc_frame, window)

VALUE = b"x" * (1000 << 10)
KEYS = 60


class PinningReaders(unittest.TestCase):
    def setUp(self):
        self.node = Daemon("--group", "default:max_bytes=64m", "--threads",
                           "1")
        self.addCleanup(self.node.stop)
        self.client = Client(self.node)
        self.addCleanup(self.client.close)
        for i in range(KEYS):
            self.client.set(b"k%d" % i, VALUE)
        self.raw = RawConnection(
            self.node, settings=struct.pack(">HI", 4, 0))
        self.addCleanup(self.raw.sock.close)

    def ask(self, key, streams):
        for n in range(streams):
            self.raw.send(self.raw.request(
                2 * n + 1, grpc_frame(message((2, key(n)))),
                path="/kama.v2.Cache/Get"))
        self.raw.send(frame(PING, payload=b"12345678"))
        while True:
            kind, flags, _, _ = self.raw.read_frame()
            if kind == PING and flags & ACK:
                return

    def read_all(self, streams):
        """The windows open: how long each stream's body is."""
        self.raw.send(window(0, 0x7fff0000) + frame(
            SETTINGS, payload=struct.pack(">HI", 4, 0x7fffffff)))
        sizes = dict.fromkeys(range(1, 2 * streams, 2), 0)
        ended = 0
        while ended < streams:
            kind, flags, stream, payload = self.raw.read_frame()
            if kind == DATA:
                sizes[stream] += len(payload)
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                ended += 1
        return sizes.values()

    def test_pinned(self):
        self.ask(lambda n: b"k%d" % n, KEYS)
        for i in range(KEYS):
            self.client.set(b"new%d" % i, VALUE)
        stats = self.client.stats()
        self.assertLess(stats.pinned_bytes, 4 << 20)
        self.assertGreater(stats.entries, KEYS - 6)

    def test_all_is_answered(self):
        self.ask(lambda n: b"k%d" % n, KEYS)
        self.assertGreater(min(self.read_all(KEYS)), len(VALUE))

    def test_left_and_wrong(self):
        """Streams that wait are given up, or ask for keys that cannot be."""
        keys = [b"k0", b"k1", b"", b"k" * 5000]
        self.ask(lambda n: keys[n % 4], 400)
        self.raw.sock.close()
        self.assertEqual(self.client.get(b"k5"), VALUE)


if __name__ == "__main__":
    kamatest.main()
