#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=150
"""Nodes die, come back, leave and join: the others notice in time, every get is
answered meanwhile, and nothing that was deleted comes back.
KAMA_ROUNDS repeats the restarts more often than the suite does."""
import os
import threading
import time
import unittest

import grpc

import etcdkit
import kamatest
from clusterkit import LEASE_SECONDS, Cluster, until_done
from etcdkit import Etcd
from kamatest import Client, HttpOrigin, wait_until

ROUNDS = int(os.environ.get("KAMA_ROUNDS", "4"))
SLACK_SECONDS = 2  # etcd looks for expired leases every half second


class Database:
    """What the loader of the tests asks: a value for each key."""

    def __init__(self):
        self.values = {}
        self.origin = HttpOrigin(self.answer)

    def answer(self, path):
        return 200, self.values.get(path[1:], "first").encode()

    def group(self, name):
        return self.origin.group(name, sync="owner")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.origin.__exit__()


class Reader:
    """A thread that asks nodes for keys, one after the other, until the end.
    A get that finds a node which goes away is tried at the next one."""

    def __init__(self, nodes, keys, group="g"):
        self.nodes = list(nodes)
        self.keys = keys
        self.group = group
        self.answered = 0
        self.retried = 0
        self.slowest = 0.0
        self.failures = []
        self._end = False
        self._clients = [Client(node.address) for node in self.nodes]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._end:
            self._ask(self.keys[self.answered % len(self.keys)])
            self.answered += 1

    def _ask(self, key):
        begin = time.monotonic()
        first = self.answered % len(self._clients)
        said = []
        for client in self._clients[first:] + self._clients[:first]:
            try:
                client.get(key, self.group)
                break
            except grpc.RpcError as error:
                said.append((kamatest.kama_status(error), error.details()))
                self.retried += 1
        else:
            self.failures.append((key, said))
        self.slowest = max(self.slowest, time.monotonic() - begin)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._end = True
        self._thread.join(60)
        for client in self._clients:
            client.close()


