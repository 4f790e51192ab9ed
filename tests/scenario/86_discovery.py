#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=240
"""A client of another implementation: it finds the nodes by their keys in etcd,
with etcd's own client, and calls them in turn with grpc-go, while nodes join,
leave, are killed and are restarted one by one. It is built from
tests/go/discovery; the tests are skipped where that cannot be done."""
import json
import os
import queue
import shutil
import subprocess
import threading
import unittest

import kamatest
from clusterkit import SERVICE, Cluster
from etcdkit import MISSING
from kamatest import HttpOrigin, wait_until

SOURCE = os.path.join(kamatest.SOURCE, "tests", "go", "discovery")
CLIENT = os.path.join(kamatest.BUILD, "tests", "discovery_client")


def go(*arguments, timeout):
    return subprocess.run(
        ["go", *arguments], cwd=SOURCE, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=timeout, check=False,
        env=dict(os.environ, GOTOOLCHAIN="local", GOFLAGS="-mod=readonly"))


def build():
    """Builds the client; skips the tests where that is not possible."""
    if shutil.which("go") is None:
        raise unittest.SkipTest("there is no Go compiler")
    try:
        fetched = go("mod", "download", timeout=60)
    except subprocess.TimeoutExpired:
        raise unittest.SkipTest("fetching Go modules took 60 s") from None
    if fetched.returncode != 0:
        raise unittest.SkipTest("go mod download: " + fetched.stdout[-300:])
    built = go("build", "-o", CLIENT, ".", timeout=200)
    if built.returncode != 0:
        raise AssertionError(built.stdout)


class Discovery:
    """The client as a process, until .end()."""

    def __init__(self, cluster, group, callers, kind):
        self.addresses = None
        self.changes = []
        self.tally = None
        self._process = subprocess.Popen(
            [CLIENT, cluster.etcd.address, SERVICE, group, str(callers),
             kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self._process.stdout:
            said = json.loads(line)
            if "addresses" in said:
                self.addresses = said["addresses"]
                self.changes.append(said["addresses"])
            else:
                self.tally = said

    def wait(self, nodes, seconds):
        """Waits until the client knows exactly these nodes."""
        expected = sorted(node.advertise for node in nodes)
        wait_until(lambda: self.addresses == expected, seconds,
                   "the client to know %s" % expected)

    def end(self):
        """Ends the calls; how they ended."""
        self._process.stdin.close()
        self._thread.join(30)
        self._process.wait(30)
        self._process.stdout.close()
        print(self.tally, flush=True)
        return self.tally


@unittest.skipIf(MISSING, MISSING)
class ForeignDiscovery(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        build()

    def restart_one_by_one(self, kind):
        """How the calls of a client ended while each of three nodes was
        stopped and started again."""
        with HttpOrigin(lambda path: (404, b"")) as origin:
            with Cluster(3, "--group",
                         origin.group("g", sync="owner")) as cluster:
                client = Discovery(cluster, "g", 16, kind)
                client.wait(cluster.nodes, 10)
                for node in cluster.nodes:
                    node.stop()
                    client.wait(cluster.running(), 10)
                    node.start()
                    cluster.wait_view()
                    client.wait(cluster.nodes, 10)
                return client.end()

    def check(self, tally, others):
        """No value was wrong, and besides answers there were only these."""
        self.assertEqual(tally["wrong"], 0, tally)
        ends = {name.split()[1] for name in tally["ends"]}
        self.assertLessEqual(ends, {"OK", "KAMA_MISS"} | others, tally)
        self.assertGreater(tally["ends"]["Get OK"], 1000, tally)

    def test_a_client_that_tries_again_loses_no_call(self):
        self.check(self.restart_one_by_one("careful"), set())

    def test_a_client_that_does_not_try_again_is_told_why(self):
        """It is sent to no node that starts or stops. What it loses is a
        change whose owner has just begun or ended."""
        tally = self.restart_one_by_one("plain")
        self.check(tally, {"KAMA_ERR_PEER", "KAMA_ERR_TRY_AGAIN"})
        lost = sum(count for name, count in tally["ends"].items()
                   if name.split()[1] not in ("OK", "KAMA_MISS"))
        self.assertLess(lost, sum(tally["ends"].values()) / 100, tally)

    def test_nodes_that_join_and_die(self):
        """A node that joins is called when it is active; one that is killed
        when its lease has expired is not."""
        with Cluster(2, "--group", "g:sync=owner") as cluster:
            client = Discovery(cluster, "g", 4, "careful")
            client.wait(cluster.nodes, 10)
            third = cluster.add().start()
            client.wait(cluster.nodes, 10)
            third.kill()
            client.wait(cluster.running(), 12)  # its lease, and 2 s
            cluster.wait_view()
            client.end()
            cluster.stop()
            self.assertEqual(cluster.etcd.records("/services/"), {})


if __name__ == "__main__":
    kamatest.main()
