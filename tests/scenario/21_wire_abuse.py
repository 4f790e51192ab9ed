#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=240
"""Attacks on HTTP/2: each connection is closed or held back, the node's memory
stays where it was, and other clients go on."""
import struct
import time
import unittest

import kamatest
from kamatest import Client, Daemon
from rawframes import (ACK, CALM, CONTINUATION, DATA, END_HEADERS, END_STREAM,
                       FLOW_CONTROL_ERROR, HEADERS, PING, PRIORITY,
                       PROTOCOL_ERROR, REFUSED_STREAM, SETTINGS,
                       RawConnection, frame, grpc_frame, literal, plain_block,
                       rst, window)

GROWTH_KIB = 16 << 10


class Abuse(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Daemon()
        cls.client = Client(cls.node)
        cls.client.set(b"key", b"v" * 100000)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.node.stop()

    def setUp(self):
        self.memory = self.node.memory_kib()
        self.raw = RawConnection(self.node)

    def tearDown(self):
        self.raw.close()
        self.assertEqual(self.client.get(b"key"), b"v" * 100000)
        if not kamatest.SANITIZER:
            self.assertLess(self.node.memory_kib() - self.memory, GROWTH_KIB)

    def flood(self, one, count, per_send=1000):
        """Sends one(n) for n in 0..count, in large writes."""
        for start in range(0, count, per_send):
            self.raw.send(b"".join(
                one(n) for n in range(start, min(count, start + per_send))))
            if self.raw.closed:
                return

    def assert_calmed(self):
        self.assertEqual(self.raw.goaway(), CALM)

    def test_rapid_reset(self):
        """Streams opened and given up at full speed (CVE-2023-44487)."""
        self.flood(lambda n: self.raw.headers(2 * n + 1) + rst(2 * n + 1),
                   10000)
        self.assert_calmed()

    def test_honest_cancels(self):
        """3,000 cancels at 400 a second are served."""
        start = time.monotonic()
        for n in range(3000):
            ahead = n / 400 - (time.monotonic() - start)
            if ahead > 0:
                time.sleep(ahead)
            self.raw.send(self.raw.headers(2 * n + 1) + rst(2 * n + 1))
        self.raw.send(self.raw.request(6001, grpc_frame(
            kamatest.message((1, b"default"), (2, b"none")))))
        fields, _ = self.raw.answer(6001)
        self.assertEqual(fields["grpc-status"], "5")

    def test_made_reset(self):
        """Streams that the node has to reset (CVE-2025-8671)."""
        self.flood(lambda n: self.raw.headers(2 * n + 1) +
                   window(2 * n + 1, 0x7fffffff), 2000)
        self.assert_calmed()

    def test_continuation(self):
        """A header block without an end (CVE-2024-28182)."""
        self.raw.send(frame(HEADERS, 0, 1, self.raw.block("/x")))
        self.flood(lambda n: frame(CONTINUATION, 0, 1, b"\0\1x\1y" * 1000),
                   1000, 10)
        self.raw.goaway()
        self.assertTrue(self.raw.closed)

    def test_ping(self):
        """The client is told which limit it was, and so is the log, with the
        address of the client."""
        host, port = self.raw.sock.getsockname()
        self.flood(lambda n: frame(PING, 0, 0, bytes(8)), 100000)
        self.assert_calmed()
        text = self.raw.goaway_text
        self.assertRegex(text, r"^201 PING frames without traffic in 0\.\d+ s, "
                         r"the limit is 100 a second and 200 at once$")
        self.node.wait_line("closing the connection of %s:%d, which passed a "
                            "limit: %s" % (host, port, text),
                            event="abuse", level="warn")

    def test_ping_for_each_answer(self):
        """A client that measures the bandwidth as grpc-go does is served."""
        ask = grpc_frame(kamatest.message((1, b"default"), (2, b"none")))
        for n in range(2000):
            self.raw.send(self.raw.request(2 * n + 1, ask) +
                          frame(PING, 0, 0, bytes(8)))
            fields, _ = self.raw.answer(2 * n + 1)
            self.assertEqual(fields["grpc-status"], "5")

    def test_settings(self):
        self.flood(lambda n: frame(SETTINGS), 100000)
        self.assert_calmed()

    def test_large_settings(self):
        self.raw.send(frame(SETTINGS, payload=struct.pack(">HI", 3, 100) *
                            2000))
        self.raw.goaway()
        self.assertTrue(self.raw.closed)

    def test_priority(self):
        """The same stream moved about (CVE-2019-9513)."""
        self.flood(lambda n: frame(PRIORITY, 0, 1,
                                   struct.pack(">IB", 2 * n + 3, 1)), 100000)
        self.assert_calmed()

    def test_empty_data(self):
        """DATA without a byte and without an end (CVE-2019-9518)."""
        self.raw.send(self.raw.headers(1))
        self.flood(lambda n: frame(DATA, 0, 1), 100000)
        self.assert_calmed()

    def test_window_update(self):
        self.flood(lambda n: window(0, 1), 100000)
        self.assert_calmed()

    def test_window_overflow(self):
        self.raw.send(window(0, 0x7fffffff) * 2)
        self.assertEqual(self.raw.goaway(), FLOW_CONTROL_ERROR)

    def test_tiny_data(self):
        """Megabytes one byte at a time: nothing is kept per frame."""
        self.raw.send(self.raw.headers(1, kamatest.V1 + "Set"))
        self.raw.send(frame(DATA, 0, 1, b"\0" + struct.pack(">I", 3 << 20)))
        one = frame(DATA, 0, 1, b"x")
        for _ in range(20):
            self.raw.send(one * 10000)

    def test_empty_header_names(self):
        """Fields with nothing in them (CVE-2019-9516): the stream's end."""
        self.raw.send(frame(HEADERS, END_HEADERS | END_STREAM, 1,
                            plain_block() + literal(b"", b"") * 5000))
        reset, _ = self.raw.answer(1)
        self.assertIsInstance(reset, int)

    def test_hpack_bomb(self):
        """A field of 4,000 bytes in the table, referred to 10,000 times per
        request: 40 MB each, of which nothing is kept."""
        self.raw.send(frame(
            HEADERS, END_HEADERS | END_STREAM, 1,
            plain_block() + literal(b"a", b"v" * 4000, 0x40)))
        fields, _ = self.raw.answer(1)
        self.assertEqual(fields["grpc-status"], "12")
        for n in range(1, 20):
            self.raw.send(frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1,
                                plain_block() + b"\xbe" * 10000))
            reset, _ = self.raw.answer(2 * n + 1)
            self.assertIsInstance(reset, int)

    def test_table_size_thrash(self):
        """The table made small and large again in each request."""
        for n in range(1000):
            self.raw.send(frame(
                HEADERS, END_HEADERS | END_STREAM, 2 * n + 1,
                b"\x20\x3f\xe1\x1f" + plain_block() +
                literal(b"a", b"v" * 1000, 0x40)))
            fields, _ = self.raw.answer(2 * n + 1)
            self.assertEqual(fields["grpc-status"], "12")

    def test_never_reads(self):
        """A client with open windows that asks for much and reads nothing is
        closed when writing makes no progress for 10 s."""
        self.raw.send(window(0, 0x7fff0000 - 65535) +
                      frame(SETTINGS, payload=struct.pack(
                          ">HI", 4, 0x7fffffff)))
        ask = grpc_frame(kamatest.message((1, b"default"), (2, b"key")))
        for n in range(900):
            self.raw.send(self.raw.request(2 * n + 1, ask))
        before = self.node.descriptors()
        start = time.monotonic()
        kamatest.wait_until(lambda: self.node.descriptors() < before, 30,
                            "the connection to be closed")
        self.assertGreater(time.monotonic() - start, 5)

    def test_closed_windows(self):
        """A client whose windows stay shut holds little and hurts nobody; one
        that lets much wait is closed."""
        self.raw.send(frame(SETTINGS, payload=struct.pack(">HI", 4, 0)))
        ask = grpc_frame(kamatest.message((1, b"default"), (2, b"key")))
        for n in range(900):
            self.raw.send(self.raw.request(2 * n + 1, ask))
        self.raw.wait_closed(30)

    def test_slow_preface(self):
        """A connection that never finishes its preface: 10 s."""
        with RawConnection(self.node, start=False) as slow:
            slow.send(b"PRI * HTTP")
            took = slow.wait_closed(30)
        self.assertGreater(took, 5)

    def open_many(self):
        for n in range(1001):
            self.raw.send(self.raw.headers(2 * n + 1))

    def test_many_streams(self):
        """More streams than SETTINGS allow, before they can be known: the
        last is refused, the others live."""
        self.open_many()
        refused, _ = self.raw.answer(2001)
        self.assertEqual(refused, REFUSED_STREAM)
        self.raw.send(frame(DATA, END_STREAM, 1999, grpc_frame(
            kamatest.message((1, b"default"), (2, b"none")))))
        fields, _ = self.raw.answer(1999)
        self.assertEqual(fields["grpc-status"], "5")

    def test_too_many_streams(self):
        """The same after SETTINGS were acknowledged: an error."""
        self.raw.send(frame(SETTINGS, ACK))
        self.open_many()
        self.assertEqual(self.raw.goaway(), PROTOCOL_ERROR)


if __name__ == "__main__":
    kamatest.main()
