#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: labels=nosan timeout=120
"""A real Prometheus scrapes two nodes, and answers the queries of the documents,
of the rules and of the dashboard in deploy/."""
import json
import os
import re
import shutil
import signal
import subprocess
import unittest
import urllib.parse
import urllib.request

import kamatest
from clusterkit import Cluster
from etcdkit import MISSING
from kamatest import Client, Folder, HttpOrigin, wait_until

PROMETHEUS = shutil.which("prometheus")
NO_PROMETHEUS = (MISSING if MISSING else None if PROMETHEUS
                 else "prometheus is missing (package prometheus)")
SOURCE = os.environ["KAMA_SOURCE_DIR"]
DEPLOY = os.path.join(SOURCE, "deploy")
CONFIG = """\
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [%s]
scrape_configs:
  - job_name: kamacache
    static_configs: [{targets: %s}]
"""


class Prometheus:
    """The process, on a port of its own."""

    def __init__(self, folder, targets):
        self.address = "127.0.0.1:%d" % kamatest.free_port()
        config = os.path.join(folder.path, "prometheus.yml")
        rules = os.path.join(DEPLOY, "prometheus", "kamacache.rules.yml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(CONFIG % (rules, json.dumps(targets)))
        with open(os.path.join(folder.path, "log"), "wb") as log:
            self.process = subprocess.Popen(
                [PROMETHEUS, "--config.file=" + config,
                 "--storage.tsdb.path=" + os.path.join(folder.path, "data"),
                 "--web.listen-address=" + self.address],
                stdout=log, stderr=log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def api(self, path, **arguments):
        """The data of an answer, or None while it does not answer."""
        url = "http://%s/api/v1/%s?%s" % (self.address, path,
                                          urllib.parse.urlencode(arguments))
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:  # it starts
                return None
            raise AssertionError("%s: %s" % (url, error.read())) from None
        except OSError:
            return None

    def query(self, text):
        """The samples of an instant query: a list of (labels, value)."""
        data = self.api("query", query=text)
        return [(sample["metric"], float(sample["value"][1]))
                for sample in data["result"]]

    def targets_up(self):
        data = self.api("targets", state="active")
        return data and [t["health"] for t in data["activeTargets"]].count(
            "up")


def dashboard_queries():
    with open(os.path.join(DEPLOY, "grafana", "kamacache.json"),
              encoding="utf-8") as file:
        board = json.load(file)
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            text = target["expr"].replace("$__rate_interval", "10s")
            yield panel["title"], re.sub(r"\$\w+", ".*", text)


def document_queries():
    with open(os.path.join(SOURCE, "docs", "METRICS.md"),
              encoding="utf-8") as file:
        text = re.search(r"```promql\n(.*?)```", file.read(), re.S).group(1)
    for query in text.strip().split("\n\n"):
        lines = [l for l in query.splitlines() if not l.startswith("#")]
        yield " ".join(lines).replace("[5m]", "[10s]")


@unittest.skipIf(NO_PROMETHEUS, NO_PROMETHEUS)
class Scrape(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Folder()
        cls.addClassCleanup(cls.folder.__exit__)
        cls.origin = HttpOrigin(
            lambda path: (404, b"") if "absent" in path else (200, b"value"))
        cls.addClassCleanup(cls.origin.__exit__)
        cls.cluster = Cluster(2, "--group",
                              cls.origin.group("web", sync="owner"))
        cls.addClassCleanup(cls.cluster.close)
        cls.prometheus = Prometheus(
            cls.folder, [node.daemon.admin for node in cls.cluster.nodes])
        cls.addClassCleanup(cls.prometheus.__exit__)
        wait_until(lambda: cls.prometheus.targets_up() == 2, 30,
                   "Prometheus to scrape both nodes")
        cls.use()
        absent = cls.cluster.owner(b"absent", "web")
        # Each round asks for each key on the node that does not own it. The
        # owner counts the gets that it makes for another node like its own.
        cls.asked = 2 * 100 + (absent is not cls.cluster.nodes[0])
        wait_until(lambda: cls.sum("kamacache_gets_total") ==
                   2 * 200 + 1 + cls.asked, 30, "Prometheus to know all gets")

    @classmethod
    def sum(cls, series):
        samples = cls.prometheus.query("sum(%s)" % series)
        return samples[0][1] if samples else 0

    @classmethod
    def use(cls):
        """100 keys through both nodes, each twice, and a call that fails."""
        for _ in range(2):
            for node in cls.cluster.nodes:
                with Client(node) as client:
                    for i in range(100):
                        client.get(b"key-%d" % i, "web")
        with Client(cls.cluster.nodes[0]) as client:
            client.error(b"absent", "web")
            client.error(b"key", "no such group")
            client.set(b"set", b"value", "web")

    def test_ratios(self):
        """Each key is loaded once, at its owner, and the other node asks for
        it each time."""
        asked = self.asked
        self.assertEqual(self.sum('kamacache_gets_total{source="peer"}'),
                         asked)
        self.assertEqual(self.sum('kamacache_fills_served_total'), asked)
        misses = self.sum("kamacache_group_misses_total")
        self.assertEqual(misses, asked + 101)
        ratio = self.prometheus.query(
            'sum(kamacache_gets_total{source="peer"})'
            " / sum(kamacache_group_misses_total)")[0][1]
        self.assertAlmostEqual(ratio, asked / misses)
        hits = self.prometheus.query(
            'sum(kamacache_gets_total{source=~"local|negative"})'
            " / sum(kamacache_gets_total)")[0][1]
        self.assertGreater(hits, 0.2)
        print("hit ratio %.3f, peer hit ratio %.3f" % (hits, ratio))

    def test_load_time(self):
        loads = self.sum("kamacache_load_duration_seconds_count")
        self.assertEqual(loads, self.sum("kamacache_loads_total"))
        quantile = self.prometheus.query(
            "histogram_quantile(0.99, "
            "sum by (le) (kamacache_load_duration_seconds_bucket))")[0][1]
        self.assertGreater(quantile, 0)
        print("99 %% of %d loads within %.4f s" % (loads, quantile))

    def test_the_queries_of_the_document(self):
        for query in document_queries():
            with self.subTest(query=query):
                if "grpc_code=" in query:  # no call has failed like this
                    self.assertEqual(self.prometheus.query(query), [])
                else:
                    wait_until(lambda: self.prometheus.query(query), 30, query)

    def test_the_queries_of_the_dashboard(self):
        """Each of them has an answer."""
        queries = list(dashboard_queries())
        self.assertGreater(len(queries), 30)
        for title, query in queries:
            with self.subTest(panel=title, query=query):
                wait_until(lambda: self.prometheus.query(query), 30, query)

    def test_the_rules_are_evaluated(self):
        def healths():
            data = self.prometheus.api("rules")
            found = {rule["health"] for group in data["groups"]
                     for rule in group["rules"]}
            return found if found != {"unknown"} else None
        self.assertEqual(wait_until(healths, 30, "rules"), {"ok"})
        firing = [rule["name"] for group in
                  self.prometheus.api("rules")["groups"]
                  for rule in group["rules"] if rule.get("state") == "firing"]
        self.assertEqual(firing, [])


if __name__ == "__main__":
    kamatest.main()
