#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=180
"""The metrics of nodes: promtool and the client library of Prometheus read them,
and their sums are exact."""
import contextlib
import importlib.util
import os
import subprocess
import unittest

import grpc

import kamatest
import metricskit
from clusterkit import Cluster
from etcdkit import MISSING, Etcd
from faultkit import count_lines
from kamatest import HttpOrigin, kama_status, pb2, v2
from metricskit import MetricsNode, read, total

NO_LIBRARY = (None if importlib.util.find_spec("prometheus_client")
              else "python3-prometheus-client is missing")
SOURCES = ("local", "negative", "loader", "peer", "none", "failed")


def use(node):
    """Calls of several methods, with several codes."""
    node.client.set(b"k", b"v", node.group)
    node.client.get(b"k", node.group)
    node.client.get(b"loaded", node.group)
    kind, _ = node.client.error(b"absent" * 20, node.group)
    assert kind == "KAMA_MISS", kind
    kind, _ = node.client.error(b"k", "no such group")
    assert kind == "KAMA_ERR_NO_GROUP", kind
    with contextlib.suppress(grpc.RpcError):
        kamatest.unary(node.client.channel, "/kama.v2.Cache/NoSuchMethod",
                       pb2().PingRequest(), pb2().PingResponse)
    node.client.stats(node.group)


class OneNode(unittest.TestCase):
    @unittest.skipIf(metricskit.NO_PROMTOOL, metricskit.NO_PROMTOOL)
    def test_promtool_of_a_group(self):
        program = os.path.join(kamatest.BUILD, "examples", "metrics")
        done = subprocess.run([program, "group"], stdout=subprocess.PIPE,
                              timeout=20, check=True)
        self.assertEqual(metricskit.check(done.stdout.decode()), "")

    @unittest.skipIf(metricskit.NO_PROMTOOL, metricskit.NO_PROMTOOL)
    def test_promtool_of_a_node(self):
        with MetricsNode() as node:
            use(node)
            self.assertEqual(metricskit.check(node.text()), "")

    @unittest.skipIf(NO_LIBRARY, NO_LIBRARY)
    def test_both_formats_say_the_same(self):
        """The client library reads both, and the types and series agree."""
        from prometheus_client.openmetrics.parser import (
            text_string_to_metric_families as open_families)
        from prometheus_client.parser import text_string_to_metric_families
        with MetricsNode() as node:
            use(node)
            plain = list(text_string_to_metric_families(node.text()))
            open_text = node.text("openmetrics")
            self.assertTrue(open_text.endswith("# EOF\n"))
            families = list(open_families(open_text))

        def series(families):
            return {(s.name, tuple(sorted(s.labels.items())))
                    for family in families for s in family.samples}

        self.assertEqual(series(plain), series(families))
        self.assertEqual(
            {f.name: f.type for f in plain if not f.name.endswith("_info")},
            {f.name: f.type for f in families if f.type != "info"})
        units = {f.name: f.unit for f in families}
        self.assertEqual(units["kamacache_memory_bytes"], "bytes")
        self.assertEqual(units["grpc_server_handling_seconds"], "seconds")
        self.assertEqual(units["kamacache_gets"], "")

    def test_calls(self):
        """Each call is counted by its method and code, and timed."""
        with MetricsNode() as node:
            use(node)
            samples = node.wait("the last call is counted", lambda s: total(
                s, "grpc_server_handled_total", grpc_method="Stats") == 1)
        v1 = {"grpc_type": "unary",
              "grpc_service": "kama.v1.KamaCacheService"}
        handled = "grpc_server_handled_total"
        self.assertEqual(total(samples, handled, grpc_method="Get",
                               grpc_code="OK", **v1), 2)
        self.assertEqual(total(samples, handled, grpc_method="Get",
                               grpc_code="NotFound", **v1), 2)
        self.assertEqual(total(samples, handled, grpc_method="Set",
                               grpc_code="OK", **v1), 1)
        self.assertEqual(total(samples, handled, grpc_service="unknown",
                               grpc_code="Unimplemented"), 1)
        self.assertEqual(total(samples, handled),
                         total(samples, "kamacache_calls_total"))
        self.assertEqual(
            total(samples, "grpc_server_handling_seconds_count"),
            total(samples, handled))
        took = total(samples, "grpc_server_handling_seconds_sum",
                     grpc_method="Get", **v1)
        self.assertTrue(0 < took < 10, took)

    def test_process(self):
        """The figures of the process are those that the system has."""
        with MetricsNode() as node:
            samples = node.samples()
            with open("/proc/%d/status" % node.process.pid,
                      encoding="ascii") as status:
                fields = dict(line.split(":", 1) for line in status)
            rss = int(fields["VmRSS"].split()[0]) * 1024
            fds = len(os.listdir("/proc/%d/fd" % node.process.pid))
            threads = int(fields["Threads"])
        value = {name: v for name, labels, v in samples if not labels}
        self.assertLess(abs(value["process_resident_memory_bytes"] - rss),
                        4 << 20)
        self.assertLess(abs(value["process_open_fds"] - fds), 4)
        self.assertEqual(value["process_threads"], threads)
        started = kamatest.time.time() - value["process_start_time_seconds"]
        self.assertTrue(-2 < started < 120, started)
        self.assertEqual(value["kamacache_ready"], 1)


