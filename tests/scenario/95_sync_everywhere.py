#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=180
"""A group that every node holds: what one node sets, deletes, touches or clears
reaches the others by itself, exactly once, and what was fetched is kept."""
import threading
import unittest

import etcdkit
from kamatest import Client, HttpOrigin, parse, pb2, wait_until
from synckit import GROUP, SyncCluster, quietly

KEYS = [b"key-%d" % i for i in range(30)]
KIB = 1 << 10


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class Everywhere(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = SyncCluster(3)
        cls.addClassCleanup(cls.cluster.close)
        cls.nodes = cls.cluster.nodes

    def test_set_and_delete(self):
        """Each node writes keys whose owners are all three, and is the only one to
        be asked."""
        for number, writer in enumerate(self.nodes):
            others = self.cluster.others(writer)
            for key in KEYS:
                self.cluster.set(writer, key, b"by %d" % number)
                self.assertEqual(self.cluster.here(writer, key),
                                 b"by %d" % number)
            for other in others:
                for key in KEYS:
                    self.cluster.wait_shown(other, key, b"by %d" % number)
        for i, key in enumerate(KEYS):
            self.assertTrue(self.cluster.delete(self.nodes[i % 3], key))
        self.assertEqual(self.cluster.wait_same(KEYS), [None] * len(KEYS))
        self.cluster.wait_applied()

    def test_the_lag_of_one_set(self):
        """Printed, because it depends on the machine."""
        writer, reader = self.nodes[:2]
        times = []
        for i in range(20):
            self.cluster.set(writer, b"lag", b"%d" % i)
            times.append(self.cluster.wait_shown(reader, b"lag", b"%d" % i))
        print("a set is seen on another node after %.1f ms (median), %.1f ms "
              "(most)" % (1e3 * sorted(times)[10], 1e3 * max(times)))

    def test_touch(self):
        a, b, c = self.nodes
        self.cluster.set(a, b"touched", b"v", ttl_ms=60000)
        self.cluster.wait_same([b"touched"])
        self.assertTrue(b.call("Touch", group=GROUP, key=b"touched",
                               ttl_ms=900000).found)
        for node in (a, b, c):
            wait_until(lambda n=node: n.call("Ttl", group=GROUP,
                                             key=b"touched").ttl_ms > 60000,
                       10, "the new time on %r" % node)
        c.call("Touch", group=GROUP, key=b"touched", ttl_ms=1)
        wait_until(lambda: self.cluster.shown(a, [b"touched"]) == [None] and
                   self.cluster.shown(b, [b"touched"]) == [None], 10,
                   "the value to expire everywhere")
        self.cluster.wait_applied()

    def test_clear(self):
        for node in self.nodes:
            for key in KEYS:
                self.cluster.set(node, key, b"v")
            self.cluster.wait_same(KEYS)
            reply = node.call("Clear", group=GROUP)
            self.assertEqual(list(reply.unsynced), [])
            self.assertEqual(self.cluster.shown(node, KEYS),
                             [None] * len(KEYS))
            self.assertEqual(self.cluster.wait_same(KEYS), [None] * len(KEYS))
        self.cluster.wait_applied()

    def test_many_at_once(self):
        pairs = [(b"many-%d" % i, b"%d" % i) for i in range(1000)]
        self.cluster.mset(self.nodes[1], pairs)
        shown = self.cluster.wait_same([key for key, _ in pairs])
        self.assertEqual(shown, [value for _, value in pairs])
        self.nodes[2].call("MDelete", group=GROUP,
                           keys=[key for key, _ in pairs])
        self.assertEqual(self.cluster.wait_same([key for key, _ in pairs]),
                         [None] * len(pairs))
        self.cluster.wait_applied()

    def test_all_write_the_same_keys(self):
        """Whatever the order in which they arrive: in the end all agree."""
        threads = [threading.Thread(target=self.write_all, args=(node,))
                   for node in self.nodes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.cluster.wait_applied()
        self.cluster.wait_agree(KEYS)

    @staticmethod
    def write_all(node):
        with Client(node) as client:
            for turn in range(30):
                for i, key in enumerate(KEYS):
                    if (turn + i) % 5 == 0:
                        quietly(lambda k=key: client.delete(k, GROUP))
                    else:
                        client.set(key, b"%s %d" % (
                            node.advertise.encode(), turn), GROUP)

    def test_conditions_have_one_winner(self):
        for turn in range(20):
            key = b"once-%d" % turn
            won = []
            threads = [threading.Thread(target=lambda n=node: won.append(
                quietly(lambda: n.call(
                    "Set", group=GROUP, key=key, value=n.advertise.encode(),
                    condition=pb2().CONDITION_ABSENT))))
                for node in self.nodes]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(won.count(True), 1)
            shown = self.cluster.wait_same([key])
            self.assertIsNotNone(shown[0])
        self.cluster.wait_applied()


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class Fetched(unittest.TestCase):
    def setUp(self):
        self.values = {}
        self.gate = threading.Event()
        self.gate.set()
        self.origin = HttpOrigin(self.answer)
        self.addCleanup(self.origin.__exit__)
        self.cluster = SyncCluster(3, self.origin.group(
            GROUP, loader_timeout="20s"))
        self.addCleanup(self.cluster.close)

    def answer(self, path):
        value = self.values.get(path[1:], b"first")
        self.gate.wait(60)
        return 200, value

    def test_what_was_fetched_is_kept(self):
        """One load in the cluster, and then every node answers by itself."""
        for node in self.cluster.nodes:
            for key in KEYS:
                self.assertEqual(node.client.get(key, GROUP), b"first")
        self.assertEqual(len(self.origin.requests), len(KEYS))
        for node in self.cluster.nodes:
            self.assertEqual(self.cluster.shown(node, KEYS),
                             [b"first"] * len(KEYS))

    def test_a_delete_overtakes_a_load(self):
        """The callers that came before it may get the old value; nobody gets it
        afterwards, on any node."""
        for deleter in self.cluster.nodes:
            key = b"held-%d" % self.cluster.nodes.index(deleter)
            self.gate.clear()
            before = len(self.origin.requests)
            calls = [node.client.get_future(key, GROUP, timeout=30)
                     for node in self.cluster.nodes]
            wait_until(lambda n=before: len(self.origin.requests) > n)
            self.values[key.decode()] = b"second"
            self.cluster.delete(deleter, key)
            self.cluster.wait_applied()
            self.gate.set()
            for call in calls:
                self.assertIn(parse(call.result())[1], (b"first", b"second"))
            for node in self.cluster.nodes:
                self.assertEqual(node.client.get(key, GROUP), b"second")


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class Unequal(unittest.TestCase):
    def test_a_value_that_one_node_cannot_keep(self):
        """Its old value goes nevertheless."""
        with SyncCluster(2) as cluster:
            small = cluster.add("--group", GROUP + ":max_value_bytes=64k")
            small.arguments = ["--group", GROUP + ":max_value_bytes=64k"]
            small.start()
            cluster.wait_view()
            big = cluster.nodes[0]
            cluster.set(big, b"grows", b"old")
            cluster.wait_same([b"grows"])
            cluster.set(big, b"grows", bytes(100 * KIB))
            wait_until(lambda: cluster.here(small, b"grows") is None, 10,
                       "the old value to go")
            cluster.wait_shown(cluster.nodes[1], b"grows", bytes(100 * KIB))

    def test_values_of_all_sizes(self):
        """Up to the largest that a cluster permits, which travels in parts."""
        with SyncCluster(2, GROUP + ":max_bytes=256m,max_value_bytes=16m") \
                as cluster:
            for size in (0, 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1,
                         1024 * KIB, 16 * 1024 * KIB):
                key = b"size-%d" % size
                value = bytes([size % 251]) * size
                with Client(cluster.nodes[0]) as client:
                    client.set(key, value, GROUP, timeout=60)
                wait_until(lambda k=key: cluster.nodes[1].call(
                    "Exists", group=GROUP, keys=[k]).exists[0], 30,
                    "%d bytes to arrive" % size)
                with Client(cluster.nodes[1]) as client:
                    self.assertEqual(client.get(key, GROUP, timeout=60), value)


if __name__ == "__main__":
    unittest.main()
