#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""Errors and sizes through a node that asks the owner; an owner that stands still;
and how many calls between nodes a change makes."""
import os
import threading
import time
import unittest

import grpc

import etcdkit
import kamatest
from clusterkit import Cluster
from kamatest import Client, HttpOrigin, wait_until

MIB = 1 << 20
SETS = 2000


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class TwoHops(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gate = threading.Event()
        cls.addClassCleanup(cls.gate.set)
        cls.end = threading.Event()
        cls.addClassCleanup(cls.end.set)
        origin = HttpOrigin(cls.answer)
        cls.addClassCleanup(origin.__exit__)
        cls.cluster = Cluster(
            3, "--group", origin.group("g", loader_timeout="1s",
                                       negative_ttl="1m", sync="owner"),
            "--group", "wide:max_bytes=256m,max_value_bytes=16m,sync=owner")
        cls.addClassCleanup(cls.cluster.close)
        cls.owner, cls.near, cls.far = cls.cluster.nodes

    @classmethod
    def answer(cls, path):
        if path.startswith("/broken"):
            return 503, b"the database is asleep"
        if path.startswith("/absent"):
            return 404, b""
        if path.startswith("/large"):
            return 200, bytes(2 * MIB)
        if path.startswith("/slow"):
            cls.gate.wait(60)
        if path.startswith("/silent"):
            cls.end.wait(60)
        return 200, path[1:].encode()

    def key(self, prefix, group="g"):
        return self.cluster.key_of(self.owner, group, prefix)

    def both(self, key):
        """(kama-status, sentence) at the owner, and at another node."""
        return (self.owner.client.error(key, "g"),
                self.near.client.error(key, "g"))

    def test_errors_have_their_status_and_sentence(self):
        for prefix, status, part in (
                (b"broken", "KAMA_ERR_LOADER", "503"),
                (b"silent", "KAMA_ERR_TIMEOUT", ""),
                (b"large", "KAMA_ERR_TOO_LARGE", "")):
            here, there = self.both(self.key(prefix))
            self.assertEqual((here[0], there[0]), (status, status), there)
            self.assertIn(part, there[1])
            # The times of the loader and of the group are over together, and
            # either of them may say so.
            if prefix != b"silent":
                self.assertEqual(here[1], there[1])

    def test_a_miss_is_a_miss(self):
        key = self.key(b"absent")
        for node in (self.near, self.owner, self.far):
            self.assertFalse(node.call("Get", group="g", key=key).found)
        self.assertEqual(self.near.client.error(key, "g")[0], "KAMA_MISS")

    def test_values_of_every_size(self):
        for size in (0, 1, 4095, 65536, MIB, 4 * MIB, 16 * MIB):
            key = self.key(b"size-%d" % size, "wide")
            value = os.urandom(1024) * (size // 1024) + bytes(size % 1024)
            self.near.client.set(key, value, "wide", timeout=30)
            for node in (self.far, self.owner, self.near):
                self.assertTrue(
                    node.client.get(key, "wide", timeout=30) == value, size)
        with self.assertRaises(grpc.RpcError) as caught:
            self.near.client.set(key, bytes(16 * MIB + 1), "wide", timeout=30)
        self.assertEqual(kamatest.kama_status(caught.exception),
                         "KAMA_ERR_TOO_LARGE")

    def test_keys_of_every_kind(self):
        """The longest one, all bytes, and what a path would not survive."""
        keys = [b"k" * 4096, bytes(range(256)), b"\0", b"\xff" * 100, b"a b",
                b"a+b", b"//", b"/../x", b"%2f", "\u952e".encode(), b"\r\n"]
        for number, key in enumerate(keys):
            value = b"value %d" % number
            for node in self.cluster.nodes:
                node.client.set(key, value, "wide")
                self.assertEqual({other.client.get(key, "wide")
                                  for other in self.cluster.nodes}, {value})
                self.assertTrue(node.client.delete(key, "wide"))

    def test_a_set_during_a_load_elsewhere_wins(self):
        self.gate.clear()
        key = self.key(b"slow")
        waiting = self.near.client.get_future(key, "g")
        wait_until(lambda: self.owner.stats("g").loads_running == 1)
        self.far.client.set(key, b"written", "g")
        self.gate.set()
        waiting.exception()  # whatever it was, it has ended
        self.assertEqual({node.client.get(key, "g")
                          for node in self.cluster.nodes}, {b"written"})

    def served(self):
        return [(node.stats("wide").mutations_served,
                 node.stats("wide").mutations_forwarded)
                for node in self.cluster.nodes]

    def test_one_change_is_one_call(self):
        """Nobody passes a change of a peer on."""
        key = self.key(b"storm", "wide")
        before = self.served()
        self.near.client.set(key, b"v", "wide")
        self.near.client.delete(key, "wide")
        self.owner.client.delete(key, "wide")
        after = self.served()
        self.assertEqual(
            [(a[0] - b[0], a[1] - b[1]) for a, b in zip(after, before)],
            [(2, 0), (0, 2), (0, 0)])

    def test_sets_to_an_owner_that_stands_still(self):
        """They wait as data: the node has no more threads than before, and
        answers gets of its own keys on the same connection meanwhile."""
        near, owner = self.near, self.far
        mine = self.cluster.key_of(near, "wide", b"mine")
        theirs = self.cluster.key_of(owner, "wide", b"theirs", via=near)
        near.client.set(mine, b"mine", "wide")
        threads, memory = near.daemon.threads(), near.daemon.memory_kib()
        with Client(near) as client, Client(near) as more, \
                Client(near) as most:
            client.get(mine, "wide")
            owner.freeze()
            self.addCleanup(owner.thaw)
            # A connection has at most 1000 calls at a time.
            calls = [(client, more, most)[i % 3].set_future(
                theirs, b"v" * 100, "wide", 30) for i in range(SETS)]
            took = []
            while not all(call.done() for call in calls) or len(took) < 100:
                begin = time.monotonic()
                self.assertEqual(client.get(mine, "wide"), b"mine")
                took.append(time.monotonic() - begin)
                self.assertEqual(near.daemon.threads(), threads)
            outcomes = {kamatest.kama_status(call.exception())
                        for call in calls if call.exception() is not None}
        grown = near.daemon.memory_kib() - memory
        print("%d gets meanwhile, p99 %.1f ms; %d KiB more" % (
            len(took), 1000 * sorted(took)[len(took) * 99 // 100], grown))
        self.assertLessEqual(outcomes, {"KAMA_ERR_PEER"},
                             {call.exception().details() for call in calls
                              if call.exception() is not None})
        if not kamatest.SANITIZER:
            self.assertLess(grown, 16 * 1024)
        owner.thaw()
        self.cluster.wait_view()


if __name__ == "__main__":
    kamatest.main()
