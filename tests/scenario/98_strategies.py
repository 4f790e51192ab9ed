#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=240
"""The strategies of a group (option sync) on real nodes: which nodes hold a value, which
ones hear of a change, how many bytes travel, and what is left when an owner dies; and
nodes whose strategies of a group differ are named everywhere where somebody may look."""
import collections
import itertools
import unittest
import urllib.request

import etcdkit
import kamatest
import metricskit
from clikit import cli, cli_json
from clusterkit import Cluster
from faultkit import say
from kamatest import wait_until
from metricskit import read, total
from synckit import SOON, SyncCalls


def said(node, *words):
    """The lines of the node's log with all of these words."""
    return [line["msg"] for line in list(node.daemon.lines)
            if line.get("event") == "sync" and
            all(word in line["msg"] for word in words)]


def ready_lines(node):
    """What /readyz says, with 200."""
    with urllib.request.urlopen("http://%s/readyz" % node.daemon.admin,
                                timeout=20) as answer:
        return answer.read().decode().splitlines()


def spec(name, strategy):
    """The more bytes a group may have, the more floors it has, and the fewer sets are
    refused because another key of the slot was dropped a moment later."""
    return "%s:max_bytes=256m,sync=%s" % (name, strategy)


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class Differing(unittest.TestCase):
    def test_a_node_with_another_strategy_is_named(self):
        """In the log of each node within a second after the start, once; on /readyz,
        which stays 200; by the metrics, peers, node and doctor. When the node comes
        back with the strategy of the others, that is said once as well."""
        with Cluster(2, "--group", spec("s", "broadcast"), "--group",
                     spec("same", "owner")) as cluster:
            a, b = cluster.nodes
            odd = cluster.add()
            odd.arguments[1] = spec("s", "owner")
            odd.start()
            text = ("group s has sync=broadcast here and sync=owner on " +
                    odd.advertise)
            for node in (a, b):
                wait_until(lambda n=node: said(n, text), 1,
                           "the name in the log")
                self.check_named(node, text, {odd})
            wait_until(lambda: len(said(odd, "group s has sync=owner")) == 2, 1)
            self.check_named(odd, "group s has sync=owner here and "
                             "sync=broadcast on ", {a, b})
            self.check_doctor(cluster, odd)
            odd.stop()
            odd.arguments[1] = spec("s", "broadcast")
            odd.start()
            cluster.wait_view()
            for node in (a, b, odd):
                wait_until(lambda n=node: ready_lines(n) == ["ready"])
                self.assertEqual(node.node().sync_differs, "")
            for node in (a, b):
                self.assertEqual(len(said(node, "group s has sync=")), 1)
                self.assertEqual(len(said(node, odd.advertise + " is gone, "
                                          "where group s")), 1)
            self.assertEqual(said(odd, "group s"), [])
            _, report = cli_json(a, "doctor")
            self.assertEqual([f for f in report["findings"]
                              if f["id"] == "group-sync"], [])

    def check_named(self, node, text, others):
        """Wherever the node shows itself, it names the difference."""
        wait_until(lambda: any(line.startswith("degraded: " + text)
                               for line in ready_lines(node)))
        self.assertEqual(ready_lines(node)[0], "ready")
        self.assertIn(text, node.node().sync_differs)
        self.assertIn(text, cli_json(node, "node")[1]["sync_differs"])
        addresses = {other.advertise for other in others}
        samples = read(metricskit.scrape(node.daemon))
        _, view = cli_json(node, "peers")
        for member in view["members"]:
            if member["self"]:
                continue
            differing = int(member["address"] in addresses)
            self.assertEqual(member["stream"]["differing"], differing)
            self.assertEqual(
                total(samples, "kamacache_sync_differing_groups",
                      peer=member["address"]), differing)
        self.assertEqual(cli(node, "peers").stdout.count(b",differs"),
                         len(others))

    def check_doctor(self, cluster, odd):
        """The odd one differs from the first member, or all others do."""
        _, report = cli_json(cluster.nodes[0], "doctor")
        first = min(n.advertise for n in cluster.nodes)
        self.assertEqual(
            {f["member"] for f in report["findings"]
             if f["id"] == "group-sync"},
            {n.advertise for n in cluster.nodes if n.advertise != first and
             odd.advertise in (n.advertise, first)})


STRATEGIES = ["broadcast", "invalidate", "shard:2", "peers:warm", "owner",
              "local"]
