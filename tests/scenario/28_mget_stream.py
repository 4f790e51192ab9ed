#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=90
"""MGetStream: each item as soon as it is found; a slow key holds up no other,
and a client that does not read holds up nothing but its own keys."""
import threading
import unittest

import grpc

import kamatest
from kamatest import Client, Daemon, HttpOrigin, pb2, wait_until


class MGetStream(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gate = threading.Event()
        cls.asked = []

        def answer(path):
            cls.asked.append(path)
            if path.startswith("/slow"):
                cls.gate.wait(60)
            return {"/none": (404, b""), "/fail": (500, b"")}.get(
                path, (200, path[1:].encode()))
        origin = HttpOrigin(answer)
        cls.addClassCleanup(origin.__exit__)
        cls.node = Daemon("--group", "default:max_bytes=256m",
                          "--group", origin.group("loads"))
        cls.addClassCleanup(cls.node.stop)
        cls.addClassCleanup(cls.gate.set)
        cls.channel = kamatest.connected_channel(cls.node.address)
        cls.addClassCleanup(cls.channel.close)

    def stream(self, keys, timeout=30, **fields):
        c = pb2()
        return self.channel.unary_stream(
            "/kama.v2.Cache/MGetStream",
            request_serializer=c.MGetRequest.SerializeToString,
            response_deserializer=c.MGetStreamResponse.FromString)(
                c.MGetRequest(keys=keys, **fields),
                timeout=timeout * kamatest.SLOWDOWN)

    def test_each_key_has_one_item(self):
        c = pb2()
        with Client(self.node) as client:
            client.set(b"here", b"kept", group="loads")
            client.set(b"empty", b"", group="loads")
        keys = [b"none", b"here", b"fail", b"a", b"", b"empty", b"here",
                b"k" * 4097, b"a", b"a", b"none"]
        items = {}
        for message in self.stream(keys, group="loads"):
            self.assertNotIn(message.index, items)
            items[message.index] = message.item
        self.assertEqual(sorted(items), list(range(len(keys))))
        self.assertEqual(
            [(items[i].status, items[i].value) for i in range(len(keys))],
            [(c.KAMA_MISS, b""), (c.KAMA_OK, b"kept"),
             (c.KAMA_ERR_LOADER, b""), (c.KAMA_OK, b"a"),
             (c.KAMA_ERR_INVALID, b""), (c.KAMA_OK, b""),
             (c.KAMA_OK, b"kept"), (c.KAMA_ERR_TOO_LARGE, b""),
             (c.KAMA_OK, b"a"), (c.KAMA_OK, b"a"), (c.KAMA_MISS, b"")])
        self.assertEqual(items[1].ttl_ms, -1)
        self.assertIn("500", items[2].message)
        self.assertEqual(items[4].message, "key: 0 bytes, at least 1")
        self.assertEqual(self.asked.count("/a"), 1)

    def test_no_keys(self):
        self.assertEqual(list(self.stream([])), [])

    def test_a_slow_key_holds_up_no_other(self):
        """All others are there while the slow one is being loaded."""
        self.gate.clear()
        keys = [b"slow"] + [b"quick%d" % i for i in range(200)]
        items = self.stream(keys, group="loads")
        seen = {next(items).index for _ in range(200)}
        self.assertEqual(seen, set(range(1, 201)))
        self.gate.set()
        last = next(items)
        self.assertEqual((last.index, last.item.value), (0, b"slow"))
        self.assertEqual(list(items), [])

    def test_more_than_one_answer_could_hold(self):
        """64 MiB of values, where MGet leaves out what has no room; the node
        keeps no second copy of them while the client does not read."""
        value = bytes(range(256)) * 4096
        keys = [b"large%d" % i for i in range(64)]
        with Client(self.node) as client:
            for key in keys:
                client.set(key, value)
        before = self.node.memory_kib()
        items = self.stream(keys)
        first = next(items)
        self.assertEqual(first.item.value, value)
        if not kamatest.SANITIZER:  # it keeps freed memory for a while
            self.assertLess(self.node.memory_kib() - before, 24 * 1024)
        got = {first.index} | {m.index for m in items
                               if m.item.value == value}
        self.assertEqual(got, set(range(64)))

    def test_a_client_that_leaves(self):
        """Its keys are given up, and others are served."""
        self.gate.clear()
        items = self.stream([b"slow2", b"left"], group="loads")
        self.assertEqual(next(items).item.value, b"left")
        items.cancel()
        with self.assertRaises(grpc.RpcError):
            list(items)
        self.gate.set()
        with Client(self.node) as client:
            wait_until(lambda: client.get(b"slow2", "loads") == b"slow2")


if __name__ == "__main__":
    kamatest.main()
