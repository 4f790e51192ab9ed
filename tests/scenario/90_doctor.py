#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: labels=nosan timeout=240
"""doctor finds what is wrong with a cluster, and nothing when nothing is wrong.
Each finding is provoked: the important ones on real nodes, the rest with servers
that answer as such a node would."""
import glob
import os
import re
import socket
import time
import unittest

import grpc

import etcdkit
import kamatest
from clikit import (MISS, OK, OTHER, UNREACHABLE, USAGE, FakeNode, cli,
                    cli_json)
from clusterkit import Cluster, node_port
from kamatest import (Daemon, HttpOrigin, free_port, limit_descriptors, pb2,
                      wait_until)

FAKETIME = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
V2 = "/kama.v2.Cache/"
BOUND_SECONDS = 2.6  # 2 s, and the start and the end of the process
# What the machine of the test may have that no test is about.
MACHINE = {"memory-limit", "overcommit", "registry-slow"}


def found(report):
    """{(id, severity, member, other)} without what the machine has."""
    return {(f["id"], f["severity"], f["member"], f["other"])
            for f in report["findings"] if f["id"] not in MACHINE}


class Examining(unittest.TestCase):
    def doctor(self, node, *arguments):
        """(exit code, report), within the time that is promised."""
        since = time.monotonic()
        code, report = cli_json(node, "doctor", *arguments)
        self.assertLess(time.monotonic() - since, BOUND_SECONDS)
        self.assertEqual(code, OTHER if report["failures"] else
                         MISS if report["warnings"] else OK)
        for finding in report["findings"]:
            self.assertTrue(finding["text"] and finding["advice"], finding)
        return code, report


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class RealNodes(Examining):
    def test_nothing_is_wrong(self):
        with Cluster(3, "--group", "g:max_bytes=1m", "--group",
                     "h:max_bytes=1m,ttl=5s") as cluster:
            for node in cluster.nodes:
                _, report = self.doctor(node)
                self.assertEqual(found(report), set())
                self.assertEqual([m["address"] for m in report["members"]],
                                 sorted(n.advertise for n in cluster.nodes))
                for member in report["members"]:
                    self.assertEqual(member["status"], "KAMA_OK")
                    self.assertEqual(member["lease_ttl_ms"], 10000)
                    self.assertLess(member["lease_age_ms"], 10000)
                    self.assertGreater(member["etcd_latency_ns"], 0)
            text = cli(cluster.nodes[0], "doctor").stdout.decode()
            self.assertRegex(text, r"(?m)^3 members, 0 failures, \d warnings?$")

    def test_a_frozen_member(self):
        """It is told once, not by each of the others; and a doctor who is sent
        to it first asks the next address."""
        with Cluster(3, "--group", "g:max_bytes=1m") as cluster:
            frozen, other, _ = cluster.nodes
            frozen.freeze()
            both = "%s,%s" % (frozen.address, other.address)
            code, report = self.doctor(both)
            silent = ("member-silent", "fail", frozen.advertise, None)
            self.assertEqual(code, OTHER)
            self.assertIn(silent, found(report))
            self.assertEqual([f["id"] for f in report["findings"]
                              if f["severity"] == "fail"], ["member-silent"])
            since = time.monotonic()
            alone = cli(frozen.address, "doctor")
            self.assertLess(time.monotonic() - since, BOUND_SECONDS)
            self.assertEqual(alone.returncode, UNREACHABLE)
            wait_until(lambda: other.members()[frozen.advertise].reach ==
                       pb2().REACH_UNREACHABLE)
            self.assertEqual({f for f in found(self.doctor(other)[1])
                              if f[1] == "fail"}, {silent})
            frozen.thaw()
            cluster.wait_view()

    def test_two_nodes_that_do_not_reach_each_other(self):
        with Cluster(3, "--group", "g:max_bytes=1m",
                     peer_proxies=True) as cluster:
            a, b, c = cluster.nodes
            a.peer_proxy.refuse(b)
            b.peer_proxy.refuse(a)
            wait_until(lambda: a.members()[b.advertise].reach ==
                       b.members()[a.advertise].reach ==
                       pb2().REACH_UNREACHABLE)
            code, report = self.doctor(c)
            cuts = {f for f in found(report) if f[0] == "member-cut"}
            self.assertEqual(code, OTHER)
            self.assertEqual(cuts, {
                ("member-cut", "fail", a.advertise, b.advertise),
                ("member-cut", "fail", b.advertise, a.advertise)})
            a.peer_proxy.refuse(None)
            b.peer_proxy.refuse(None)
            cluster.wait_view()
            self.assertEqual(found(self.doctor(c)[1]), set())

    def test_an_advertised_address_that_leads_to_another_node(self):
        """Since after the start: at the start such a node is refused."""
        with Cluster(2, "--group", "g:max_bytes=1m",
                     peer_proxies=True) as cluster:
            a, b = cluster.nodes
            wrong = ("advertise-other", "fail", b.advertise, None)
            b.peer_proxy.target = a.address
            self.assertIn(wrong, found(self.doctor(a.address)[1]))
            b.peer_proxy.target = b.address
            wait_until(lambda: not found(self.doctor(a.address)[1]))

    def test_groups_that_differ(self):
        with Cluster(2, "--group", "g:max_bytes=1m,ttl=5s") as cluster:
            third = cluster.add("--group", "more:max_bytes=1m")
            third.arguments[1] = (
                "g:max_bytes=2m,ttl=6s,sync_ack=all,sync_timeout=300ms,"
                "sync=owner")
            third.start()
            cluster.wait_view()
            _, report = self.doctor(cluster.nodes[0])
            texts = {(f["id"], f["member"]): f["text"]
                     for f in report["findings"]}
            first = min(n.advertise for n in cluster.nodes)
            for member in cluster.nodes:
                differs = ("group-options", member.advertise) in texts
                self.assertEqual(differs, member.advertise != first and
                                 third.advertise in (member.advertise, first))
                self.assertEqual(("group-sync", member.advertise) in texts,
                                 differs)
                self.assertEqual(("group-missing", member.advertise) in texts,
                                 member is not third)
            text = next(t for (i, _), t in texts.items()
                        if i == "group-options")
            for option in ("max_bytes", "ttl_ms",
                           "sync_ack=all,sync_timeout=300ms"):
                self.assertIn(option, text)
            text = next(t for (i, _), t in texts.items() if i == "group-sync")
            for strategy in ("sync=broadcast", "sync=owner"):
                self.assertIn(strategy, text)

    @unittest.skipUnless(FAKETIME, "faketime is missing")
    def test_a_clock_that_is_wrong(self):
        with Cluster(2, "--group", "g:max_bytes=1m") as cluster:
            node = Daemon(
                "--etcd", cluster.etcd.address, "--group", "g:max_bytes=1m",
                ready=False, listen="127.0.0.1:%d" % node_port(),
                env={"LD_PRELOAD": FAKETIME[0], "FAKETIME": "+10s",
                     "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
            self.addCleanup(node.kill)
            node.wait_line("ready")
            node.address = node.wait_line("listening")["addr"]
            wait_until(lambda: len(cluster.nodes[0].members()) == 3)
            _, report = self.doctor(cluster.nodes[0])
            clocks = [f for f in report["findings"]
                      if f["id"] == "clock-offset"]
            self.assertEqual([(f["member"], f["severity"]) for f in clocks],
                             [(node.address, "warn")])
            ahead = float(re.search(r"at least ([\d.]+) s ahead",
                                    clocks[0]["text"]).group(1))
            self.assertTrue(8 < ahead <= 10, clocks)
            node.stop()

    def test_etcd_that_is_gone(self):
        with Cluster(1, "--group", "g:max_bytes=1m") as cluster:
            node, = cluster.nodes
            cluster.etcd.kill()
            down = ("registry-down", "fail", node.advertise, None)
            wait_until(lambda: down in found(self.doctor(node)[1]), 15)
            cluster.etcd.start()
            wait_until(lambda: not found(self.doctor(node)[1]), 30)

    def test_loaders_are_tried_on_request(self):
        """Each member uses its own loader, and only when it is asked to."""
        with HttpOrigin(lambda path: (500, b"") if "bad" in path
                        else (200, b"v")) as origin:
            with Cluster(3, "--group", origin.group(
                    "web", max_bytes="1m", loader_timeout="1s")) as cluster:
                self.assertEqual(found(self.doctor(cluster.nodes[0])[1]), set())
                self.assertEqual(origin.requests, [])
                _, report = self.doctor(cluster.nodes[0],
                                        "--probe-load=web:fine")
                self.assertEqual(found(report), set())
                self.assertEqual(len(origin.requests), 3)
                code, report = self.doctor(cluster.nodes[0],
                                           "--probe-load=web:bad")
                self.assertEqual(code, OTHER)
                self.assertEqual(found(report), {
                    ("loader-failed", "fail", node.advertise, None)
                    for node in cluster.nodes})
                for wrong in ("web", "web:", ""):
                    self.assertEqual(cli(cluster.nodes[0], "doctor",
                                         "--probe-load=" + wrong).returncode,
                                     USAGE)


class OneNode(Examining):
    def test_an_address_that_says_nothing(self):
        """The first answer counts, and nobody waits for the rest."""
        with Daemon("--group", "g:max_bytes=1m") as node, \
                socket.create_server(("127.0.0.1", 0)) as mute:
            since = time.monotonic()
            _, report = self.doctor("127.0.0.1:%d,%s" % (
                mute.getsockname()[1], node.address))
            self.assertLess(time.monotonic() - since, 0.9)
            self.assertEqual(found(report), set())

    def test_limits_of_the_process(self):
        """More connections than descriptors, and more memory than there is."""
        with Daemon("--group", "g:max_bytes=1m", "--max-connections", "900",
                    preexec=limit_descriptors(256)) as node:
            code, report = self.doctor(node)
            self.assertEqual(found(report), {
                ("descriptor-limit", "warn", node.address, None)})
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        with Daemon("--group", "g:max_bytes=%d" % (pages + 1)) as node:
            code, report = self.doctor(node)
            self.assertEqual(code, OTHER)
            self.assertIn(("memory-limit", "fail"),
                          {(f["id"], f["severity"])
                           for f in report["findings"]})

    def test_a_node_that_is_not_ready(self):
        node = Daemon("--etcd", "127.0.0.1:%d" % free_port(), "--group",
                      "g:max_bytes=1m", ready=False)
        self.addCleanup(node.kill)
        node.address = node.wait_line("listening")["addr"]
        _, report = self.doctor(node)
        # It is in no view and names no members: it is examined alone.
        self.assertIn(("not-ready", "fail", node.address, None), found(report))
        self.assertIn(("registry-down", "fail", node.address, None),
                      found(report))


class FakeCluster:
    """Servers that name each other as members. .answers[i] is the answer of a
    member to Doctor, or None for none; .members what they name."""

    def __init__(self, count, test):
        c = pb2()
        self.answers = []
        self.silent = set()
        self.fakes = []
        for i in range(count):
            self.fakes.append(FakeNode({
                V2 + "Members": lambda *_: self.view().SerializeToString(),
                V2 + "Doctor": lambda _, context, i=i: self.answer(i, context)
            }))
            test.addCleanup(self.fakes[-1].__exit__)
        self.addresses = [fake.address for fake in self.fakes]
        for i, address in enumerate(self.addresses):
            self.answers.append(c.DoctorResponse(
                wall_ms=int(time.time() * 1000), members=self.view(),
                node=c.NodeResponse(id=bytes([i]) * 16, advertise=address,
                                    ready=True, version="1.2.3"),
                groups=[c.GroupInfo(name="g", max_bytes=5)]))

    def view(self):
        c = pb2()
        return c.MembersResponse(view_id=7, settled=True, members=[
            c.Member(address=address, id=bytes([i]) * 16, state=2, reach=2)
            for i, address in enumerate(self.addresses)])

    def answer(self, i, context):
        if i in self.silent:
            time.sleep(2.2)
        if self.answers[i] is None:
            context.set_trailing_metadata((("kama-status",
                                            "KAMA_ERR_UNSUPPORTED"),))
            context.abort(grpc.StatusCode.UNIMPLEMENTED,
                          "not in this version")
        return self.answers[i].SerializeToString()

    @property
    def address(self):
        return self.addresses[0]


class FakeNodes(Examining):
    def expect(self, cluster, *findings):
        """Only these: (id, severity, index, index of the other or None)."""
        names = cluster.addresses + [None]
        _, report = self.doctor(cluster)
        self.assertEqual(found(report), {
            (name, severity, names[member],
             None if other is None else names[other])
            for name, severity, member, other in findings})
        return report

    def test_nothing_and_each_comparison(self):
        cluster = FakeCluster(3, self)
        self.expect(cluster)
        a, b, c = cluster.answers
        c.node.version = "1.2.4"
        self.expect(cluster, ("version-differs", "warn", 2, 0))
        c.node.version = "1.2.3"
        b.members.view_id = 8
        b.members.settled = False
        self.expect(cluster, ("view-differs", "warn", 1, 0),
                    ("view-unsettled", "warn", 1, None))
        b.members.CopyFrom(cluster.view())
        a.wall_ms -= 90000  # the others agree, so that this one is wrong
        report = self.expect(cluster, ("clock-offset", "fail", 0, 1))
        self.assertIn("behind", report["findings"][0]["text"])
        a.wall_ms += 88000
        self.expect(cluster, ("clock-offset", "warn", 0, 1))
        a.wall_ms = b.wall_ms = c.wall_ms = int(time.time() * 1000)
        b.groups[0].name = "h"
        self.expect(cluster, ("group-missing", "fail", 1, 0),
                    ("group-missing", "fail", 0, 1),
                    ("group-missing", "fail", 2, 1))
        b.groups[0].name = "g"
        b.groups[0].has_loader = True
        report = self.expect(cluster, ("group-options", "warn", 1, 0))
        self.assertIn("loader", report["findings"][0]["text"])

    def test_streams(self):
        """A member that is behind and one that was, and a clock in quarantine; of
        a member that is not reached, only that."""
        cluster = FakeCluster(3, self)
        a, b, _ = cluster.answers
        to_b = a.members.members[1]
        to_b.stream.CopyFrom(pb2().MemberStream(
            state="lagging", lag_ns=5 * 10 ** 9, lag_entries=17))
        self.expect(cluster)
        to_b.stream.unsynced = True
        report = self.expect(cluster, ("member-unsynced", "warn", 0, 1))
        text = report["findings"][0]["text"]
        self.assertIn(" 17 of its mutations", text)
        self.assertIn("for 5s", text)
        to_b.reach = pb2().REACH_UNREACHABLE
        self.expect(cluster, ("member-cut", "fail", 0, 1))
        a.members.CopyFrom(cluster.view())
        b.members.members[2].stream.CopyFrom(pb2().MemberStream(
            state="in_sync", gaps=2, gap_age_ms=599999))
        report = self.expect(cluster, ("member-gap", "warn", 1, 2))
        self.assertIn("2 times, last 9m ago", report["findings"][0]["text"])
        b.node.uptime_ms, b.node.start_ms = 599999 + 1500, 499
        self.expect(cluster, ("member-gap", "warn", 1, 2))
        b.node.start_ms += 1  # it has just started when it met the other one
        self.expect(cluster)
        b.node.uptime_ms, b.node.start_ms = 10 ** 7, 500
        b.members.members[2].stream.gap_age_ms += 1
        self.expect(cluster)
        b.members.members[0].stream.quarantined = True
        self.expect(cluster, ("clock-quarantined", "fail", 1, 0))

    def test_groups_with_different_strategies(self):
        cluster = FakeCluster(2, self)
        for answer, sync in zip(cluster.answers, ("broadcast", "owner")):
            answer.groups[0].sync = sync
        report = self.expect(cluster, ("group-sync", "fail", 1, 0))
        self.assertIn('group "g" has sync=owner, and on %s it has '
                      "sync=broadcast" % cluster.addresses[0],
                      report["findings"][0]["text"])

    def test_members_that_are_not_what_they_should_be(self):
        cluster = FakeCluster(3, self)
        a, b, c = cluster.answers
        cluster.answers[1] = None
        self.expect(cluster, ("member-old", "warn", 1, None))
        cluster.answers[1] = b
        b.node.id = b"x" * 16
        self.expect(cluster)  # it has registered again
        b.node.advertise = "elsewhere:1"
        self.expect(cluster, ("advertise-other", "fail", 1, None))
        b.node.advertise = cluster.addresses[1]
        cluster.silent.add(2)
        self.expect(cluster, ("member-silent", "fail", 2, None))
        cluster.silent.clear()
        a.members.members[1].reach = pb2().REACH_REFUSED
        self.expect(cluster, ("member-cut", "fail", 0, 1))

    def test_an_address_that_only_members_reach(self):
        cluster = FakeCluster(2, self)
        cluster.addresses.append("127.0.0.1:%d" % free_port())
        for answer in cluster.answers:
            answer.members.CopyFrom(cluster.view())
        self.expect(cluster, ("advertise-unreachable", "warn", 2, None))
        for answer in cluster.answers:
            answer.members.members[2].reach = pb2().REACH_UNREACHABLE
        self.expect(cluster, ("member-silent", "fail", 2, None))

    def test_what_a_node_has_found_is_told_in_its_words(self):
        """Also by a node of a later version; texts cannot control the terminal,
        and nonsense is no answer."""
        cluster = FakeCluster(2, self)
        cluster.answers[1].checks.add(name="lease-old", result=2,
                                      text="seen\x1b[2J", advice="do this")
        cluster.answers[1].checks.add(name="from-later", result=3, text="t",
                                      advice="a")
        cluster.answers[1].checks.add(name="fine", result=1)
        self.expect(cluster, ("lease-old", "warn", 1, None),
                    ("from-later", "fail", 1, None))
        done = cli(cluster, "doctor")
        self.assertEqual(done.returncode, OTHER)
        self.assertNotIn(b"\x1b", done.stdout)
        lines = done.stdout.decode().splitlines()
        self.assertEqual(lines[1:], [
            "      do this",
            "FAIL  from-later  %s: t" % cluster.addresses[1], "      a",
            "2 members, 1 failure, 1 warning"])
        with FakeNode({V2 + "Members":
                       lambda *_: cluster.view().SerializeToString(),
                       V2 + "Doctor": lambda *_: b"\xff"}) as nonsense:
            cluster.addresses[1] = nonsense.address
            cluster.answers[0].members.CopyFrom(cluster.view())
            _, report = self.doctor(cluster)
            self.assertIn(("member-silent", "fail", nonsense.address, None),
                          found(report))


if __name__ == "__main__":
    kamatest.main()