def keys_of(cluster, node, count, prefix=b"key"):
    keys = cluster.keys_of(node, "g", prefix)
    return [next(keys) for _ in range(count)]


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class Members(unittest.TestCase):
    def setUp(self):
        self.database = Database()
        self.addCleanup(self.database.__exit__)

    def cluster(self, count=3, *arguments, **options):
        cluster = Cluster(count, "--group", self.database.group("g"),
                          *arguments, **options)
        self.addCleanup(cluster.close)
        return cluster

    def expect_answered(self, reader):
        self.assertEqual(reader.failures, [])
        self.assertGreater(reader.answered, 0)
        print("%d gets, %d retried, slowest %.0f ms" % (
            reader.answered, reader.retried, 1000 * reader.slowest))

    def test_killed_nodes_leave_the_view(self):
        """One of three within the lease and 2 s; two of three, which could be
        a fault of etcd, within two leases and 2 s. The two clusters are two
        services in one etcd."""
        with Etcd() as etcd:
            one = self.cluster(3, "--service", "one", etcd=etcd)
            two = self.cluster(3, "--service", "one-more", etcd=etcd)
            keys_one = keys_of(one, one.nodes[0], 20)
            keys_two = [key for node in two.nodes[:2]
                        for key in keys_of(two, node, 10)]
            with Reader(one.nodes[1:], keys_one) as first, \
                    Reader(two.nodes[2:], keys_two) as second:
                begin = time.monotonic()
                for node in (one.nodes[0], *two.nodes[:2]):
                    node.kill()
                one.wait_view(seconds=LEASE_SECONDS + SLACK_SECONDS)
                print("one of three: gone after %.1f s" %
                      (time.monotonic() - begin))
                left = begin + 2 * LEASE_SECONDS - time.monotonic()
                two.wait_view(seconds=left + SLACK_SECONDS)
                print("two of three: gone after %.1f s" %
                      (time.monotonic() - begin))
            self.expect_answered(first)
            self.expect_answered(second)
            self.assertEqual((first.retried, second.retried), (0, 0))

    def write(self, nodes, key, value):
        """Writes the database, and deletes the key through one of the nodes,
        until one says that it is done."""
        self.database.values[key.decode()] = value
        until_done(lambda client: client.delete(key, "g"), nodes)

    def restart_at_once(self, cluster, node, number):
        """The node is killed and comes back while keys are deleted."""
        keys = [key for other in cluster.nodes
                for key in keys_of(cluster, other, 3)]
        for key in keys:
            for other in cluster.nodes:
                other.client.get(key, "g")
        others = cluster.others(node)
        node.kill()
        begin = time.monotonic()
        node.begin()
        deleting = threading.Thread(target=lambda: [
            self.write(others, key, "%s of %d" % (key.decode(), number))
            for key in keys], daemon=True)
        deleting.start()
        node.daemon.wait_line("ready", 3)
        seconds = time.monotonic() - begin
        node.daemon.address = node.address
        deleting.join(60)
        self.assertFalse(deleting.is_alive())
        for other in cluster.nodes:
            for key in keys:
                self.assertEqual(other.client.get(key, "g").decode(),
                                 "%s of %d" % (key.decode(), number), other)
        return seconds

    def test_a_killed_node_starts_again_at_once(self):
        """On its old address it does not wait for the lease of its record."""
        cluster = self.cluster()
        took = []
        for number in range(ROUNDS):
            node = cluster.nodes[number % 3]
            took.append(self.restart_at_once(cluster, node, number))
            cluster.wait_view()
        print("serving again after %s s" % ", ".join("%.2f" % t
                                                     for t in took))

    def test_an_idle_node_leaves(self):
        """SIGTERM: it ends in less than 3 s; the others know that it has said
        goodbye, and a client that tries the next node misses nothing."""
        cluster = self.cluster()
        a, b, c = cluster.nodes
        begin = time.monotonic()
        a.stop()
        idle = time.monotonic() - begin
        self.assertLess(idle, 3 * kamatest.SLOWDOWN)
        cluster.wait_view(seconds=2)
        b.daemon.wait_line("%s has left; peers: 1" % a.address,
                           event="peers", address=a.address, count=1)
        a.start()
        cluster.wait_view()
        keys = [key for node in cluster.nodes
                for key in keys_of(cluster, node, 10)]
        with Reader((a, b, c), keys) as reader:
            wait_until(lambda: reader.answered > 50)
            begin = time.monotonic()
            a.stop()
            busy = time.monotonic() - begin
            answered = reader.answered
            wait_until(lambda: reader.answered > answered + 50)
        print("SIGTERM to the end: idle %.2f s, asked %.2f s" % (idle, busy))
        self.expect_answered(reader)

    def test_a_node_joins_under_load(self):
        """No get and no set fails, and the new node owns its share."""
        cluster = self.cluster(2)
        keys = [b"key-%d" % i for i in range(100)]
        failures = []
        end = threading.Event()

        def write():
            with Client(cluster.nodes[0]) as client:
                number = 0
                while not end.is_set():
                    try:
                        client.set(b"set-%d" % (number % 100), b"x", "g")
                    except grpc.RpcError as error:
                        failures.append((kamatest.kama_status(error),
                                         error.details()))
                    number += 1
        writer = threading.Thread(target=write, daemon=True)
        with Reader(cluster.nodes, keys) as reader:
            writer.start()
            wait_until(lambda: reader.answered > 50)
            cluster.add().start()
            cluster.wait_view()
            answered = reader.answered
            wait_until(lambda: reader.answered > answered + 50)
            end.set()
            writer.join(30)
        self.expect_answered(reader)
        self.assertEqual((reader.retried, failures), (0, []))
        owners = [cluster.owner(key, "g") for key in keys]
        self.assertGreater(owners.count(cluster.nodes[2]), 10)


if __name__ == "__main__":
    kamatest.main()
