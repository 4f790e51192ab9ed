#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=180
"""Watch: the mutations of a group as they happen at a node, on three real nodes."""
import queue
import threading
import unittest

import grpc

import etcdkit
import kamatest
from clusterkit import Cluster
from kamatest import Client, Daemon, kama_status, pb2, wait_until

WATCH = "/kama.v2.Cache/Watch"
SET, DELETE, CLEAR, EXPIRE, DROP = 2, 3, 4, 5, 6


class Watching:
    """A watch of a group; next() is its next event."""

    def __init__(self, node, group="g", **fields):
        self.client = Client(node)
        method = self.client.channel.unary_stream(
            WATCH, request_serializer=pb2().WatchRequest.SerializeToString,
            response_deserializer=pb2().WatchEvent.FromString)
        self.call = method(pb2().WatchRequest(group=group, **fields),
                           timeout=60)
        self.events = queue.Queue()
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        try:
            for event in self.call:
                self.events.put(event)
        except grpc.RpcError as error:
            self.events.put(error)

    def next(self):
        event = self.events.get(timeout=20 * kamatest.SLOWDOWN)
        if isinstance(event, grpc.RpcError):
            raise event
        return event

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.call.cancel()
        self.thread.join()
        self.client.channel.close()


def begun(node, **fields):
    """A watch that has begun: sets are made until the first one is seen."""
    watching = Watching(node, **fields)
    while True:
        node.client.set(b"first", b"v", "g")
        try:
            watching.events.queue[0]
            event = watching.next()
        except IndexError:
            threading.Event().wait(0.05)
            continue
        assert event.key == b"first", event
        return watching


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class InACluster(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(3, "--group", "g:max_bytes=8m,sync=broadcast",
                              "--group", "owned:sync=owner")
        cls.addClassCleanup(cls.cluster.close)

    def next(self, watching):
        """The next event that is none of begun()."""
        while True:
            event = watching.next()
            if event.key != b"first":
                return event

    def test_each_node_sees_all_mutations(self):
        """With their operation, value, etag and origin; each origin's in order."""
        origin, other, third = self.cluster.nodes
        with begun(other, values=True) as watching:
            origin.client.set(b"k", b"value", "g")
            event = self.next(watching)
            self.assertEqual((event.operation, event.key, event.value,
                              event.origin, event.ttl_ms, event.gap),
                             (SET, b"k", b"value", origin.advertise, -1, False))
            got = other.call("Get", group="g", key=b"k")
            self.assertEqual(event.etag, got.etag)
            other.client.set(b"own", b"", "g")
            event = self.next(watching)
            self.assertEqual((event.operation, event.key, event.origin),
                             (SET, b"own", other.advertise))
            wait_until(lambda: third.call("Touch", group="g", key=b"k",
                                          ttl_ms=60000).found)
            event = self.next(watching)
            self.assertEqual((event.operation, event.key, event.origin),
                             (EXPIRE, b"k", third.advertise))
            self.assertTrue(0 < event.ttl_ms <= 60000)
            origin.client.delete(b"k", "g")
            self.assertEqual(self.next(watching).operation, DELETE)
            third.call("Clear", group="g")
            event = self.next(watching)
            self.assertEqual((event.operation, event.key), (CLEAR, b""))
            for i in range(200):
                origin.client.set(b"n-%03d" % i, b"v", "g")
            keys = [self.next(watching).key for _ in range(200)]
            self.assertEqual(keys, [b"n-%03d" % i for i in range(200)])

    def test_only_keys_that_match(self):
        origin, other, _ = self.cluster.nodes
        with begun(other) as all_of_them, \
                Watching(other, glob=b"yes-*") as watching:
            for i in range(40):
                origin.client.set(b"no-%d" % i, b"v", "g")
                origin.client.set(b"yes-%d" % i, b"v", "g")
            last = b""
            while last != b"yes-39":
                last = self.next(all_of_them).key
            seen = [watching.next()]
            while seen[-1].key != b"yes-39":
                seen.append(watching.next())
            self.assertEqual({e.key[:4] for e in seen}, {b"yes-"})
            self.assertEqual(seen[0].value, b"")

    def test_a_watch_goes_on_behind_its_cursor(self):
        origin, other, _ = self.cluster.nodes
        with begun(other) as watching:
            origin.client.set(b"one", b"v", "g")
            cursor = self.next(watching).cursor
        origin.client.set(b"two", b"v", "g")
        origin.client.set(b"three", b"v", "g")
        with Watching(other, cursor=cursor) as watching:
            self.assertEqual([watching.next().key, watching.next().key],
                             [b"two", b"three"])
        with Watching(origin, cursor=cursor) as watching:  # of another node
            self.assertTrue(watching.next().gap)
            origin.client.set(b"four", b"v", "g")
            self.assertEqual(self.next(watching).key, b"four")

    def refused(self, node, **fields):
        with Watching(node, **fields) as watching:
            with self.assertRaises(grpc.RpcError) as caught:
                watching.next()
        return kama_status(caught.exception), caught.exception.details()

    def test_what_is_refused(self):
        node = self.cluster.nodes[0]
        status, text = self.refused(node, group="owned")
        self.assertEqual(status, "KAMA_ERR_STATE")
        self.assertIn("sync=broadcast", text)
        self.assertEqual(self.refused(node, group="none")[0],
                         "KAMA_ERR_NO_GROUP")
        self.assertEqual(self.refused(node, cursor=b"x")[0],
                         "KAMA_ERR_INVALID")
        self.assertEqual(self.refused(node, glob=b"x" * 2000)[0],
                         "KAMA_ERR_TOO_LARGE")
        with Daemon("--group", "g") as alone:
            status, text = self.refused(alone)
            self.assertEqual(status, "KAMA_ERR_STATE")
            self.assertIn("in no cluster", text)

    def test_a_client_that_does_not_read(self):
        """It gets what its connection has room for, and then the end."""
        node = self.cluster.nodes[0]
        client = Client(node)
        self.addCleanup(client.channel.close)
        call = client.channel.unary_stream(
            WATCH, request_serializer=pb2().WatchRequest.SerializeToString,
            response_deserializer=pb2().WatchEvent.FromString)(
                pb2().WatchRequest(group="g", values=True), timeout=60)
        node.call("MSet", group="g", entries=[
            pb2().MSetEntry(key=b"large-%d" % i, value=b"v" * 60000)
            for i in range(50)])
        for part in range(4):
            node.call("MSet", group="g", entries=[
                pb2().MSetEntry(key=b"%d-%d-" % (part, i) + b"k" * 1000,
                                value=b"v") for i in range(1000)])
        count = 0
        with self.assertRaises(grpc.RpcError) as caught:
            for _ in call:
                count += 1
        self.assertEqual(kama_status(caught.exception), "KAMA_ERR_OVERLOADED")
        self.assertIn("too slowly", caught.exception.details())
        self.assertLess(count, 4050)

    def test_it_ends_with_the_node(self):
        with Cluster(1, "--group", "g:max_bytes=8m,sync=broadcast") as cluster:
            node, = cluster.nodes
            with begun(node) as watching:
                node.daemon.signal()
                with self.assertRaises(grpc.RpcError) as caught:
                    while True:
                        watching.next()
                self.assertEqual(kama_status(caught.exception),
                                 "KAMA_ERR_CLOSED")
                self.assertEqual(node.daemon.wait(20), 0)


if __name__ == "__main__":
    kamatest.main()
