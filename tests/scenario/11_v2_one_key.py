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

    def set_if(self, value, condition, **fields):
        """The kama-status of a Set of the key "if", and its new etag."""
        try:
            reply = self.call("Set", key=b"if", value=value,
                              condition=condition, **fields)
        except grpc.RpcError as error:
            return kamatest.kama_status(error), b""
        return "KAMA_OK", reply.etag

    def etag(self, group="default"):
        return self.call("Get", key=b"if", group=group).etag

    def test_conditions(self):
        """Each condition with and without a value, and the etags."""
        absent, present, match = (
            pb2().CONDITION_ABSENT, pb2().CONDITION_PRESENT,
            pb2().CONDITION_MATCH)
        sets = self.stats("default").sets
        self.assertEqual(self.set_if(b"0", present), ("KAMA_MISS", b""))
        self.assertEqual(self.set_if(b"0", match, if_match=b"8 bytes!"),
                         ("KAMA_ERR_TRY_AGAIN", b""))
        self.assertFalse(self.call("Get", key=b"if").found)
        self.assertEqual(self.stats("default").sets, sets)
        status, first = self.set_if(b"1", absent)
        self.assertEqual((status, len(first)), ("KAMA_OK", 8))
        self.assertEqual(first, self.etag())
        self.assertEqual(
            first, self.call("MGet", keys=[b"if"]).items[0].etag)
        self.assertEqual(self.set_if(b"2", absent), ("KAMA_ERR_EXISTS", b""))
        status, second = self.set_if(b"2", match, if_match=first)
        self.assertEqual((status, second == first), ("KAMA_OK", False))
        self.assertEqual(self.set_if(b"3", match, if_match=first)[0],
                         "KAMA_ERR_TRY_AGAIN")
        self.assertEqual(self.call("Get", key=b"if").value, b"2")
        self.assertEqual(self.set_if(b"3", present, ttl_ms=5000)[0], "KAMA_OK")
        self.assertGreater(self.call("Get", key=b"if").ttl_ms, 0)
        self.assertEqual(
            self.call("Set", key=b"if", value=b"1").etag, first)
        self.assertTrue(self.call("Delete", key=b"if").removed)
        self.assertEqual(self.set_if(b"4", match, if_match=first)[0],
                         "KAMA_ERR_TRY_AGAIN")

    def test_conditions_are_errors_of_grpc(self):
        """The codes that clients and proxies see, with their sentences."""
        c = pb2()
        self.call("Set", key=b"code", value=b"v")
        for key, condition, if_match, code, part in (
                (b"code", c.CONDITION_ABSENT, b"", "ALREADY_EXISTS",
                 "nothing was changed: the key has a value"),
                (b"none", c.CONDITION_PRESENT, b"", "NOT_FOUND", ""),
                (b"code", c.CONDITION_MATCH, b"8 bytes!", "ABORTED",
                 "the value has another etag; read the key again"),
                (b"code", c.CONDITION_MATCH, b"", "INVALID_ARGUMENT",
                 "if_match: 0 bytes; an etag has 8, and want_etag asks"),
                (b"code", c.CONDITION_MATCH, b"7 bytes", "INVALID_ARGUMENT",
                 "if_match: 7 bytes"),
                (b"code", c.CONDITION_MATCH, bytes(8), "INVALID_ARGUMENT",
                 "0 is the etag of no value"),
                (b"code", c.CONDITION_ABSENT, b"8 bytes!", "INVALID_ARGUMENT",
                 "if_match: an etag is only for CONDITION_MATCH"),
                (b"code", c.CONDITION_UNSPECIFIED, b"x", "INVALID_ARGUMENT",
                 "if_match: an etag is only for CONDITION_MATCH"),
                (b"code", -1, b"", "UNIMPLEMENTED", "not in this version")):
            with self.subTest(key=key, condition=condition, etag=if_match):
                found = self.failure("Set", key=key, value=b"w",
                                     condition=condition, if_match=if_match)
                self.assertEqual(found[0], code)
                self.assertIn(part, found[2])
        self.assertEqual(self.call("Get", key=b"code").value, b"v")

    def test_etags_of_long_values(self):
        """A long value is hashed only for a client that asks."""
        def etags(**fields):
            return [self.call("Get", key=b"long", **fields).etag,
                    self.call("MGet", keys=[b"long"], **fields).items[0].etag]
        reply = self.call("Set", key=b"long", value=bytes(4096))
        self.assertEqual(len(reply.etag), 8)
        self.assertEqual(etags(), [reply.etag] * 2)
        reply = self.call("Set", key=b"long", value=bytes(4097))
        self.assertEqual((reply.etag, etags()), (b"", [b"", b""]))
        reply = self.call("Set", key=b"long", value=bytes(4097),
                          want_etag=True)
        self.assertEqual(len(reply.etag), 8)
        self.assertEqual(etags(want_etag=True), [reply.etag] * 2)

    def test_conditions_load_nothing(self):
        """What the loader could load is absent until it was loaded."""
        loads = self.stats("loads").loads
        self.assertEqual(
            self.set_if(b"v", pb2().CONDITION_PRESENT, group="loads")[0],
            "KAMA_MISS")
        self.assertEqual(self.stats("loads").loads, loads)
        etag = self.etag("loads")
        self.assertEqual(
            self.set_if(b"v", pb2().CONDITION_MATCH, group="loads",
                        if_match=etag)[0], "KAMA_OK")
        self.assertEqual(self.stats("loads").loads, loads + 1)

    def stats(self, group):
        return next(g for g in self.call("Stats", group=group).groups)

    def test_later_version(self):
        """Conditions and acknowledgements that we cannot keep."""
        c = pb2()
        for fields in ({"ack": c.ACK_ALL}, {"condition": 77},
                       {"condition": c.CONDITION_ABSENT, "ack": c.ACK_ONE}):
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
