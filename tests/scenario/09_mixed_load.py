#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""Everything at once: many clients read, write, clear, list, cancel and leave
while loads run, and the node drains under that load."""
import random
import threading
import unittest

import grpc

import kamatest
from kamatest import Client, Daemon, HttpOrigin

THREADS = 6
CALLS = 250
SEED = random.randrange(1 << 30)

# What a caller may hear: of the load, of its own cancel or deadline, of a node
# that goes away.
EXPECTED = {"KAMA_MISS", "KAMA_ERR_LOADER", "KAMA_ERR_TIMEOUT", "CANCELLED",
            "DEADLINE_EXCEEDED", "KAMA_ERR_CANCELLED", "KAMA_ERR_TOO_LARGE"}
GOING_AWAY = {"UNAVAILABLE", "KAMA_ERR_CLOSED", "KAMA_ERR_CANCELLED"}


def answer(path):
    """Slow, failing, absent and large, by what the key ends in."""
    kind = path[-1]
    if kind in "01":
        threading.Event().wait(0.05)
    return {"2": (500, b""), "3": (404, b""), "4": (200, b"x" * 5000)}.get(
        kind, (200, b"value"))


class Caller(threading.Thread):
    """One client that does something else each time."""

    def __init__(self, node, number):
        super().__init__()
        self.node = node
        self.rng = random.Random(SEED + number)
        self.client = None
        self.done = 0
        self.surprises = []
        self.going_away = threading.Event()

    def run(self):
        self.client = Client(self.node)
        while self.done < CALLS and not self.surprises:
            try:
                self.one()
            except grpc.RpcError as error:
                self.judge(error)
            self.done += 1
        self.client.close()

    def judge(self, error):
        status = kamatest.kama_status(error)
        if status in EXPECTED or (
                self.going_away.is_set() and status in GOING_AWAY):
            return
        self.surprises.append((status, error.details()))

    def one(self):
        key = b"%d" % self.rng.randrange(60)
        action = self.rng.randrange(20)
        if action < 10:
            self.client.get(key, "g", timeout=self.rng.choice((0.02, 5)))
        elif action < 13:
            self.client.set(key, bytes(self.rng.randrange(3000)), "g")
        elif action < 15:
            self.client.delete(key, "g")
        elif action < 16:
            self.client.get_future(key, "g").cancel()
        elif action < 17:
            kamatest.v2(self.client.channel, "Clear",
                        kamatest.pb2().ClearRequest(group="g"))
        elif action < 18:
            self.client.stats("g")
        elif action < 19:
            request = kamatest.pb2().MGetRequest(
                group="g", keys=[b"%d" % i for i in range(20)])
            kamatest.v2(self.client.channel, "MGet", request)
        else:
            self.client.close()  # with whatever is under way
            self.client = Client(self.node,
                                 connected=not self.going_away.is_set())


class MixedLoad(unittest.TestCase):
    def start(self, node):
        callers = [Caller(node, i) for i in range(THREADS)]
        for caller in callers:
            caller.start()
        return callers

    def join(self, callers):
        for caller in callers:
            caller.join()
            self.assertEqual(caller.surprises, [], "seed %d" % SEED)

    def test_everything(self):
        """The counters add up when it is quiet again, and nothing is left."""
        kamatest.pb2()
        with HttpOrigin(answer) as origin, \
                Daemon("--group", origin.group(
                    "g", max_bytes="1m", max_value_bytes="4k",
                    loader_concurrency=8)) as node, Client(node) as client:
            self.join(self.start(node))
            kamatest.wait_until(lambda: client.stats("g").loads_running == 0)
            stats = client.stats("g")
            self.assertEqual(stats.gets, stats.hits + stats.negative_hits
                             + stats.misses)
            self.assertGreaterEqual(stats.misses,
                                    stats.loads_coalesced)
            self.assertLessEqual(stats.bytes, stats.max_bytes)
            self.assertGreater(stats.loads_coalesced + stats.loads, 0)

    def test_drain_under_load(self):
        kamatest.pb2()
        with HttpOrigin(answer) as origin:
            node = Daemon("--group", origin.group(
                "g", max_bytes="1m", max_value_bytes="4k"))
            callers = self.start(node)
            kamatest.wait_until(lambda: all(c.done > 30 or c.surprises
                                            for c in callers), 30)
            for caller in callers:
                caller.going_away.set()
            node.stop()
            self.join(callers)
            self.assertEqual(node.wait_line("stopped")["drain"], "complete")


if __name__ == "__main__":
    kamatest.main()
