#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""explain says where a key lives, and what it says a get would do is what the get
does: in a cluster of real nodes, while a load runs, while a node stands still, and
at a node that is not ready."""
import concurrent.futures
import contextlib
import http.client
import json
import threading
import time
import unittest
import urllib.request

import grpc

import etcdkit
import kamatest
from clikit import OK, REFUSED, USAGE, cli, cli_json
from clusterkit import Cluster
from kamatest import Client, Daemon, HttpOrigin, free_port, wait_until

COUNTERS = ("gets", "hits", "negative_hits", "misses", "loads", "peer_gets",
            "fills_served", "expirations")


class Explaining(unittest.TestCase):
    def explain(self, node, key, group="web"):
        """(the answer, {address: copy})"""
        code, answer = cli_json(node, "-q", "-g", group, "explain", key)
        self.assertEqual(code, OK)
        return answer, {copy["address"]: copy for copy in answer["copies"]}


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class InACluster(Explaining):
    @classmethod
    def setUpClass(cls):
        cls.gate = threading.Event()
        cls.origin = HttpOrigin(cls.answer)
        cls.addClassCleanup(cls.origin.__exit__)
        cls.cluster = Cluster(
            3, "--group", cls.origin.group("web", negative_ttl="60s",
                                           sync="owner"),
            "--group", "plain:sync=owner")
        cls.addClassCleanup(cls.cluster.close)
        cls.addClassCleanup(cls.gate.set)

    @classmethod
    def answer(cls, path):
        if "slow" in path:
            cls.gate.wait(30)
        return (404, b"") if "none" in path else (200, b"of " + path.encode())

    def counters(self):
        return [[getattr(node.stats("web"), name) for name in COUNTERS]
                for node in self.cluster.nodes]

    def test_the_owner_has_it_and_the_others_fill_from_it(self):
        owner, other, third = self.cluster.nodes
        key = self.cluster.key_of(owner, "web", b"fill").decode()
        _, copies = self.explain(other, key)
        self.assertEqual(copies[owner.advertise]["get"], "load")
        other.client.get(key.encode(), "web")
        before = self.counters()
        answer, copies = self.explain(third, key)
        self.assertEqual(self.counters(), before)  # it was only looked at
        self.assertEqual(answer["owner"]["addresses"][0], owner.advertise)
        self.assertEqual([c["rank"] for c in answer["copies"]], [1, 2, 3])
        first = answer["copies"][0]
        self.assertEqual((first["address"], first["held"], first["get"],
                          first["state"], first["reason"]),
                         (owner.advertise, True, "hit", "active", ""))
        self.assertEqual((first["kind"], first["age_ms"], first["record"]),
                         (None, None, None))
        self.assertEqual(first["value_bytes"], len("of /" + key))
        for node in (other, third):
            copy = copies[node.advertise]
            self.assertEqual((copy["held"], copy["get"], copy["get_peer"]),
                             (False, "fill", owner.advertise))
        fills = other.stats("web").peer_gets
        other.client.get(key.encode(), "web")
        self.assertEqual(other.stats("web").peer_gets, fills + 1)
        text = cli(third, "-g", "web", "explain", key).stdout.decode()
        head, line, *_ = text.splitlines()
        self.assertEqual(head.split(), "RANK ADDRESS HELD VERSION AGE TTL SIZE "
                         "RECORD GET".split())
        self.assertEqual(line.split(), ["owner", owner.advertise, "yes", "-",
                                        "unknown", "forever",
                                        str(first["value_bytes"]), "unknown",
                                        "hit"])
        self.assertEqual(text.count("fill from " + owner.advertise), 2)

    def test_a_key_that_is_known_not_to_exist(self):
        owner, other, _ = self.cluster.nodes
        key = self.cluster.key_of(owner, "web", b"none").decode()
        with self.assertRaises(grpc.RpcError):
            owner.client.get(key.encode(), "web")
        _, copies = self.explain(other, key)
        copy = copies[owner.advertise]
        self.assertEqual((copy["status"], copy["negative"], copy["get"]),
                         ("KAMA_MISS", True, "negative"))
        self.assertTrue(0 < copy["ttl_ms"] <= 60000)

    def test_a_load_that_runs_is_joined(self):
        """At the owner, and at the node that waits for the owner's answer."""
        owner, other, third = self.cluster.nodes
        key = self.cluster.key_of(owner, "web", b"slow").decode()
        call = other.client.get_future(key.encode(), "web")
        wait_until(lambda: any(key in path for path in self.origin.requests))
        _, copies = self.explain(third, key)
        self.assertEqual([copies[n.advertise]["get"]
                          for n in (owner, other, third)],
                         ["join", "join", "fill"])
        self.assertEqual((copies[owner.advertise]["loading"],
                          copies[owner.advertise]["waiters"]), (True, 1))
        self.assertFalse(call.done())
        self.gate.set()
        call.result()
        self.assertEqual(sum(key in path for path in self.origin.requests), 1)

    def test_keys_are_bytes(self):
        owner = self.cluster.nodes[0]
        key = next(k for k in (b"\x00\xff-%d" % i for i in range(1000))
                   if self.cluster.owner(k, "plain") is owner)
        owner.client.set(key, b"v", "plain")
        typed = '"%s"' % "".join("\\x%02x" % byte for byte in key)
        answer, copies = self.explain(self.cluster.nodes[1], typed, "plain")
        self.assertEqual(copies[owner.advertise]["get"], "hit")
        self.assertIn("key_base64", answer)
        _, copies = self.explain(self.cluster.nodes[1], typed[:-1] + '-"',
                                 "plain")
        self.assertNotIn("hit", [copy["get"] for copy in copies.values()])

    def test_one_node_alone(self):
        """local_only answers for the node that was asked."""
        owner, other, _ = self.cluster.nodes
        key = self.cluster.key_of(owner, "plain", b"local")
        answer = other.call("Explain", group="plain", key=key, local_only=True)
        self.assertEqual([c.address for c in answer.copies], [other.advertise])
        self.assertEqual(answer.owner.addresses[0], owner.advertise)
        for wrong in (dict(group="plain", key=b""), dict(group="no", key=b"k")):
            with self.assertRaises(grpc.RpcError):
                other.call("Explain", **wrong)
        self.assertEqual(cli(other, "-g", "no", "explain", "k").returncode,
                         REFUSED)
        self.assertEqual(cli(other, "explain").returncode, USAGE)


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class AFrozenMember(Explaining):
    def test_it_is_a_row_with_a_reason(self):
        """Within 2 s, also before anybody has noticed that it is frozen; and a
        get of its keys is refused, where there is no loader."""
        with Cluster(3, "--group", "plain:sync=owner") as cluster:
            owner, other, _ = cluster.nodes
            key = cluster.key_of(owner, "plain").decode()
            owner.freeze()
            since = time.monotonic()
            _, copies = self.explain(other, key, "plain")
            took = time.monotonic() - since
            self.assertLess(took, 2.5 * kamatest.SLOWDOWN)
            copy = copies[owner.advertise]
            self.assertEqual((copy["status"], copy["held"], copy["get"]),
                             ("KAMA_ERR_PEER", None, "unknown"))
            self.assertNotEqual(copy["reason"], "")
            self.assertEqual(len(copies), 3)

            def refuses():
                _, now = self.explain(other, key, "plain")
                return now[other.advertise]["get"] == "refuse" and now
            copies = wait_until(refuses, 8)
            self.assertEqual(copies[other.advertise]["get_status"],
                             "KAMA_ERR_PEER")
            with self.assertRaises(grpc.RpcError) as caught:
                other.client.get(key.encode(), "plain")
            self.assertEqual(kamatest.kama_status(caught.exception),
                             "KAMA_ERR_PEER")
            owner.thaw()
            cluster.wait_view()


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class TheAdminPort(unittest.TestCase):
    @staticmethod
    def ask(node, path):
        with urllib.request.urlopen("http://%s%s" % (node.daemon.admin, path),
                                    timeout=20) as answer:
            return answer.read()

    def test_it_goes_on_while_members_are_asked(self):
        """A frozen member delays the answer that needs it, and no other one; a
        node that is told to stop meanwhile ends as it should."""
        path = "/api/v1/explain?group=plain&key=k"
        with Cluster(3, "--group", "plain") as cluster:
            frozen, asked, _ = cluster.nodes
            frozen.freeze()
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                explained = pool.submit(self.ask, asked, path)
                since = time.monotonic()
                for _ in range(20):
                    self.assertEqual(self.ask(asked, "/healthz"), b"ok\n")
                print("20 x /healthz: %.3f s" % (time.monotonic() - since))
                copies = json.loads(explained.result())["copies"]
                self.assertEqual(
                    {copy["address"]: copy["status"] for copy in copies}[
                        frozen.advertise], "KAMA_ERR_PEER")
                late = [pool.submit(self.ask, asked, path) for _ in range(3)]
                asked.daemon.signal()
                self.assertEqual(asked.daemon.wait(20), 0)
                for answer in late:
                    with contextlib.suppress(OSError,
                                             http.client.HTTPException):
                        json.loads(answer.result())
            frozen.thaw()


