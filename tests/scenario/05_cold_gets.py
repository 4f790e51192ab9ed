#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""Many ask for a key that nobody has: one load, and every way it can end."""
import threading
import unittest

import grpc

import kamatest
from kamatest import Client, Daemon, Folder, HttpOrigin, parse

CALLERS = 300


def code(call):
    """kama-status and text of a call that fails."""
    try:
        return "KAMA_OK", parse(call.result())[1]
    except grpc.RpcError as error:
        return kamatest.kama_status(error), error.details()


class ColdGets(unittest.TestCase):
    def test_one_load(self):
        """300 concurrent Gets, a program that takes 300 ms: it runs once."""
        with Folder() as folder:
            script = folder.script(
                "slow", 'echo "$1" >> "%s/log"; sleep 0.3; printf "v-$1"\n'
                % folder.path)
            with Daemon("--group", kamatest.group(
                    "g", loader="exec:%s {key}" % script)) as node, \
                    Client(node) as client:
                calls = [client.get_future(b"key", "g")
                         for _ in range(CALLERS)]
                self.assertEqual({code(call) for call in calls},
                                 {("KAMA_OK", b"v-key")})
                self.assertEqual(folder.read("log"), b"key\n")
                stats = client.stats("g")
                self.assertEqual(
                    (stats.gets, stats.loads, stats.loads_coalesced
                     + stats.hits, stats.entries),
                    (CALLERS, 1, CALLERS - 1, 1))

    def test_leader_leaves(self):
        """Who asked first disconnects; the others get the value all the same,
        and it is kept."""
        gate = threading.Event()

        def answer(_path):
            gate.wait(60)
            return 200, b"value"
        with HttpOrigin(answer) as origin, \
                Daemon("--group", origin.group("g", loader_timeout="30s")) \
                as node, Client(node) as client:
            leader = Client(node)
            first = leader.get_future(b"key", "g")
            kamatest.wait_until(lambda: origin.requests)
            calls = [client.get_future(b"key", "g") for _ in range(20)]
            kamatest.wait_until(
                lambda: client.stats("g").loads_coalesced == len(calls))
            first.cancel()
            leader.close()
            gate.set()
            self.assertEqual({code(call) for call in calls},
                             {("KAMA_OK", b"value")})
            self.assertEqual(client.get(b"key", "g"), b"value")
            self.assertEqual(origin.requests, ["/key"])

    def test_all_leave(self):
        """Nobody waits any more when the value comes; the node lives on."""
        gate = threading.Event()

        def answer(_path):
            gate.wait(60)
            return 200, b"value"
        with HttpOrigin(answer) as origin, \
                Daemon("--group", origin.group("g", loader_timeout="30s")) \
                as node, Client(node) as client:
            calls = [client.get_future(b"key", "g") for _ in range(10)]
            kamatest.wait_until(lambda: origin.requests)
            for call in calls:
                call.cancel()
            gate.set()
            kamatest.wait_until(lambda: client.stats("g").loads_running == 0)
            self.assertEqual(client.get(b"key", "g"), b"value")

    def test_deadline_of_a_caller(self):
        """A caller's deadline bounds that caller, not the load."""
        gate = threading.Event()

        def answer(_path):
            gate.wait(60)
            return 200, b"value"
        with HttpOrigin(answer) as origin, \
                Daemon("--group", origin.group("g", loader_timeout="30s")) \
                as node, Client(node) as client:
            patient = client.get_future(b"key", "g", timeout=20)
            with self.assertRaises(grpc.RpcError) as caught:
                client.get(b"key", "g", timeout=0.2)
            self.assertEqual(caught.exception.code(),
                             grpc.StatusCode.DEADLINE_EXCEEDED)
            gate.set()
            self.assertEqual(code(patient), ("KAMA_OK", b"value"))

    def check_ending(self, answer, status, text, *more, loads=2):
        """All callers hear the same; a later one loads again."""
        with HttpOrigin(answer) as origin, \
                Daemon("--group", origin.group(
                    "g", loader_timeout="500ms", max_value_bytes="1k",
                    **dict(more))) as node, Client(node) as client:
            calls = [client.get_future(b"key", "g") for _ in range(20)]
            endings = {code(call) for call in calls}
            self.assertEqual({ending[0] for ending in endings}, {status})
            self.assertIn(text, str(endings))
            self.assertEqual(client.error(b"key", "g")[0], status)
            self.assertEqual(len(origin.requests), loads)
            kamatest.wait_until(lambda: client.stats("g").loads_running == 0)
            stats = client.stats("g")
            self.assertEqual(stats.loads, loads)
            return stats

    def test_fails(self):
        ready = threading.Barrier(1)

        def answer(_path):
            ready.wait()
            threading.Event().wait(0.1)
            return 500, b"broken"
        stats = self.check_ending(answer, "KAMA_ERR_LOADER", "500")
        self.assertEqual((stats.loads_failed, stats.entries), (2, 0))

    def test_hangs(self):
        gate = threading.Event()

        def answer(_path):
            gate.wait(10)
            return 200, b"late"
        stats = self.check_ending(answer, "KAMA_ERR_TIMEOUT", "")
        gate.set()
        self.assertEqual((stats.loads_failed, stats.entries), (2, 0))

    def test_not_found(self):
        def answer(_path):
            threading.Event().wait(0.1)
            return 404, b""
        stats = self.check_ending(answer, "KAMA_MISS", "")
        self.assertEqual((stats.loads_missed, stats.entries), (2, 0))

    def test_not_found_is_remembered(self):
        def answer(_path):
            threading.Event().wait(0.1)
            return 404, b""
        stats = self.check_ending(answer, "KAMA_MISS", "",
                                  ("negative_ttl", "1h"), loads=1)
        self.assertEqual((stats.loads_missed, stats.negative_hits > 0),
                         (1, True))

    def test_too_large(self):
        def answer(_path):
            threading.Event().wait(0.1)
            return 200, b"x" * 1025
        stats = self.check_ending(answer, "KAMA_ERR_TOO_LARGE", "1024")
        self.assertEqual((stats.loads_failed, stats.entries), (2, 0))

    def test_nothing_leaks(self):
        """Descriptors and threads come back after loads of every ending."""
        def answer(path):
            kind = path[1:5]
            return {"fail": (500, b""), "miss": (404, b"")}.get(
                kind, (200, b"v"))
        with HttpOrigin(answer) as origin, \
                Daemon("--group", origin.group("g")) as node:
            before = node.descriptors()
            with Client(node) as client:
                calls = [client.get_future(b"%s%d" % (kind, i), "g")
                         for i in range(100)
                         for kind in (b"fail", b"miss", b"good")]
                endings = [code(call)[0] for call in calls]
                self.assertEqual({ending: endings.count(ending)
                                  for ending in endings},
                                 {"KAMA_ERR_LOADER": 100, "KAMA_MISS": 100,
                                  "KAMA_OK": 100})
            # Per load at a time, an idle connection to the origin may stay,
            # and two descriptors of curl's own.
            kamatest.wait_until(
                lambda: node.descriptors() <= before + 3 * 64)


if __name__ == "__main__":
    kamatest.main()
