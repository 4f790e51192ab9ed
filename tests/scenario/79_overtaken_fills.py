#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""A get that begins after an acknowledged change never receives what was before
it, on no node, although older gets of the key still wait there for the owner.

    79_overtaken_fills.py [ROUNDS]
"""
import sys
import threading
import unittest

import etcdkit
import kamatest
from clusterkit import Cluster
from kamatest import Client, HttpOrigin, parse, wait_until

ROUNDS = 3
GROUP = "g"


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class OvertakenFills(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.database = {}  # path: value
        cls.gates = {}  # path: Event until which the first answer waits
        cls.origin = HttpOrigin(cls.answer)
        cls.addClassCleanup(cls.origin.__exit__)
        cls.cluster = Cluster(
            3, "--group", cls.origin.group(GROUP, loader_timeout="30s",
                                           sync="owner"))
        cls.addClassCleanup(cls.cluster.close)
        cls.nodes = cls.cluster.nodes

    @classmethod
    def answer(cls, path):
        """What the database said when it was asked."""
        value = cls.database[path]
        gate = cls.gates.pop(path, None)
        if gate is not None:
            gate.wait(60)
        return 200, value

    def coalesced(self, node):
        return node.stats(GROUP).loads_coalesced

    def late_gets(self, client, node, key):
        """Gets of all methods that begin now; they wait for the older get."""
        before = self.coalesced(node)
        futures = [client.get_future(key, GROUP, timeout=30)
                   for _ in range(3)]
        answers = []

        def many():
            items = node.call("MGet", group=GROUP, keys=[key]).items
            answers.extend(item.value for item in items)
        thread = threading.Thread(target=many)
        thread.start()
        wait_until(lambda: self.coalesced(node) - before >= 4,
                   what="the gets to wait for the older one")
        return futures, thread, answers

    def overtake(self, key, change, after):
        """Every node but the owner has a get of the key under way when `change`
        is made through the third node."""
        owner = self.cluster.owner(key, GROUP)
        asker, writer = [node for node in self.nodes if node is not owner]
        path = "/" + key.decode()
        self.database[path] = b"old"
        gate = self.gates[path] = threading.Event()
        self.addCleanup(gate.set)
        with Client(asker) as client:
            first = client.get_future(key, GROUP, timeout=30)
            wait_until(lambda: path in self.origin.requests)
            self.database[path] = b"from the database"
            change(writer, key)
            futures, thread, answers = self.late_gets(client, asker, key)
            gate.set()
            self.assertEqual(parse(first.result())[1], b"old")
            self.assertEqual([parse(f.result())[1] for f in futures],
                             [after] * 3)
            thread.join()
            self.assertEqual(answers, [after])
            for node in self.nodes:
                self.assertEqual(
                    node.call("Get", group=GROUP, key=key).value, after)

    def test_delete(self):
        for i in range(ROUNDS):
            self.overtake(b"deleted-%d" % i, lambda node, key: node.call(
                "Delete", group=GROUP, key=key), b"from the database")

    def test_set(self):
        for i in range(ROUNDS):
            self.overtake(b"set-%d" % i, lambda node, key: node.call(
                "Set", group=GROUP, key=key, value=b"set"), b"set")

    def test_what_was_written_is_read_while_others_read(self):
        """One client writes through one node, and reads through another one,
        where many others read the same key all the time."""
        key = b"hot"
        owner = self.cluster.owner(key, GROUP)
        asker, writer = [node for node in self.nodes if node is not owner]
        self.database["/hot"] = b"0"
        stop = threading.Event()

        def read():
            with Client(asker) as client:
                while not stop.is_set():
                    client.get(key, GROUP)
        readers = [threading.Thread(target=read) for _ in range(6)]
        for reader in readers:
            reader.start()
        try:
            with Client(asker) as client, Client(writer) as change:
                for i in range(100 * ROUNDS):
                    value = b"%d" % i
                    change.set(key, value, GROUP)
                    self.assertEqual(client.get(key, GROUP), value)
        finally:
            stop.set()
            for reader in readers:
                reader.join()


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].isdigit():
        ROUNDS = int(sys.argv.pop(1))
    kamatest.main()
