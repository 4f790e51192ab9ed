#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=60
"""A Set or Delete during a load wins: those who waited get what was loaded,
nobody after them does."""
import threading
import unittest

import kamatest
from kamatest import Client, Daemon, HttpOrigin, parse


class SlowOrigin(HttpOrigin):
    """Counts up; the first answer waits for the gate."""

    def __init__(self):
        self.gate = threading.Event()
        super().__init__(self.answer)

    def answer(self, _path):
        number = len(self.requests)
        if number == 1:
            self.gate.wait(60)
        return 200, b"loaded %d" % number


class Overtake(unittest.TestCase):
    def run_with(self, mutate):
        """(what the waiters got, what a Get afterwards got, loads)"""
        with SlowOrigin() as origin, \
                Daemon("--group", origin.group("g", loader_timeout="30s")) \
                as node, Client(node) as client:
            waiters = [client.get_future(b"k", "g") for _ in range(5)]
            kamatest.wait_until(
                lambda: origin.requests
                and client.stats("g").loads_coalesced == 4)
            mutate(client)
            # A Get that begins now must not wait for the overtaken load.
            during = client.get(b"k", "g")
            origin.gate.set()
            got = {parse(waiter.result())[1] for waiter in waiters}
            kamatest.wait_until(lambda: client.stats("g").loads_running == 0)
            after = client.get(b"k", "g")
            self.assertEqual(client.stats("g").loads_overtaken, 1)
            return got, during, after, len(origin.requests)

    def test_set(self):
        self.assertEqual(
            self.run_with(lambda c: c.set(b"k", b"written", "g")),
            ({b"loaded 1"}, b"written", b"written", 1))

    def test_delete(self):
        self.assertEqual(
            self.run_with(lambda c: c.delete(b"k", "g")),
            ({b"loaded 1"}, b"loaded 2", b"loaded 2", 2))

    def test_clear(self):
        def clear(client):
            kamatest.v2(client.channel, "Clear",
                        kamatest.pb2().ClearRequest(group="g"))
        self.assertEqual(self.run_with(clear),
                         ({b"loaded 1"}, b"loaded 2", b"loaded 2", 2))

    def test_other_key(self):
        """A mutation of another key overtakes nothing."""
        with SlowOrigin() as origin, \
                Daemon("--group", origin.group("g")) as node, \
                Client(node) as client:
            waiter = client.get_future(b"k", "g")
            kamatest.wait_until(lambda: origin.requests)
            client.delete(b"other", "g")
            client.set(b"another", b"v", "g")
            origin.gate.set()
            self.assertEqual(parse(waiter.result())[1], b"loaded 1")
            self.assertEqual(client.get(b"k", "g"), b"loaded 1")
            self.assertEqual(client.stats("g").loads_overtaken, 0)


if __name__ == "__main__":
    kamatest.main()
