#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""Requests of a few KB that decode to megabytes: a client that floods the node
with them is refused, and does not starve other clients of the node."""
import json
import struct
import threading
import time
import unittest
import zlib

import grpc

import kamatest
from kamatest import Client, Daemon, message
from rawframes import (DATA, END_STREAM, RawConnection, frame, grpc_frame,
                       window)

LARGEST = 4 << 20  # the largest value
# Rows that differ in one number, which compress to a 29th.
JSON = json.dumps([
    {"id": n, "name": "user", "active": True, "tags": ["a", "b"]}
    for n in range(20000)]).encode()[:1000000]
ATTACKERS = 4
GETS = 300


def bomb_of(plain_bytes):
    return zlib.compress(bytes(plain_bytes), 9)


class Flood(threading.Thread):
    """A connection that sends bombs until it is stopped, and reads nothing but
    what must be read so that it can go on."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.raw = RawConnection(
            node, settings=struct.pack(">HI", 4, 1 << 20))
        self.raw.send(window(0, 1 << 30))
        self.body = grpc_frame(bomb_of(LARGEST), flag=1)
        self.stopped = threading.Event()
        self.sent = 0

    def run(self):
        drain = threading.Thread(target=self.drain, daemon=True)
        drain.start()
        stream = 1
        while not self.stopped.wait(0.02) and not self.raw.closed:
            out = []
            for _ in range(8):
                out.append(self.raw.headers(
                    stream, "/kama.v2.Cache/Get",
                    extra=[("grpc-encoding", "deflate")]))
                out.append(frame(DATA, END_STREAM, stream, self.body))
                stream += 2
            self.raw.send(b"".join(out))
            self.sent += 8

    def drain(self):
        try:
            while self.raw.sock.recv(1 << 16):
                pass
        except OSError:
            pass

    def stop(self):
        self.stopped.set()
        self.join(30)
        self.raw.close()


class Bombs(unittest.TestCase):
    def setUp(self):
        self.node = Daemon(
            "--threads=1", "--group=default:max_bytes=64m,max_value_bytes=4m")
        self.addCleanup(self.node.kill)
        self.client = Client(self.node)
        self.addCleanup(self.client.close)
        self.client.set(b"key", b"value")

    def gzip_client(self):
        client = Client(self.node, options=(
            ("grpc.default_compression_algorithm",
             grpc.Compression.Gzip.value),))
        self.addCleanup(client.close)
        return client

    def latencies_ms(self):
        """The median and the 99th percentile of Gets, one after the other."""
        times = []
        for _ in range(GETS):
            start = time.perf_counter()
            self.assertEqual(self.client.get(b"key", timeout=20), b"value")
            times.append((time.perf_counter() - start) * 1000)
        times.sort()
        return times[GETS // 2], times[GETS * 99 // 100]

    def test_honest_client_beside_a_flood(self):
        """Each Get is answered within its deadline, and compressed values that
        are no bombs are taken; the figures are printed."""
        print("quiet: p50 %.2f ms, p99 %.2f ms" % self.latencies_ms())
        floods = [Flood(self.node) for _ in range(ATTACKERS)]
        for flood in floods:
            flood.start()
        kamatest.wait_until(lambda: all(f.sent >= 40 for f in floods), 60,
                            "the floods to run")
        print("flooded: p50 %.2f ms, p99 %.2f ms" % self.latencies_ms())
        self.gzip_client().set(b"json", JSON, timeout=20)
        for flood in floods:
            flood.stop()
        print("%d bombs in all" % sum(flood.sent for flood in floods))
        self.node.stop()

    def test_refusal(self):
        """A flood on one connection is refused with the name of the limit; the
        connection lives, and serves what is not compressed."""
        with RawConnection(self.node) as raw:
            body = grpc_frame(bomb_of(LARGEST), flag=1)
            statuses = set()
            for stream in range(1, 129, 2):
                raw.send(raw.request(stream, body,
                                     extra=[("grpc-encoding", "deflate")]))
            for stream in range(1, 129, 2):
                fields, _ = raw.answer(stream)
                statuses.add(fields["kama-status"])
                if fields["kama-status"] == "KAMA_ERR_OVERLOADED":
                    self.assertEqual(fields["grpc-status"], "8")
                    self.assertIn("compressed requests may decode to 32 times "
                                  "their size", fields["grpc-message"])
            self.assertIn("KAMA_ERR_OVERLOADED", statuses)
            raw.send(raw.request(129, grpc_frame(
                message((1, b"default"), (2, b"key")))))
            fields, _ = raw.answer(129)
            self.assertEqual(fields["grpc-status"], "0")

    def test_lone_compressible_value(self):
        """A client alone may set the largest value, however it compresses."""
        client = self.gzip_client()
        client.set(b"zeros", bytes(LARGEST))
        self.assertEqual(client.get(b"zeros"), bytes(LARGEST))

    def test_honest_compressed_values(self):
        """20 Sets of 1 MB of JSON at a time never meet the limit, although
        they decode to more than its burst."""
        client = self.gzip_client()
        for _ in range(4):
            calls = [client.set_future(b"json%d" % n, JSON, timeout=60)
                     for n in range(20)]
            for call in calls:
                call.result()


if __name__ == "__main__":
    kamatest.main()
