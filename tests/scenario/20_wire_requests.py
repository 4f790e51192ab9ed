#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Requests that are wrong in one way each: a typed answer, and the node and
the connection live on."""
import gzip
import socket
import unittest
import zlib

import kamatest
from kamatest import Client, Daemon, message
from rawframes import (DATA, END_HEADERS, END_STREAM, HEADERS, PADDED,
                       RawConnection, frame, grpc_frame)

GET = message((1, b"default"), (2, b"key"))


class Requests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Daemon()
        cls.client = Client(cls.node)
        cls.client.set(b"key", b"value")

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.node.stop()

    def setUp(self):
        self.raw = RawConnection(self.node)
        self.stream = -1

    def tearDown(self):
        """Whatever it was, both connections still serve."""
        fields, body = self.ask(grpc_frame(GET))
        self.assertEqual(fields["grpc-status"], "0")
        self.assertEqual(body, grpc_frame(message((1, b"value"))))
        self.raw.close()
        self.assertEqual(self.client.get(b"key"), b"value")

    def ask(self, body, **how):
        self.stream += 2
        self.raw.send(self.raw.request(self.stream, body, **how))
        return self.raw.answer(self.stream)

    def assert_status(self, fields, code, name):
        self.assertEqual(fields[":status"], "200")
        self.assertEqual(fields["grpc-status"], str(code))
        self.assertEqual(fields["kama-status"], name)
        self.assertTrue(fields["grpc-message"])

    def test_truncated_message(self):
        """The protobuf message, cut off after each byte."""
        whole = message((1, b"default"), (2, b"key"), (3, b"v"))
        for n in range(len(whole)):
            fields, _ = self.ask(grpc_frame(whole[:n]),
                                 path=kamatest.V1 + "Set")
            if n == 14:   # both other fields are whole: an empty value
                self.assertEqual(fields["grpc-status"], "0")
            else:
                self.assertNotEqual(fields["grpc-status"], "0")
                self.assertIn("kama-status", fields)
        self.client.set(b"key", b"value")

    def test_truncated_frame(self):
        """The gRPC frame, cut off after each byte."""
        whole = grpc_frame(GET)
        for n in range(len(whole)):
            fields, _ = self.ask(whole[:n])
            if n == 0:
                self.assert_status(fields, 12, "KAMA_ERR_UNSUPPORTED")
            else:
                self.assert_status(fields, 13, "KAMA_ERR_PROTOCOL")

    def test_oversized_frame(self):
        fields, _ = self.ask(b"\0\xff\xff\xff\xff")
        self.assert_status(fields, 8, "KAMA_ERR_TOO_LARGE")

    def ask_compressed(self, body, encoding):
        return self.ask(grpc_frame(body, flag=1),
                        extra=[("grpc-encoding", encoding)])

    def test_compressed(self):
        """Requests in the encodings that the node names are decoded."""
        for encoding, compress in (("gzip", gzip.compress),
                                   ("deflate", zlib.compress)):
            fields, body = self.ask_compressed(compress(GET), encoding)
            self.assertEqual(fields["grpc-status"], "0")
            self.assertEqual(body, grpc_frame(message((1, b"value"))))

    def test_compressed_without_encoding(self):
        for extra in ((), [("grpc-encoding", "identity")]):
            fields, _ = self.ask(grpc_frame(gzip.compress(GET), flag=1),
                                 extra=extra)
            self.assert_status(fields, 13, "KAMA_ERR_PROTOCOL")

    def test_compressed_badly(self):
        for body in (b"", b"x", gzip.compress(GET)[:-1], zlib.compress(GET)):
            fields, _ = self.ask_compressed(body, "gzip")
            self.assert_status(fields, 13, "KAMA_ERR_PROTOCOL")

    def test_unknown_encoding(self):
        fields, _ = self.ask_compressed(GET, "zstd")
        self.assert_status(fields, 12, "KAMA_ERR_UNSUPPORTED")
        self.assertEqual(fields["grpc-accept-encoding"],
                         "identity,deflate,gzip")

    def test_bomb(self):
        """12 MiB in 12 KiB are refused by the name of the limit, and the
        node's memory does not grow with them."""
        bomb = gzip.compress(bytes(1 << 20)) * 12
        before = self.node.memory_kib()
        fields, _ = self.ask_compressed(bomb, "gzip")
        self.assert_status(fields, 8, "KAMA_ERR_TOO_LARGE")
        self.assertIn("when it is decompressed", fields["grpc-message"])
        if not kamatest.SANITIZER:
            self.assertLess(self.node.memory_kib() - before, 8 << 10)

    def test_two_messages(self):
        fields, _ = self.ask(grpc_frame(GET) * 2)
        self.assert_status(fields, 12, "KAMA_ERR_UNSUPPORTED")

    def send_pieces(self, pieces, flags=0):
        self.stream += 2
        self.raw.send(self.raw.headers(self.stream))
        for n, piece in enumerate(pieces):
            last = END_STREAM if n + 1 == len(pieces) else 0
            self.raw.send(frame(DATA, flags | last, self.stream, piece))
        fields, body = self.raw.answer(self.stream)
        self.assertEqual(fields["grpc-status"], "0")
        self.assertEqual(body, grpc_frame(message((1, b"value"))))

    def test_one_byte_frames(self):
        whole = grpc_frame(GET)
        self.send_pieces([whole[n:n + 1] for n in range(len(whole))])

    def test_padded_frames(self):
        """Five bytes at a time behind 255 bytes of padding."""
        whole = grpc_frame(GET)
        self.send_pieces([b"\xff" + whole[n:n + 5] + bytes(255)
                          for n in range(0, len(whole), 5)], PADDED)

    def test_wrong_path(self):
        for path in ("/kama.v1.KamaCacheService/None", "/x", "/"):
            fields, _ = self.ask(grpc_frame(GET), path=path)
            self.assert_status(fields, 12, "KAMA_ERR_UNSUPPORTED")

    def test_wrong_content_type(self):
        for kind in ("application/json", "text/html", None):
            fields, body = self.ask(grpc_frame(GET), content_type=kind)
            self.assertEqual(fields[":status"], "415")
            self.assertIn(b"application/grpc", body)

    def test_wrong_method(self):
        fields, body = self.ask(b"", method="GET")
        self.assertEqual(fields[":status"], "405")
        self.assertIn(b"POST", body)

    def test_bad_timeout(self):
        for text in ("123456789S", "5", "S", "1x", "-1S"):
            fields, _ = self.ask(grpc_frame(GET),
                                 extra=[("grpc-timeout", text)])
            self.assert_status(fields, 3, "KAMA_ERR_INVALID")
        for text in ("99999999H", "5S", "5000m", "99999999u"):
            fields, _ = self.ask(grpc_frame(GET),
                                 extra=[("grpc-timeout", text)])
            self.assertEqual(fields["grpc-status"], "0")

    def test_large_metadata(self):
        fields, _ = self.ask(grpc_frame(GET),
                             extra=[("x-large", "v" * 7000)])
        self.assertEqual(fields["grpc-status"], "0")
        fields, _ = self.ask(grpc_frame(GET),
                             extra=[("x-large", "v" * 9000)])
        self.assert_status(fields, 8, "KAMA_ERR_TOO_LARGE")
        self.assertIn("8192", fields["grpc-message"])

    def assert_reset(self, fields):
        """A malformed request (RFC 9113 8.1.1) ends its stream only."""
        self.stream += 2
        self.raw.send(frame(HEADERS, END_HEADERS | END_STREAM, self.stream,
                            self.raw.encoder.encode(fields)))
        code, _ = self.raw.answer(self.stream)
        self.assertEqual(code, 1)

    def test_malformed_headers(self):
        good = [(":method", "POST"), (":scheme", "http"), (":path", "/x"),
                (":authority", "here")]
        self.assert_reset(good + [(":path", "/y")])
        self.assert_reset(good + [("Upper-Case", "x")])
        self.assert_reset(good + [("connection", "close")])
        self.assert_reset(good[1:])
        self.assert_reset([("te", "trailers")] + good)

    def test_http1(self):
        """HTTP/1.1 gets a 400 with a sentence."""
        with socket.create_connection(("127.0.0.1", self.node.port)) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            answer = b""
            while True:
                more = sock.recv(4096)
                if not more:
                    break
                answer += more
        head, body = answer.split(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 400 "))
        self.assertGreater(len(body), 10)

    def test_random_bytes(self):
        for first in (b"\x16\x03\x01", b"*1\r\n$4\r\nPING\r\n", bytes(100)):
            with RawConnection(self.node, start=False) as other:
                other.send(first)
                self.assertIsNone(other.read_frame())


if __name__ == "__main__":
    kamatest.main()
