#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=300
"""Nodes that come and go, and a registry that loses its data, under a group that
every node holds: nobody drops an entry because of it."""
import os
import random
import threading
import time
import unittest

import etcdkit
from etcdkit import TcpProxy
from kamatest import Client, HttpOrigin, wait_until
from synckit import GROUP, SyncCluster, quietly

KEYS = [b"key-%d" % i for i in range(300)]
SECONDS = float(os.environ.get("KAMA_SECONDS", "3"))


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class Life(unittest.TestCase):
    def filled(self, origin, **options):
        """A cluster in which every node has fetched every key."""
        cluster = SyncCluster(3, origin.group(GROUP), **options)
        self.addCleanup(cluster.close)
        for node in cluster.nodes:
            for key in KEYS:
                node.client.get(key, GROUP)
            self.assertEqual(node.entries(GROUP), len(KEYS))
        return cluster

    def test_a_node_is_told_to_stop(self):
        with HttpOrigin(lambda path: (200, b"v")) as origin:
            cluster = self.filled(origin)
            begin = time.monotonic()
            cluster.nodes[1].stop()
            print("stopped after %.2f s" % (time.monotonic() - begin))
            cluster.wait_view()
            for node in cluster.running():
                self.assertEqual(node.entries(GROUP), len(KEYS))
            loads = len(origin.requests)
            for node in cluster.running():
                for key in KEYS:
                    node.client.get(key, GROUP)
            self.assertEqual(len(origin.requests), loads)

    def test_the_registry_loses_its_data(self):
        with HttpOrigin(lambda path: (200, b"v")) as origin:
            cluster = self.filled(origin)
            ids = [node.node().id for node in cluster.nodes]
            cluster.set(cluster.nodes[0], b"set", b"value")
            cluster.wait_shown(cluster.nodes[2], b"set", b"value")
            cluster.etcd.restart(empty=True)
            wait_until(lambda: all(
                node.node().id != old
                for node, old in zip(cluster.nodes, ids)), 60, "new ids")
            cluster.wait_view(seconds=60)
            for node in cluster.nodes:
                self.assertEqual(node.entries(GROUP), len(KEYS) + 1)
            cluster.set(cluster.nodes[1], b"set", b"again")
            cluster.wait_shown(cluster.nodes[0], b"set", b"again")

    def test_a_rolling_restart_does_not_hit_the_origin(self):
        """Readers of every node that runs are answered throughout."""
        with HttpOrigin(lambda path: (200, b"v")) as origin:
            cluster = self.filled(origin)
            stopping = threading.Event()
            failed = []
            reads = []

            def read():
                choose = random.Random(1)
                turn = 0
                while not stopping.is_set():
                    for node in cluster.nodes:
                        if node not in resting and not quietly(
                                lambda n=node, k=choose.choice(KEYS):
                                clients[n].get(k, GROUP)):
                            failed.append(node not in resting)
                        turn += 1
                reads.append(turn)
            resting = set()
            clients = {node: Client(node) for node in cluster.nodes}
            thread = threading.Thread(target=read)
            thread.start()
            before = len(origin.requests)
            for node in cluster.nodes:
                resting.add(node)
                stopping.wait(0.3)
                node.stop()
                node.start()
                cluster.wait_view()
                clients[node].close()
                clients[node] = Client(node)
                resting.discard(node)
                stopping.wait(SECONDS)
            stopping.set()
            thread.join()
            for client in clients.values():
                client.close()
            loads = len(origin.requests) - before
            print("%d reads, %d loads of %d keys, %d failed" % (
                reads[0], loads, len(KEYS), sum(failed)))
            self.assertEqual(sum(failed), 0)
            self.assertLessEqual(loads, len(KEYS) // 10)

    def test_a_node_that_has_served_alone_begins_empty(self):
        """Nobody has told it what was changed meanwhile."""
        value = [b"old"]
        with HttpOrigin(lambda path: (200, value[0])) as origin, \
                SyncCluster(1, origin.group(GROUP)) as cluster:
            proxy = TcpProxy(cluster.etcd.address)
            self.addCleanup(proxy.close)
            proxy.stall()
            late = cluster.add("--start-timeout=1s")
            late.etcd = proxy.address
            late.start()
            self.assertEqual(late.client.get(b"key", GROUP), b"old")
            self.assertEqual(cluster.here(late, b"key"), b"old")
            value[0] = b"new"
            cluster.delete(cluster.nodes[0], b"key")
            cluster.nodes[0].stop()
            cluster.nodes[0].start()
            proxy.flow()
            cluster.wait_view()
            self.assertEqual(late.client.get(b"key", GROUP), b"new")

    def test_a_node_dies(self):
        """Nobody knows what it has changed last. A group that has promised that
        nothing is undone (sync_ack) keeps nothing that may be stale; any other one
        without a loader keeps everything."""
        with SyncCluster(3, GROUP, "--group", "acked:sync_ack=one") as cluster:
            first, second, victim = cluster.nodes
            for group in (GROUP, "acked"):
                first.call("Set", group=group, key=b"key", value=b"value")
                cluster.wait_heard(first, group=group)
                self.assertEqual(cluster.here(second, b"key", group), b"value")
            victim.kill()
            cluster.wait_view()
            for node in (first, second):
                wait_until(lambda: cluster.here(node, b"key", "acked") is None)
                self.assertEqual(cluster.here(node, b"key"), b"value")

    def test_a_group_that_only_one_node_has(self):
        """What was skipped does not come back when another node has it, too."""
        with SyncCluster(2, GROUP) as cluster:
            late = cluster.add()
            late.arguments = ["--group", "another"]
            late.start()
            cluster.wait_view()
            cluster.set(cluster.nodes[0], b"key", b"value")
            cluster.wait_shown(cluster.nodes[1], b"key", b"value")
            late.stop()
            late.arguments = ["--group", GROUP]
            late.start()
            cluster.wait_view()
            cluster.set(cluster.nodes[1], b"key", b"newer")
            cluster.wait_shown(late, b"key", b"newer")


if __name__ == "__main__":
    unittest.main()
