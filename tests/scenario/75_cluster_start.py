#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""The start of a node in a cluster that does not succeed: what is refused says what
to do, and neither that nor a signal leaves a record behind."""
import signal
import socket
import unittest
from concurrent import futures

import etcdkit
import kamatest
from clusterkit import Cluster, node_port
from etcdkit import Etcd, TcpProxy
from kamatest import Daemon, HttpOrigin, run, wait_until

MEMBERS = "/kamacache/v1/kama-cache/members/"


def listen():
    return "127.0.0.1:%d" % node_port()


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class Refused(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(2)
        cls.addClassCleanup(cls.cluster.close)
        cls.a, cls.b = cls.cluster.nodes

    def say(self, *arguments, code=1):
        """The last line of a node that must not start."""
        done = run("--etcd", self.cluster.etcd.address, "--listen", listen(),
                   *arguments)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr.splitlines()[-1]

    def say_at(self, address):
        return self.say("--advertise", address)

    def expect_no_record(self):
        self.assertEqual(
            set(self.cluster.etcd.records(MEMBERS)),
            {MEMBERS + node.address for node in (self.a, self.b)})

    def expect_refused(self, *arguments, code=1):
        """What the node says; and it has left nothing in etcd."""
        said = self.say(*arguments, code=code)
        self.expect_no_record()
        return said

    def test_an_address_in_use(self):
        said = self.expect_refused("--advertise", self.a.address)
        self.assertIn("%s is in use by %s" % (
            self.a.address, self.a.node().id.hex()), said)
        self.assertIn("an address of its own", said)
        self.cluster.wait_view(seconds=3)

    def test_another_cluster(self):
        said = self.expect_refused("--cluster", "blue")
        for part in ("default", "blue", "--cluster", "--service"):
            self.assertIn(part, said)

    def test_addresses_that_do_not_lead_to_the_node(self):
        """To nobody; to something that accepts connections and never says a
        word; to another member, as behind a load balancer; to a web server; to
        a node that is in no cluster."""
        nowhere = listen()
        with socket.create_server(("127.0.0.1", 0)) as silent, \
                TcpProxy(self.b.address) as proxy, \
                HttpOrigin(lambda path: (200, b"")) as web, Daemon() as alone:
            wrong = {
                nowhere: "cannot connect",
                "127.0.0.1:%d" % silent.getsockname()[1]: "no answer in time",
                proxy.address: "leads to the node %s, not to this node"
                               % self.b.node().id.hex(),
                "127.0.0.1:%d" % web.port: "does not speak HTTP/2",
                alone.address: "in no cluster"}
            with futures.ThreadPoolExecutor(len(wrong)) as pool:
                said = dict(zip(wrong, pool.map(self.say_at, wrong)))
        for address, why in wrong.items():
            self.assertIn("the advertised address %s " % address,
                          said[address])
            self.assertIn(why, said[address])
            self.assertIn("at which the other nodes reach this one",
                          said[address])
        self.expect_no_record()

    def test_spellings_of_an_address(self):
        """They are refused before anything begins."""
        for address in (":8001", "0.0.0.0:8001", "[::]:8001"):
            said = self.expect_refused("--advertise", address, code=2)
            self.assertIn("--advertise: nobody can connect to %s" % address,
                          said)
        said = self.expect_refused("--advertise", "10.0.0.1", code=2)
        self.assertIn(":PORT", said)


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class Interrupted(unittest.TestCase):
    def test_a_signal_during_the_start_removes_the_record(self):
        """The node is `joining`, because nobody says a word at its address."""
        with Etcd() as etcd, socket.create_server(("127.0.0.1", 0)) as silent:
            address = "127.0.0.1:%d" % silent.getsockname()[1]
            with Daemon("--etcd", etcd.address, "--advertise", address,
                        listen=listen(), ready=False) as node:
                wait_until(lambda: MEMBERS + address in
                           etcd.records(MEMBERS))
                node.signal(signal.SIGTERM)
                self.assertEqual(node.wait(5 * kamatest.SLOWDOWN), 0)
                self.assertEqual(set(etcd.records(MEMBERS)), set())
                node.wait_line("stopped before it was ready")


if __name__ == "__main__":
    kamatest.main()
