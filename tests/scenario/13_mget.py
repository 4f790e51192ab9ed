#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=90
"""MGet: every key its own answer, loads side by side, limits, and a client
that leaves."""
import time
import unittest

import grpc

import kamatest
from kamatest import Client, Daemon, Folder, pb2, v2


class MGet(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Folder()
        cls.addClassCleanup(cls.folder.__exit__)
        script = cls.folder.script("origin", """
            case $1 in
                fail*) exit 1 ;;
                none*) exit 4 ;;
                slow*) sleep 0.3; printf slept ;;
                hang*) exec sleep 60 ;;
                *) printf 'loaded %s' "$1" ;;
            esac""")
        cls.node = Daemon(
            "--group", "default:max_bytes=128m",
            "--group", kamatest.group("loads", loader="exec:%s {key}" % script),
            "--group", kamatest.group("hangs", loader="exec:%s {key}" % script,
                                      loader_timeout="1s"),
            "--group", kamatest.group("forever", loader="exec:%s {key}" %
                                      script, loader_timeout="60s"))
        cls.addClassCleanup(cls.node.stop)
        cls.channel = kamatest.connected_channel(cls.node.address)
        cls.addClassCleanup(cls.channel.close)

    def mget(self, keys, **fields):
        return v2(self.channel, "MGet", pb2().MGetRequest(keys=keys,
                                                          **fields)).items

    def failure(self, keys, **fields):
        with self.assertRaises(grpc.RpcError) as caught:
            self.mget(keys, **fields)
        error = caught.exception
        return error.code().name, kamatest.kama_status(error), error.details()

    def test_mixed(self):
        """Order is that of the keys; one error is no error of the others."""
        c = pb2()
        with Client(self.node) as client:
            client.set(b"here", b"kept", group="loads")
            client.set(b"empty", b"", group="loads")
        items = self.mget([b"none", b"here", b"fail", b"a", b"", b"empty",
                           b"here", b"k" * 4097], group="loads")
        self.assertEqual(
            [(item.status, item.value) for item in items],
            [(c.KAMA_MISS, b""), (c.KAMA_OK, b"kept"),
             (c.KAMA_ERR_LOADER, b""), (c.KAMA_OK, b"loaded a"),
             (c.KAMA_ERR_INVALID, b""), (c.KAMA_OK, b""),
             (c.KAMA_OK, b"kept"), (c.KAMA_ERR_TOO_LARGE, b"")])
        self.assertEqual((items[1].source, items[3].source),
                         (c.SOURCE_LOCAL, c.SOURCE_LOADER))
        self.assertEqual(items[1].ttl_ms, -1)
        self.assertIn("exit code 1", items[2].message)
        self.assertEqual([item.message for item in items[3:]],
                         ["", "key: 0 bytes, at least 1", "", "",
                          "key: 4097 bytes, at most 4096"])

    def test_none(self):
        self.assertEqual(len(self.mget([])), 0)

    def test_no_load(self):
        c = pb2()
        items = self.mget([b"unseen"], group="loads", no_load=True)
        self.assertEqual(items[0].status, c.KAMA_WOULD_LOAD)

    def test_loads_run_side_by_side(self):
        """More keys than may wait at a time; each is loaded once, also a key
        that is there twice."""
        keys = [b"slow%d" % (i % 75) for i in range(150)]
        before = self.stats("loads").loads
        begin = time.monotonic()
        items = self.mget(keys, group="loads")
        self.assertEqual({item.value for item in items}, {b"slept"})
        self.assertLess(time.monotonic() - begin, 5 * kamatest.SLOWDOWN)
        self.assertEqual(self.stats("loads").loads - before, 75)

    def test_equal_keys_are_one_load(self):
        """Also those that are not remembered, and those that come after the
        first of them was answered."""
        c = pb2()
        keys = [b"none", b"fail", b"one"] * 200
        before = self.stats("loads")
        items = self.mget(keys, group="loads")
        self.assertEqual([item.status for item in items],
                         [c.KAMA_MISS, c.KAMA_ERR_LOADER, c.KAMA_OK] * 200)
        self.assertEqual({item.value for item in items[2::3]},
                         {b"loaded one"})
        self.assertEqual(len({item.message for item in items[1::3]}), 1)
        self.assertIn("exit code 1", items[1].message)
        after = self.stats("loads")
        self.assertEqual(after.loads - before.loads, 3)
        self.assertEqual(after.gets - before.gets, 600)

    def stats(self, group):
        return v2(self.channel, "Stats",
                  pb2().StatsRequest(group=group)).groups[0]

    def test_many(self):
        """The most keys that one call may name, and one more."""
        with Client(self.node) as client:
            client.set(b"x", b"y")
        items = self.mget([b"x", b"z"] * 32768)
        self.assertEqual(len(items), 65536)
        self.assertTrue(all(item.value == b"y" for item in items[::2]))
        self.assertTrue(all(item.status == pb2().KAMA_MISS
                            for item in items[1::2]))
        code, _, text = self.failure([b"x"] * 65537)
        self.assertEqual(code, "RESOURCE_EXHAUSTED")
        self.assertIn("65536", text)

    def test_answer_is_bounded(self):
        """What would make the answer too large is left out, and says so."""
        c = pb2()
        with Client(self.node) as client:
            for i in range(8):
                client.set(b"big%d" % i, bytes([i]) * (1 << 20))
        items = self.mget([b"big%d" % i for i in range(8)] + [b"none"])
        self.assertEqual([item.status for item in items],
                         [c.KAMA_OK] * 3 + [c.KAMA_ERR_TOO_LARGE] * 5 +
                         [c.KAMA_MISS])
        self.assertEqual(items[2].value, b"\2" * (1 << 20))
        self.assertEqual(items[3].message,
                         "the answer has no more room; ask for this key again")

    def test_deadline_and_cancel(self):
        """Who leaves takes nothing along: the loads run out by themselves."""
        stub = self.channel.unary_unary("/kama.v2.Cache/MGet")
        request = pb2().MGetRequest(group="hangs", keys=[
            b"hang%d" % i for i in range(100)]).SerializeToString()
        with self.assertRaises(grpc.RpcError) as caught:
            stub(request, timeout=0.2)
        self.assertEqual(caught.exception.code(),
                         grpc.StatusCode.DEADLINE_EXCEEDED)
        call = stub.future(request, timeout=30)
        call.cancel()
        kamatest.wait_until(lambda: self.running() == 1, 20)

    def test_all_calls_together_are_bounded(self):
        """4 Mi keys of calls that wait; one more is told to come later."""
        stub = self.channel.unary_unary("/kama.v2.Cache/MGet")
        keys = [b"hang"] + [b"x"] * 65535
        request = pb2().MGetRequest(group="forever", keys=keys)
        data = request.SerializeToString()
        calls = [stub.future(data, timeout=60) for _ in range(64)]
        kamatest.wait_until(lambda: self.running() == 65, 20)
        # They run, but have not all counted yet: the answer of one more is
        # what is waited for.
        one = pb2().MGetRequest(keys=[b"x"])
        kamatest.wait_until(lambda: self.refused(one), 20)
        for call in calls:
            call.cancel()
        kamatest.wait_until(lambda: not self.refused(one), 20)

    def refused(self, request):
        try:
            v2(self.channel, "MGet", request)
        except grpc.RpcError as error:
            self.assertEqual(error.code(),
                             grpc.StatusCode.RESOURCE_EXHAUSTED)
            self.assertEqual(kamatest.kama_status(error),
                             "KAMA_ERR_OVERLOADED")
            return True
        return False

    def running(self):
        """How many calls run; None if the node is too busy to answer in time."""
        try:
            reply = v2(self.channel, "Stats", pb2().StatsRequest(all=True))
        except grpc.RpcError as error:
            self.assertEqual(error.code(),
                             grpc.StatusCode.DEADLINE_EXCEEDED)
            return None
        return next(m.value for m in reply.node if m.name == "calls_running")


if __name__ == "__main__":
    kamatest.main()
