#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=240
"""Mutations at a steady rate on every node of a group that all of them hold: what
waits is bounded, memory does not grow, and the deletes of other keys do not prevent
that fetched values are kept.

KAMA_SECONDS=60 98_sync_load.py is the long form."""
import os
import statistics
import threading
import time
import unittest

import etcdkit
from kamatest import SANITIZER, HttpOrigin, pb2, wait_until
from synckit import GROUP, SyncCluster

SECONDS = float(os.environ.get("KAMA_SECONDS", "5"))
RATE = 1000  # sets per second and node
BATCH = 50


def at_a_rate(node, act, rate, stopping):
    """Calls act(number of the batch) so often that BATCH elements of each call make
    the rate."""
    begin = time.monotonic()
    turn = 0
    while not stopping.is_set():
        act(node, turn)
        turn += 1
        stopping.wait(max(0, begin + turn * BATCH / rate - time.monotonic()))
    return turn * BATCH


def set_some(node, turn):
    entries = [pb2().MSetEntry(key=b"%s-%d" % (
        node.advertise.encode(), (turn * BATCH + i) % 2000),
        value=b"%d" % turn + bytes(100)) for i in range(BATCH)]
    node.call("MSet", group=GROUP, entries=entries)


def delete_some(node, turn):
    node.call("MDelete", group=GROUP, keys=[
        b"gone-%d" % (turn * BATCH + i) for i in range(BATCH)])


def run_for(seconds, nodes, act, rate):
    """Acts on each node for so long. Returns how many elements there were."""
    stopping = threading.Event()
    done = []
    threads = [threading.Thread(target=lambda n=node: done.append(
        at_a_rate(n, act, rate, stopping))) for node in nodes]
    for thread in threads:
        thread.start()
    stopping.wait(seconds)
    stopping.set()
    for thread in threads:
        thread.join()
    return sum(done)


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class Load(unittest.TestCase):
    def test_sets_on_every_node(self):
        with SyncCluster(3) as cluster:
            run_for(1, cluster.nodes, set_some, RATE)
            cluster.wait_applied(60)
            before = [node.daemon.memory_kib() for node in cluster.nodes]
            count = run_for(SECONDS, cluster.nodes, set_some, RATE)
            cluster.wait_applied(60)
            grown = [node.daemon.memory_kib() - kib
                     for node, kib in zip(cluster.nodes, before)]
            print("%d sets in %g s; the nodes have grown by %s KiB" % (
                count, SECONDS, grown))
            if not SANITIZER:
                self.assertLess(max(grown), 16 << 10)
            self.lags(cluster)

    @staticmethod
    def lags(cluster):
        """Prints how long a set takes to another node while others go on."""
        writer, reader = cluster.nodes[:2]
        stopping = threading.Event()
        thread = threading.Thread(target=at_a_rate, args=(
            cluster.nodes[2], set_some, RATE, stopping))
        thread.start()
        times = []
        for i in range(100):
            cluster.set(writer, b"lag", b"%d" % i)
            times.append(1e3 * cluster.wait_shown(reader, b"lag", b"%d" % i))
        stopping.set()
        thread.join()
        print("seen on another node after %.1f ms (median), %.1f ms (99 of 100)"
              % (statistics.median(times), sorted(times)[98]))

    def test_deletes_of_other_keys(self):
        """3,000 deletes per second of one node, while the two others fetch."""
        with HttpOrigin(lambda path: (200, b"v")) as origin, \
                SyncCluster(3, origin.group(GROUP)) as cluster:
            stopping = threading.Event()
            thread = threading.Thread(target=at_a_rate, args=(
                cluster.nodes[0], delete_some, 3000, stopping))
            thread.start()
            end = time.monotonic() + SECONDS
            turn = 0
            while time.monotonic() < end:
                for node in cluster.nodes[1:]:
                    node.client.get(b"fetched-%d" % turn, GROUP)
                turn += 1
            stopping.set()
            thread.join()
            kept = cluster.total("fills_kept", GROUP)
            lost = cluster.total("fills_not_kept", GROUP)
            print("%d fills were kept, %d were not" % (kept, lost))
            self.assertGreater(kept, 0)
            self.assertLessEqual(lost, 0.05 * (kept + lost))
            wait_until(lambda: cluster.applied() >= 2 * cluster.originated(),
                       60, "the deletes to arrive")


if __name__ == "__main__":
    unittest.main()
