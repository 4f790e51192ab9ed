#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""A node that becomes a member of a cluster: what the log and the client say about
it; many nodes that start at once."""
import re
import socket
import subprocess
import unittest

import etcdkit
import kamatest
from clikit import OK, cli, cli_json
from clusterkit import Cluster, node_port
from etcdkit import Etcd, TcpProxy
from kamatest import Daemon, wait_until


def listens(address):
    host, port = address.rsplit(":", 1)
    with socket.socket() as s:
        return s.connect_ex((host, int(port))) == 0


def listen():
    return "127.0.0.1:%d" % node_port()


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class Start(unittest.TestCase):
    def test_a_wildcard_takes_the_address_that_etcd_sees(self):
        """Another spelling of listen, and no --advertise: the local address of
        the connection to etcd."""
        with Cluster(1) as cluster:
            for host in ("0.0.0.0", ""):
                port = node_port()
                with Daemon("--etcd", cluster.etcd.address, "--insecure",
                            listen="%s:%d" % (host, port)) as node:
                    node.address = "127.0.0.1:%d" % port
                    _, facts = cli_json(node, "node")
                    self.assertEqual(facts["advertise"], node.address)
                    self.assertTrue(facts["ready"])
                    self.assertIn(node.address, cluster.nodes[0].members())

    def test_what_the_log_says(self):
        """One line for each fact, each with the fields to find it by."""
        with Cluster(2) as cluster:
            a, b = cluster.nodes
            log = a.daemon
            node = a.node()
            self.assertEqual(log.wait_line("listening")["addr"], a.address)
            lines = {}
            for line in log.lines:
                if line["component"] == "node":
                    lines.setdefault(line["event"], []).append(line)
            texts = {event: [line["msg"] for line in of]
                     for event, of in lines.items()}
            self.assertEqual(texts["etcd"], [
                "joining the cluster default of the service kama-cache by "
                "etcd at %s" % cluster.etcd.address,
                "etcd answers at %s" % cluster.etcd.address])
            lease, = lines["lease"]
            self.assertIn("%x" % node.lease_id, lease["msg"])
            advertise, = lines["advertise"]
            self.assertEqual(advertise["address"], a.address)
            register, = lines["register"]
            self.assertEqual(register["address"], a.address)
            for part in (node.id.hex(), a.address, "kama-cache"):
                self.assertIn(part, register["msg"])
            self.assertEqual(log.wait_line("%s is active; peers: 1" % b.address
                                           if any("is active" in text for text
                                                  in texts["peers"]) else
                                           "%s has joined (active); peers: 1"
                                           % b.address)["count"], 1)
            b.kill()
            gone = log.wait_line("%s is gone without a goodbye; peers: 0" %
                                 b.address, 15)
            self.assertEqual((gone["address"], gone["count"]), (b.address, 0))

    def test_the_log_follows_a_get_to_the_owner(self):
        """At the level debug: that the owner is asked, and why it cannot
        answer."""
        with Cluster(2, "--group", "g:sync=owner", "--log-level",
                     "debug") as cluster:
            a, b = cluster.nodes
            key = cluster.key_of(b, "g")
            b.client.set(key, b"v", "g")
            self.assertEqual(a.client.get(key, "g"), b"v")

            def wait_steps(*steps):
                def told():
                    said = [line["msg"].split(": ", 1)[1].split(" (key")[0]
                            for line in list(a.daemon.lines)
                            if line.get("key") == key.decode()]
                    return all(any(step in text for text in said)
                               for step in steps)
                wait_until(told, 10, str(steps))

            wait_steps("not in memory: starts a load", "the owner is asked",
                       "the load ended with KAMA_OK",
                       "answered with KAMA_OK after ")
            b.kill()
            self.assertEqual(a.client.error(key, "g")[0], "KAMA_ERR_PEER")
            wait_steps("the owner cannot answer: ",
                       "answered with KAMA_ERR_PEER after ")

    def test_what_the_client_shows(self):
        with Cluster(2) as cluster:
            a, b = cluster.nodes
            code, node = cli_json(a, "--wait", "node")
            self.assertEqual(code, OK)
            self.assertEqual(
                (node["listen"], node["advertise"], node["etcd"],
                 node["registration"], node["peer_count"], node["ready"],
                 node["settled"], node["missing"], node["degraded"]),
                (a.address, a.address, cluster.etcd.address, "active", 1, True,
                 True, [], ""))
            lease = a.node().lease_id
            self.assertIn(lease, cluster.etcd.leases())
            _, view = cli_json(b, "peers")
            self.assertEqual(
                {m["address"]: (m["state"], m["reach"])
                 for m in view["members"]},
                {a.address: ("active", "up"), b.address: ("active", "self")})
            self.assertAlmostEqual(
                sum(m["share_ppm"] for m in view["members"]), 1000000, delta=9)
            row = (r"(?m)^%s +[0-9a-f]{8} +active +\S+ms +\S+ +up +in_sync +\S+ "
                   r"+\d+$" % re.escape(b.address))
            # The figures of the streams are copied four times a second.
            wait_until(lambda: re.search(row, cli(a, "peers").stdout.decode()),
                       what="the row of a peer with its stream")
            b.freeze()
            wait_until(lambda: b"unreachable" in cli(a, "peers").stdout,
                       what="a frozen peer to be unreachable")
            b.thaw()
            cluster.wait_view()

    def test_the_client_waits_for_a_node(self):
        """--wait ends when the node is ready, and not when it listens."""
        with Etcd() as etcd, TcpProxy(etcd.address) as proxy:
            proxy.stall()
            address = listen()
            waiting = subprocess.Popen(
                [kamatest.CLI, "-e", address, "--wait=30s", "ping"],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            with Daemon("--etcd", proxy.address, "--start-timeout=30s",
                        listen=address, ready=False) as node:
                wait_until(lambda: listens(address))
                self.assertIsNone(waiting.poll())
                proxy.flow()
                node.wait_line("ready")
                out, _ = waiting.communicate(timeout=30 * kamatest.SLOWDOWN)
                self.assertEqual(waiting.returncode, OK, out)

    def test_twenty_nodes_start_at_once(self):
        """More than 16 that are registered are no more difficult."""
        cluster = Cluster(20, "--threads=1", "--group", "default:sync=owner")
        self.addCleanup(cluster.close)
        self.assertEqual(len(cluster.nodes[0].members()), 20)
        owners = {cluster.owner(b"key-%d" % i).address for i in range(200)}
        self.assertGreater(len(owners), 15)
        key = cluster.key_of(cluster.nodes[19])
        cluster.nodes[3].client.set(key, b"value")
        self.assertEqual({node.client.get(key) for node in cluster.nodes},
                         {b"value"})


if __name__ == "__main__":
    kamatest.main()
