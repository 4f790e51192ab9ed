#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=60
"""kama.v1 with the official python client: Get, Set, Delete, and the errors
that tell a miss from a group that is not there."""
import unittest

import grpc

import kamatest
from kamatest import Client, Daemon, pb2, unary


class V1(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Daemon("--group", "default", "--group", "users:max_bytes=8m")
        cls.addClassCleanup(cls.node.stop)

    def setUp(self):
        self.client = Client(self.node)
        self.addCleanup(self.client.close)

    def failure(self, call, *arguments):
        with self.assertRaises(grpc.RpcError) as caught:
            call(*arguments)
        error = caught.exception
        return error.code(), kamatest.kama_status(error), error.details()

    def test_generated_messages(self):
        """The .proto as a user's client has it."""
        v1 = pb2("kama.v1.kama")
        path = kamatest.V1
        reply = unary(self.client.channel, path + "Set", v1.SetRequest(
            group="users", key="Tom", value=b"630"), v1.SetResponse)
        self.assertEqual(reply, v1.SetResponse())
        reply = unary(self.client.channel, path + "Get", v1.GetRequest(
            group="users", key="Tom"), v1.GetResponse)
        self.assertEqual(reply.value, b"630")
        reply = unary(self.client.channel, path + "Delete", v1.DeleteRequest(
            group="users", key="Tom"), v1.DeleteResponse)
        self.assertIs(reply.value, True)

    def test_values(self):
        """Empty, one byte, NUL bytes, and the largest."""
        for value in (b"", b"x", b"a\0b\0", b"\xff" * 1000, b"v" * (1 << 20)):
            self.client.set(b"values", value)
            self.assertEqual(self.client.get(b"values"), value)

    def test_compression(self):
        """A client that compresses its requests, in both of its formats."""
        for algorithm in (grpc.Compression.Gzip, grpc.Compression.Deflate):
            client = Client(self.node, options=(
                ("grpc.default_compression_algorithm", algorithm.value),))
            self.addCleanup(client.close)
            for value in (b"", b"x", b"text, " * 1000, b"v" * (1 << 20)):
                client.set(b"compressed", value)
                self.assertEqual(client.get(b"compressed"), value)

    def test_keys(self):
        """Any bytes are a key; two that differ in one byte are two."""
        keys = [b"k", b"\0", b"\xff", b"a b/../c", b"\xc3\x28",
                "\U0001f600".encode(), b"k" * 4096]
        for number, key in enumerate(keys):
            self.client.set(key, b"%d" % number)
        for number, key in enumerate(keys):
            self.assertEqual(self.client.get(key), b"%d" % number)
            self.assertTrue(self.client.delete(key))

    def test_absent(self):
        self.assertEqual(
            self.failure(self.client.get, b"absent")[:2],
            (grpc.StatusCode.NOT_FOUND, "KAMA_MISS"))
        self.assertFalse(self.client.delete(b"absent"))

    def test_no_group(self):
        for call in (self.client.get, self.client.delete):
            code, name, text = self.failure(call, b"k", "nowhere")
            self.assertEqual((code, name), (grpc.StatusCode.NOT_FOUND,
                                            "KAMA_ERR_NO_GROUP"))
            self.assertIn("nowhere", text)
        self.assertEqual(
            self.failure(self.client.set, b"k", b"v", "nowhere")[1],
            "KAMA_ERR_NO_GROUP")

    def test_default_group(self):
        """No group named: the one called default."""
        self.client.set(b"of default", b"v", group="")
        self.assertEqual(self.client.get(b"of default", group="default"), b"v")
        self.assertEqual(self.failure(self.client.get, b"of default",
                                      "users")[1], "KAMA_MISS")

    def test_many_at_once(self):
        """A thousand calls in flight on one connection."""
        for i in range(1000):
            self.client.set(b"m%d" % i, b"%d" % i)
        calls = [self.client.get_future(b"m%d" % i) for i in range(1000)]
        for i, call in enumerate(calls):
            self.assertEqual(kamatest.parse(call.result())[1], b"%d" % i)


if __name__ == "__main__":
    kamatest.main()