# By strategy: what the node that was called and another one answer when the owner of
# a key is dead. "other" is warm.
HAS, HAS_NOT, MAY_HAVE = "has it", "has it not", "may have it"
AFTER_DEATH = {"broadcast": (HAS, HAS), "invalidate": (HAS, MAY_HAVE),
               "shard:2": (HAS, HAS), "peers:warm": (HAS, HAS),
               "owner": (HAS_NOT, HAS_NOT), "local": (HAS, HAS_NOT)}
KEYS = [b"key-%03d" % i for i in range(60)]
VALUE_BYTES = 1000
# What else a mutation may take on the streams, in all: a Drop and its key for each
# member, its share of the frames, answers, and the heartbeats of the time it took.
BESIDE_BYTES = 400


def value_of(key, version=0, value_bytes=VALUE_BYTES):
    return (b"%s-%d." % (key, version)).ljust(value_bytes, b"v")


class Nodes(SyncCalls, Cluster):
    """Nodes with a group for each of some strategies, which has its name."""

    def __init__(self, count, strategies, warm=(), **options):
        self.strategies = strategies
        self.warm = warm
        groups = []
        for strategy in strategies:
            groups += ["--group", spec(name_of(strategy), strategy)]
        super().__init__(count, *groups, **options)

    def add(self, *extra):
        labels = (["--labels", "warm"] if len(self.nodes) in self.warm else [])
        return super().add(*extra, *labels)

    def rank(self, group, key):
        """The nodes in the order in which they come for the key."""
        addresses = self.running()[0].call("Owner", group=group,
                                           key=key).addresses
        return [self.by_address(address) for address in addresses]

    def held(self, group, key):
        """The nodes that have the key in memory themselves."""
        return {node for node in self.running()
                if self.here(node, key, group) is not None}

    def originated_at(self, group):
        return {node: node.stats(group).sync_originated
                for node in self.running()}

    def heard_by(self, group):
        """How many mutations of the group each node has applied for others."""
        return {node: node.stats(group).sync_applied
                for node in self.running()}

    def wait_heard(self, group):
        """Waits until each node has applied what all others have begun."""
        def heard():
            begun, heard_by = self.originated_at(group), self.heard_by(group)
            return all(heard_by[node] == sum(begun.values()) - begun[node]
                       for node in self.running())
        wait_until(heard, SOON, "every node to hear everything")

    def sent(self):
        """Bytes of the messages that all nodes have sent on their streams, when
        they show all mutations as sent."""
        begun = sum(sum(self.originated_at(name_of(s)).values())
                    for s in self.strategies)

        def shown():
            samples = [read(metricskit.scrape(node.daemon))
                       for node in self.running()]
            mutations = sum(total(s, "kamacache_sync_mutations_total",
                                  result="sent") for s in samples)
            return (mutations == begun * (len(samples) - 1) and
                    [sum(total(s, "kamacache_sync_bytes_total",
                               direction="sent") for s in samples)])
        return wait_until(shown, what="the figures of the streams")[0]

    def value(self, node, group, key):
        """What a get through the node answers, or None."""
        reply = node.call("Get", group=group, key=key)
        return reply.value if reply.found else None