class NotReady(Explaining):
    def test_a_node_that_is_not_ready_refuses(self):
        """Its etcd does not answer, so that it is in no view. With a loader it
        would load."""
        with HttpOrigin(lambda path: (200, b"v")) as origin:
            node = Daemon("--etcd", "127.0.0.1:%d" % free_port(),
                          "--group", "plain:sync=owner",
                          "--group", origin.group("web", sync="owner"),
                          ready=False, listen="127.0.0.1:0")
            self.addCleanup(node.kill)
            node.address = node.wait_line("listening")["addr"]
            answer, copies = self.explain(node, "k", "plain")
            copy, = copies.values()
            self.assertEqual((copy["get"], copy["get_status"]),
                             ("refuse", "KAMA_ERR_PEER"))
            self.assertIn("cannot reach the cluster", copy["reason"])
            self.assertEqual(answer["owner"]["addresses"], [])
            with Client(node) as client:
                status, said = client.error(b"k", "plain")
            self.assertEqual(status, copy["get_status"])
            self.assertIn("cannot reach the cluster", said)
            _, copies = self.explain(node, "k", "web")
            copy, = copies.values()
            self.assertEqual(copy["get"], "load")
            self.assertIn("cannot reach the cluster", copy["reason"])

    def test_a_node_alone(self):
        with Daemon("--group", "plain") as node, Client(node) as client:
            answer, copies = self.explain(node, "k", "plain")
            copy = copies[node.address]
            self.assertEqual((copy["get"], copy["rank"], copy["held"]),
                             ("miss", 1, False))
            client.set(b"k", b"vvv", "plain")
            text = cli(node, "-g", "plain", "explain", "k").stdout.decode()
            self.assertRegex(text, r"(?m)^owner +\S+ +yes +- +unknown +forever +3"
                             r" +unknown +hit$")


if __name__ == "__main__":
    kamatest.main()
