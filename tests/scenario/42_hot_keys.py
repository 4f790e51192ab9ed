#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""HotKeys names the keys that clients ask for most often, with rates and errors,
and the entries with the longest values, while the node serves."""
import threading
import time
import unittest

import grpc

import kamatest
from kamatest import Client, Daemon, pb2, v2


class HotKeys(unittest.TestCase):
    def setUp(self):
        self.node = Daemon("--group", "default", "--group", "g:max_bytes=256m",
                           "--threads", "2")
        self.addCleanup(self.node.stop)
        self.client = Client(self.node)
        self.addCleanup(self.client.close)

    def ask(self, **fields):
        return v2(self.client.channel, "HotKeys",
                  pb2().HotKeysRequest(**fields)).keys

    def mget(self, keys, group="g"):
        v2(self.client.channel, "MGet", pb2().MGetRequest(group=group,
                                                          keys=keys))

    def test_few_gets_are_exact(self):
        begin = time.monotonic()
        self.client.set(b"a", b"v", "g")
        for _ in range(30):
            self.client.get(b"a", "g")
        for _ in range(10):
            self.client.error(b"absent", "g")
        self.mget([b"b", b"b"])
        keys = self.ask(group="g")
        longest = max(time.monotonic() - begin, 1)
        self.assertEqual([k.key for k in keys], [b"a", b"absent", b"b"])
        for key, gets in zip(keys, (30, 10, 2)):
            self.assertLessEqual(gets / longest, key.gets_per_s + 1e-9)
            self.assertLessEqual(key.gets_per_s, gets)
            self.assertEqual((key.error_per_s, key.value_bytes), (0, 0))
        self.assertEqual(len(self.ask(group="g", limit=2)), 2)
        self.assertEqual(len(self.ask()), 0)

    def test_a_hot_key_among_many(self):
        """A tenth of the gets are of one key, and the others of 50,000."""
        done = threading.Event()

        def get(number):
            at = number * 1000
            while not done.is_set():
                self.mget([b"hot" if i % 10 == 0 else
                           b"%d" % ((at + i) * 7919 % 50000)
                           for i in range(1000)])
                at += 1000
        threads = [threading.Thread(target=get, args=(n,)) for n in range(2)]
        for thread in threads:
            thread.start()
        try:
            def is_found():
                keys = self.ask(group="g", limit=5)
                gets = self.client.stats("g").gets
                return gets > 200000 and keys and keys[0].key == b"hot"
            kamatest.wait_until(is_found, seconds=60)
            first, second = self.ask(group="g", limit=2)
            self.assertGreater(first.gets_per_s, 5 * second.gets_per_s)
            self.assertLess(first.error_per_s, first.gets_per_s / 2)
        finally:
            done.set()
            for thread in threads:
                thread.join()

    def test_largest(self):
        """All entries are looked at, in many turns of the loop, while another
        client writes."""
        order = pb2().HOT_KEYS_ORDER_VALUE_BYTES
        self.assertEqual(len(self.ask(group="g", order=order)), 0)
        entries = [pb2().MSetEntry(key=b"%d" % i, value=b"v" * (i % 100))
                   for i in range(50000)]
        v2(self.client.channel, "MSet",
           pb2().MSetRequest(group="g", entries=entries))
        sizes = {b"x" * 4000 + b"%d" % i: 1000 + i for i in range(1024)}
        for key, size in sizes.items():
            self.client.set(key, bytes(size), "g")
        done = threading.Event()

        def write():
            with Client(self.node) as client:
                i = 0
                while not done.is_set():
                    client.set(b"w%d" % (i % 1000), bytes(50), "g")
                    i += 1
        thread = threading.Thread(target=write)
        thread.start()
        try:
            keys = self.ask(group="g", order=order)
            self.assertEqual([(k.key[4000:], k.value_bytes) for k in keys],
                             [(b"%d" % i, 1000 + i)
                              for i in range(1023, 1003, -1)])
            self.assertEqual({k.gets_per_s for k in keys}, {0})
            # Those that fit into an answer.
            keys = self.ask(group="g", order=order, limit=1024)
            self.assertTrue(700 < len(keys) < 1024)
            self.assertEqual(keys[0].value_bytes, 2023)
        finally:
            done.set()
            thread.join()

    def test_cancelled(self):
        """A client that leaves during the scan leaves nothing behind."""
        entries = [pb2().MSetEntry(key=b"%d" % i, value=b"v")
                   for i in range(50000)]
        v2(self.client.channel, "MSet",
           pb2().MSetRequest(group="g", entries=entries))
        ask = self.client.channel.unary_unary("/kama.v2.Cache/HotKeys")
        request = pb2().HotKeysRequest(
            group="g", order=pb2().HOT_KEYS_ORDER_VALUE_BYTES, limit=1000)
        for _ in range(100):
            call = ask.future(request.SerializeToString(), timeout=20)
            call.cancel()
        with self.assertRaises(grpc.RpcError):
            ask(request.SerializeToString(), timeout=0.001)
        self.assertEqual(len(self.ask(group="g", limit=1000,
                                      order=request.order)), 1000)

    def test_refused(self):
        for fields, words in ((dict(limit=1025), "limit: 1025 is more than 1024"),
                              (dict(order=3), "order: 3 is no order")):
            with self.assertRaises(grpc.RpcError) as caught:
                self.ask(group="g", **fields)
            self.assertEqual(kamatest.kama_status(caught.exception),
                             "KAMA_ERR_INVALID")
            self.assertIn(words, caught.exception.details())
        with self.assertRaises(grpc.RpcError) as caught:
            self.ask(group="nowhere")
        self.assertEqual(kamatest.kama_status(caught.exception),
                         "KAMA_ERR_NO_GROUP")


if __name__ == "__main__":
    kamatest.main()
