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
from synckit import SyncCluster

WATCH = "/kama.v2.Cache/Watch"
SET, DELETE, CLEAR, EXPIRE, DROP = 2, 3, 4, 5, 6
# What begun() writes: the globs of the tests match it.
FIRST = b"yes-first"


class Watching:
    """A watch of a group; next() is its next event. With hold, the client reads
    nothing behind the first event until go_on()."""

    def __init__(self, node, group, hold=False, **fields):
        self.client = Client(node)
        method = self.client.channel.unary_stream(
            WATCH, request_serializer=pb2().WatchRequest.SerializeToString,
            response_deserializer=pb2().WatchEvent.FromString)
        self.call = method(pb2().WatchRequest(group=group, **fields),
                           timeout=60 * kamatest.SLOWDOWN)
        self.events = queue.Queue()
        self.reads = threading.Event()
        if not hold:
            self.reads.set()
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        try:
            for event in self.call:
                self.events.put(event)
                self.reads.wait()
        except grpc.RpcError as error:
            self.events.put(error)

    def go_on(self):
        self.reads.set()

    def any(self):
        """The next event."""
        event = self.events.get(timeout=20 * kamatest.SLOWDOWN)
        if isinstance(event, grpc.RpcError):
            raise event
        return event

    def next(self):
        """The next event that is none of those with which begun() began."""
        while True:
            event = self.any()
            if not event.key.startswith(FIRST):
                return event

    def until(self, key):
        """The keys of the next events, up to this one."""
        keys = [self.next().key]
        while keys[-1] != key:
            keys.append(self.next().key)
        return keys

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.call.cancel()
        self.go_on()
        self.thread.join()
        self.client.channel.close()


