#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=300
"""Groups whose changes wait until other nodes have acknowledged them (sync_ack): a node
that is cut off is named in time, and what one other node has acknowledged outlives the
node that has made it.

KAMA_KILLS=200 98_sync_ack.py One is the long form."""
import os
import time
import unittest

import etcdkit
import netkit
from kamatest import SLOWDOWN, Client, pb2, wait_until
from synckit import GROUP, SyncCalls, SyncCluster

KILLS = int(os.environ.get("KAMA_KILLS", "3"))
SETS = 8
V2 = "/kama.v2.Cache/"
LATE = "has not acknowledged mutations"
AGAIN = "has all mutations again"


class NetSync(SyncCalls, netkit.NetCluster):
    """The calls of a synchronized cluster on nodes in namespaces."""


class Calls:
    """kama.v2 calls on one connection, which are not awaited."""

    def __init__(self, client):
        self.client = client

    def start(self, method, timeout=30 * SLOWDOWN, **fields):
        request = getattr(pb2(), method + "Request")
        response = getattr(pb2(), method + "Response")
        call = self.client.channel.unary_unary(
            V2 + method, request_serializer=request.SerializeToString,
            response_deserializer=response.FromString)
        return call.future(request(group=GROUP, **fields), timeout=timeout)


def status_of(future):
    """The kama-status of a call that has succeeded."""
    return dict(future.trailing_metadata() or ()).get("kama-status", "KAMA_OK")


def lines(node, words, about):
    return [line for line in node.daemon.raw
            if words in line and about.advertise in line]


def p99(seconds):
    return sorted(seconds)[len(seconds) * 99 // 100]


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
@unittest.skipIf(netkit.MISSING, netkit.MISSING)
class All(unittest.TestCase):
    def get_until_done(self, calls, waiting):
        """Reads one key as often as possible on the connection, and returns how long
        each read took."""
        took = []
        while not all(future.done() for future in waiting):
            begin = time.monotonic()
            self.assertEqual(calls.start("Get", key=b"read").result().value,
                             b"there")
            took.append(time.monotonic() - begin)
        return took

    def set_all(self, calls):
        """Sets some keys at once. Returns the answers, and how long each took."""
        begin = time.monotonic()
        ends = {}
        futures = []
        for i in range(SETS):
            future = calls.start("Set", key=b"key-%d" % i, value=b"v")
            future.add_done_callback(
                lambda _, n=i: ends.setdefault(n, time.monotonic() - begin))
            futures.append(future)
        return futures, ends

    def test_a_node_that_is_cut_off_is_named(self):
        """Each set is answered when sync_timeout is over, and reads on the same
        connection do not wait. When the node is back, all is acknowledged again. The
        log has one line for either."""
        with netkit.Net(3) as net, \
                NetSync(net, "--group", GROUP + ":sync_ack=all") as cluster, \
                Client(cluster.nodes[0]) as client:
            origin, _, away = cluster.nodes
            calls = Calls(client)
            answer = calls.start("Set", key=b"read", value=b"there")
            self.assertEqual(list(answer.result().unsynced), [])
            self.assertEqual(status_of(answer), "KAMA_OK")
            self.assertEqual([cluster.here(node, b"read")
                              for node in cluster.nodes], [b"there"] * 3)
            net.part([0, 1], [2])
            futures, ends = self.set_all(calls)
            gets = self.get_until_done(calls, futures)
            for future in futures:
                self.assertEqual(list(future.result().unsynced),
                                 [away.advertise])
                self.assertEqual(status_of(future), "KAMA_UNSYNCED")
            wait_until(lambda: len(ends) == SETS)
            print("sets: %.3f s to %.3f s; %d gets, p99 %.1f ms" % (
                min(ends.values()), max(ends.values()), len(gets),
                1000 * p99(gets)))
            self.assertGreater(min(ends.values()), 1.9)
            hurried = calls.start("Set", timeout=1.5, key=b"read",
                                  value=b"there").result()
            self.assertEqual(list(hurried.unsynced), [away.advertise])
            missed = calls.start("Delete", key=b"none").result()
            self.assertEqual((missed.removed, list(missed.unsynced)),
                             (False, [away.advertise]))
            cleared = calls.start("Clear").result()
            self.assertEqual(list(cleared.unsynced), [away.advertise])
            net.heal()
            healed = time.monotonic()
            wait_until(lambda: not calls.start(
                "Set", key=b"again", value=b"v").result().unsynced, 30,
                "everybody to acknowledge")
            wait_until(lambda: lines(origin, AGAIN, away))
            print("in sync %.1f s after the heal" %
                  (time.monotonic() - healed))
            self.assertEqual(len(lines(origin, LATE, away)), 1)
            self.assertEqual(len(lines(origin, AGAIN, away)), 1)
            # A set that is older than the clear at that node would not be kept.
            after = calls.start("Set", key=b"after", value=b"v").result()
            self.assertEqual(list(after.unsynced), [])
            keys = [b"key-%d" % i for i in range(SETS)]
            self.assertEqual(cluster.shown(away, [b"read", *keys, b"after"]),
                             [None] * (1 + SETS) + [b"v"])

    def test_a_node_that_is_alone_waits_for_nobody(self):
        with SyncCluster(1, GROUP + ":sync_ack=all") as cluster, \
                Client(cluster.nodes[0]) as client:
            answer = Calls(client).start("Set", key=b"k", value=b"v")
            self.assertEqual(list(answer.result().unsynced), [])


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class One(unittest.TestCase):
    def kill_after_an_answer(self, cluster, turn):
        """A node is killed as soon as its changes are acknowledged. Returns the keys of
        a delete and of a set."""
        origin = cluster.nodes[turn % 3]
        gone = b"gone-%d" % turn
        changed = b"changed-%d" % turn
        for key in (gone, changed):
            cluster.set(origin, key, b"old")
            for node in cluster.nodes:
                cluster.wait_shown(node, key, b"old")
        with Client(origin) as client:
            calls = Calls(client)
            futures = [calls.start("Delete", key=gone),
                       calls.start("Set", key=changed, value=b"new")]
            for future in futures:
                self.assertEqual(list(future.result().unsynced), [])
        origin.kill()
        origin.start()
        cluster.wait_view()
        return gone, changed

    def test_what_is_acknowledged_outlives_its_node(self):
        """No delete is undone, and nothing is stale. Without a loader a set may be
        lost, but an older value does not come back."""
        lost = 0
        with SyncCluster(3, GROUP + ":sync_ack=one") as cluster:
            for turn in range(KILLS):
                gone, changed = self.kill_after_an_answer(cluster, turn)

                def settled(keys=(gone, changed)):
                    return all(shown in ([None, None], [None, b"new"])
                               for shown in (cluster.shown(node, keys)
                                             for node in cluster.nodes))
                wait_until(settled, 10, "nothing old to be shown")
                cluster.wait_heard(cluster.nodes[0])
                self.assertTrue(settled())
                lost += all(cluster.here(node, changed) is None
                            for node in cluster.nodes)
        print("%d kills, %d sets lost" % (KILLS, lost))


if __name__ == "__main__":
    unittest.main()
