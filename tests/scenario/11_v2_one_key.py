#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=60
"""kama.v2: Get, Set, Delete, Clear, Ping; what is of a later version is
refused, not ignored."""
import unittest

import grpc

import kamatest
from kamatest import Daemon, Folder, pb2, v2


class V2(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = Folder()
        cls.addClassCleanup(folder.__exit__)
        script = folder.script("origin", """
            case $1 in
                fail*) echo "the origin is on fire" >&2; exit 1 ;;
                none*) exit 4 ;;
                slow*) exec sleep 60 ;;
                *) printf 'loaded %s' "$1" ;;
            esac""")
        cls.node = Daemon(
            "--group", "default", "--group", "timed:ttl=60s",
            "--group", kamatest.group("loads", loader="exec:%s {key}" % script))
        cls.addClassCleanup(cls.node.stop)
        cls.channel = kamatest.connected_channel(cls.node.address)
        cls.addClassCleanup(cls.channel.close)

    def call(self, method, **fields):
        return v2(self.channel, method,
                  getattr(pb2(), method + "Request")(**fields))

    def failure(self, method, **fields):
        with self.assertRaises(grpc.RpcError) as caught:
            self.call(method, **fields)
        error = caught.exception
        return error.code().name, kamatest.kama_status(error), error.details()

    def test_get_set_delete(self):
        self.call("Set", key=b"k", value=b"v")
        reply = self.call("Get", key=b"k")
        self.assertEqual((reply.found, reply.value, reply.ttl_ms, reply.version,
                          reply.source), (True, b"v", -1, 0, pb2().SOURCE_LOCAL))
        self.assertTrue(self.call("Delete", key=b"k").removed)
        self.assertFalse(self.call("Delete", key=b"k").removed)
        self.assertEqual(self.call("Get", key=b"k"), pb2().GetResponse())

    def test_empty_value_is_found(self):
        self.call("Set", key=b"empty", value=b"")
        reply = self.call("Get", key=b"empty")
        self.assertEqual((reply.found, reply.value), (True, b""))

    def test_ttl(self):
        """The request's, the group's, and never."""
        for ttl_ms, low, high in ((5000, 1, 5000), (0, 50000, 60000),
                                  (-1, -1, -1), (2 ** 63 - 1, -1, -1)):
            self.call("Set", group="timed", key=b"t", value=b"v",
                      ttl_ms=ttl_ms)
            reply = self.call("Get", group="timed", key=b"t")
            self.assertGreaterEqual(reply.ttl_ms, low, ttl_ms)
            self.assertLessEqual(reply.ttl_ms, high, ttl_ms)
        code, name, text = self.failure("Set", key=b"t", value=b"v", ttl_ms=-2)
        self.assertEqual((code, name), ("INVALID_ARGUMENT", "KAMA_ERR_INVALID"))
        self.assertIn("-2", text)
        self.call("Set", key=b"soon", value=b"v", ttl_ms=1)
        kamatest.wait_until(lambda: not self.call("Get", key=b"soon").found)

    def test_load(self):
        reply = self.call("Get", group="loads", key=b"a")
        self.assertEqual((reply.value, reply.source),
                         (b"loaded a", pb2().SOURCE_LOADER))
        reply = self.call("Get", group="loads", key=b"a")
        self.assertEqual((reply.value, reply.source),
                         (b"loaded a", pb2().SOURCE_LOCAL))
        self.assertFalse(self.call("Get", group="loads", key=b"none").found)

    def test_load_fails(self):
        code, name, text = self.failure("Get", group="loads", key=b"fail")
        self.assertEqual((code, name), ("INTERNAL", "KAMA_ERR_LOADER"))
        self.assertIn("on fire", text)

    def test_no_load(self):
        code, name, _ = self.failure("Get", group="loads", key=b"not yet",
                                     no_load=True)
        self.assertEqual((code, name), ("NOT_FOUND", "KAMA_WOULD_LOAD"))
        self.assertFalse(self.call("Get", key=b"not yet", no_load=True).found)

    def test_deadline(self):
        """The client's deadline ends the wait, not the load."""
        stub = self.channel.unary_unary("/kama.v2.Cache/Get")
        request = pb2().GetRequest(group="loads", key=b"slow")
        with self.assertRaises(grpc.RpcError) as caught:
            stub(request.SerializeToString(), timeout=0.2)
        self.assertEqual(caught.exception.code(),
                         grpc.StatusCode.DEADLINE_EXCEEDED)

    def test_clear(self):
        for i in range(100):
            self.call("Set", group="timed", key=b"c%d" % i, value=b"v")
        self.call("Clear", group="timed")
        for i in range(100):
            self.assertFalse(self.call("Get", group="timed",
                                       key=b"c%d" % i).found)

    def test_later_version(self):
        """Conditions and acknowledgements that we cannot keep."""
        c = pb2()
        for fields in ({"condition": c.CONDITION_ABSENT}, {"if_match": b"x"},
                       {"ack": c.ACK_ALL}, {"condition": 77}):
            self.assertEqual(
                self.failure("Set", key=b"later", value=b"v", **fields)[:2],
                ("UNIMPLEMENTED", "KAMA_ERR_UNSUPPORTED"))
        self.assertEqual(self.failure("Delete", key=b"later",
                                      if_match=b"x")[0], "UNIMPLEMENTED")
        self.assertEqual(self.failure("Clear", ack=c.ACK_ONE)[0],
                         "UNIMPLEMENTED")
        for method, fields in (("Touch", {"key": b"later"}),
                               ("MSet", {"entries": [c.MSetEntry(key=b"later")]}),
                               ("MDelete", {"keys": [b"later"]})):
            self.assertEqual(self.failure(method, ack=c.ACK_ONE, **fields)[0],
                             "UNIMPLEMENTED")
        self.assertFalse(self.call("Get", key=b"later").found)
        self.call("Set", key=b"now", value=b"v", ack=c.ACK_ASYNC)
        self.assertEqual(self.failure("HotKeys")[0], "UNIMPLEMENTED")

    def test_ping(self):
        reply = self.call("Ping", payload=b"\0hello")
        self.assertEqual(reply.payload, b"\0hello")
        self.assertEqual(reply.service, "kama-cache")
        self.assertRegex(reply.version, r"^\d+\.\d+\.\d+$")
        self.assertEqual(reply.address, self.node.address)
        before = reply.uptime_ms
        kamatest.wait_until(lambda: self.call("Ping").uptime_ms > before)
        self.call("Ping", payload=b"p" * 1024)
        code, _, text = self.failure("Ping", payload=b"p" * 1025)
        self.assertEqual(code, "RESOURCE_EXHAUSTED")
        self.assertIn("1024", text)


if __name__ == "__main__":
    kamatest.main()
