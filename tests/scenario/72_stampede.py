#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=90
"""Many ask three nodes for a key that nobody has: one load in the cluster,
whoever owns the key, and however the load ends."""
import contextlib
import threading
import time
import unittest

import grpc

import etcdkit
import kamatest
from clusterkit import Cluster
from kamatest import Client, Folder, HttpOrigin, parse, wait_until

LOAD_SECONDS = 0.3


def outcome(call):
    """kama-status and value of a call."""
    try:
        return "KAMA_OK", parse(call.result())[1]
    except grpc.RpcError as error:
        return kamatest.kama_status(error), None


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class Stampede(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Folder()
        cls.addClassCleanup(cls.folder.__exit__)
        script = cls.folder.script(
            "slow", 'echo "$1" >> "%s/log"; sleep %.1f; printf "v-$1"\n'
            % (cls.folder.path, LOAD_SECONDS))
        cls.gates = {}  # path: (Event until which it waits, status)
        cls.origin = HttpOrigin(cls.answer)
        cls.addClassCleanup(cls.origin.__exit__)
        cls.cluster = Cluster(
            3, "--group", kamatest.group("g", loader="exec:%s {key}" % script,
                                         loader_timeout="30s"),
            "--group", kamatest.group("owned", sync="owner",
                                      loader="exec:%s {key}" % script),
            "--group", cls.origin.group("web", loader_timeout="30s"))
        cls.addClassCleanup(cls.cluster.close)

    @classmethod
    def answer(cls, path):
        gate, status = cls.gates[path]
        gate.wait(60)
        return status, b"from the web"

    def clients(self, per_node=1):
        """per_node connections to each node, each one of its own."""
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        return [stack.enter_context(Client(node))
                for _ in range(per_node) for node in self.cluster.nodes]

    def ask(self, key, count, per_node, group):
        """count concurrent Gets; their outcomes and the seconds that they
        took together."""
        clients = self.clients(per_node)
        begin = time.monotonic()
        calls = [clients[i % len(clients)].get_future(key, group, timeout=30)
                 for i in range(count)]
        outcomes = {outcome(call) for call in calls}
        return outcomes, time.monotonic() - begin

    def expect_one_load(self, key, count, per_node=1, group="g"):
        before = self.cluster.loads(group)
        outcomes, seconds = self.ask(key, count, per_node, group)
        print("%d gets of one key on 3 nodes: %.2f x the load" %
              (count, seconds / LOAD_SECONDS))
        self.assertEqual(outcomes, {("KAMA_OK", b"v-" + key)})
        self.assertEqual(self.cluster.loads(group) - before, 1)
        lines = self.folder.read("log").split()
        self.assertEqual(lines.count(key), 1)

    def test_300_gets_for_each_owner(self):
        """The owner may be any of the three."""
        for node in self.cluster.nodes:
            self.expect_one_load(
                self.cluster.key_of(node, "g", b"three-hundred"), 300)

    def test_3000_gets(self):
        """Ten connections to each node."""
        self.expect_one_load(b"three-thousand", 3000, 10)

    def test_the_owner_alone_keeps_the_value(self):
        owner, first, second = self.cluster.nodes
        key = self.cluster.key_of(owner, "owned", b"kept")
        before = [node.entries("owned") for node in self.cluster.nodes]
        self.expect_one_load(key, 30, group="owned")
        after = [node.entries("owned") for node in self.cluster.nodes]
        self.assertEqual([a - b for a, b in zip(after, before)], [1, 0, 0])
        hits = first.stats("owned").peer_hits + second.stats("owned").peer_hits
        self.assertGreater(hits, 0)

    def test_an_error_is_one_load(self):
        """All get the loader's sentence, and nobody loads again. Of 20 gets on
        each node, and two fills at the owner, one leads. A fill's answer is for
        the gets that began at least as long before the load ended as the fill
        took to reach the owner; so the load lasts that much longer."""
        gate = threading.Event()
        self.gates["/broken"] = gate, 500
        self.addCleanup(gate.set)
        begin = time.monotonic()
        calls = [client.get_future(b"broken", "web", timeout=30)
                 for client in self.clients() for _ in range(20)]
        wait_until(lambda: self.cluster.total("loads_coalesced", "web") >= 59,
                   what="all gets to wait for one load")
        time.sleep(2 * (time.monotonic() - begin))
        gate.set()
        self.assertEqual({outcome(call)[0] for call in calls},
                         {"KAMA_ERR_LOADER"})
        self.assertEqual(self.origin.requests, ["/broken"])
        self.assertEqual(self.cluster.loads("web"), 1)


if __name__ == "__main__":
    kamatest.main()
