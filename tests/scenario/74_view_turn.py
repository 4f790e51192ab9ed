#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""The turn of a view: nodes know different views for a while, and yet a get that
begins after a delete was acknowledged never returns what was there before it.
KAMA_ROUNDS repeats the turn more often than the suite does."""
import os
import threading
import time
import unittest

import grpc

import etcdkit
import kamatest
from clusterkit import Cluster, until_done
from kamatest import HttpOrigin, parse, wait_until

ROUNDS = int(os.environ.get("KAMA_ROUNDS", "3"))
WORKERS = 6
ETCD_DELAY_SECONDS = 1.5  # each way


class Writer(threading.Thread):
    """Changes its keys in the database and deletes them through one node, again
    and again until the end. It asks the first of the readers before, and all of
    them after each acknowledgement."""

    def __init__(self, number, database, via, readers):
        super().__init__(daemon=True)
        self.keys = [b"key-%d-%d" % (number, i) for i in range(20)]
        self.database = database
        self.via = via
        self.readers = readers
        self.version = 0
        self.deletes = 0
        self.old = []
        self.problem = None
        self.end = threading.Event()

    def run(self):
        try:
            while not self.end.is_set():
                self.version += 1
                for key in self.keys:
                    self.change(key)
                    if self.end.is_set():
                        break
        except BaseException as error:  # shown by the test
            self.problem = error

    def change(self, key):
        value = b"version %d" % self.version
        self.readers[0].client.get(key, "g")
        self.database[key.decode()] = value
        until_done(lambda client: client.delete(key, "g"), [self.via])
        self.deletes += 1
        for node in self.readers:
            got = node.client.get(key, "g")
            if got != value:
                self.old.append((key, got, value, node))


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class ViewTurn(unittest.TestCase):
    def setUp(self):
        self.database = {}
        self.gate = threading.Event()
        self.gate.set()
        origin = HttpOrigin(self.answer)
        self.addCleanup(origin.__exit__)
        self.addCleanup(self.gate.set)
        self.origin = origin

    def answer(self, path):
        value = self.database.get(path[1:], b"first")
        self.gate.wait(60)
        return 200, value

    def cluster(self, count):
        cluster = Cluster(count, "--group",
                          self.origin.group("g", loader_timeout="30s",
                                            sync="owner"),
                          etcd_proxies=True)
        self.addCleanup(cluster.close)
        return cluster

    def join_behind(self, cluster):
        """B joins and A hears of it late; meanwhile keys are deleted
        through A. Returns how many were."""
        a, c = cluster.nodes[:2]
        a.etcd_proxy.delay(ETCD_DELAY_SECONDS)
        b = cluster.add().start()
        self.assertEqual({node.client.get(b"any", "g") for node in (a, b, c)},
                         {b"first"})  # each one has its client now
        writers = [Writer(i, self.database, a, (b, a, c))
                   for i in range(WORKERS)]
        for writer in writers:
            writer.start()
        cluster.wait_view()
        wait_until(lambda: all(w.deletes > 20 or w.problem for w in writers),
                   30, "20 deletes of each writer")
        for writer in writers:
            writer.end.set()
        for writer in writers:
            writer.join(60)
            self.assertIsNone(writer.problem)
            self.assertEqual(writer.old, [])
        a.etcd_proxy.flow()
        b.stop()
        cluster.nodes.remove(b)
        b.close()
        cluster.wait_view()
        return sum(writer.deletes for writer in writers)

    def test_a_delete_through_a_node_that_is_one_view_behind(self):
        """B adopts a view and loads the old value, the database is written,
        and A, which does not know that view, is told to delete the key."""
        cluster = self.cluster(2)
        deletes = [self.join_behind(cluster) for _ in range(ROUNDS)]
        print("deletes in each round: %s" % deletes)

    def test_the_requester_becomes_the_owner(self):
        """While B waits for A, the owner, A's lease ends, so that B is the
        owner; A, which cannot register again, is asked as well. Nobody waits
        for anybody who waits: all are answered when the loader answers, long
        before the time of a load is over."""
        cluster = self.cluster(2)
        a, b = cluster.nodes
        key = cluster.key_of(a, "g", b"turn")
        self.gate.clear()
        calls = [b.client.get_future(key, "g", 60)]
        wait_until(lambda: self.origin.requests)
        a.etcd_proxy.stall()
        cluster.etcd.revoke(a.node().lease_id)
        wait_until(lambda: cluster.owner(key, "g", via=b) is b)
        for node in (a, b, a, b):
            calls.append(node.client.get_future(key, "g", 60))
        a.daemon.wait_line(
            "%s says that this node was given up" % b.address)
        calls.append(a.client.get_future(key, "g", 60))
        wait_until(lambda: sum(
            node.stats("g").gets for node in (a, b)) >= len(calls))
        begin = time.monotonic()
        self.gate.set()
        self.assertEqual([parse(call.result())[1] for call in calls],
                         [b"first"] * len(calls))
        seconds = time.monotonic() - begin
        print("%d gets answered %.2f s after the loader, %d loads" % (
            len(calls), seconds, len(self.origin.requests)))
        self.assertLess(seconds, 10 * kamatest.SLOWDOWN)
        a.etcd_proxy.flow()
        cluster.wait_view()
        self.assertEqual(a.client.get(key, "g"), b"first")


if __name__ == "__main__":
    kamatest.main()
