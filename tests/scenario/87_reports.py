#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: labels=nosan timeout=120
"""What users of other distributed caches have reported, asked of this one:
connections between nodes that are cut in the middle of a change or arrive byte
by byte, addresses of every kind, keys that a URL would spoil, and changes of
one key through all nodes at once."""
import itertools
import threading
import unittest

import grpc

import clusterkit
import kamatest
from clusterkit import Cluster, ClusterNode, node_port
from etcdkit import MISSING, TcpProxy
from kamatest import kama_status


class Cutter(TcpProxy):
    """Cuts a connection when so many bytes more have gone one way, "up" (to
    the node) or "down"."""

    def __init__(self, target):
        self.way = None
        self.left = 0
        super().__init__(target)

    def arm(self, way, left):
        with self._change:
            self.way, self.left = way, left

    def _pump(self, source, sink, client, server, left):
        way = "up" if sink.getpeername()[1] == int(
            self.target.rsplit(":", 1)[1]) else "down"
        self.ways = getattr(self, "ways", {})
        self.ways[sink] = way
        super()._pump(source, sink, client, server, left)

    def _pass_on(self, data, sink):
        with self._change:
            cut = self.way == self.ways[sink] and len(data) >= self.left
            if cut:
                data = data[:self.left]
                self.way = None
            elif self.way == self.ways[sink]:
                self.left -= len(data)
        return super()._pass_on(data, sink) and not cut


class Slicer(TcpProxy):
    """Sends each byte alone."""

    def _pass_on(self, data, sink):
        return all(super(Slicer, self)._pass_on(data[i:i + 1], sink)
                   for i in range(len(data)))


@unittest.skipIf(MISSING, MISSING)
class Reports(unittest.TestCase):
    def cluster(self, *arguments, proxy=None, count=2):
        """Nodes, each of them behind a proxy of this class."""
        kind, clusterkit.PeerProxy = clusterkit.PeerProxy, proxy
        try:
            cluster = Cluster(count, "--group", "g:sync=owner", *arguments,
                              peer_proxies=proxy is not None)
        finally:
            clusterkit.PeerProxy = kind
        self.addCleanup(cluster.close)
        return cluster

    def cut_one(self, node, owner, key, value):
        """Sets the key once, and says how that ended and how often the owner
        has carried it out."""
        before = owner.stats("g").mutations_served
        try:
            node.client.set(key, value, "g")
            end = "OK"
        except grpc.RpcError as error:
            self.assertEqual(kama_status(error), "KAMA_ERR_PEER")
            end = error.details()
        return end, owner.stats("g").mutations_served - before

    def test_a_cut_change_is_applied_once_or_not_at_all(self):
        """Wherever the connection is cut, and the answer does not claim that
        nothing has happened when it may have."""
        cluster = self.cluster("--threads=1", proxy=Cutter)
        node, owner = cluster.nodes
        key = cluster.key_of(owner, "g", via=node)
        cuts = 0
        for way, left in itertools.product(("up", "down"), range(0, 160, 5)):
            clusterkit.until_done(
                lambda client: client.set(key, b"warm", "g"), [node])
            owner.peer_proxy.arm(way, left)
            value = b"%s %d" % (way.encode(), left)
            end, applied = self.cut_one(node, owner, key, value)
            owner.peer_proxy.arm(None, 0)
            kept = owner.client.get(key, "g")
            self.assertEqual(kept, value if applied else b"warm")
            self.assertLessEqual(applied, 1, (way, left, end))
            if end == "OK":
                self.assertEqual(applied, 1, (way, left))
            elif "may have been applied" in end:
                cuts += 1
            else:
                self.assertIn("the owner was not reached", end)
                self.assertEqual(applied, 0, (way, left))
        self.assertGreater(cuts, 10)

    def test_connections_that_arrive_byte_by_byte(self):
        cluster = self.cluster(proxy=Slicer)
        for i in range(20):
            key, value = b"key %d" % i, bytes([i]) * (i * 100)
            cluster.nodes[i % 2].client.set(key, value, "g")
            for node in cluster.nodes:
                self.assertEqual(node.client.get(key, "g"), value)

    def test_keys_that_a_path_would_spoil(self):
        """They mean the same to every node."""
        cluster = self.cluster(count=3)
        keys = [b"a b", b"a+b", b"a%20b", b"//", b"/../x", b"x/./y", b"?q=1",
                b"#", b"\x00", b"\xff\xfe", "é".encode(), b"k" * 500]
        for number, key in enumerate(keys):
            cluster.nodes[number % 3].client.set(key, b"%d" % number, "g")
        for node in cluster.nodes:
            self.assertEqual([node.client.get(key, "g") for key in keys],
                             [b"%d" % n for n in range(len(keys))])

    def test_changes_through_all_nodes_at_once(self):
        """None is dropped because another one of the same key runs, and all
        nodes agree at the end."""
        cluster = self.cluster(count=3)
        before = cluster.total("sets", "g")

        def write(node, name):
            for i in range(100):
                node.client.set(b"k%d" % (i % 5), b"%s %d" % (name, i), "g")
        threads = [threading.Thread(target=write, args=(node, b"n%d" % n))
                   for n, node in enumerate(cluster.nodes)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(cluster.total("sets", "g") - before, 300)
        for i in range(5):
            key = b"k%d" % i
            seen = {node.client.get(key, "g") for node in cluster.nodes}
            self.assertEqual(len(seen), 1, seen)
            self.assertEqual(seen.pop().split()[1], b"%d" % (95 + i))

    def test_nodes_with_names_and_ipv6(self):
        """localhost, [::1] and 127.0.0.1 are one cluster."""
        cluster = self.cluster(count=1)
        for host in ("localhost", "[::1]"):
            node = ClusterNode(cluster.etcd.address, cluster.arguments, False,
                               False)
            node.address = node.advertise = "%s:%d" % (host, node_port())
            cluster.nodes.append(node)
            node.start("--advertise", node.advertise)
        cluster.wait_view()
        for number, node in enumerate(cluster.nodes):
            key = cluster.key_of(node, "g")
            for other in cluster.nodes:
                other.client.set(key, b"%d" % number, "g")
                self.assertEqual(
                    {n.client.get(key, "g") for n in cluster.nodes},
                    {b"%d" % number})
        last = cluster.nodes[-1]
        last.stop()
        cluster.wait_view()
        self.assertNotIn(last.advertise, cluster.nodes[0].members())


if __name__ == "__main__":
    kamatest.main()
