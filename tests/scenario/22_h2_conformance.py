#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""RFC 9113 as the node keeps it, in the cases that h2spec asks for by number;
those that it fails by choice are at the end, with the reason."""
import struct
import unittest

import kamatest
from kamatest import Daemon, message
from rawframes import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY,
                       HEADERS, PADDED, PING, PREFACE, PRIORITY,
                       PROTOCOL_ERROR, RST_STREAM, SETTINGS, WINDOW_UPDATE,
                       RawConnection, frame, grpc_frame, literal, plain_block,
                       rst, window)

FLOW, STREAM_CLOSED, FRAME_SIZE, COMPRESSION = 3, 5, 6, 9
GET = grpc_frame(message((1, b"default"), (2, b"none")))


def block(*extra):
    return plain_block() + b"".join(extra)


class Conformance(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Daemon()

    @classmethod
    def tearDownClass(cls):
        cls.node.stop()

    def setUp(self):
        self.raw = RawConnection(self.node)

    def tearDown(self):
        self.raw.close()

    def renew(self):
        """A fresh connection: the one before has ended."""
        self.raw.close()
        self.raw = RawConnection(self.node)

    def first_error(self, stream):
        """("stream", code), ("connection", code) or ("closed", None)."""
        while True:
            got = self.raw.read_frame()
            if got is None:
                return "closed", None
            kind, _, number, payload = got
            if kind == RST_STREAM and number == stream:
                return "stream", int.from_bytes(payload, "big")
            if kind == GOAWAY:
                return "connection", int.from_bytes(payload[4:8], "big")

    def assert_error(self, data, *codes, where=("connection",), stream=1):
        self.raw.send(data)
        got, code = self.first_error(stream)
        self.assertIn(got, where)
        self.assertIn(code, codes)

    # -- 3, 4: starting, framing ---------------------------------------------

    def test_preface_invalid(self):
        """3.5/2."""
        with RawConnection(self.node, start=False) as other:
            other.send(PREFACE[:-1] + b"X")
            self.assertIsNone(other.read_frame())

    def test_unknown_frame_type(self):
        """4.1/1, 5.5/1: skipped."""
        self.raw.send(frame(22, 0, 0, bytes(8)) + frame(PING, 0, 0, bytes(8)))
        while self.raw.read_frame()[0] != PING:
            pass

    def test_frame_too_large(self):
        """4.2/2, 4.2/3."""
        self.assert_error(frame(HEADERS, END_HEADERS, 1, bytes(16385)),
                          FRAME_SIZE)

    def test_header_block_invalid(self):
        """4.3/1."""
        self.assert_error(frame(HEADERS, END_HEADERS | END_STREAM, 1,
                                block() + b"\xff\xff\xff\xff\xff\xff\xff"),
                          COMPRESSION)

    def test_header_block_interleaved(self):
        """4.3/2, 4.3/3, 6.2/1, 6.10."""
        self.assert_error(frame(HEADERS, 0, 1, block()) +
                          frame(PING, 0, 0, bytes(8)), PROTOCOL_ERROR)

    # -- 5: streams ----------------------------------------------------------

    def test_idle_data(self):
        """5.1/1."""
        self.assert_error(frame(DATA, END_STREAM, 1, b"x"), PROTOCOL_ERROR,
                          STREAM_CLOSED)

    def test_idle_reset(self):
        """5.1/2 of idle streams, 6.4/2."""
        self.assert_error(rst(1), PROTOCOL_ERROR)

    def test_idle_window(self):
        """5.1/3."""
        self.assert_error(window(1, 100), PROTOCOL_ERROR)

    def test_idle_continuation(self):
        """5.1/4, 6.10/2."""
        self.assert_error(frame(CONTINUATION, END_HEADERS, 1, block()),
                          PROTOCOL_ERROR)

    def test_half_closed_data(self):
        """5.1/5: DATA behind END_STREAM."""
        self.assert_error(frame(HEADERS, END_HEADERS | END_STREAM, 1, block()) +
                          frame(DATA, END_STREAM, 1, b"x"), STREAM_CLOSED,
                          where=("connection", "stream"))

    def test_half_closed_headers(self):
        """5.1/6."""
        self.assert_error(
            frame(HEADERS, END_HEADERS | END_STREAM, 1, block()) * 2,
            STREAM_CLOSED, PROTOCOL_ERROR, where=("connection", "stream"))

    def test_even_stream(self):
        """5.1.1/1."""
        self.assert_error(frame(HEADERS, END_HEADERS | END_STREAM, 2, block()),
                          PROTOCOL_ERROR)

    def test_self_dependency_is_ignored(self):
        """5.3.1: priorities are switched off (RFC 9218), the frame is not
        looked at; h2spec's 5.3.1/1-2 and 6.3/1 ask for the old error."""
        self.raw.send(frame(PRIORITY, 0, 1, struct.pack(">IB", 1, 1)) +
                      self.raw.request(1, GET))
        self.assertEqual(self.raw.answer(1)[0]["grpc-status"], "5")

    # -- 6: frames -----------------------------------------------------------

    def test_data_on_zero(self):
        """6.1/1."""
        self.assert_error(frame(DATA, 0, 0, b"x"), PROTOCOL_ERROR)

    def test_data_padding(self):
        """6.1/3: more padding than payload."""
        self.assert_error(frame(HEADERS, END_HEADERS, 1, block()) +
                          frame(DATA, PADDED, 1, b"\x06abcde"),
                          PROTOCOL_ERROR)

    def test_headers_on_zero(self):
        """6.2/3."""
        self.assert_error(frame(HEADERS, END_HEADERS, 0, block()),
                          PROTOCOL_ERROR)

    def test_reset_on_zero(self):
        """6.4/1."""
        self.assert_error(rst(0), PROTOCOL_ERROR)

    def test_reset_length(self):
        """6.4/3."""
        self.assert_error(frame(HEADERS, END_HEADERS, 1, block()) +
                          frame(RST_STREAM, 0, 1, bytes(3)), FRAME_SIZE)

    def test_settings_errors(self):
        """6.5, 6.5.2."""
        for data, code in (
                (frame(SETTINGS, 1, 0, bytes(6)), FRAME_SIZE),
                (frame(SETTINGS, 0, 1), PROTOCOL_ERROR),
                (frame(SETTINGS, 0, 0, bytes(3)), FRAME_SIZE),
                (frame(SETTINGS, 0, 0, struct.pack(">HI", 2, 2)),
                 PROTOCOL_ERROR),
                (frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 31)), FLOW),
                (frame(SETTINGS, 0, 0, struct.pack(">HI", 5, 16383)),
                 PROTOCOL_ERROR),
                (frame(SETTINGS, 0, 0, struct.pack(">HI", 5, 1 << 24)),
                 PROTOCOL_ERROR)):
            self.assert_error(data, code)
            self.renew()

    def test_ping_errors(self):
        """6.7/3, 6.7/4."""
        for data, code in ((frame(PING, 0, 1, bytes(8)), PROTOCOL_ERROR),
                           (frame(PING, 0, 0, bytes(6)), FRAME_SIZE)):
            self.assert_error(data, code)
            self.renew()

    def test_goaway_on_stream(self):
        """6.8/1."""
        self.assert_error(frame(GOAWAY, 0, 1, bytes(8)), PROTOCOL_ERROR)

    def test_window_errors(self):
        """6.9/1-3, 6.9.1/2-3."""
        head = frame(HEADERS, END_HEADERS, 1, block())
        both = ("connection", "stream")
        for data, code, where in (
                (window(0, 0), PROTOCOL_ERROR, both),
                (head + window(1, 0), PROTOCOL_ERROR, both),
                (frame(WINDOW_UPDATE, 0, 0, bytes(3)), FRAME_SIZE, both),
                (window(0, 0x7fffffff) * 2, FLOW, both),
                (head + window(1, 0x7fffffff) * 2, FLOW, both)):
            self.assert_error(data, code, where=where)
            self.renew()

    def test_window_too_far(self):
        """6.9.1: more DATA than the stream's window."""
        data = frame(HEADERS, END_HEADERS, 1,
                     plain_block(b"/kama.v2.Cache/Set"))
        self.raw.send(data)
        for _ in range(80):
            self.raw.send(frame(DATA, 0, 1, b"\0\0\x10\0\0" + bytes(16379)))
        self.assertIn(self.first_error(1)[0],
                      ("connection", "stream", "closed"))

    # -- 8: requests ---------------------------------------------------------

    def test_malformed_requests(self):
        """8.1.2: upper case, unknown pseudo fields, their order, connection
        fields, te, missing and doubled pseudo fields, content-length."""
        good = [(b":method", b"POST"), (b":scheme", b"http"),
                (b":path", b"/x"), (b":authority", b"here")]
        bad = [good + [(b"X-Upper", b"x")], good + [(b":unknown", b"x")],
               good + [(b":status", b"200")],
               [(b"x", b"y")] + good, good + [(b"connection", b"x")],
               good + [(b"te", b"gzip")], good[:2] + [(b":path", b"")],
               good[1:], good[:1] + good[2:], good[:2] + good[3:],
               good + [(b":method", b"POST")], good + [(b":path", b"/y")]]
        for n, fields in enumerate(bad):
            head = b"".join(literal(*field) for field in fields)
            self.assert_error(
                frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, head),
                PROTOCOL_ERROR, where=("stream",), stream=2 * n + 1)

    def test_content_length(self):
        """8.1.2.6: a length that the DATA does not have."""
        head = block(literal(b"content-length", b"1"))
        self.assert_error(frame(HEADERS, END_HEADERS, 1, head) +
                          frame(DATA, END_STREAM, 1, GET), PROTOCOL_ERROR,
                          where=("stream",))

    def test_trailers(self):
        """8.1: trailers of a request are taken; pseudo fields in them not."""
        self.raw.send(self.raw.headers(1) + frame(DATA, 0, 1, GET) +
                      frame(HEADERS, END_HEADERS | END_STREAM, 1,
                            literal(b"x-trailer", b"x")))
        self.assertEqual(self.raw.answer(1)[0]["grpc-status"], "5")
        self.assert_error(self.raw.headers(3) + frame(DATA, 0, 3, GET) +
                          frame(HEADERS, END_HEADERS | END_STREAM, 3,
                                literal(b":path", b"/x")),
                          PROTOCOL_ERROR, where=("stream",), stream=3)

    # -- failed by choice ----------------------------------------------------

    def assert_ignored(self, data):
        self.raw.send(data + frame(PING, 0, 0, bytes(8)))
        while True:
            kind = self.raw.read_frame()[0]
            self.assertNotIn(kind, (GOAWAY, RST_STREAM))
            if kind == PING:
                return

    def test_closed_streams_are_forgotten(self):
        """5.1/8, 9, 11, 12: frames on a stream that is over are ignored, not
        refused. nghttp2 remembers closed streams for the priorities of RFC
        7540 only, which are off; an id is not used again either way."""
        again = frame(HEADERS, END_HEADERS | END_STREAM, 1, plain_block())
        self.raw.send(self.raw.request(1, GET))
        self.raw.answer(1)
        for data in (frame(DATA, END_STREAM, 1, b"x"), again, window(1, 1),
                     rst(1)):
            self.assert_ignored(data)
        self.raw.send(self.raw.headers(3) + rst(3))
        self.assert_ignored(frame(DATA, END_STREAM, 3, b"x"))
        self.raw.send(self.raw.request(5, GET))
        self.assertEqual(self.raw.answer(5)[0]["grpc-status"], "5")


if __name__ == "__main__":
    kamatest.main()
