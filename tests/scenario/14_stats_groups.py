#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=60
"""Stats counts what was done; Groups says how groups are configured."""
import unittest

import grpc

import kamatest
from kamatest import Client, Daemon, Folder, pb2, v2


class StatsAndGroups(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = Folder()
        cls.addClassCleanup(folder.__exit__)
        script = folder.script("origin",
                               "[ $1 = none ] && exit 4; printf loaded")
        cls.node = Daemon(
            "--group", "default", "--group", kamatest.group(
                "loads", loader="exec:%s {key}" % script, ttl="90s", ttl_jitter=10,
                sync_ack="one", fence_wait="7ms",
                negative_ttl="2s", max_bytes="8m", policy="lru",
                loader_timeout="7s", loader_concurrency=9))
        cls.addClassCleanup(cls.node.stop)
        cls.channel = kamatest.connected_channel(cls.node.address)
        cls.addClassCleanup(cls.channel.close)

    def stats(self, **fields):
        return v2(self.channel, "Stats", pb2().StatsRequest(**fields))

    def test_counts(self):
        with Client(self.node) as client:
            client.set(b"a", b"12345", group="loads")
            for _ in range(3):
                client.get(b"a", group="loads")
            client.get(b"b", group="loads")
            for _ in range(2):
                client.error(b"none", group="loads")
            client.delete(b"a", group="loads")
        reply = self.stats(group="loads")
        self.assertEqual((len(reply.node), reply.version, reply.uptime_ms,
                          reply.rss_bytes), (0, "", 0, 0))
        s, = reply.groups
        self.assertEqual(
            (s.name, s.gets, s.hits, s.negative_hits, s.misses, s.loads,
             s.loads_missed, s.sets, s.dels, s.entries),
            ("loads", 6, 3, 1, 2, 2, 1, 1, 1, s.entries))
        self.assertEqual((s.entries, s.negative_entries), (1, 1))
        self.assertEqual(s.load_latency.count, 2)
        self.assertGreater(s.load_latency.p50_ns, 0)
        self.assertGreaterEqual(s.load_latency.max_ns, s.load_latency.p99_ns)
        self.assertGreaterEqual(s.load_latency.sum_ns * 1.01, s.load_ns)
        self.assertEqual(s.max_bytes, 8 << 20)
        self.assertGreater(s.bytes, 0)

    def test_expired_entries_leave_the_counters(self):
        """When a scan has passed them, whether they have a value or not."""
        with Client(self.node) as client:
            for i in range(50):
                v2(self.channel, "Set", pb2().SetRequest(
                    group="default", key=b"short %d" % i, ttl_ms=100))
            client.set(b"long", b"v")
            self.assertEqual(self.stats(group="default").groups[0].entries, 51)

            def scanned():
                request = pb2().ScanRequest(group="default")
                call = self.channel.unary_stream("/kama.v2.Cache/Scan")(
                    request.SerializeToString())
                for _ in call:
                    pass
                return self.stats(group="default").groups[0].entries == 1

            kamatest.wait_until(scanned)

    def test_node(self):
        reply = self.stats(all=True)
        self.assertEqual([g.name for g in reply.groups], ["default", "loads"])
        metrics = {m.name: m for m in reply.node}
        self.assertTrue(metrics["connections"].gauge)
        self.assertGreaterEqual(metrics["connections"].value, 1)
        self.assertFalse(metrics["calls"].gauge)
        more = {m.name: m.value for m in self.stats(all=True).node}
        self.assertGreater(more["calls"], metrics["calls"].value)

    def test_empty_name(self):
        """As in every request, it means the group "default"."""
        reply = self.stats()
        self.assertEqual([g.name for g in reply.groups], ["default"])
        self.assertFalse(reply.node)
        with self.assertRaises(grpc.RpcError) as caught:
            self.stats(group="loads", all=True)
        self.assertEqual(kamatest.kama_status(caught.exception),
                         "KAMA_ERR_INVALID")

    def test_process(self):
        """Version, age and memory come with all groups, not with one."""
        reply = self.stats(all=True)
        self.assertEqual(reply.version, kamatest.run(
            "--version").stdout.split()[1])
        kamatest.wait_until(lambda: self.stats(all=True).uptime_ms >
                            reply.uptime_ms + 50)
        resident = self.node.memory_kib("VmRSS") * 1024
        self.assertTrue(resident / 4 < reply.rss_bytes < resident * 4,
                        (resident, reply.rss_bytes))
        self.assertEqual(self.stats(group="loads").version, "")

    def test_no_group(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.stats(group="nowhere")
        self.assertEqual(kamatest.kama_status(caught.exception),
                         "KAMA_ERR_NO_GROUP")

    def test_groups(self):
        default, loads = v2(self.channel, "Groups",
                            pb2().GroupsRequest()).groups
        self.assertEqual(
            (default.name, default.max_bytes, default.max_value_bytes,
             default.ttl_ms, default.has_loader, default.policy),
            ("default", 64 << 20, 1 << 20, -1, False, "s3fifo+"))
        self.assertEqual(
            (loads.name, loads.max_bytes, loads.ttl_ms, loads.negative_ttl_ms,
             loads.has_loader, loads.loader_timeout_ms,
             loads.loader_concurrency, loads.policy, loads.sync),
            ("loads", 8 << 20, 90000, 2000, True, 7000, 9, "lru",
             "broadcast"))
        self.assertEqual([(o.name, o.value) for o in loads.options],
                         [("ttl_jitter", "10"), ("sync_ack", "one"),
                          ("fence_wait", "7ms")])

    def test_forever(self):
        with Daemon("--group", "g:ttl=forever,negative_ttl=forever") as node, \
                kamatest.connected_channel(node.address) as channel:
            group, = v2(channel, "Groups", pb2().GroupsRequest()).groups
        self.assertEqual((group.ttl_ms, group.negative_ttl_ms), (-1, -1))


if __name__ == "__main__":
    kamatest.main()
