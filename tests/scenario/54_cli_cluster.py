# SPDX-License-Identifier: MIT
"""node, peers, owner, ping --cluster, stats --cluster and several endpoints of
kamacache-cli: against a node alone, and against one that names other members.
"""
import json
import re
import unittest

from clikit import (MISS, OK, REFUSED, UNREACHABLE, USAGE, FakeNode, cli,
                    cli_json, health)
from kamatest import Client, Daemon, free_port, main, pb2

V2 = "/kama.v2.Cache/"


class Alone(unittest.TestCase):
    """A node alone is a cluster of itself."""

    @classmethod
    def setUpClass(cls):
        cls.node = Daemon("--group", "default", "--group", "users",
                          "--cluster", "blue", "--labels", "zone-a,ssd")
        cls.addClassCleanup(cls.node.stop)

    def out(self, *arguments, code=OK):
        done = cli(self.node, *arguments)
        self.assertEqual(done.returncode, code, done)
        return done.stdout.decode()

    def test_node(self):
        code, node = cli_json(self.node, "node")
        self.assertEqual(code, OK)
        self.assertEqual((node["listen"], node["advertise"]),
                         (self.node.address, self.node.address))
        self.assertEqual((node["cluster"], node["service"], node["etcd"]),
                         ("blue", "kama-cache", ""))
        self.assertRegex(node["id"], "^[0-9a-f]{32}$")
        self.assertRegex(node["view_id"], "^[0-9a-f]{16}$")
        self.assertEqual((node["ready"], node["missing"], node["peer_count"],
                          node["registration"], node["settled"]),
                         (True, [], 0, "none", True))
        self.assertEqual(node["lease_id"], "")
        text = self.out("node")
        self.assertRegex(text, r"(?m)^ready +yes$")
        self.assertRegex(text, r"(?m)^etcd +-$")
        self.assertRegex(text, r"(?m)^lease +-$")
        self.assertIn(node["id"], text)

    def test_peers(self):
        code, view = cli_json(self.node, "peers")
        self.assertEqual(code, OK)
        member, = view["members"]
        self.assertEqual((member["address"], member["state"], member["reach"]),
                         (self.node.address, "active", "self"))
        self.assertEqual((member["labels"], member["weight"],
                          member["share_ppm"], member["self"]),
                         (["zone-a", "ssd"], 1, 1000000, True))
        head, line = self.out("peers").splitlines()
        self.assertEqual(head.split(), "ADDR ID STATE LATENCY SINCE "
                         "REACH SYNC LAG QUEUE".split())
        cells = line.split()
        self.assertEqual(cells[:4], [self.node.address, member["id"][:8],
                                     "active", "-"])
        self.assertEqual(cells[4:], ["-", "self", "-", "-", "-"])
        self.assertIsNone(member["stream"])

    def test_owner(self):
        code, owner = cli_json(self.node, "-g", "users", "owner", "tom")
        self.assertEqual(code, OK)
        self.assertEqual((owner["addresses"], owner["self"]),
                         ([self.node.address], True))
        self.assertLess(owner["slot"], 1 << 18)
        self.assertEqual(owner["view_id"],
                         cli_json(self.node, "node")[1]["view_id"])
        self.assertEqual(self.out("--raw", "owner", "tom"),
                         self.node.address + "\n")
        self.assertRegex(self.out("owner", "tom"),
                         r"^owner  \S+ \(the node itself\)\n"
                         r"id     [0-9a-f]{32}\nrank   \S+\n"
                         r"slot   \d+\nview   [0-9a-f]{16}\n$")
        self.out("-g", "nowhere", "owner", "tom", code=REFUSED)
        self.out("owner", code=USAGE)

    def test_ping_and_stats_of_the_cluster(self):
        self.assertRegex(self.out("ping", "--cluster"),
                         r"^%s  SERVING  \d+\.\d{3} ms\n$" %
                         re.escape(self.node.address))
        code, pings = cli_json(self.node, "ping", "--cluster")
        self.assertEqual((code, pings[0]["address"], pings[0]["status"]),
                         (OK, self.node.address, "SERVING"))
        code, stats = cli_json(self.node, "stats", "--cluster")
        self.assertEqual(code, OK)
        self.assertEqual([g["name"] for g in stats["groups"]],
                         ["default", "users"])
        self.assertEqual(stats["members"], [{"address": self.node.address,
                                             "status": "KAMA_OK"}])
        self.assertGreater(stats["node"]["rss_bytes"], 0)
        self.out("get", "k", "--cluster", code=USAGE)


