#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=180
"""Somebody who is no node speaks kama.peer.v1 to a node: with no id, with the id
of a member, with numbers and sizes that no node sends, and with bytes that are
no message. The node refuses or answers each call, its memory stays bounded, and
the cluster goes on."""
import os
import random
import unittest

import grpc

from clusterkit import Cluster
from etcdkit import MISSING
from kamatest import SLOWDOWN, insecure_channel, kama_status, pb2, wait_until

PEER = "/kama.peer.v1.Peer/"
SEED = int(os.environ.get("KAMA_SEED", "1"))
CALLS = int(os.environ.get("KAMA_CALLS", "1500"))
GROWTH_KIB = 64 * 1024 * SLOWDOWN
NUMBERS = [0, 1, -1, 2**31 - 1, -2**31, 99]
VIEWS = [0, 1, 2**64 - 1, 12345678901234567890]


class Stranger:
    """Sends calls to a node over one connection."""

    def __init__(self, node, seed):
        self.node = node
        self.choose = random.Random(seed)
        self.channel = insecure_channel(node.address)
        self.ids = [m.id for m in node.call("Members").members]
        self.view_id = node.node().view_id
        self.p = pb2("kama.peer.v1.peer")

    def sender(self):
        c = self.choose
        return self.p.Sender(
            cluster=c.choice(["default"] * 8 + ["other", "", "x" * 5000]),
            service=c.choice(["kama-cache"] * 8 + ["other", "y" * 300]),
            id=c.choice(self.ids * 4 + [b"", b"\0" * 16, c.randbytes(16),
                                        b"i" * 15, b"i" * 17, b"i" * 100000]),
            view_id=c.choice(VIEWS + [self.view_id] * 8 + [
                c.getrandbits(64)]))

    def keys(self):
        c = self.choose
        return [c.choice([b"", b"k", c.randbytes(20), b"k" * 5000])
                for _ in range(c.choice([0, 1, 2, 1024, 1025]))]

    def hello(self):
        c = self.choose
        return "Hello", self.p.HelloRequest(
            sender=self.sender(), address=c.choice(["", "a:1", "z" * 70000]),
            expected_id=c.choice([b"", b"x" * 16, b"x" * 300]),
            standing=c.choice(NUMBERS + [1, 2, 3]),
            proto_min=c.choice([0, 1, 2**32 - 1]),
            proto_max=c.choice([0, 1, 2**32 - 1]),
            wall_ms=c.choice([0, 2**64 - 1]))

    def group(self):
        return self.choose.choice(["users"] * 6 + ["", "none", "g" * 3000])

    def fill(self):
        c = self.choose
        return "Fill", self.p.FillRequest(
            sender=self.sender(), group=self.group(),
            key=c.choice([b"", b"k", c.randbytes(8), b"k" * 100000]),
            traceparent=c.choice(["", "00-x", "t" * 10000]))

    def lists(self):
        name = self.choose.choice(["FillMany", "Peek"])
        return name, getattr(self.p, name + "Request")(
            sender=self.sender(), group=self.group(), keys=self.keys())

    def mutate(self):
        c = self.choose
        return "Mutate", self.p.MutateRequest(
            sender=self.sender(), group=self.group(), mutations=[
                self.p.Mutation(kind=c.choice(NUMBERS + [1, 2, 3, 4]), key=k,
                                ttl_ms=c.choice([0, -1, -2, 2**63 - 1,
                                                 -2**63, 1000]),
                                value=c.choice([b"", b"v", b"v" * 3000]))
                for k in self.keys()])

    def call(self):
        """Begins one call, which may be no message of the method at all."""
        c = self.choose
        name, request = c.choice([self.hello, self.fill, self.lists,
                                  self.mutate])()
        data = request.SerializeToString()
        damage = c.random()
        if damage < 0.1:
            data = c.randbytes(c.randrange(200))
        elif damage < 0.3 and data:
            at = c.randrange(len(data))
            data = data[:at] + c.randbytes(1) + data[at + 1:]
        elif damage < 0.35:
            data = data[:c.randrange(len(data) + 1)]
        elif damage < 0.36:
            name, data = "Mutate", (request.sender.SerializeToString() +
                                    b"\x1a\0" * 1500000)
        method = self.channel.stream_stream(PEER + name)
        return method(iter([data]), timeout=10 * SLOWDOWN)

    def run(self, count):
        """Sends calls, some of which it gives up. Returns the statuses."""
        seen = {}
        for _ in range(count):
            call = self.call()
            if self.choose.random() < 0.05:
                call.cancel()
            try:
                for _ in call:
                    pass
                status = "OK"
            except grpc.RpcError as error:
                status = kama_status(error)
            seen[status] = seen.get(status, 0) + 1
        return seen


@unittest.skipIf(MISSING, MISSING)
class HostilePeers(unittest.TestCase):
    def test_a_stranger_is_answered_and_costs_little(self):
        with Cluster(2, "--group", "users") as cluster:
            node = cluster.nodes[0]
            stranger = Stranger(node, SEED)
            seen = stranger.run(CALLS // 5)
            before = node.daemon.memory_kib()
            for status, count in stranger.run(CALLS).items():
                seen[status] = seen.get(status, 0) + count
            grown = node.daemon.memory_kib() - before
            stranger.channel.close()
            print("  figure: %s, memory grew by %d KiB" % (seen, grown))
            self.assertLess(grown, GROWTH_KIB)
            self.assertEqual(
                set(seen) - {"OK", "CANCELLED", "KAMA_ERR_NOT_MEMBER",
                             "KAMA_ERR_NO_GROUP", "KAMA_ERR_MALFORMED",
                             "KAMA_ERR_TOO_LARGE", "KAMA_ERR_INVALID"}, set())
            cluster.wait_view()
            cluster.nodes[1].client.set(b"key", b"value", "users")
            wait_until(lambda: node.call("Get", group="users", key=b"key").value
                       == b"value", what="the value of the other node")


if __name__ == "__main__":
    unittest.main()
