#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=90
"""MSet, MDelete, Exists, Ttl and Touch over gRPC, with grpcio as the client."""
import unittest

import grpc

import kamatest
from kamatest import Client, Daemon, Folder, pb2, v2

FOREVER = -1


class ManyKeys(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = Folder()
        cls.addClassCleanup(folder.__exit__)
        script = folder.script("origin",
                               "[ $1 = none ] && exit 4; printf loaded")
        cls.node = Daemon(
            "--group", "default",
            "--group", kamatest.group("g", loader="exec:%s {key}" % script,
                                      ttl="90s", negative_ttl="60s",
                                      max_value_bytes="1k"))
        cls.addClassCleanup(cls.node.stop)
        cls.channel = kamatest.connected_channel(cls.node.address)
        cls.addClassCleanup(cls.channel.close)

    def setUp(self):
        self.call("Clear")

    def call(self, method, group="g", **fields):
        request = getattr(pb2(), method + "Request")
        return v2(self.channel, method, request(group=group, **fields))

    def failure(self, method, **fields):
        with self.assertRaises(grpc.RpcError) as caught:
            self.call(method, **fields)
        error = caught.exception
        return (error.code().name, kamatest.kama_status(error),
                error.details())

    def entries(self, *triples):
        return [pb2().MSetEntry(key=key, value=value, ttl_ms=ttl_ms)
                for key, value, ttl_ms in triples]

    def get(self, key):
        reply = self.call("Get", key=key, no_load=True)
        return reply.value, reply.ttl_ms

    def test_mset_and_mdelete(self):
        c = pb2()
        reply = self.call("MSet", entries=self.entries(
            (b"a", b"1", 0), (b"b", b"", FOREVER), (b"a", b"2", 5000)))
        self.assertEqual(list(reply.statuses), [c.KAMA_OK] * 3)
        self.assertEqual(self.get(b"a")[0], b"2")
        self.assertTrue(0 < self.get(b"a")[1] <= 5000)
        self.assertEqual(self.get(b"b"), (b"", FOREVER))
        reply = self.call("MDelete", keys=[b"a", b"x", b"a", b"b"])
        self.assertEqual(list(reply.statuses), [
            c.KAMA_OK, c.KAMA_MISS, c.KAMA_MISS, c.KAMA_OK])
        self.assertEqual(self.stats().entries, 0)
        self.assertEqual(list(self.call("MSet").statuses), [])
        self.assertEqual(list(self.call("MDelete").statuses), [])
        self.assertEqual(list(self.call("Exists").exists), [])

    def stats(self):
        return v2(self.channel, "Stats",
                  pb2().StatsRequest(group="g")).groups[0]

    def test_an_invalid_element_changes_nothing(self):
        good = (b"good", b"v", 0)
        for bad, status, text in (
                ((b"", b"v", 0), "KAMA_ERR_INVALID", "entries[1]: key: 0"),
                ((b"k" * 4097, b"v", 0), "KAMA_ERR_TOO_LARGE", "4096"),
                ((b"k", b"v" * 1025, 0), "KAMA_ERR_TOO_LARGE",
                 "max_value_bytes is 1024"),
                ((b"k", b"v", -2), "KAMA_ERR_INVALID", "ttl_ms: -2")):
            _, name, said = self.failure("MSet",
                                         entries=self.entries(good, bad, good))
            self.assertEqual(name, status)
            self.assertIn(text, said)
            self.assertTrue(said.startswith("entries[1]: "), said)
        self.assertEqual(self.stats().entries, 0)
        self.call("Set", key=b"good", value=b"v")
        for method in ("MDelete", "Exists"):
            code, name, said = self.failure(method, keys=[b"good", b""])
            self.assertEqual((code, name, said),
                             ("INVALID_ARGUMENT", "KAMA_ERR_INVALID",
                              "keys[1]: key: 0 bytes, at least 1"))
        self.assertEqual(self.stats().entries, 1)
        self.assertEqual(self.failure("Touch", key=b"good", ttl_ms=-3)[1],
                         "KAMA_ERR_INVALID")
        self.assertEqual(self.failure("Ttl", key=b"")[1], "KAMA_ERR_INVALID")
        for method in ("MSet", "MDelete", "Exists", "Touch", "Ttl"):
            self.assertEqual(self.failure(method, group="nowhere")[1],
                             "KAMA_ERR_NO_GROUP")

    def test_exists_ttl_and_touch(self):
        self.call("MSet", entries=self.entries(
            (b"group", b"v", 0), (b"own", b"v", 60000),
            (b"forever", b"v", FOREVER)))
        self.assertEqual(
            list(self.call("Exists", keys=[b"own", b"absent", b"own"]).exists),
            [True, False, True])

        def ttl(key):
            reply = self.call("Ttl", key=key)
            return reply.ttl_ms if reply.found else None

        self.assertTrue(60000 < ttl(b"group") <= 90000)
        self.assertTrue(50000 < ttl(b"own") <= 60000)
        self.assertEqual(ttl(b"forever"), FOREVER)
        self.assertIsNone(ttl(b"absent"))
        self.assertTrue(self.call("Touch", key=b"own", ttl_ms=FOREVER).found)
        self.assertEqual(ttl(b"own"), FOREVER)
        self.assertTrue(self.call("Touch", key=b"own").found)
        self.assertTrue(60000 < ttl(b"own") <= 90000)
        self.assertFalse(self.call("Touch", key=b"absent", ttl_ms=50).found)
        self.assertTrue(self.call("Touch", key=b"own", ttl_ms=50).found)
        kamatest.wait_until(lambda: ttl(b"own") is None)
        self.assertFalse(self.call("Touch", key=b"own", ttl_ms=50).found)
        self.assertEqual(list(self.call("Exists", keys=[b"own"]).exists),
                         [False])

    def test_nothing_is_loaded(self):
        """And a key that is known not to exist is absent."""
        with Client(self.node) as client:
            client.error(b"none", "g")
        before = self.stats()
        self.assertEqual(before.negative_entries, 1)
        for key in (b"none", b"would load"):
            self.assertFalse(self.call("Ttl", key=key).found)
            self.assertFalse(self.call("Touch", key=key, ttl_ms=9).found)
            self.assertEqual(list(self.call("Exists", keys=[key]).exists),
                             [False])
        after = self.stats()
        self.assertEqual((after.loads, after.gets, after.negative_entries),
                         (before.loads, before.gets, 1))

    def test_the_most_keys_leave_others_a_turn(self):
        """65536 keys, and one more; small calls pass while they run."""
        keys = [b"%d" % i for i in range(65536)]
        entries = self.entries(*((key, b"v", 0) for key in keys))
        data = pb2().MSetRequest(group="default",
                                 entries=entries).SerializeToString()
        stub = self.channel.unary_unary("/kama.v2.Cache/MSet")
        calls = [stub.future(data, timeout=60) for _ in range(8)]
        while not all(call.done() for call in calls):
            v2(self.channel, "Ping", pb2().PingRequest())
        for call in calls:
            reply = pb2().MSetResponse.FromString(call.result())
            self.assertEqual(list(reply.statuses), [0] * 65536)
        reply = self.call("Exists", group="default", keys=keys)
        self.assertTrue(all(reply.exists) and len(reply.exists) == 65536)
        reply = self.call("MDelete", group="default", keys=keys)
        self.assertEqual(list(reply.statuses), [0] * 65536)
        for method, fields in (("MSet", {"entries": entries + entries[:1]}),
                               ("MDelete", {"keys": keys + keys[:1]}),
                               ("Exists", {"keys": keys + keys[:1]})):
            code, _, said = self.failure(method, group="default", **fields)
            self.assertEqual(code, "RESOURCE_EXHAUSTED")
            self.assertIn("65537 are more than the limit of 65536", said)

    def test_a_cancelled_call_leaves_nothing_behind(self):
        entries = self.entries(*((b"%d" % i, b"v", 0) for i in range(65536)))
        data = pb2().MSetRequest(group="default",
                                 entries=entries).SerializeToString()
        stub = self.channel.unary_unary("/kama.v2.Cache/MSet")
        for _ in range(20):
            stub.future(data, timeout=60).cancel()

        def running():
            reply = v2(self.channel, "Stats", pb2().StatsRequest(all=True))
            return next(m.value for m in reply.node
                        if m.name == "calls_running")

        kamatest.wait_until(lambda: running() == 1, 20)


if __name__ == "__main__":
    kamatest.main()
