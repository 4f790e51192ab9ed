#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=180
"""Random faults in a cluster of three nodes, while clients send calls of all
kinds to all of them with random deadlines, and give some of them up.

Nodes are killed, told to stop and frozen, and etcd is killed, frozen and
emptied. Whatever happens, each call to a node that was left alone meanwhile is
answered in time and with a status that a client can expect, a node that is told
to stop exits 0, no log has a report of a sanitizer, and in the end the cluster
is right, no acknowledged delete is forgotten and no descriptor or thread is left.

KAMA_SECONDS=600 KAMA_SEED=7 86_chaos.py goes on for ten minutes by the seed."""
import contextlib
import os
import random
import threading
import time
import unittest

import grpc

import kamatest
from clusterkit import until_done
from etcdkit import MISSING
from faultkit import GROUP, KEYS, FaultCluster, say
from kamatest import SLOWDOWN, Client, kama_status, pb2, wait_until

SECONDS = float(os.environ.get("KAMA_SECONDS", "8"))
SEED = int(os.environ.get("KAMA_SEED", "1"))
# A call without a deadline: two loads, or the waits of a mutation.
ANSWER_SECONDS = 12
CLIENTS_PER_NODE = 3
PLAIN = "plain"
V2 = "/kama.v2.Cache/"
# What a client can expect of a cluster in which nodes fail.
EXPECTED = {"KAMA_ERR_PEER", "KAMA_ERR_TRY_AGAIN", "KAMA_ERR_NOT_READY",
            "KAMA_ERR_TIMEOUT", "KAMA_ERR_CLOSED", "KAMA_ERR_OVERLOADED",
            "KAMA_ERR_LOADER", "KAMA_UNSYNCED", "UNAVAILABLE", "CANCELLED",
            "DEADLINE_EXCEEDED"}
REPORTS = ("ERROR: ", "WARNING: ThreadSanitizer", "runtime error:",
           "assertion")


class Disturbances:
    """When each node was disturbed last; it is disturbed until it is let go."""

    def __init__(self, nodes):
        self.lock = threading.Lock()
        self.last = {node: 0.0 for node in nodes}
        self.now = set()

    @contextlib.contextmanager
    def of(self, node):
        with self.lock:
            self.now.add(node)
        try:
            yield
        finally:
            with self.lock:
                self.now.discard(node)
                self.last[node] = time.monotonic()

    def had(self, node, since):
        with self.lock:
            return node in self.now or self.last[node] >= since