@unittest.skipIf(MISSING, MISSING)
class ThreeNodes(unittest.TestCase):
    def wait_joined(self, nodes):
        for node in nodes:
            node.wait("three nodes know each other", lambda s: (
                total(s, "kamacache_peers", state="up") == 2 and
                total(s, "kamacache_cluster_view_settled") == 1))
        ids = {labels["view_id"] for node in nodes
               for name, labels, _ in node.samples()
               if name == "kamacache_view_info"}
        self.assertEqual(len(ids), 1)

    def get_all(self, nodes):
        """A thousand gets through all nodes: 600 of one key after the other, 200
        at once of few keys, 200 in MGets with equal keys. 123 keys exist, and 60
        do not."""
        for i in range(600):
            key = b"key%d" % (i % 100)
            if i % 10 == 9:
                key = b"absent%d" % i * 10
            try:
                nodes[i % 3].client.get(key, "users")
            except grpc.RpcError as error:
                self.assertEqual(kama_status(error), "KAMA_MISS")
        calls = [nodes[i % 3].client.get_future(b"hot%d" % (i // 30), "users")
                 for i in range(200)]
        for call in calls:
            call.result()
        for i in range(20):
            keys = [b"many%d" % (j % 7 + i) for j in range(10)]
            reply = v2(nodes[i % 3].client.channel, "MGet",
                       pb2().MGetRequest(group="users", keys=keys))
            self.assertEqual(len(reply.items), 10)

    def check_sums(self, texts):
        """Each get is in one source, also those that an owner got for another
        node, and each key was loaded once. A node that has just become the owner
        of a key asks the owner of a moment ago what it has in memory; such a
        get has no source if there is nothing."""
        samples = [sample for text in texts for sample in read(text)]
        served = total(samples, "kamacache_fills_served_total")
        sources = {source: total(samples, "kamacache_gets_total",
                                 source=source) for source in SOURCES}
        self.assertEqual(sum(sources.values()), 1000 + served)
        self.assertEqual(
            sum(sources.values()), total(samples, "kamacache_gets_total"))
        self.assertEqual(sources["failed"], 0)
        looks = sources["none"]
        self.assertEqual(
            total(samples, "kamacache_peer_gets_total"),
            sources["peer"] + total(samples, "kamacache_peer_errors_total"))
        self.assertEqual(sources["loader"] + sources["peer"] + looks,
                         total(samples, "kamacache_group_misses_total"))
        reasons = {reason: total(samples, "kamacache_misses_total",
                                 reason=reason)
                   for reason in ("absent", "expired", "evicted", "deleted")}
        self.assertEqual(sum(reasons.values()),
                         total(samples, "kamacache_group_misses_total"))
        self.assertEqual(total(samples, "kamacache_store_bytes"),
                         total(samples, "kamacache_bytes"))
        self.assertEqual(
            total(samples, "kamacache_loads_total", result="found"),
            90 + 7 + 26)
        self.assertEqual(
            total(samples, "kamacache_loads_total", result="missed"), 60)
        self.assertEqual(
            total(samples, "kamacache_load_duration_seconds_count"),
            total(samples, "kamacache_loads_total"))
        self.assertEqual(
            sum(total(samples, "kamacache_peer_requests_total", method="fill",
                      code=code) for code in ("OK", "NotFound")), served)
        calls = total(samples,
                      "kamacache_peer_request_duration_seconds_count")
        self.assertTrue(0 < calls <= served, calls)
        answered = total(samples, "kamacache_peer_served_total")
        self.assertTrue(0 < answered <= served, answered)

    def test_sums_of_embedders(self):
        with contextlib.ExitStack() as stack:
            etcd = stack.enter_context(Etcd())
            nodes = [stack.enter_context(MetricsNode(etcd.address))
                     for _ in range(3)]
            self.wait_joined(nodes)
            self.get_all(nodes)
            texts = [node.text() for node in nodes]
        if metricskit.PROMTOOL:
            for text in texts:
                self.assertEqual(metricskit.check(text), "")
        self.check_sums(texts)

    def test_sums_of_daemons(self):
        """The same gets, with the texts of the admin ports."""
        def answer(path):
            return (404, b"") if "absent" in path else (200, b"v")
        with HttpOrigin(answer) as origin, \
                Cluster(3, "--group", origin.group("users")) as cluster:
            self.get_all(cluster.nodes)
            texts = [metricskit.scrape(node.daemon) for node in cluster.nodes]
            self.check_sums(texts)
            for node, text in zip(cluster.nodes, texts):
                # A change of the ring is a line of the log, which comes a
                # moment later.
                changes = total(read(text), "kamacache_ring_changes_total")
                kamatest.wait_until(
                    lambda: count_lines(node, event="view") == changes,
                    what="%d views" % changes)


if __name__ == "__main__":
    unittest.main()
