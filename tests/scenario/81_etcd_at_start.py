#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=180
"""What a node does when etcd is silent, closed or partly down when it starts,
when its address is held by a dead process, and when it is told to stop in the
middle of that."""
import json
import signal
import time
import unittest

import grpc

import kamatest
from clikit import UNREACHABLE, cli
from clusterkit import SERVICE, node_port
from etcdkit import MISSING, Etcd, TcpProxy
from faultkit import GROUP, MEMBERS, FaultCluster, count_lines_of, say
from kamatest import Client, Daemon, Folder, free_port, wait_until

STEPS = "register, view, peers, streams, dialback, lease"


def begin(etcd, *arguments):
    return Daemon("--etcd", etcd, *arguments, ready=False)


def timed_end(node):
    """The exit status, and the seconds until the node has ended."""
    since = time.monotonic()
    return node.wait(), time.monotonic() - since


@unittest.skipIf(MISSING, MISSING)
class Silent(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.etcd = Etcd()
        cls.addClassCleanup(cls.etcd.close)

    def silent(self):
        proxy = TcpProxy(self.etcd.address)
        self.addCleanup(proxy.close)
        proxy.stall()
        return proxy

    def test_a_node_that_requires_discovery_ends_at_the_start_timeout(self):
        for name, etcd in (("silent", self.silent().address),
                           ("closed", "127.0.0.1:%d" % free_port())):
            node = begin(etcd, "--require-discovery", "--start-timeout=2s")
            self.addCleanup(node.kill)
            code, took = timed_end(node)
            say("etcd is %s: the start has ended after %.2f s", name, took)
            self.assertEqual(code, 1)
            line = node.wait_line("cannot start")
            self.assertEqual(
                line["reason"], "--start-timeout: after 2000 ms these steps "
                "are missing: %s; is etcd running at %s?" % (STEPS, etcd))
            self.assertEqual(line["status"], "KAMA_ERR_TIMEOUT")
            self.assertLess(took, 2 + 2 * kamatest.SLOWDOWN)

    def test_a_node_serves_alone_and_becomes_a_member_later(self):
        with FaultCluster(2, etcd=self.etcd) as cluster:
            proxy = self.silent()
            node = cluster.add("--start-timeout=1s")
            node.etcd = proxy.address
            node.start()
            self.assertIn("these steps are missing: " + STEPS, next(
                line["msg"] for line in node.daemon.lines
                if line.get("event") == "degraded"))
            with Client(node) as client:
                self.assertEqual(client.get(b"a", GROUP), b"0")
                with self.assertRaises(grpc.RpcError) as caught:
                    client.delete(b"a", GROUP)
                self.assertEqual(kamatest.kama_status(caught.exception),
                                 "KAMA_ERR_NOT_READY")
            self.assertEqual(list(node.node().missing), STEPS.split(", "))
            self.assertEqual(node.node().admin, node.daemon.admin)
            refused = cli(node.daemon, "-g", GROUP, "set", "a", "1")
            self.assertEqual(refused.returncode, UNREACHABLE)
            self.assertIn(b"'kamacache-cli node' names the steps",
                          refused.stderr)
            with cluster.watched():
                proxy.flow()
                say("etcd was silent at the start: a member %.2f s after it "
                    "answers", cluster.wait_right())

    def test_signals_end_a_start_that_waits_for_etcd(self):
        node = begin(self.silent().address, "--start-timeout=1h")
        self.addCleanup(node.kill)
        node.wait_line("starting")
        node.signal(signal.SIGTERM)
        code, took = timed_end(node)
        self.assertEqual(code, 0)
        self.assertLess(took, 2 * kamatest.SLOWDOWN)
        node.wait_line("stopped before it was ready", signal="SIGTERM")

    def test_signals_end_a_node_that_serves_alone(self):
        node = begin(self.silent().address, "--start-timeout=200ms")
        self.addCleanup(node.kill)
        node.wait_ready()
        node.signal(signal.SIGTERM)
        code, took = timed_end(node)
        say("a node alone has ended %.2f s after SIGTERM", took)
        self.assertEqual(code, 0)
        self.assertLess(took, 2 + 2 * kamatest.SLOWDOWN)

    def test_the_first_endpoint_is_down(self):
        down = "127.0.0.1:%d" % free_port()
        with begin("http://%s,%s" % (down, self.etcd.url),
                   "--require-discovery", "--start-timeout=5s") as node:
            node.wait_ready()
            say("the first endpoint is down: ready after %d ms",
                node.wait_line("ready")["start_ms"])
            node.wait_line("etcd answers at " + self.etcd.address)
            self.assertLess(count_lines_of(node, level="warn"), 3)

    def test_the_first_endpoint_is_silent(self):
        silent = self.silent()
        with begin("%s,%s" % (silent.address, self.etcd.address),
                   "--require-discovery", "--start-timeout=20s") as node:
            node.wait_line("ready", 20)
            node.wait_ready()
            say("the first endpoint is silent: ready after %d ms",
                node.wait_line("ready")["start_ms"])


@unittest.skipIf(MISSING, MISSING)
class Held(unittest.TestCase):
    """The record of a process that has died stands at the address."""

    def setUp(self):
        self.etcd = Etcd()
        self.addCleanup(self.etcd.close)
        self.listen = "127.0.0.1:%d" % node_port()

    def hold(self, address, seconds):
        lease = int(self.etcd.ctl("lease", "grant", str(seconds)).split()[1],
                    16)
        self.etcd.put(MEMBERS + address, json.dumps({
            "cluster": "default", "nonce": "ab" * 16, "id": "cd" * 16,
            "addr": address, "admin": "", "state": "active",
            "labels": [], "weight": 1, "proto": [2, 2], "version": "0.3.0",
            "final_seq": 0, "clock": 0, "prev": None}), lease)

    def start(self, *arguments):
        node = Daemon("--etcd", self.etcd.address, "--require-discovery",
                      "--start-timeout=1s", *arguments, listen=self.listen,
                      ready=False)
        self.addCleanup(node.kill)
        return node

    def start_held(self):
        """A node at whose advertised address nobody answers."""
        proxy = TcpProxy(self.listen)
        self.addCleanup(proxy.close)
        proxy.cut()
        self.hold(proxy.address, 6)
        node = self.start("--advertise", proxy.address)
        wait_until(lambda: any("waiting for its record to go" in text
                               for text in list(node.raw)), 10,
                   "the wait for the address")
        return node, proxy

    def test_this_process_answers_and_the_record_is_replaced_at_once(self):
        self.hold(self.listen, 60)
        node = self.start()
        node.wait_ready()
        say("a dead record at the address: ready after %d ms",
            node.wait_line("ready")["start_ms"])
        node.stop()

    def test_the_wait_for_the_record_is_longer_than_the_start_timeout(self):
        node, proxy = self.start_held()
        proxy.flow()
        node.wait_line("ready", 20)
        start_ms = node.wait_line("ready")["start_ms"]
        say("a record that nobody answers for: ready after %d ms", start_ms)
        self.assertGreater(start_ms, 1000)
        node.stop()

    def test_a_signal_ends_this_wait(self):
        node, _ = self.start_held()
        node.signal(signal.SIGTERM)
        code, took = timed_end(node)
        self.assertEqual(code, 0)
        self.assertLess(took, 2 * kamatest.SLOWDOWN)


@unittest.skipIf(MISSING, MISSING)
class Refused(unittest.TestCase):
    """etcd asks for a user."""

    @classmethod
    def setUpClass(cls):
        cls.etcd = Etcd()
        cls.addClassCleanup(cls.etcd.close)
        cls.folder = Folder()
        cls.addClassCleanup(cls.folder.__exit__)
        cls.etcd.enable_auth("kama", "secret word", [
            "/kamacache/v1/%s/" % SERVICE, "/services/%s/" % SERVICE])
        cls.good = cls.folder.file("good", "secret word\n")
        cls.bad = cls.folder.file("bad", "another word\n")

    def reason(self, *arguments):
        node = begin(self.etcd.address, "--start-timeout=5s", *arguments)
        self.addCleanup(node.kill)
        self.assertEqual(node.wait(), 1)
        self.assertNotIn("another word", "\n".join(node.raw))
        return node.wait_line("cannot start")["reason"]

    def test_no_user(self):
        reason = self.reason()
        self.assertIn(self.etcd.address, reason)
        self.assertIn("etcd-user", reason)

    def test_a_wrong_password(self):
        reason = self.reason("--etcd-user=kama",
                             "--etcd-password-file=" + self.bad)
        self.assertIn(self.etcd.address, reason)
        self.assertIn("authentication failed", reason)

    def test_the_right_password(self):
        user = ("--etcd-user=kama", "--etcd-password-file=" + self.good)
        with FaultCluster(2, *user, etcd=self.etcd) as cluster:
            before = cluster.ids()
            with cluster.watched() as watch:
                watch.for_seconds(1)
                self.etcd.restart()  # it forgets its tokens
                say("etcd with a user was restarted: right again after %.2f s",
                    cluster.wait_right())
                watch.for_seconds(4)  # a keepalive has been due
            self.assertEqual(cluster.ids(), before)
            self.assertFalse(any("secret word" in text
                                 for node in cluster.nodes
                                 for text in node.daemon.raw))


if __name__ == "__main__":
    kamatest.main()
