#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""Large answers that nobody reads: hundreds of streams of one connection
behind closed windows cost little; when the windows open, all is there."""
import struct
import unittest

import kamatest
from kamatest import Client, Daemon, message
from rawframes import (ACK, DATA, END_STREAM, HEADERS, PING, RST_STREAM,
                       SETTINGS, RawConnection, frame, grpc_frame, window)

V2 = "/kama.v2.Cache/"
BIG = [b"big%d" % i for i in range(3)]
KEYS = 5000
STREAMS = 900
# Sanitizers keep what was freed for a while.
LIMIT_MIB = 40 * kamatest.SLOWDOWN


class UnreadAnswers(unittest.TestCase):
    def setUp(self):
        self.node = Daemon("--group", "default", "--group", "small",
                           "--threads", "1")
        self.addCleanup(self.node.stop)
        with Client(self.node) as client:
            for key in BIG:
                client.set(key, key * (1 << 17))
            calls = [client._set.future(message((1, b"small"),
                                                (2, b"key%d" % i)))
                     for i in range(KEYS)]
            for call in calls:
                call.result()
        self.raw = RawConnection(
            self.node, settings=struct.pack(">HI", 4, 0))
        self.addCleanup(self.raw.sock.close)

    def ask(self, method, body, streams):
        for n in range(streams):
            self.raw.send(self.raw.request(2 * n + 1, grpc_frame(body),
                                           path=V2 + method))
        self.raw.send(frame(PING, payload=b"12345678"))
        while True:
            kind, flags, _, _ = self.raw.read_frame()
            if kind == PING and flags & ACK:
                return

    def growth(self, method, body):
        before = self.node.memory_kib()
        self.ask(method, body, STREAMS)
        # Another connection is served as ever.
        with Client(self.node) as client:
            for _ in range(100):
                client.get(BIG[0])
        return (self.node.memory_kib() - before) >> 10

    def test_mget(self):
        """2.7 GiB of answers."""
        self.assertLess(self.growth("MGet", message(*((2, k) for k in BIG))),
                        LIMIT_MIB)

    def test_scan(self):
        self.assertLess(self.growth("Scan", message((1, b"small"))),
                        LIMIT_MIB)

    def test_stats(self):
        self.assertLess(self.growth("Stats", b""), LIMIT_MIB)

    def test_answers_come_in_the_end(self):
        """The windows open: every stream ends with all of its bytes."""
        streams = 40
        self.ask("Scan", message((1, b"small")), streams)
        self.raw.send(window(0, 0x7fff0000) + frame(
            SETTINGS, payload=struct.pack(">HI", 4, 0x7fffffff)))
        bodies = {}
        ended = 0
        while ended < streams:
            kind, flags, stream, payload = self.raw.read_frame()
            self.assertNotEqual(kind, RST_STREAM)
            if kind == DATA:
                bodies[stream] = bodies.get(stream, b"") + payload
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                ended += 1
        self.assertEqual(len(bodies), streams)
        for body in bodies.values():
            self.assertEqual(body.count(b"key"), KEYS)

    def test_mget_answers_come_in_the_end(self):
        streams = 20
        self.ask("MGet", message(*((2, k) for k in BIG)), streams)
        self.raw.send(window(0, 0x7fff0000) + frame(
            SETTINGS, payload=struct.pack(">HI", 4, 0x7fffffff)))
        sizes = {}
        ended = 0
        while ended < streams:
            kind, flags, stream, payload = self.raw.read_frame()
            if kind == DATA:
                sizes[stream] = sizes.get(stream, 0) + len(payload)
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                ended += 1
        self.assertEqual(len(sizes), streams)
        self.assertGreater(min(sizes.values()), 3 * 4 << 17)

    def test_reflection(self):
        """A stream that asks on and on without reading is ended."""
        path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        question = frame(DATA, 0, 1, grpc_frame(
            message((4, b"kama.v2.Cache"))))
        self.raw.send(self.raw.headers(1, path) + question * 200)
        self.raw.send(window(0, 0x7fff0000) + frame(
            SETTINGS, payload=struct.pack(">HI", 4, 0x7fffffff)))
        fields, body = self.raw.answer(1)
        self.assertEqual(fields["kama-status"], "KAMA_ERR_OVERLOADED")
        self.assertGreater(len(body), 60000)
        self.assertLess(len(body), 100000)


if __name__ == "__main__":
    kamatest.main()
