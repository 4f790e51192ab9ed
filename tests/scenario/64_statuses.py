#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=90
"""Statuses on the wire: for each that a client can provoke, the gRPC code is
the one in the table of kamacache.h, the trailer kama-status is its name, and
there is a sentence; on kama.v1 and on kama.v2."""
import os
import re
import threading
import unittest

import grpc

import kamatest
from kamatest import V1, Client, Daemon, HttpOrigin, message

V2 = "/kama.v2.Cache/"
ROW = re.compile(r"X\((KAMA_\w+), (-?\d+), (\d+), (\d+),")


def table():
    """{name: gRPC code} of the public header."""
    path = os.path.join(kamatest.SOURCE, "include/kamacache/kamacache.h")
    with open(path, encoding="utf-8") as header:
        return {row[0]: int(row[2]) for row in ROW.findall(header.read())}


class Statuses(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gate = threading.Event()

        def answer(path):
            if path == "/hang":
                cls.gate.wait(60)
            return {"/fail": (500, b""), "/large": (200, b"x" * 2000),
                    "/miss": (404, b"")}.get(path, (200, b"v"))
        origin = HttpOrigin(answer)
        cls.addClassCleanup(origin.__exit__)
        cls.node = Daemon("--group", "default", "--group", origin.group(
            "g", loader_timeout="300ms", max_value_bytes="1k"))
        cls.addClassCleanup(cls.node.stop)
        cls.client = Client(cls.node)
        cls.addClassCleanup(cls.client.close)
        cls.addClassCleanup(cls.gate.set)
        cls.table = table()

    def failure(self, path, data, timeout=20):
        with self.assertRaises(grpc.RpcError) as caught:
            self.client.channel.unary_unary(path)(
                data, timeout=timeout * kamatest.SLOWDOWN)
        return caught.exception

    def expect(self, name, path, *fields, data=None):
        error = self.failure(path, message(*fields) if data is None else data)
        self.assertEqual(kamatest.kama_status(error), name, path)
        self.assertEqual(error.code().value[0], self.table[name], path)
        self.assertTrue(error.details(), path)

    def test_both_services(self):
        group = (1, b"g")
        for path in (V1, V2):
            get, put = path + "Get", path + "Set"
            self.expect("KAMA_ERR_LOADER", get, group, (2, b"fail"))
            self.expect("KAMA_ERR_TOO_LARGE", get, group, (2, b"large"))
            self.expect("KAMA_ERR_TIMEOUT", get, group, (2, b"hang"))
            self.expect("KAMA_ERR_INVALID", get, group)
            self.expect("KAMA_ERR_TOO_LARGE", get, group, (2, b"k" * 4097))
            self.expect("KAMA_ERR_TOO_LARGE", put, group, (2, b"k"),
                        (3, b"v" * 1025))
            self.expect("KAMA_ERR_INVALID", get, (1, b"\xff"), (2, b"k"))
            for method in ("Get", "Set", "Delete"):
                self.expect("KAMA_ERR_NO_GROUP", path + method,
                            (1, b"nowhere"), (2, b"k"))
                self.expect("KAMA_ERR_MALFORMED", path + method,
                            data=b"\x0a\x05x")
            self.expect("KAMA_ERR_UNSUPPORTED", path + "Nothing", group)

    def test_miss(self):
        """An error in kama.v1, an answer in kama.v2."""
        self.expect("KAMA_MISS", V1 + "Get", (1, b"g"), (2, b"miss"))
        self.expect("KAMA_MISS", V1 + "Get", (2, b"none"))
        pb2 = kamatest.pb2()
        for group, key in (("g", b"miss"), ("", b"none")):
            reply = kamatest.v2(self.client.channel, "Get",
                                pb2.GetRequest(group=group, key=key))
            self.assertFalse(reply.found)

    def test_only_v2(self):
        self.expect("KAMA_WOULD_LOAD", V2 + "Get", (1, b"g"), (2, b"new"),
                    (3, 1))
        self.expect("KAMA_ERR_INVALID", V2 + "Set", (1, b"g"), (2, b"k"),
                    (4, 3))  # -2 in zigzag

    def sentence(self, path):
        """What a call without a message is refused with."""
        call = self.client.channel.stream_stream(path)
        with self.assertRaises(grpc.RpcError) as caught:
            list(call(iter(()), timeout=10 * kamatest.SLOWDOWN))
        return caught.exception.details()

    def test_every_declared_method(self):
        """The protos say of each method since when it works, and they are
        right: one that does not work yet says that of itself."""
        for path, file in ((V1, "v1/kama.proto"), (V2, "v2/cache.proto")):
            with open(os.path.join(kamatest.SOURCE, "proto", "kama", file),
                      encoding="utf-8") as proto:
                methods = re.findall(
                    r"// (Since \d+\.\d+|In a later version)\."
                    r"(?:\n  // buf:.*)*\n  rpc (\w+)", proto.read())
            names = {m.name for m in kamatest.pb2(
                "kama." + file[:-len(".proto")].replace("/", ".")
            ).DESCRIPTOR.services_by_name[path.split(".")[-1][:-1]].methods}
            self.assertEqual({name for _, name in methods}, names)
            for since, name in methods:
                later = self.sentence(path + name) == "not in this version"
                self.assertEqual(later, since.startswith("In"), name)
        self.assertEqual(self.sentence(V2 + "Nothing"), "no such method")

    def test_deadline(self):
        """What the server says when a caller's time is over, seen from a
        client that does not say it first."""
        error = self.failure(V1 + "Get", message((1, b"g"), (2, b"hang")),
                             timeout=0.1)
        self.assertEqual(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)


if __name__ == "__main__":
    kamatest.main()
