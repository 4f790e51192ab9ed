#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""Sets with a condition in a cluster of two: the owner of the key decides, the
etag that one node tells holds at the other, counters lose no step, and what a
client may conclude from an answer that does not come."""
import threading
import unittest

import grpc

import etcdkit
from clikit import MISS, OK, cli, cli_json
from clusterkit import Cluster
from kamatest import Folder, group, kama_status, pb2, v2, wait_until

THREADS, STEPS = 8, 25


def set_if(node, key, value, timeout=None, **fields):
    """The kama-status of a Set, and the etag of its answer."""
    request = pb2().SetRequest(key=key, value=value, **fields)
    try:
        if timeout is None:
            return "KAMA_OK", v2(node.client.channel, "Set", request).etag
        call = node.client.channel.unary_unary(
            "/kama.v2.Cache/Set",
            request_serializer=pb2().SetRequest.SerializeToString,
            response_deserializer=pb2().SetResponse.FromString)
        return "KAMA_OK", call(request, timeout=timeout).etag
    except grpc.RpcError as error:
        return kama_status(error) or error.code().name, b""


def set_absent(node, key, value, **fields):
    return set_if(node, key, value, condition=pb2().CONDITION_ABSENT,
                  **fields)[0]


def set_match(node, key, value, etag, **fields):
    return set_if(node, key, value, condition=pb2().CONDITION_MATCH,
                  if_match=etag, **fields)[0]


def at_once(count, act):
    """Runs act(i) on so many threads, and returns the results."""
    results = [None] * count
    start = threading.Barrier(count)

    def run(i):
        start.wait()
        results[i] = act(i)
    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class Conditions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = Folder()
        cls.addClassCleanup(folder.__exit__)
        script = folder.script("origin", "printf 'loaded %s' \"$1\"")
        cls.cluster = Cluster(
            2, "--group", "default:sync=owner", "--group",
            group("loads", loader="exec:%s {key}" % script, sync="owner"))
        cls.addClassCleanup(cls.cluster.close)
        cls.nodes = cls.cluster.nodes

    def test_the_owner_decides(self):
        """For keys of either node, through either node."""
        for owner in self.nodes:
            for writer, other in (self.nodes, self.nodes[::-1]):
                key = self.cluster.key_of(owner, prefix=b"decide")
                self.assertEqual(
                    set_if(writer, key, b"0",
                           condition=pb2().CONDITION_PRESENT)[0], "KAMA_MISS")
                self.assertEqual(set_absent(writer, key, b"1"), "KAMA_OK")
                self.assertEqual(set_absent(other, key, b"2"),
                                 "KAMA_ERR_EXISTS")
                self.assertEqual(other.call("Get", key=key).value, b"1")
                self.assertTrue(other.call("Delete", key=key).removed)

    def test_an_etag_holds_at_every_node(self):
        """Of values that were set and that were loaded, by Get, MGet and Set."""
        for name in ("default", "loads"):
            for owner in self.nodes:
                key = self.cluster.key_of(owner, name, b"etag")
                if name == "default":
                    owner.call("Set", group=name, key=key, value=b"v")
                etags = {node.call("Get", group=name, key=key).etag
                         for node in self.nodes}
                etags |= {node.call("MGet", group=name, keys=[key])
                          .items[0].etag for node in self.nodes}
                self.assertEqual([len(etag) for etag in etags], [8])
                etag = etags.pop()
                for node in self.nodes:
                    self.assertEqual(
                        set_match(node, key, b"x", b"8 bytes!", group=name),
                        "KAMA_ERR_TRY_AGAIN")
                    status, new = set_if(
                        node, key, node.address.encode(), group=name,
                        condition=pb2().CONDITION_MATCH, if_match=etag)
                    self.assertEqual(status, "KAMA_OK")
                    self.assertEqual(set_match(node, key, b"x", etag,
                                               group=name),
                                     "KAMA_ERR_TRY_AGAIN")
                    etag = new

    def test_one_of_many_wins(self):
        for number in range(10):
            key = b"race-%d" % number
            values = [b"%d" % i for i in range(THREADS)]
            results = at_once(THREADS, lambda i: set_absent(
                self.nodes[i % 2], key, values[i]))
            self.assertEqual(sorted(results), ["KAMA_ERR_EXISTS"] *
                             (THREADS - 1) + ["KAMA_OK"])
            winner = values[results.index("KAMA_OK")]
            for node in self.nodes:
                self.assertEqual(node.call("Get", key=key).value, winner)

    def test_a_counter_loses_no_step(self):
        key = self.cluster.key_of(self.nodes[0], prefix=b"counter")
        self.assertEqual(set_absent(self.nodes[1], key, b"0"), "KAMA_OK")

        def add(i):
            node, refused = self.nodes[i % 2], 0
            for _ in range(STEPS):
                while True:
                    found = node.call("Get", key=key)
                    status = set_match(node, key, b"%d" % (int(found.value) + 1),
                                       found.etag)
                    if status == "KAMA_OK":
                        break
                    self.assertEqual(status, "KAMA_ERR_TRY_AGAIN")
                    refused += 1
            return refused
        self.assertNotIn(None, at_once(THREADS, add))
        self.assertEqual(self.nodes[1].call("Get", key=key).value,
                         b"%d" % (THREADS * STEPS))

    def test_the_client_program(self):
        """kamacache-cli at a node that does not own the key."""
        a, b = self.nodes
        key = self.cluster.key_of(b, prefix=b"cli")
        self.assertEqual(cli(a, "set", key, "1", "--nx").returncode, OK)
        self.assertEqual(cli(b, "set", key, "2", "--nx").returncode, MISS)
        etag = cli_json(a, "get", key)[1]["etag"]
        self.assertEqual(cli_json(b, "get", key)[1]["etag"], etag)
        for code in (OK, MISS):
            done = cli(a, "set", key, "2", "--etag=" + etag)
            self.assertEqual((done.returncode, done.stderr), (code, b""))
        self.assertEqual(cli(a, "--raw", "get", key).stdout, b"2")

    def lose_an_answer(self, key):
        """Sets the key while its owner stands still. Returns whether the owner has
        carried that out when it goes on: on a slow machine it may count as
        unreachable before it was asked."""
        a, b = self.nodes
        a.call("Get", key=key)  # a connection to the owner is up
        b.freeze()
        try:
            status = set_if(a, key, b"mine", timeout=0.3,
                            condition=pb2().CONDITION_ABSENT)[0]
        finally:
            b.thaw()
        self.assertIn(status, ("KAMA_ERR_TIMEOUT", "DEADLINE_EXCEEDED",
                               "KAMA_ERR_PEER"))
        self.cluster.wait_view()
        try:
            wait_until(lambda: a.call("Get", key=key).found, 5)
        except AssertionError:
            return False
        return True

    def test_an_answer_that_does_not_come(self):
        """The Set may have been carried out. Its repetition is refused because of
        its own value; a client that reads the key knows."""
        a, b = self.nodes
        keys = self.cluster.keys_of(b, prefix=b"late", via=a)
        key = next(key for _, key in zip(range(5), keys)
                   if self.lose_an_answer(key))
        self.assertEqual(a.call("Get", key=key).value, b"mine")
        self.assertEqual(set_absent(a, key, b"mine"), "KAMA_ERR_EXISTS")

    def test_a_dead_owner_refuses_nothing(self):
        """It cannot be asked, and the answer says so, whatever the condition."""
        with Cluster(2, "--group", "default:sync=owner") as cluster:
            a, b = cluster.nodes
            key = cluster.key_of(b, via=a)
            self.assertEqual(set_absent(a, key, b"1"), "KAMA_OK")
            cluster.etcd.freeze()
            b.kill()
            self.assertIn(set_absent(a, key, b"2"), ("KAMA_ERR_PEER",
                                                     "KAMA_ERR_TRY_AGAIN"))
            cluster.etcd.thaw()


if __name__ == "__main__":
    unittest.main()
