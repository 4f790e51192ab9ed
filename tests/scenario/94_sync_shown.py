#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=180
"""The streams of mutations as people see them on three real nodes: peers, explain,
the admin port, the metrics and doctor say the same, while all is well and while a
node stands still."""
import json
import unittest
import urllib.request

import etcdkit
import kamatest
import metricskit
from clikit import cli, cli_json
from kamatest import pb2, wait_until
from metricskit import read, total
from synckit import SyncCluster


class Looking(unittest.TestCase):
    """Three nodes of its own for each class."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = SyncCluster(3, "g:max_bytes=8m,sync=broadcast")
        cls.addClassCleanup(cls.cluster.close)

    @staticmethod
    def peers(node):
        """{address: stream} of the other members; each has one."""
        _, view = cli_json(node, "peers")
        streams = {m["address"]: m["stream"] for m in view["members"]
                   if not m["self"]}
        assert None not in streams.values(), view
        return streams

    @staticmethod
    def sync(node):
        with urllib.request.urlopen("http://%s/api/v1/sync" %
                                    node.daemon.admin, timeout=20) as answer:
            return json.load(answer)

    def explain(self, node, key):
        _, answer = cli_json(node, "-g", "g", "explain", key)
        return {copy["address"]: copy for copy in answer["copies"]}

    @staticmethod
    def states(node, peer):
        """The states in which the metrics of the node show the peer: one."""
        samples = read(metricskit.scrape(node.daemon))
        return [state for state in ("in_sync", "lagging", "unsynced", "gapped",
                                    "down")
                if total(samples, "kamacache_sync_peer_state",
                         peer=peer.advertise, state=state) == 1]

    def wait_acked(self, node, others):
        """Waits until the others have acknowledged all of the node's mutations,
        and returns the number of the newest one."""
        seq = self.sync(node)["log"]["seq"]
        wait_until(lambda: all(self.peers(node)[o.advertise]["acked"] == seq
                               for o in others), what="acknowledgements")
        return seq

    def wait_applied(self, node, origin, seq):
        """Waits until the node shows that it has applied the origin's mutations
        up to this one, and returns the stream."""
        def applied():
            stream = self.peers(node)[origin.advertise]
            return stream["applied"] == seq and stream
        return wait_until(applied, what="mutations to be applied")


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class Streams(Looking):
    def test_all_surfaces_agree(self):
        origin, *others = self.cluster.nodes
        before = self.wait_acked(origin, others)
        for i in range(20):
            origin.client.set(b"n-%d" % i, b"v", "g")
        seq = self.wait_acked(origin, others)
        self.assertEqual(seq, before + 20)
        shown = self.sync(origin)
        self.assertEqual({m["address"]: m["stream"]["acked"]
                          for m in shown["members"]},
                         {o.advertise: seq for o in others})
        self.assertGreater(shown["log"]["bytes"], 20 * 48)
        samples = read(metricskit.scrape(origin.daemon))
        self.assertEqual(total(samples, "kamacache_sync_seq"), seq)
        self.assertEqual(total(samples, "kamacache_sync_connected"), 2)
        self.assertEqual(total(samples, "kamacache_sync_unsynced"), 0)
        for other in others:
            stream = self.wait_applied(other, origin, seq)
            self.assertEqual((stream["state"], stream["gaps"],
                              stream["duplicates"]), ("in_sync", 0, 0))
            samples = read(metricskit.scrape(other.daemon))
            self.assertEqual(total(samples, "kamacache_sync_applied_seq",
                                   peer=origin.advertise), seq)
            self.assertEqual(total(samples, "kamacache_sync_mutations_total",
                                   peer=origin.advertise, result="applied"),
                             stream["received"])
        if metricskit.PROMTOOL:
            self.assertEqual(
                metricskit.check(metricskit.scrape(origin.daemon)), "")
        lines = cli(origin, "peers").stdout.decode().splitlines()[1:]
        self.assertEqual(sorted(line.split()[-3] for line in lines),
                         ["-", "in_sync", "in_sync"])

    def test_explain_shows_where_a_key_was_changed(self):
        """Each copy has the same version, and the record is in the log of the node
        at which it began, and in no other one."""
        origin, *others = self.cluster.nodes
        origin.client.set(b"told", b"v", "g")
        self.wait_acked(origin, others)
        copies = self.explain(others[0], "told")
        stamps = [copy["stamp"] for copy in copies.values()]
        self.assertEqual(stamps, [stamps[0]] * 3)
        self.assertEqual(stamps[0]["address"], origin.advertise)
        record = copies[origin.advertise]["record"]
        self.assertEqual((record["operation"], record["version"]),
                         ("set", stamps[0]))
        for other in others:
            copy = copies[other.advertise]
            self.assertEqual((copy["kind"], copy["get"],
                              copy["record"]["operation"]),
                             ("explicit", "hit", "none"))
        others[1].client.delete(b"told", "g")
        self.wait_acked(others[1], [origin, others[0]])
        copies = self.explain(origin, "told")
        self.assertEqual({(c["held"], c["absence"])
                          for c in copies.values()}, {(False, "deleted")})
        self.assertEqual([copies[n.advertise]["record"]["operation"]
                          for n in (origin, *others)],
                         ["set", "none", "delete"])
        self.assertGreater(
            copies[others[1].advertise]["record"]["version"]["unix_ms"],
            record["version"]["unix_ms"] - 1)

    def test_a_node_that_stands_still_is_behind(self):
        """It is unsynced after sync_timeout, with a lag and a queue that say how
        far; and in sync again when it goes on."""
        origin, frozen, _ = self.cluster.nodes
        self.wait_acked(origin, self.cluster.nodes[1:])
        frozen.freeze()
        for i in range(5):
            origin.client.set(b"late-%d" % i, b"v", "g")

        def unsynced():
            stream = self.peers(origin)[frozen.advertise]
            return stream["unsynced"] and stream
        stream = wait_until(unsynced, 10, what="unsynced")
        self.assertEqual(stream["lag_entries"], 5)
        self.assertGreaterEqual(stream["lag_ns"], 2 * 10 ** 9)
        line, = [line for line in
                 cli(origin, "peers").stdout.decode().splitlines()
                 if line.startswith(frozen.advertise)]
        self.assertRegex(line, r" unsynced +\d+s +5$")
        self.assertEqual(self.states(origin, frozen), ["unsynced"])
        frozen.thaw()
        self.wait_acked(origin, self.cluster.nodes[1:])
        wait_until(lambda: not self.peers(origin)[frozen.advertise]["unsynced"])
        wait_until(lambda: self.peers(frozen)[origin.advertise]["state"] ==
                   "in_sync")
        wait_until(lambda: self.states(origin, frozen) == ["in_sync"])
        self.assertEqual(self.peers(frozen)[origin.advertise]["gaps"], 0)


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class Gaps(Looking):
    def test_a_gap_is_told(self):
        """A node that stands still while more is written than the log holds has a
        gap, which doctor warns of and which is no failure."""
        origin, frozen, _ = self.cluster.nodes
        self.wait_acked(origin, self.cluster.nodes[1:])
        self.assertEqual(self.peers(frozen)[origin.advertise]["gaps"], 0)
        # A gap of a node that has just started is none to warn of.
        wait_until(lambda: cli_json(frozen, "node")[1]["uptime_ms"] > 3000)
        frozen.freeze()
        for part in range(25):
            origin.call("MSet", group="g", entries=[
                pb2().MSetEntry(key=b"%d-%d-" % (part, i) + b"k" * 1000)
                for i in range(1000)])
        frozen.thaw()
        stream = wait_until(
            lambda: (s := self.peers(frozen)[origin.advertise])["gaps"] and s)
        self.assertLess(stream["gap_age_ms"], 20000 * kamatest.SLOWDOWN)
        self.wait_applied(frozen, origin,
                          self.wait_acked(origin, self.cluster.nodes[1:]))
        self.assertEqual(self.peers(origin)[frozen.advertise]["gaps_sent"],
                         self.peers(frozen)[origin.advertise]["gaps"])
        self.cluster.wait_view()
        _, report = cli_json(origin, "doctor")
        gaps = [(f["severity"], f["member"], f["other"])
                for f in report["findings"] if f["id"] == "member-gap"]
        self.assertIn(("warn", frozen.advertise, origin.advertise), gaps)


if __name__ == "__main__":
    kamatest.main()
