#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=180
"""Loads of every ending, again and again, some of whose callers leave:
descriptors, threads and memory are in the end what they were."""
import unittest

import grpc

import kamatest
from kamatest import Client, Daemon, Folder

ROUNDS = 5
CALLS = 40
GROWTH_KIB = 2 << 10
ORIGIN = """
case $1 in
fail*) echo broken >&2; exit 3 ;;
hang*) exec sleep 60 ;;
miss*) exit 4 ;;
large*) head -c 1025 /dev/zero ;;
*) printf "v-$1" ;;
esac
"""
ENDINGS = {"fail": "KAMA_ERR_LOADER", "hang": "KAMA_ERR_TIMEOUT",
           "miss": "KAMA_MISS", "large": "KAMA_ERR_TOO_LARGE",
           "good": "KAMA_OK"}


class Endings(unittest.TestCase):
    def setUp(self):
        folder = Folder()
        self.addCleanup(folder.__exit__)
        script = folder.script("origin", ORIGIN)
        self.node = Daemon("--threads=2", "--group", kamatest.group(
            "g", loader="exec:%s {key}" % script, max_value_bytes="1k",
            loader_timeout="300ms", loader_concurrency=16))
        self.addCleanup(self.node.stop)

    def ending(self, call):
        try:
            call.result()
            return "KAMA_OK"
        except grpc.RpcError as error:
            return kamatest.kama_status(error)

    def round(self):
        """Each ending for many callers of one key; a second client, which
        leads, goes away in between."""
        with Client(self.node) as client, Client(self.node) as leader:
            for kind, status in ENDINGS.items():
                key = b"%s-key" % kind.encode()
                gone = [leader.get_future(key, "g") for _ in range(4)]
                calls = [client.get_future(key, "g") for _ in range(CALLS)]
                for call in gone:
                    call.cancel()
                self.assertEqual({self.ending(call) for call in calls},
                                 {status}, kind)
                client.delete(key, "g")
            leader.close()
            kamatest.wait_until(lambda: self.is_alone(client))
            # A call of the other client may have come after the delete.
            client.delete(b"good-key", "g")
            self.assertEqual(client.stats("g").entries, 0)

    def is_alone(self, client):
        """Is this client's connection the last, and does no load run?"""
        stats = kamatest.v2(client.channel, "Stats",
                            kamatest.pb2().StatsRequest(all=True))
        connections = {m.name: m.value for m in stats.node}["connections"]
        running = {g.name: g.loads_running for g in stats.groups}["g"]
        return connections == 1 and running == 0

    def settled(self, descriptors, threads):
        kamatest.wait_until(lambda: self.node.descriptors() <= descriptors,
                            what="%d descriptors" % descriptors)
        kamatest.wait_until(lambda: self.node.threads() <= threads,
                            what="%d threads" % threads)

    def test_all(self):
        descriptors = self.node.descriptors()
        self.round()
        threads = self.node.threads()
        memory = self.node.memory_kib("RssAnon")
        for _ in range(ROUNDS):
            self.round()
            self.settled(descriptors, max(threads, 2 + 16 + 4))
        if not kamatest.SANITIZER:
            self.assertLess(self.node.memory_kib("RssAnon") - memory,
                            GROWTH_KIB)


if __name__ == "__main__":
    kamatest.main()
