# SPDX-License-Identifier: MIT
"""A cluster that is watched from outside while something is wrong with it.

    with FaultCluster(3) as cluster:
        with cluster.watched() as watch:   # clients ask every node
            cluster.etcd.kill()
            watch.for_seconds(10)
            cluster.etcd.start()
            cluster.wait_right()           # within 30 s, else it fails

The clients of a watch read keys through every node all the time, and one of
them changes values in the database of the loader and deletes their keys
through one node after another. A watch that ends has failed if a get failed,
or if a get that began after a delete was acknowledged returned a value that is
older than this delete.
"""
import collections
import contextlib
import json
import random
import sys
import threading
import time

import grpc

import kamatest
from clusterkit import SERVICE, Cluster
from kamatest import Client, HttpOrigin, pb2, wait_until

GROUP = "numbers"
KEYS = [b"key-%d" % i for i in range(60)]
RIGHT_SECONDS = 30
MEMBERS = "/kamacache/v1/%s/members/" % SERVICE


def say(what, *values):
    """A figure, for the reader of the test's output."""
    sys.stderr.write("  figure: " + what % values + "\n")


class Database:
    """What the loaders of all nodes ask: a number for each key, which only
    grows."""

    def __init__(self):
        self.lock = threading.Lock()
        self.numbers = collections.Counter()
        self.origin = HttpOrigin(self._answer)

    def _answer(self, path):
        with self.lock:
            return 200, b"%d" % self.numbers[path.rsplit("/", 1)[1].encode()]

    def raise_number(self, key):
        with self.lock:
            self.numbers[key] += 1
            return self.numbers[key]


