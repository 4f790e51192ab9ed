#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=90
"""Scan: every entry once the table rests, patterns, a limit, and a client
that reads slowly or goes away."""
import unittest

import grpc

import kamatest
from kamatest import Client, Daemon, pb2, v2

COUNT = 20000


class Scan(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Daemon("--group", "default", "--group", "empty",
                          "--group", "big:max_bytes=64m")
        cls.addClassCleanup(cls.node.stop)
        with Client(cls.node) as client:
            calls = [client._set.future(kamatest.message(
                (1, b"big"), (2, b"key:%05d" % i), (3, b"v" * (i % 100))))
                for i in range(COUNT)]
            for call in calls:
                call.result()
            client.set(b"\xff\0", b"binary", group="default")
            client.set(b"user:1", b"", group="default")

    def setUp(self):
        self.channel = kamatest.connected_channel(self.node.address)
        self.addCleanup(self.channel.close)

    def stream(self, **fields):
        stub = self.channel.unary_stream(
            "/kama.v2.Cache/Scan",
            request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=pb2().ScanResponse.FromString)
        return stub(pb2().ScanRequest(**fields), timeout=60)

    def scan(self, **fields):
        return [entry for reply in self.stream(**fields)
                for entry in reply.entries]

    def failure(self, **fields):
        with self.assertRaises(grpc.RpcError) as caught:
            self.scan(**fields)
        return (caught.exception.code().name,
                kamatest.kama_status(caught.exception))

    def test_everything(self):
        entries = self.scan(group="big")
        self.assertEqual({e.key: e.value_bytes for e in entries},
                         {b"key:%05d" % i: i % 100 for i in range(COUNT)})
        self.assertEqual({e.ttl_ms for e in entries}, {-1})

    def test_small_groups(self):
        self.assertEqual(self.scan(group="empty"), [])
        self.assertEqual({e.key for e in self.scan()}, {b"\xff\0", b"user:1"})

    def test_glob(self):
        self.assertEqual({e.key for e in self.scan(glob=b"user:*")},
                         {b"user:1"})
        self.assertEqual({e.key for e in self.scan(glob=b"\xff?")},
                         {b"\xff\0"})
        self.assertEqual(len({e.key for e in self.scan(
            group="big", glob=b"key:0012[0-4]")}), 5)
        self.assertEqual(self.scan(group="big", glob=b"nothing*"), [])
        self.assertEqual(self.scan(group="big", glob=b"x" * 1024), [])
        self.assertEqual(self.failure(group="big", glob=b"x" * 1025),
                         ("INVALID_ARGUMENT", "KAMA_ERR_INVALID"))

    def test_limit(self):
        for limit in (1, 2, 1023, 1024, 1025):
            self.assertEqual(len(self.scan(group="big", limit=limit)), limit)
        self.assertEqual(len(self.scan(limit=10)), 2)

    def pages(self, limit, **fields):
        """Scans page by page, each from the cursor of the one before."""
        cursor = b""
        while True:
            replies = list(self.stream(limit=limit, cursor=cursor, **fields))
            entries = [e for reply in replies for e in reply.entries]
            yield entries
            cursor = replies[-1].cursor if replies else b""
            if not cursor:
                return

    def test_resume(self):
        """Pages of any size make up the whole, each entry once."""
        for limit in (333, 1024, 5000, COUNT - 1, COUNT, COUNT + 1):
            pages = list(self.pages(limit, group="big"))
            keys = [e.key for page in pages for e in page]
            self.assertEqual(len(keys), COUNT)
            self.assertEqual(len(set(keys)), COUNT)
            self.assertTrue(all(len(page) == limit for page in pages[:-1]))

    def test_resume_after_a_broken_stream(self):
        """A client that goes away goes on behind what it has read."""
        seen = set()
        replies = self.stream(group="big")
        for reply in replies:
            seen |= {e.key for e in reply.entries}
            if len(seen) > COUNT // 2:
                break
        replies.cancel()
        rest = self.scan(group="big", cursor=reply.cursor)
        self.assertEqual(len(seen) + len(rest), COUNT)
        self.assertEqual(len(seen | {e.key for e in rest}), COUNT)

    def test_the_end_has_no_cursor(self):
        for fields in ({"group": "big"}, {"group": "big", "glob": b"key:1*"},
                       {"limit": 2}, {"limit": 3}):
            replies = list(self.stream(**fields))
            self.assertEqual(replies[-1].cursor, b"", fields)
            self.assertTrue(all(r.cursor for r in replies[:-1]))

    def test_foreign_cursors(self):
        """Of another group, of another length, or made up."""
        cursor = next(iter(self.stream(group="big", limit=1))).cursor
        self.assertEqual(len(cursor), 16)
        for group, bad in (("default", cursor), ("big", cursor[:-1]),
                           ("big", cursor + b"\0"), ("big", b"\0" * 16),
                           ("big", b"x")):
            self.assertEqual(self.failure(group=group, cursor=bad),
                             ("INVALID_ARGUMENT", "KAMA_ERR_INVALID"))

    def test_no_group(self):
        self.assertEqual(self.failure(group="nowhere"),
                         ("NOT_FOUND", "KAMA_ERR_NO_GROUP"))

    def test_reader_goes_away(self):
        """Streams that are cancelled, whole or half read, leave nothing."""
        for read in (0, 1, 3):
            call = self.stream(group="big")
            for _ in range(read):
                next(call)
            call.cancel()
        kamatest.wait_until(lambda: self.running() == 1,
                            what="only the call that asks")

    def running(self):
        reply = v2(self.channel, "Stats", pb2().StatsRequest(all=True))
        return next(m.value for m in reply.node if m.name == "calls_running")

    def test_slow_reader(self):
        """While nobody reads, the node keeps a bounded part; others are
        served; then all of it arrives."""
        calls = [self.stream(group="big") for _ in range(20)]
        before = self.node.memory_kib()
        with Client(self.node) as client:
            for _ in range(200):
                self.assertEqual(client.get(b"user:1"), b"")
        if not kamatest.SANITIZER:  # it keeps freed memory for a while
            self.assertLess(self.node.memory_kib() - before, 30 << 10)
        for call in calls:
            keys = {e.key for reply in call for e in reply.entries}
            self.assertEqual(len(keys), COUNT)

    def test_during_changes(self):
        """Entries that are there from beginning to end come."""
        call = self.stream(group="big", glob=b"key:0000*")
        with Client(self.node) as client:
            for i in range(300):
                client.set(b"other:%d" % i, b"x" * 1000, group="big")
                client.delete(b"other:%d" % i, group="big")
        keys = {e.key for reply in call for e in reply.entries}
        self.assertEqual(keys, {b"key:0000%d" % i for i in range(10)})


if __name__ == "__main__":
    kamatest.main()
