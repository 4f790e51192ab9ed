#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""Changes in a cluster go to the owner of the key and come back with its
answer: what one node writes is read on all others at once, through every
node, with the methods for one key and for many."""
import os
import unittest

import grpc

import etcdkit
from clikit import cli
from clusterkit import Cluster
from kamatest import Client, group, kama_status, pb2, wait_until

GROUP = "g"
SPEC = group(GROUP, sync="owner")
OK, MISS = "KAMA_OK", "KAMA_MISS"


def clear(node):
    """The answer of Clear, and its kama-status."""
    with Client(node) as client:
        reply, call = client.channel.unary_unary(
            "/kama.v2.Cache/Clear",
            request_serializer=pb2().ClearRequest.SerializeToString,
            response_deserializer=pb2().ClearResponse.FromString
        ).with_call(pb2().ClearRequest(group=GROUP), timeout=20)
    return reply, dict(call.trailing_metadata()).get("kama-status", OK)


def names(statuses):
    return [pb2().Status.Name(status) for status in statuses]


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class Mutations(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(3, "--group", SPEC)
        cls.addClassCleanup(cls.cluster.close)
        cls.nodes = cls.cluster.nodes

    def keys(self, prefix, count=9):
        """So many keys of each node."""
        return [key for node in self.nodes
                for _, key in zip(range(count // 3), self.cluster.keys_of(
                    node, GROUP, prefix))]

    def values(self, node, keys):
        return [node.call("Get", group=GROUP, key=key).value for key in keys]

    def test_set_and_delete_are_seen_everywhere_at_once(self):
        """v1 and v2, through each node, for keys of each node."""
        for writer in self.nodes:
            for key in self.keys(b"one", 3):
                writer.call("Set", group=GROUP, key=key, value=b"new")
                for reader in self.nodes:
                    self.assertEqual(self.values(reader, [key]), [b"new"])
                self.assertTrue(
                    writer.call("Delete", group=GROUP, key=key).removed)
                for reader in self.nodes:
                    self.assertFalse(
                        reader.call("Get", group=GROUP, key=key).found)
        for writer in self.nodes:
            with Client(writer) as client:
                for key in self.keys(b"v1", 3):
                    client.set(key, b"old", GROUP)
                    client.set(key, b"new", GROUP)
                    self.assertTrue(client.delete(key, GROUP))
                    self.assertFalse(client.delete(key, GROUP))

    def test_touch_ttl_exists(self):
        for node in self.nodes:
            keys = self.keys(b"time", 3)
            self.assertEqual(
                list(node.call("Exists", group=GROUP, keys=keys).exists),
                [False] * 3)
            for key in keys:
                self.assertFalse(node.call("Touch", group=GROUP, key=key,
                                           ttl_ms=1000).found)
                node.call("Set", group=GROUP, key=key, value=b"v",
                          ttl_ms=50000)
                ttl = node.call("Ttl", group=GROUP, key=key)
                self.assertTrue(ttl.found and 0 < ttl.ttl_ms <= 50000)
                self.assertTrue(node.call("Touch", group=GROUP, key=key,
                                          ttl_ms=90000).found)
            for other in self.nodes:
                self.assertEqual(
                    list(other.call("Exists", group=GROUP, keys=keys).exists),
                    [True] * 3)
                for key in keys:
                    self.assertGreater(
                        other.call("Ttl", group=GROUP, key=key).ttl_ms, 50000)
            node.call("MDelete", group=GROUP, keys=keys)

    def test_many_keys(self):
        """The last value of a key that is there twice wins; each change of a
        peer is served once."""
        keys = self.keys(b"many")
        for node in self.nodes:
            entries = [pb2().MSetEntry(key=key, value=b"first")
                       for key in keys] + [
                           pb2().MSetEntry(key=keys[0], value=b"last")]
            reply = node.call("MSet", group=GROUP, entries=entries)
            self.assertEqual(names(reply.statuses), [OK] * 10)
            for other in self.nodes:
                items = other.call("MGet", group=GROUP, keys=keys).items
                self.assertEqual([item.value for item in items],
                                 [b"last"] + [b"first"] * 8)
            reply = node.call("MDelete", group=GROUP, keys=keys + [b"none"])
            self.assertEqual(names(reply.statuses), [OK] * 9 + [MISS])
            for other in self.nodes:
                self.assertFalse(any(
                    other.call("Exists", group=GROUP, keys=keys).exists))

    def test_a_long_call_takes_many_turns(self):
        """3000 keys through one node, which serves others meanwhile."""
        keys = [b"long-%d" % i for i in range(3000)]
        entries = [pb2().MSetEntry(key=key, value=b"v" * 100) for key in keys]
        reply = self.nodes[0].call("MSet", group=GROUP, entries=entries)
        self.assertEqual(set(names(reply.statuses)), {OK})
        self.assertTrue(all(
            self.nodes[1].call("Exists", group=GROUP, keys=keys).exists))
        self.assertEqual(len({item.value for item in self.nodes[2].call(
            "MGet", group=GROUP, keys=keys).items}), 1)
        self.nodes[2].call("MDelete", group=GROUP, keys=keys)
        self.assertFalse(any(
            self.nodes[0].call("Exists", group=GROUP, keys=keys).exists))

    def test_clear_empties_all_nodes(self):
        for node in self.nodes:
            for key in self.keys(b"clear"):
                node.call("Set", group=GROUP, key=key, value=b"v")
            reply, status = clear(node)
            self.assertEqual((list(reply.unsynced), status), ([], OK))
            self.assertEqual(sum(n.entries(GROUP) for n in self.nodes), 0)

    def test_the_command_line_through_every_node(self):
        for node in self.nodes:
            for key in self.keys(b"cli", 3):
                for words, out in ((("set", key, b"v"), None),
                                   (("get", key), b"v"), (("del", key), None)):
                    done = cli(node, "-g", GROUP, *words)
                    self.assertEqual((done.returncode, done.stderr), (0, b""))
                    if out is not None:
                        self.assertEqual(done.stdout.strip(), out)


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class Failures(unittest.TestCase):
    """An owner that stands still or is dead."""

    def setUp(self):
        self.cluster = Cluster(3, "--group", SPEC)
        self.addCleanup(self.cluster.close)

    def test_an_owner_that_is_frozen(self):
        """Its changes fail with its name, within the client's time; Clear
        lists it, and the node serves others all the while."""
        a, b, _ = self.cluster.nodes
        key = self.cluster.key_of(b, GROUP)
        own = self.cluster.key_of(a, GROUP)
        b.freeze()
        self.addCleanup(b.thaw)
        with self.assertRaises(grpc.RpcError) as caught:
            a.call("Set", group=GROUP, key=key, value=b"v")
        self.assertEqual(kama_status(caught.exception), "KAMA_ERR_PEER")
        self.assertIn(b.advertise, caught.exception.details())
        a.call("Set", group=GROUP, key=own, value=b"v")
        reply = a.call("MSet", group=GROUP, entries=[
            pb2().MSetEntry(key=key, value=b"v"),
            pb2().MSetEntry(key=own, value=b"v")])
        self.assertEqual(names(reply.statuses), ["KAMA_ERR_PEER", OK])
        with self.assertRaises(grpc.RpcError) as caught:
            a.call("Exists", group=GROUP, keys=[own, key])
        self.assertEqual(kama_status(caught.exception), "KAMA_ERR_PEER")
        reply, status = clear(a)
        self.assertEqual((list(reply.unsynced), status),
                         ([b.advertise], "KAMA_UNSYNCED"))
        b.thaw()
        self.cluster.wait_view()
        a.call("Set", group=GROUP, key=key, value=b"v")

    def test_a_stop_does_not_wait_for_a_parked_set(self):
        """A node that is behind parks a Set until the client's deadline. A stop
        ends it after the drain."""
        cluster = Cluster(2, "--group", SPEC, "--drain-timeout", "1s",
                          etcd_proxies=True)
        self.addCleanup(cluster.close)
        a = cluster.nodes[0]
        a.etcd_proxy.cut()
        cluster.add().start()
        with Client(a) as client:
            def is_parked():
                call = client.set_future(b"key", b"v", GROUP, timeout=300)
                try:
                    call.result(1)
                except grpc.FutureTimeoutError:
                    return True
                except grpc.RpcError:
                    pass
                return False
            wait_until(is_parked, 30, "a Set that waits for a view")
            a.daemon.signal()
            a.daemon.wait(15)

    def test_parked_sets_need_no_threads(self):
        """500 Sets that wait for a frozen owner leave the number of threads
        and the answers of their connection alone."""
        a, b, _ = self.cluster.nodes
        key = self.cluster.key_of(b, GROUP)
        own = self.cluster.key_of(a, GROUP)
        with Client(a) as client:
            client.set(own, b"v", GROUP)
            client.get(own, GROUP)
            threads = len(os.listdir("/proc/%d/task" % a.daemon.pid))
            b.freeze()
            self.addCleanup(b.thaw)
            calls = [client.set_future(key, b"v", GROUP) for _ in range(500)]
            for _ in range(20):
                self.assertEqual(client.get(own, GROUP), b"v")
            self.assertLessEqual(
                len(os.listdir("/proc/%d/task" % a.daemon.pid)), threads)
            statuses = set()
            for call in calls:
                statuses.add(kama_status(call.exception(20)))
            self.assertEqual(statuses, {"KAMA_ERR_PEER"})


if __name__ == "__main__":
    unittest.main()
