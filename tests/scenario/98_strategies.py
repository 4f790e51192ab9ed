#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=240
"""The strategies of a group (option sync) on real nodes: nodes whose strategies of a
group differ are named everywhere where somebody may look."""
import unittest
import urllib.request

import etcdkit
import kamatest
import metricskit
from clikit import cli, cli_json
from clusterkit import Cluster
from kamatest import wait_until
from metricskit import read, total


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
    return "%s:max_bytes=8m,sync=%s" % (name, strategy)


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


if __name__ == "__main__":
    kamatest.main()