class Several(unittest.TestCase):
    """Two nodes and a dead one, named as members by a third."""

    @classmethod
    def setUpClass(cls):
        cls.nodes = []
        for _ in range(2):
            cls.nodes.append(Daemon("--group", "default"))
            cls.addClassCleanup(cls.nodes[-1].stop)
        cls.dead = "127.0.0.1:%d" % free_port()

    def naming(self, *addresses):
        c = pb2()
        members = c.MembersResponse(members=[
            c.Member(address=a, id=b"\1" * 16, state=2, reach=3,
                     latency_ns=1500000, since_ms=61000) for a in addresses])
        owner = c.OwnerResponse(addresses=addresses, owner_id=b"\2" * 16,
                                slot=9, view_id=7)
        fake = FakeNode({V2 + "Members": lambda *_: members.SerializeToString(),
                         V2 + "Owner": lambda *_: owner.SerializeToString(),
                         "/grpc.health.v1.Health/Check": health(1)})
        self.addCleanup(fake.__exit__)
        return fake

    def test_ping_says_who_does_not_serve(self):
        both = [node.address for node in self.nodes]
        done = cli(self.naming(*both), "ping", "--cluster")
        self.assertEqual((done.returncode, done.stdout.count(b"  SERVING  ")),
                         (OK, 2), done)
        done = cli(self.naming(self.dead, *both), "ping", "--cluster")
        self.assertEqual(done.returncode, UNREACHABLE, done)
        lines = done.stdout.decode().splitlines()
        self.assertEqual(len(lines), 3)
        self.assertIn(self.dead + "  UNREACHABLE  ", lines[0])
        code, pings = cli_json(self.naming(self.dead, both[0]), "ping",
                               "--cluster")
        self.assertEqual((code, [p["status"] for p in pings]),
                         (UNREACHABLE, ["UNREACHABLE", "SERVING"]))
        self.assertIn(self.dead, pings[0]["message"])

    def test_stats_are_sums_and_say_who_is_missing(self):
        for i, node in enumerate(self.nodes):
            with Client(node) as client:
                for j in range(i + 2):
                    client.set(b"%d" % j, b"v")
        both = [node.address for node in self.nodes]
        each = [cli_json(a, "stats", "default")[1]["groups"][0]["sets"]
                for a in both]
        code, sums = cli_json(self.naming(*both), "stats", "--cluster")
        self.assertEqual(code, OK)
        self.assertEqual(sums["groups"][0]["sets"], sum(each))
        self.assertGreaterEqual(sum(each), 5)
        done = cli(self.naming(both[0], self.dead), "stats", "--cluster")
        self.assertEqual(done.returncode, UNREACHABLE)
        self.assertIn(b"not in the sums: " + self.dead.encode(), done.stderr)
        self.assertRegex(done.stdout.decode(), r"(?m)^group default$")
        self.assertRegex(done.stdout.decode(), r"(?m)^  sets +%d$" % each[0])

    def test_peers_and_owner_of_several(self):
        fake = self.naming("10.0.0.1:1", "10.0.0.2:22")
        lines = cli(fake, "peers").stdout.decode().splitlines()
        self.assertEqual(lines[1].split(), ["10.0.0.1:1", "01" * 4, "active",
                                            "1.500ms", "1m", "unreachable",
                                            "-", "-", "-"])
        self.assertEqual(lines[1].index("active"), lines[2].index("active"))
        text = cli(fake, "owner", "k").stdout.decode()
        self.assertEqual(text, "owner  10.0.0.1:1\nid     %s\n"
                         "rank   10.0.0.1:1 10.0.0.2:22\nslot   9\n"
                         "view   0000000000000007\n" % ("02" * 16))

    def test_peers_show_the_streams(self):
        """Their state, the age of the oldest mutation that waits for the member,
        and how many wait; all figures in JSON."""
        c = pb2()
        figures = {"state": "in_sync", "up": True, "unsynced": False,
                   "quarantined": False, "differing": 0,
                   "lag_ns": 1250000, "lag_entries": 3, "acked": 5,
                   "applied": 6, "sent": 7, "received": 8, "duplicates": 9,
                   "gaps": 10, "gaps_sent": 11,
                   "bytes_sent": 13, "bytes_received": 14,
                   "gap_age_ms": 12}
        members = c.MembersResponse(members=[
            c.Member(address="10.0.0.1:1",
                     stream=c.MemberStream(**figures)),
            c.Member(address="10.0.0.2:1", stream=c.MemberStream(
                state="down\x1b", unsynced=True, quarantined=True,
                differing=2, lag_ns=75 * 10 ** 9,
                lag_entries=2 ** 40))])
        with FakeNode({V2 + "Members":
                       lambda *_: members.SerializeToString()}) as fake:
            lines = cli(fake, "peers").stdout.decode().splitlines()
            self.assertEqual([line.split()[-3:] for line in lines],
                             [["SYNC", "LAG", "QUEUE"],
                              ["in_sync", "1.250ms", "3"],
                              ["down\\x1b,unsynced,quarantined,differs", "1m",
                               str(2 ** 40)]])
            self.assertEqual(cli(fake, "--raw", "peers").stdout.decode(),
                             "\n".join(lines) + "\n")
            first, second = cli_json(fake, "peers")[1]["members"]
            self.assertEqual(first["stream"], figures)
            self.assertEqual((second["stream"]["unsynced"],
                              second["stream"]["up"]), (True, False))

    def test_explain_shows_versions_and_records(self):
        """With the address of the member where a mutation began, or its digits if
        the address is not known."""
        c = pb2()
        here = c.MutationVersion(unix_ms=1764357361123, counter=2,
                                 origin=b"\1" * 8, address="10.0.0.1:1")
        gone = c.MutationVersion(unix_ms=5, origin=b"\xab" * 8)
        answer = c.ExplainResponse(copies=[
            c.Copy(address="10.0.0.1:1", rank=1, kind=2, value_bytes=3,
                   ttl_ms=-1, age_ms=12000, stamp=here, get=1,
                   record=c.KeyRecord(operation="set", seq=7, age_ms=12000,
                                      origin=b"\1" * 16, version=here)),
            c.Copy(address="10.0.0.2:1", rank=2, kind=2, value_bytes=3,
                   ttl_ms=-1, stamp=gone, get=1,
                   record=c.KeyRecord(operation="none"))])
        with FakeNode({V2 + "Explain":
                       lambda *_: answer.SerializeToString()}) as fake:
            lines = cli(fake, "explain", "k").stdout.decode().splitlines()
            self.assertEqual(lines[1].split(), [
                "owner", "10.0.0.1:1", "explicit",
                "1764357361123.2@10.0.0.1:1", "12s", "forever", "3", "set",
                "#7,", "12s", "ago", "hit"])
            self.assertEqual(lines[2].split(), [
                "2", "10.0.0.2:1", "explicit", "5.0@" + "ab" * 8, "unknown",
                "forever", "3", "none", "hit"])
            first, second = cli_json(fake, "explain", "k")[1]["copies"]
            version = {"unix_ms": 1764357361123, "counter": 2,
                       "origin": "01" * 8, "address": "10.0.0.1:1"}
            self.assertEqual(first["stamp"], version)
            self.assertEqual(first["record"], {
                "operation": "set", "origin": "01" * 16, "age_ms": 12000,
                "seq": 7, "version": version})
            self.assertEqual((second["record"]["operation"],
                              second["record"]["version"]), ("none", None))

    def test_an_etcd_that_does_not_answer_is_told(self):
        """By `peers`, behind the members that the node has known last."""
        fake = self.naming("10.0.0.1:1")
        done = cli(fake, "peers")
        self.assertIn(b"etcd does not answer the node", done.stderr)
        self.assertEqual((done.returncode, done.stdout.count(b"\n")), (OK, 2))
        done = cli(self.nodes[0], "peers")  # alone, and without etcd
        self.assertEqual((done.returncode, done.stderr), (OK, b""))

    def test_a_lease_is_shown_as_etcd_shows_it(self):
        answer = pb2().NodeResponse(lease_id=(1 << 62) + 10)
        with FakeNode({V2 + "Node":
                       lambda *_: answer.SerializeToString()}) as fake:
            self.assertIn(b"lease         400000000000000a\n",
                          cli(fake, "node").stdout)
            self.assertEqual(cli_json(fake, "node")[1]["lease_id"],
                             "400000000000000a")

    def test_clear_names_the_members_that_it_did_not_reach(self):
        """It succeeds all the same. Addresses cannot control the terminal."""
        unsynced = ["10.0.0.1:1", "10.0.0.2:22\x1b"]
        answer = pb2().ClearResponse(unsynced=unsynced).SerializeToString()

        def clear(_, context):
            context.set_trailing_metadata((("kama-status", "KAMA_UNSYNCED"),))
            return answer

        with FakeNode({V2 + "Clear": clear}) as fake:
            done = cli(fake, "clear")
            self.assertEqual((done.returncode, done.stdout), (OK, b""), done)
            warning, advice = done.stderr.decode().splitlines()
            self.assertEqual(warning, "kamacache-cli: clear: warning: these "
                             "members have not answered, and may still have their "
                             'entries: 10.0.0.1:1 "10.0.0.2:22\\x1b"')
            self.assertIn("sync=owner or local, clear the group again", advice)
            self.assertIn("any other sync the clear comes to them by itself",
                          advice)
            done = cli(fake, "--json", "clear")
            self.assertEqual((done.returncode, done.stderr), (OK, b""))
            self.assertEqual(json.loads(done.stdout),
                             {"ok": True, "unsynced": unsynced})

    def test_changes_name_the_members_that_are_late(self):
        """They succeed all the same, with one line, or a field of JSON."""
        late = ["10.0.0.1:1", "10.0.0.2:22\x1b"]
        answers = {"Set": pb2().SetResponse(unsynced=late),
                   "Touch": pb2().TouchResponse(found=True, unsynced=late),
                   "Delete": pb2().DeleteResponse(removed=True, unsynced=late),
                   "MSet": pb2().MSetResponse(statuses=[0, 4], unsynced=late),
                   "MDelete": pb2().MDeleteResponse(statuses=[4, 1],
                                                    unsynced=late)}

        def method(message):
            def answer(_, context):
                context.set_trailing_metadata(
                    (("kama-status", "KAMA_UNSYNCED"),))
                return message.SerializeToString()
            return answer

        ok = {"ok": True, "unsynced": late}
        removed = {"removed": 1, "unsynced": late}
        with FakeNode({V2 + name: method(message)
                       for name, message in answers.items()}) as fake:
            for words, shown in ((("set", "k", "v"), ok),
                                 (("touch", "k"), ok),
                                 (("mset", "k", "v", "l", "w"), ok),
                                 (("del", "k"), removed),
                                 (("mdel", "k", "l"), removed)):
                done = cli(fake, *words)
                self.assertEqual(
                    (done.returncode, done.stdout),
                    (OK, b"1\n" if shown is removed else b""), done)
                self.assertEqual(
                    done.stderr.decode(),
                    "kamacache-cli: %s: warning: done, but these members have "
                    'not acknowledged it in time: 10.0.0.1:1 "10.0.0.2:22\\x1b"'
                    "\n" % words[0])
                done = cli(fake, "--json", *words)
                self.assertEqual((done.returncode, done.stderr), (OK, b""))
                self.assertEqual(json.loads(done.stdout), shown)

    def test_the_next_endpoint_is_tried(self):
        """Also by a stream, by --wait, and by the variable; an address that is
        none is refused wherever it stands."""
        live = self.nodes[0].address
        several = "%s,%s" % (self.dead, live)
        self.assertEqual(cli(several, "set", "e", "1").returncode, OK)
        self.assertEqual(cli(several, "get", "e").stdout, b"1\n")
        self.assertEqual(cli("%s,%s" % (live, self.dead), "get", "e").stdout,
                         b"1\n")
        self.assertIn(b"e\n", cli(several, "keys").stdout)
        self.assertEqual(cli(several, "--wait=5s", "ping").returncode, OK)
        self.assertEqual(cli("", "get", "e", env={
            "KAMACACHE_ENDPOINT": several}).stdout, b"1\n")
        self.assertEqual(cli(several, "get", "none").returncode, MISS)
        done = cli("%s,%s" % (self.dead, self.dead), "get", "e")
        self.assertEqual(done.returncode, UNREACHABLE)
        self.assertIn(self.dead.encode(), done.stderr)
        for wrong in ("nonsense," + live, live + ",nonsense", live + ","):
            self.assertEqual(cli(wrong, "get", "e").returncode, USAGE, wrong)


if __name__ == "__main__":
    main()