class Clients:
    """Threads that send calls, from begin to end()."""

    def __init__(self, cluster, disturbances):
        self.cluster = cluster
        self.disturbances = disturbances
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.failures = []
        self.counts = {}
        self.floors = {}
        self.slowest = 0.0
        self.threads = [
            threading.Thread(target=self._run, args=(node, SEED * 100 + i))
            for i, node in enumerate(cluster.nodes * CLIENTS_PER_NODE)]
        for thread in self.threads:
            thread.start()

    def _run(self, node, seed):
        choose = random.Random(seed)
        with Client(node.address) as client:
            while not self.stopping.wait(choose.random() * 0.01):
                try:
                    self._call(node, client.channel, choose)
                except Exception as error:  # the test must hear of it
                    self._fail(node, "client", "%r" % error)
                    raise

    def _fail(self, node, what, text):
        with self.lock:
            self.failures.append("%s: %s: %s" % (node.address, what, text))

    def _call(self, node, channel, choose):
        name, request, note = self._request(choose)
        streams = name in ("MGetStream", "WatchMembers")
        kind = channel.unary_stream if streams else channel.unary_unary
        reply = getattr(pb2(), name.replace("Watch", "") + "Response")
        method = kind(V2 + name,
                      request_serializer=lambda m: m.SerializeToString(),
                      response_deserializer=reply.FromString)
        begin = time.monotonic()
        timeout = choose.choice([None, None, 0.005, 0.1, 1.0, 3.0])
        call = (method(request, timeout=timeout) if streams
                else method.future(request, timeout=timeout))
        give_up_at = (begin + choose.random() * 0.2 if choose.random() < 0.2
                      or name == "WatchMembers" else None)
        status = self._await(node, call, streams, begin, timeout,
                             give_up_at)
        took = time.monotonic() - begin
        with self.lock:
            self.counts[status] = self.counts.get(status, 0) + 1
        if status == "late":
            if not self.disturbances.had(node, begin):
                self._fail(node, name, "no answer after %.1f s" % took)
        elif status not in EXPECTED | {"OK"}:
            self._fail(node, name, "%s after %.1f s: %s" % (
                status, took, call.details()))
        elif status == "OK" and note is not None:
            with self.lock:
                key, number = note
                self.floors[key] = max(self.floors.get(key, 0), number)
        if status == "OK" and not self.disturbances.had(node, begin):
            self.slowest = max(self.slowest, took)

    def _await(self, node, call, streams, begin, timeout, give_up_at):
        """Returns how the call has ended: "late" if it was not in time."""
        over = threading.Event()
        if streams:
            threading.Thread(target=self._drain, args=(call, over),
                             daemon=True).start()
        else:
            call.add_done_callback(lambda _: over.set())
        end = begin + (timeout + 1 if timeout else ANSWER_SECONDS) * SLOWDOWN
        while not over.wait(0.05):
            now = time.monotonic()
            if now > end or (now > begin + 1 and not timeout and
                             self.disturbances.had(node, begin)):
                call.cancel()
                over.wait(5)
                return "late" if now > end else "CANCELLED"
            if give_up_at is not None and now > give_up_at:
                call.cancel()
        if call.code() == grpc.StatusCode.OK:
            return "OK"
        for name, value in call.trailing_metadata() or ():
            if name == "kama-status":
                return value
        return call.code().name

    @staticmethod
    def _drain(call, over):
        """The messages of a stream, which ends by that."""
        with contextlib.suppress(grpc.RpcError):
            for _ in call:
                pass
        over.set()

    def _request(self, choose):
        """A method, its request, and what is true when it has succeeded: a key
        with a number that gets must not be below."""
        key = choose.choice(KEYS)
        keys = choose.sample(KEYS, choose.randrange(1, len(KEYS)))
        p = pb2()
        kinds = {
            "Get": lambda: p.GetRequest(group=GROUP, key=key),
            "Set": lambda: p.SetRequest(group=PLAIN, key=key, value=os.urandom(
                choose.choice([0, 1, 100, 70000, 900000]))),
            "Exists": lambda: p.ExistsRequest(group=PLAIN, keys=keys),
            "Touch": lambda: p.TouchRequest(group=PLAIN, key=key,
                                            ttl_ms=60000),
            "MGet": lambda: p.MGetRequest(group=choose.choice([GROUP, PLAIN]),
                                          keys=keys),
            "MGetStream": lambda: p.MGetRequest(
                group=choose.choice([GROUP, PLAIN]), keys=keys),
            "MSet": lambda: p.MSetRequest(group=PLAIN, entries=[
                p.MSetEntry(key=k, value=b"x" * choose.randrange(3000))
                for k in keys]),
            "MDelete": lambda: p.MDeleteRequest(group=PLAIN, keys=keys),
            "Clear": lambda: p.ClearRequest(group=PLAIN),
            "WatchMembers": p.MembersRequest,
            "Members": p.MembersRequest,
        }
        if choose.random() < 0.1:
            number = self.cluster.database.raise_number(key)
            return ("Delete", p.DeleteRequest(group=GROUP, key=key),
                    (key, number))
        name = choose.choice(list(kinds) + ["Get"] * 6 + ["Set"] * 3)
        return name, kinds[name](), None

    def end(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join((ANSWER_SECONDS + 5) * SLOWDOWN)
            if thread.is_alive():
                self.failures.append("a client has not come to its end")


class Faults:
    """What is done to the cluster, by the seed."""

    def __init__(self, cluster, disturbances, choose):
        self.cluster = cluster
        self.disturbances = disturbances
        self.choose = choose
        self.done = []
        self.ended = []  # daemons that have ended

    def one(self):
        acts = [self.kill, self.stop, self.freeze, self.freeze, self.etcd_kill,
                self.etcd_freeze, self.kill_during_start,
                self.stop_without_etcd]
        if SECONDS >= 60:
            acts += [self.freeze_long, self.etcd_empty]
        act = self.choose.choice(acts)
        self.done.append(act.__name__)
        act(self.choose.choice(self.cluster.nodes))

    def _pause(self, most):
        time.sleep(self.choose.random() * most)

    def _stop(self, node):
        node.daemon.signal()
        code = node.daemon.wait(40)
        if code != 0:
            raise AssertionError("%s: exit %d:\n%s" % (
                node, code, "\n".join(node.daemon.raw[-80:])))
        self._has_ended(node)

    def _has_ended(self, node):
        self.ended.append(node.daemon)
        node.forget_client()

    def _start(self, node):
        node.begin()
        node.daemon.wait_line("ready", 60)
        node.daemon.address = node.address

    def kill(self, node):
        with self.disturbances.of(node):
            node.daemon.kill()
            self._has_ended(node)
            self._pause(1)
            self._start(node)

    def stop(self, node):
        with self.disturbances.of(node):
            self._stop(node)
            self._pause(1)
            self._start(node)

    def kill_during_start(self, node):
        with self.disturbances.of(node):
            node.daemon.kill()
            self._has_ended(node)
            node.begin()
            node.daemon.wait_line("listening", 60)
            self._pause(0.5)
            self._stop(node)
            self._start(node)

    def freeze(self, node, most=3):
        with self.disturbances.of(node):
            node.freeze()
            self._pause(most)
            node.thaw()
            # It has to hear that the others have given it up.
            self._pause(1)

    def freeze_long(self, node):
        self.freeze(node, 25)

    def etcd_kill(self, _, empty=False):
        self.cluster.etcd.kill()
        self._pause(2)
        self.cluster.etcd.start(empty)

    def etcd_empty(self, node):
        self.etcd_kill(node, True)

    def etcd_freeze(self, _):
        self.cluster.etcd.freeze()
        self._pause(3)
        self.cluster.etcd.thaw()

    def stop_without_etcd(self, node):
        with self.disturbances.of(node):
            self.cluster.etcd.freeze()
            try:
                self._stop(node)
            finally:
                self.cluster.etcd.thaw()
            self._start(node)


def connections_to(pid, port):
    """How many connections the process has to a local port."""
    inodes = set()
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table.readlines()[1:]:
            fields = line.split()
            if int(fields[2].rsplit(":", 1)[1], 16) == port:
                inodes.add("socket:[%s]" % fields[9])
    folder = "/proc/%d/fd" % pid
    count = 0
    for name in os.listdir(folder):
        with contextlib.suppress(OSError):
            count += os.readlink(os.path.join(folder, name)) in inodes
    return count


def reports(daemon):
    return [line for line in daemon.raw
            if any(word in line for word in REPORTS) and line[:1] != "{"]


@unittest.skipIf(MISSING, MISSING)
class Chaos(unittest.TestCase):
    def resources(self, cluster, node):
        """Descriptors and threads, without the connections to the origin that
        the loader keeps: each of them has a pair of sockets to wake it."""
        kept = connections_to(node.daemon.pid, cluster.database.origin.port)
        return (node.daemon.descriptors() - 3 * kept, node.daemon.threads())

    def expect_no_report(self, daemons):
        for daemon in daemons:
            if reports(daemon):
                self.fail("\n".join(daemon.raw[-200:]))

    def expect_deletes(self, cluster, clients):
        """Each key is at least what it was when a delete was acknowledged."""
        for node in cluster.nodes:
            for key, floor in clients.floors.items():
                number = int(until_done(lambda c, k=key: c.get(k, GROUP),
                                        [node]))
                self.assertGreaterEqual(number, floor, (node, key))

    def expect_same_resources(self, cluster, before):
        """Connections of clients that have gone are closed by and by."""
        for node in cluster.nodes:
            def is_same(node=node):
                now = self.resources(cluster, node)
                return now[0] <= before[0] + 12 and now[1] <= before[1] + 4
            try:
                wait_until(is_same, 20, "descriptors and threads")
            except AssertionError as error:
                raise AssertionError("%s: %s, before: %s, now %s" % (
                    node, error, before,
                    self.resources(cluster, node))) from None

    def test_random_faults(self):
        say("KAMA_SEED=%d KAMA_SECONDS=%g", SEED, SECONDS)
        with FaultCluster(3, "--group", PLAIN + ":sync=owner") as cluster:
            for node in cluster.nodes:
                node.client.get(KEYS[0], GROUP)
            before = tuple(map(max, zip(*(self.resources(cluster, node)
                                          for node in cluster.nodes))))
            disturbances = Disturbances(cluster.nodes)
            faults = Faults(cluster, disturbances, random.Random(SEED))
            clients = Clients(cluster, disturbances)
            end = time.monotonic() + SECONDS
            try:
                while time.monotonic() < end and not clients.failures:
                    faults.one()
                    time.sleep(faults.choose.random())
            finally:
                clients.end()
            say("%s; %s; slowest %.2f s", faults.done, clients.counts,
                clients.slowest)
            self.assertEqual(clients.failures, [])
            say("right after %.1f s", cluster.wait_right(seconds=60))
            self.expect_deletes(cluster, clients)
            self.expect_same_resources(cluster, before)
            daemons = faults.ended + [node.daemon for node in cluster.nodes]
        self.expect_no_report(daemons)


if __name__ == "__main__":
    unittest.main()