class Watch:
    """The clients, from begin() to end()."""

    def __init__(self, nodes, database):
        self.nodes = nodes
        self.database = database
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.floors = collections.Counter()  # what a get must not be below
        self.failures = []
        self.gets = 0
        self.deletes = 0
        self.refused = collections.Counter()  # deletes, by status
        self.slowest = 0.0
        self.skipped = set()  # addresses whose gets are not judged now
        self.threads = [threading.Thread(target=self._read, args=(node, seed))
                        for seed, node in enumerate(nodes)]
        self.threads.append(threading.Thread(target=self._delete))
        for thread in self.threads:
            thread.start()

    def skip(self, node):
        with self.lock:
            self.skipped.add(node.address)

    def judge(self, node):
        with self.lock:
            self.skipped.discard(node.address)

    def for_seconds(self, seconds):
        """Lets the clients work so long; ends early if a get has failed."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.failures:
            self.stopping.wait(0.05)

    def _fail(self, node, text, *values):
        with self.lock:
            if node.address not in self.skipped:
                self.failures.append("%s: %s" % (node.address, text % values))

    def _read(self, node, seed):
        choose = random.Random(seed)
        with Client(node) as client:
            while not self.stopping.wait(0.004):
                key = choose.choice(KEYS)
                with self.lock:
                    judged = node.address not in self.skipped
                    floor = self.floors[key]
                if judged:
                    self._get(client, node, key, floor)

    def _get(self, client, node, key, floor):
        begin = time.monotonic()
        try:
            number = int(client.get(key, GROUP, timeout=10))
        except grpc.RpcError as error:
            self._fail(node, "get of %r after %.1f s: %s %s", key,
                       time.monotonic() - begin,
                       kamatest.kama_status(error), error.details())
            return
        took = time.monotonic() - begin
        self.gets += 1
        self.slowest = max(self.slowest, took)
        if number < floor:
            self._fail(node, "get of %r returned %d, although %d was deleted",
                       key, number, floor - 1)

    def _delete(self):
        choose = random.Random(99)
        with contextlib.ExitStack() as stack:
            clients = [(node, stack.enter_context(Client(node)))
                       for node in self.nodes]
            while not self.stopping.wait(0.02):
                node, client = choose.choice(clients)
                with self.lock:
                    judged = node.address not in self.skipped
                if judged:
                    self._delete_one(client, choose.choice(KEYS))

    def _delete_one(self, client, key):
        number = self.database.raise_number(key)
        try:
            client.delete(key, GROUP, timeout=10)
        except grpc.RpcError as error:
            self.refused[kamatest.kama_status(error)] += 1
            return
        with self.lock:
            self.floors[key] = max(self.floors[key], number)
        self.deletes += 1

    def end(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)


class FaultCluster(Cluster):
    """Nodes whose group GROUP loads from one database. Its keys have owners
    (sync=owner), because a watch demands that a delete that was acknowledged is
    seen by every get that begins afterwards, on every node."""

    def __init__(self, count=3, *arguments, **kwargs):
        self.database = Database()
        super().__init__(count, "--threads=2", "--group",
                         self.database.origin.group(GROUP, sync="owner"),
                         *arguments, **kwargs)

    @contextlib.contextmanager
    def watched(self, nodes=None):
        watch = Watch(nodes or self.running(), self.database)
        try:
            yield watch
        finally:
            watch.end()
        if watch.failures:
            raise AssertionError("%d failures of %d gets: %s" % (
                len(watch.failures), watch.gets, watch.failures[:5]))
        say("%d gets, %d deletes, refused: %s, slowest get %.2f s", watch.gets,
            watch.deletes, dict(watch.refused), watch.slowest)

    def is_right(self, nodes):
        """The nodes agree, and nothing is wrong with any of them."""
        return self.agreed(nodes) and all(
            not node.node().degraded and node.call("Members").registry_up
            for node in nodes)

    def wait_right(self, nodes=None, also=lambda: True,
                   seconds=RIGHT_SECONDS):
        """Waits until these nodes (those that run) see exactly themselves,
        and `also` is true. Returns the seconds that took."""
        begin = time.monotonic()
        nodes = self.running() if nodes is None else nodes
        try:
            wait_until(lambda: also() and self.is_right(nodes), seconds,
                       "one right view of %s" % nodes)
        except AssertionError as error:
            raise AssertionError("%s\n%s" % (error, self.describe())) from None
        return time.monotonic() - begin

    def ids(self):
        """The member id of each node that runs."""
        return [node.node().id for node in self.running()]

    def wait_new_ids(self, before):
        """Waits until all nodes are right, each one under a new id."""
        return self.wait_right(
            also=lambda: not set(before) & set(self.ids()))

    def record(self, node):
        """The node's record in etcd, or None."""
        return self.etcd.records(MEMBERS).get(MEMBERS + node.advertise)

    def stop(self):
        """All nodes are told to stop at once, and exit 0."""
        nodes = self.running()
        for node in nodes:
            node.daemon.signal()
        for node in nodes:
            if node.daemon.wait() != 0:
                raise AssertionError("%s: exit %d" % (
                    node, node.daemon.process.returncode))
            node.forget_client()

    def close(self, error=None):
        for node in self.nodes:
            if node.runs():
                node.thaw()
        super().close(error)
        self.database.origin.__exit__()


def count_lines_of(daemon, **fields):
    """How many lines of the log have these fields."""
    return sum(1 for line in list(daemon.lines)
               if all(line.get(k) == v for k, v in fields.items()))


def count_lines(node, **fields):
    return count_lines_of(node.daemon, **fields)


def is_serving(node):
    health = pb2("grpc.health.v1.health")
    reply = kamatest.unary(
        node.client.channel, "/grpc.health.v1.Health/Check",
        health.HealthCheckRequest(), health.HealthCheckResponse)
    return reply.status == health.HealthCheckResponse.SERVING


def node_json(node):
    """What `kamacache-cli node` says."""
    return json.loads(kamatest.run("-e", node.address, "--json", "node",
                                   program=kamatest.CLI).stdout)


def wait_degraded(node, seconds=20):
    """Waits until `kamacache-cli node` says that the lease is in doubt; the
    node is healthy all the same."""
    wait_until(lambda: node_json(node)["degraded"] == "lease", seconds,
               "degraded: lease")
    if not is_serving(node):
        raise AssertionError("%s is degraded, and does not serve" % node)