def name_of(strategy):
    """The name of the group with the strategy."""
    return strategy.replace(":", "-")


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class Rows(unittest.TestCase):
    """The tables of docs/STRATEGIES.md, row by row, on three nodes of which the
    last one is warm. All sets go to the first one."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Nodes(3, STRATEGIES, warm={2})
        cls.addClassCleanup(cls.cluster.close)

    def check_row(self, strategy, holders, begins):
        """holders(rank): the nodes that keep a set; begins(rank): the one where it
        begins; rank: the nodes in the order in which they come for the key."""
        cluster, group = self.cluster, name_of(strategy)
        writer = cluster.nodes[0]
        ranks = {key: cluster.rank(group, key) for key in KEYS}
        begun = cluster.originated_at(group)
        sent = cluster.sent()
        for key in KEYS:
            writer.call("Set", group=group, key=key, value=value_of(key))
            # Whoever has to be asked for it: the node sees what it has set.
            self.assertEqual(cluster.value(writer, group, key), value_of(key))
        cluster.wait_heard(group)
        expected = collections.Counter(begins(rank) for rank in ranks.values())
        for node, count in cluster.originated_at(group).items():
            self.assertEqual(count - begun[node], expected[node])
        values = sum(len(set(holders(rank)) - {begins(rank)})
                     for rank in ranks.values())
        took = cluster.sent() - sent
        self.assertGreaterEqual(took, values * VALUE_BYTES)
        self.assertLess(took, values * VALUE_BYTES + len(KEYS) * BESIDE_BYTES)
        for key, rank in ranks.items():
            held = cluster.held(group, key)
            if strategy == "peers:warm":
                # It has asked for the value, and may keep the answer if it has
                # heard of the set before.
                held = held - {writer} | set(holders(rank)) & held
            self.assertEqual(held, set(holders(rank)), (strategy, key))
        self.check_reads(group)

    def check_reads(self, group):
        """Every node answers the newest value, wherever it is; also when a node has
        kept an older one, which another node then replaces or deletes."""
        cluster = self.cluster
        for node in cluster.nodes:
            for key in KEYS:
                self.assertEqual(cluster.value(node, group, key),
                                 value_of(key))
        for number, key in enumerate(KEYS):
            node = cluster.nodes[number % 3]
            if number % 4 == 0:
                node.call("Delete", group=group, key=key)
            else:
                node.call("Set", group=group, key=key, value=value_of(key, 1))
        cluster.wait_heard(group)
        for node in cluster.nodes:
            for number, key in enumerate(KEYS):
                newest = None if number % 4 == 0 else value_of(key, 1)
                self.assertIn(cluster.here(node, key, group), {newest, None})
                self.assertEqual(cluster.value(node, group, key), newest)

    def test_broadcast(self):
        writer = self.cluster.nodes[0]
        self.check_row("broadcast", lambda rank: rank, lambda rank: writer)

    def test_invalidate(self):
        writer = self.cluster.nodes[0]
        self.check_row("invalidate", lambda rank: [writer, rank[0]],
                       lambda rank: writer)

    def test_shard(self):
        writer = self.cluster.nodes[0]
        self.check_row("shard:2", lambda rank: rank[:2], lambda rank:
                       writer if writer in rank[:2] else rank[0])

    def test_peers(self):
        writer, _, warm = self.cluster.nodes
        self.check_row("peers:warm", lambda rank: [warm, rank[0]],
                       lambda rank: rank[0])

    def test_owner(self):
        """The owner has it, and every node answers it."""
        cluster = self.cluster
        for key in KEYS:
            cluster.nodes[0].call("Set", group="owner", key=key,
                                  value=value_of(key))
            self.assertEqual(cluster.held("owner", key),
                             {cluster.rank("owner", key)[0]})
            for node in cluster.nodes:
                self.assertEqual(cluster.value(node, "owner", key),
                                 value_of(key))

    def test_local(self):
        """Nothing leaves the node."""
        cluster = self.cluster
        writer = cluster.nodes[0]
        sent = cluster.sent()
        for key in KEYS:
            writer.call("Set", group="local", key=key, value=value_of(key))
        self.assertLess(cluster.sent() - sent, len(KEYS) * BESIDE_BYTES)
        for key in KEYS:
            self.assertEqual(cluster.held("local", key), {writer})
            self.assertIsNone(cluster.value(cluster.nodes[1], "local", key))
        self.assertEqual(set(cluster.heard_by("local").values()), {0})


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class Holders(unittest.TestCase):
    def test_the_owner_dies(self):
        """What the others answer then, without a loader, is the last column of the
        table."""
        with Nodes(3, STRATEGIES, warm={1}) as cluster:
            writer, other, owner = cluster.nodes
            keys = {s: list(itertools.islice(
                cluster.keys_of(owner, name_of(s)), 20)) for s in STRATEGIES}
            for strategy in STRATEGIES:
                group = name_of(strategy)
                for key in keys[strategy]:
                    writer.call("Set", group=group, key=key,
                                value=value_of(key))
                if strategy not in ("owner", "local"):
                    cluster.wait_heard(group)
            owner.kill()
            cluster.wait_view()
            for strategy, (at_writer, elsewhere) in AFTER_DEATH.items():
                for key in keys[strategy]:
                    for node, may_be in ((writer, at_writer),
                                         (other, elsewhere)):
                        value = cluster.value(node, name_of(strategy), key)
                        self.assertIn(value, {value_of(key)} if may_be == HAS
                                      else {None} if may_be == HAS_NOT
                                      else {value_of(key), None},
                                      (strategy, node))

    def test_shards_of_five_nodes(self):
        """Each key is on exactly two of them, and the memory is two fifths of that
        of broadcast."""
        with Nodes(5, ["shard:2", "broadcast"]) as cluster:
            groups = ("shard-2", "broadcast")
            # What a store needs for its first entries.
            self.set_many(cluster, groups, [b"few-%d" % i for i in range(200)], 1)
            before = [self.sums(cluster, group) for group in groups]
            keys = [b"many-%d" % i for i in range(200)]
            self.set_many(cluster, groups, keys, 60000)
            holders = {key: set(cluster.rank("shard-2", key)[:2])
                       for key in keys}
            refused = [key for key in keys
                       if cluster.held("shard-2", key) != holders[key]]
            self.assertLess(len(refused), 4)
            for key in refused:
                self.set_many(cluster, ["shard-2"], [key], 60000)
            for key in keys:
                self.assertEqual(cluster.held("shard-2", key), holders[key])
            after = [self.sums(cluster, group) for group in groups]
            (sharded, bytes_of_two), (everywhere, bytes_of_five) = [
                [a - b for a, b in zip(*pair)] for pair in zip(after, before)]
            self.assertEqual((sharded, everywhere), (2 * 200, 5 * 200))
            share = bytes_of_two / bytes_of_five
            say("memory of shard:2 beside broadcast: %.3f", share)
            self.assertTrue(0.38 < share < 0.45, share)

    @staticmethod
    def set_many(cluster, groups, keys, value_bytes):
        for number, key in enumerate(keys):
            for group in groups:
                cluster.nodes[number % 5].call(
                    "Set", group=group, key=key,
                    value=value_of(key, value_bytes=value_bytes))
        for group in groups:
            cluster.wait_heard(group)

    @staticmethod
    def sums(cluster, group):
        """(entries, bytes) of all nodes"""
        stats = [node.stats(group) for node in cluster.nodes]
        return sum(s.entries for s in stats), sum(s.bytes for s in stats)

    def test_a_label_moves(self):
        """Values are on the labelled node and on the owner; when another node has
        the label, it gets them instead."""
        with Nodes(4, ["peers:warm"], warm={3}) as cluster:
            group = "peers-warm"
            *_, next_one, warm = cluster.nodes
            self.check_named(cluster, group, warm, 0)
            for node in (warm, next_one):
                node.stop()
            warm.arguments = warm.arguments[:-2]
            next_one.arguments += ["--labels", "warm"]
            for node in (warm, next_one):
                node.start()
            cluster.wait_view()
            self.check_named(cluster, group, next_one, 1)

    def check_named(self, cluster, group, warm, version):
        for key in KEYS:
            cluster.nodes[0].call("Set", group=group, key=key,
                                  value=value_of(key, version))
        for key in KEYS:
            holders = {warm, cluster.rank(group, key)[0]}
            wait_until(lambda k=key, h=holders: cluster.held(group, k) == h,
                       SOON, "%r on %r" % (key, holders))
        for key in KEYS:
            for node in cluster.nodes:
                self.assertEqual(cluster.value(node, group, key),
                                 value_of(key, version))

    def test_nothing_is_old_where_strategies_differ(self):
        """Three nodes, of which each has another strategy, change the same keys."""
        with Nodes(1, ["broadcast"]) as cluster:
            group = "broadcast"  # its name
            for strategy in ("invalidate", "shard:2"):
                node = cluster.add()
                node.arguments[1] = spec(group, strategy)
                node.start()
            cluster.wait_view()
            for node in cluster.nodes:
                wait_until(lambda n=node: len(said(n, "has sync=")) == 2, 1)
            for version in range(8):
                newest = {}
                for number, key in enumerate(KEYS):
                    node = cluster.nodes[(number + version) % 3]
                    newest[key] = value_of(key, version)
                    if (number + version) % 5 == 0:
                        newest[key] = None
                        node.call("Delete", group=group, key=key)
                    else:
                        node.call("Set", group=group, key=key,
                                  value=newest[key])
                cluster.wait_heard(group)
                for node in cluster.nodes:
                    for key in KEYS:
                        self.assertIn(cluster.here(node, key, group),
                                      {newest[key], None})
                        self.assertIn(cluster.value(node, group, key),
                                      {newest[key], None})


if __name__ == "__main__":
    kamatest.main()
