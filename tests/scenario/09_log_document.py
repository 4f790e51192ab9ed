#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""docs/LOG.md has every line that the daemon can write, and no other one: compared
with the sources, and with the lines of real nodes."""
import json
import signal
import unittest

import etcdkit
import kamatest
import logdoc
from clusterkit import Cluster, node_port
from kamatest import Client, Daemon, Folder, free_port, run, wait_until


def shown(lines):
    return "\n".join("%s %s %s: %s %s" % (
        line.component, line.event, line.level, line.message,
        " ".join(sorted(line.fields))) for line in sorted(lines))


class Document(unittest.TestCase):
    def test_every_line_of_the_sources(self):
        there = logdoc.without_fields(logdoc.document())
        missing = logdoc.sources() - there
        self.assertEqual(shown(missing), "", "not in docs/LOG.md")
        self.assertEqual(shown(there - logdoc.sources()), "",
                         "in docs/LOG.md, and not in the sources")

    def test_the_sources_were_read(self):
        """The numbers of today: fewer would mean that calls are not found."""
        lines = logdoc.sources()
        self.assertGreaterEqual(len(lines), 60)
        for event in ("etcd", "peer", "load", "get", "load_failed", "abuse"):
            self.assertIn(event, {line.event for line in lines})

    def test_every_line_has_an_example(self):
        without = set(logdoc.document())
        for example in logdoc.examples():
            if example.get("component") == "loader":
                continue
            of = logdoc.explanations(example)
            self.assertTrue(of, example)
            without -= of
        self.assertEqual(shown(without), "")

    def test_every_event_is_one_of_the_api(self):
        """And the other way round, but for those that the daemon does not
        log."""
        with open(logdoc.SOURCE + "/include/kamacache/kamacache.h",
                  encoding="utf-8") as header:
            text = header.read().split("     name            level", 1)[1]
        names = set()
        for row in text.split("Later versions add names")[0].splitlines():
            if row.startswith(' *     "'):
                names.update(row.split()[i].strip('",') for i in (1, 2)
                             if row.split()[i].startswith('"'))
        events = {line.event for line in logdoc.document() if line.event}
        self.assertEqual(events, names - logdoc.unlogged_events())


class RealLines(unittest.TestCase):
    def expect_explained(self, lines):
        for line in lines:
            self.assertTrue(logdoc.explanations(line), line)

    def test_a_daemon(self):
        with Folder() as folder:
            script = folder.script("origin", "exit 9")
            environment = {"KAMACACHE_LOG_LEVEL": "debug",
                           "KAMACACHE_LISTN": "x", "KAMACACHE_ZZZZZZ": "x"}
            with Daemon("--group", "plain", "--group", kamatest.group(
                    "g", loader="exec:" + script), env=environment) as node, \
                    Client(node) as client:
                client.error(b"k", "g")
                client.set(b"k", b"v", "plain")
                client.get(b"k", "plain")
                client.error(b"missing", "plain")
                node.signal(signal.SIGHUP)
                node.wait_line("nothing to reload")
        self.assertIn("load_failed", {line.get("event")
                                      for line in node.lines})
        self.expect_explained(node.lines)

    def test_starts_that_fail(self):
        with Daemon() as node:
            taken = run("--log-format=json", "--listen", node.address)
        bad = run("--log-format=json", "--group", "g:loader=nosuch:x")
        etcd = run("--log-format=json", "--require-discovery",
                   "--listen", "127.0.0.1:0", "--start-timeout", "300ms",
                   "--etcd", "127.0.0.1:%d" % free_port())
        for done in (taken, bad, etcd):
            self.assertIn(done.returncode, (1, 2))
            lines = [json.loads(line)
                     for line in done.stderr.splitlines()]
            self.assertEqual(lines[-1]["level"], "error")
            self.expect_explained(lines)

    @unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
    def test_a_cluster(self):
        """A join, gets over two nodes, a junk record, a leave, a crash, and a
        node that is refused."""
        with Cluster(3, "--group", "g:sync=owner", "--log-level",
                     "debug") as cluster:
            a, b, c = cluster.nodes
            for i in range(8):
                a.client.set(b"k%d" % i, b"v", "g")
                b.client.get(b"k%d" % i, "g")
            cluster.etcd.put("/kamacache/v1/kama-cache/members/x", "junk")
            wait_until(lambda: any(line.get("event") == "junk"
                                   for line in list(a.daemon.lines)))
            refused = run("--log-format=json", "--etcd",
                          cluster.etcd.address, "--listen",
                          "127.0.0.1:%d" % node_port(), "--advertise",
                          a.address)
            c.stop()
            b.kill()
            a.daemon.wait_line("%s is gone without a goodbye; peers: 0" %
                               b.address, 15)
            lines = [line for node in (a, b, c) for line in node.daemon.lines]
        events = {line.get("event") for line in lines}
        self.assertLessEqual({"etcd", "lease", "register", "advertise", "view",
                              "peer", "peers", "junk", "get", "load"}, events)
        lines += map(json.loads, refused.stderr.splitlines())
        self.expect_explained(lines)


if __name__ == "__main__":
    kamatest.main()
