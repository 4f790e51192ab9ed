#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=90
"""Each limit, at it and one past it, on both services; keys that are no text;
messages cut off at every byte."""
import unittest

import grpc

import kamatest
from kamatest import Client, Daemon, message, pb2

V1 = kamatest.V1
V2 = "/kama.v2.Cache/"
VALUE_MAX = 3 << 20


class Limits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Daemon("--group", "default", "--group",
                          "wide:max_bytes=64m,max_value_bytes=3m")
        cls.addClassCleanup(cls.node.stop)
        cls.client = Client(cls.node)
        cls.addClassCleanup(cls.client.close)

    def call(self, path, *fields):
        """(code, kama-status, sentence); code OK: (code, reply, None)."""
        data = fields[0] if isinstance(fields[0], bytes) else message(*fields)
        try:
            reply = self.client.channel.unary_unary(path)(
                data, timeout=20 * kamatest.SLOWDOWN)
        except grpc.RpcError as error:
            return (error.code().name, kamatest.kama_status(error),
                    error.details())
        return "OK", reply, None

    def test_keys(self):
        for path in (V1, V2):
            for method in ("Get", "Set", "Delete"):
                code, name, text = self.call(path + method, (2, b""))
                self.assertEqual((code, name),
                                 ("INVALID_ARGUMENT", "KAMA_ERR_INVALID"))
                self.assertRegex(text, r"\b1\b")
                code, name, text = self.call(path + method,
                                             (2, b"k" * 4097))
                self.assertEqual((code, name), ("RESOURCE_EXHAUSTED",
                                                "KAMA_ERR_TOO_LARGE"))
                self.assertIn("4096", text)
            for key in (b"k", b"k" * 4096, b"\0", b"\xff\xfe\n\x1b[2J"):
                self.assertEqual(
                    self.call(path + "Set", (2, key), (3, key[:9]))[0], "OK")
                reply = self.call(path + "Get", (2, key))[1]
                self.assertEqual(
                    kamatest.parse(reply)[1 if path == V1 else 15], key[:9])

    def test_values(self):
        for path in (V1, V2):
            for group, most in ((b"default", 1 << 20), (b"wide", VALUE_MAX)):
                code, name, text = self.call(
                    path + "Set", (1, group), (2, b"k"),
                    (3, b"v" * (most + 1)))
                self.assertEqual((code, name), ("RESOURCE_EXHAUSTED",
                                                "KAMA_ERR_TOO_LARGE"))
                self.assertIn(str(most), text)
                self.assertEqual(self.call(path + "Set", (1, group), (2, b"k"),
                                           (3, b"v" * most))[0], "OK")
                reply = self.call(path + "Get", (1, group), (2, b"k"))[1]
                self.assertEqual(kamatest.parse(
                    reply)[1 if path == V1 else 15], b"v" * most)

    def test_message_cap(self):
        """4 MiB when no value may be larger."""
        value = b"v" * (4 << 20)
        code, name, _ = self.call(V1 + "Set", (2, b"k"), (3, value))
        self.assertEqual((code, name), ("RESOURCE_EXHAUSTED",
                                        "KAMA_ERR_TOO_LARGE"))

    def test_groups(self):
        """A name that is no UTF-8 is an error of its own."""
        for path in (V1 + "Get", V2 + "Get", V2 + "Clear", V2 + "Stats"):
            for group in (b"\xff", b"a\xc3", b"\xed\xa0\x80"):
                code, name, _ = self.call(path, (1, group))
                self.assertEqual((code, name),
                                 ("INVALID_ARGUMENT", "KAMA_ERR_INVALID"))
            code, name, text = self.call(path, (1, "gruppe-ß".encode()))
            self.assertEqual((code, name), ("NOT_FOUND", "KAMA_ERR_NO_GROUP"))
            code, _, text = self.call(path, (1, b"x" * 10000))
            self.assertEqual(code, "NOT_FOUND")
            self.assertLess(len(text), 200)

    def test_truncated(self):
        """Cut at every byte: a shorter message, or malformed; the connection
        goes on."""
        whole = message((1, b"default"), (2, b"Tom"), (3, b"630"))
        edges = {0, 9, 14, len(whole)}
        for path in (V1 + "Set", V2 + "Set"):
            for end in range(len(whole) + 1):
                code, name, _ = self.call(path, whole[:end])
                if end not in edges:
                    self.assertEqual((code, name), ("INVALID_ARGUMENT",
                                                    "KAMA_ERR_MALFORMED"))
                elif end >= 14:
                    self.assertEqual(code, "OK")
                else:
                    self.assertEqual(name, "KAMA_ERR_INVALID")

    def test_malformed(self):
        """Each message of the node's, with bytes that are none."""
        bad = [b"\x0a", b"\x0a\xff\xff\xff\xff\x0f", b"\x08\x01", b"\x0b\x0c",
               b"\x0b" * 30000, b"\x00\x00", b"\x07",
               b"\x7a" + b"\x80" * 10 + b"\x01"]
        methods = [V1 + m for m in ("Get", "Set", "Delete")] + [
            V2 + m for m in ("Get", "Set", "Delete", "MGet", "Clear", "Stats",
                             "Ping")] + ["/grpc.health.v1.Health/Check"]
        for path in methods:
            for data in bad:
                code, name, _ = self.call(path, data)
                self.assertEqual((code, name), ("INVALID_ARGUMENT",
                                                "KAMA_ERR_MALFORMED"),
                                 (path, data[:20]))
        self.assertEqual(self.call(V2 + "Groups", b"\x0a")[1],
                         "KAMA_ERR_MALFORMED")

    def test_unknown_fields(self):
        """Of a newer client, up to a mebibyte: passed over."""
        extra = message((100, 1), (101, b"x" * (1 << 20)))
        extra += b"\xd0\x06\x01" * 100000
        self.assertEqual(self.call(
            V1 + "Set", message((2, b"n"), (3, b"v")) + extra)[0], "OK")
        self.assertEqual(kamatest.parse(
            self.call(V1 + "Get", extra + message((2, b"n")))[1])[1], b"v")


if __name__ == "__main__":
    kamatest.main()