def begun(node, group, **fields):
    """A watch that has begun: sets are made until the first event is there."""
    watching = Watching(node, group, **fields)

    def begins():
        if watching.events.empty():
            node.client.set(FIRST, b"v", group)
        return not watching.events.empty()
    try:
        wait_until(begins, 20, "a watch to begin")
    except BaseException:
        watching.__exit__()
        raise
    return watching


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class InACluster(unittest.TestCase):
    """Each test has a group of its own, and begins when all nodes have applied
    what the tests before it have written: so it sees its own events alone."""

    @classmethod
    def setUpClass(cls):
        groups = ("each", "glob", "cursor", "unread", "marks")
        cls.cluster = SyncCluster(
            3, "owned:sync=owner", *(argument for group in groups for argument in (
                "--group", group + ":max_bytes=8m,sync=broadcast")))
        cls.addClassCleanup(cls.cluster.close)

    def setUp(self):
        self.heard()

    def heard(self):
        for node in self.cluster.nodes:
            self.cluster.wait_heard(node, group="marks")

    def test_each_node_sees_all_mutations(self):
        """With their operation, value, etag and origin; each origin's in order."""
        origin, other, third = self.cluster.nodes
        with begun(other, "each", values=True) as watching:
            origin.client.set(b"k", b"value", "each")
            event = watching.next()
            self.assertEqual((event.operation, event.key, event.value,
                              event.origin, event.ttl_ms, event.gap),
                             (SET, b"k", b"value", origin.advertise, -1, False))
            got = other.call("Get", group="each", key=b"k")
            self.assertEqual(event.etag, got.etag)
            other.client.set(b"own", b"", "each")
            event = watching.next()
            self.assertEqual((event.operation, event.key, event.origin),
                             (SET, b"own", other.advertise))
            wait_until(lambda: third.call("Touch", group="each", key=b"k",
                                          ttl_ms=60000).found)
            event = watching.next()
            self.assertEqual((event.operation, event.key, event.origin),
                             (EXPIRE, b"k", third.advertise))
            self.assertTrue(0 < event.ttl_ms <= 60000)
            origin.client.delete(b"k", "each")
            self.assertEqual(watching.next().operation, DELETE)
            third.call("Clear", group="each")
            event = watching.next()
            self.assertEqual((event.operation, event.key), (CLEAR, b""))
            for i in range(200):
                origin.client.set(b"n-%03d" % i, b"v", "each")
            keys = [watching.next().key for _ in range(200)]
            self.assertEqual(keys, [b"n-%03d" % i for i in range(200)])

    def test_only_keys_that_match(self):
        origin, other, _ = self.cluster.nodes
        with begun(other, "glob") as all_of_them, \
                begun(other, "glob", glob=b"yes-*") as watching:
            for i in range(40):
                origin.client.set(b"no-%d" % i, b"v", "glob")
                origin.client.set(b"yes-%d" % i, b"v", "glob")
            self.assertIn(b"no-39", all_of_them.until(b"yes-39"))
            event = watching.next()
            self.assertEqual((event.key, event.value), (b"yes-0", b""))
            self.assertEqual(watching.until(b"yes-39"),
                             [b"yes-%d" % i for i in range(1, 40)])

    def test_a_watch_goes_on_behind_its_cursor(self):
        origin, other, _ = self.cluster.nodes
        with begun(other, "cursor") as watching:
            origin.client.set(b"one", b"v", "cursor")
            cursor = watching.next().cursor
        origin.client.set(b"two", b"v", "cursor")
        origin.client.set(b"three", b"v", "cursor")
        with Watching(other, "cursor", cursor=cursor) as watching:
            self.assertEqual(watching.until(b"three"), [b"two", b"three"])
        with Watching(origin, "cursor", cursor=cursor) as watching:
            self.assertTrue(watching.any().gap)  # the cursor of another node
            origin.client.set(b"four", b"v", "cursor")
            watching.until(b"four")

    def refused(self, node, group="each", **fields):
        with Watching(node, group, **fields) as watching:
            with self.assertRaises(grpc.RpcError) as caught:
                watching.next()
        return kama_status(caught.exception), caught.exception.details()

    def test_what_is_refused(self):
        node = self.cluster.nodes[0]
        status, text = self.refused(node, "owned")
        self.assertEqual(status, "KAMA_ERR_STATE")
        self.assertIn("sync=broadcast", text)
        self.assertEqual(self.refused(node, "none")[0],
                         "KAMA_ERR_NO_GROUP")
        self.assertEqual(self.refused(node, cursor=b"x")[0],
                         "KAMA_ERR_INVALID")
        self.assertEqual(self.refused(node, glob=b"x" * 2000)[0],
                         "KAMA_ERR_TOO_LARGE")
        with Daemon("--group", "each") as alone:
            status, text = self.refused(alone)
            self.assertEqual(status, "KAMA_ERR_STATE")
            self.assertIn("in no cluster", text)

    def test_a_client_that_does_not_read(self):
        """It gets what its connection has room for, and then the end."""
        node = self.cluster.nodes[0]
        with begun(node, "unread", hold=True, values=True) as watching:
            node.call("MSet", group="unread", entries=[
                pb2().MSetEntry(key=b"large-%d" % i, value=b"v" * 60000)
                for i in range(50)])
            for part in range(4):
                node.call("MSet", group="unread", entries=[
                    pb2().MSetEntry(key=b"%d-%d-" % (part, i) + b"k" * 1000,
                                    value=b"v") for i in range(1000)])
            # All of it has gone by, also for a watch that begins now.
            self.heard()
            with begun(node, "marks"):
                pass
            watching.go_on()
            count = 0
            with self.assertRaises(grpc.RpcError) as caught:
                while True:
                    watching.next()
                    count += 1
        self.assertEqual(kama_status(caught.exception), "KAMA_ERR_OVERLOADED")
        self.assertIn("too slowly", caught.exception.details())
        self.assertLess(count, 4050)

    def test_it_ends_with_the_node(self):
        with Cluster(1, "--group", "g:max_bytes=8m,sync=broadcast") as cluster:
            node, = cluster.nodes
            with begun(node, "g") as watching:
                node.daemon.signal()
                with self.assertRaises(grpc.RpcError) as caught:
                    while True:
                        watching.next()
                self.assertEqual(kama_status(caught.exception),
                                 "KAMA_ERR_CLOSED")
                self.assertEqual(node.daemon.wait(20), 0)


if __name__ == "__main__":
    kamatest.main()
