#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""Limits that belong to a node: what it announces in HTTP/2, the largest
message, how much of a scan comes at once, and how many connections descriptors
permit; each at the limit and one past it."""
import contextlib
import os
import re
import socket
import struct
import unittest

import grpc

import kamatest
from kamatest import V1, Client, Daemon, message, pb2
from rawframes import PREFACE, SETTINGS, WINDOW_UPDATE, RawConnection

VALUE_MAX = 8 << 20


def limits():
    """{name: number} of base/limits.h: `12` or `(1u << 20)`."""
    path = os.path.join(kamatest.SOURCE, "src/base/limits.h")
    with open(path, encoding="utf-8") as header:
        rows = re.findall(r"^#define (KM_\w+) \(?(\d+)u?(?: << (\d+))?\)?",
                          header.read(), re.M)
    return {name: int(number) << int(shift or 0)
            for name, number, shift in rows}


LIMITS = limits()


class LimitsOfNodes(unittest.TestCase):
    def test_announced(self):
        """SETTINGS and the connection's window, before anything is asked."""
        with Daemon() as node, RawConnection(node) as raw:
            kind, _, _, payload = raw.read_frame()
            self.assertEqual(kind, SETTINGS)
            said = dict(struct.unpack_from(">HI", payload, at)
                        for at in range(0, len(payload), 6))
            self.assertEqual(said[3], LIMITS["KM_H2_STREAMS_MAX"])
            self.assertEqual(said[4], LIMITS["KM_H2_STREAM_WINDOW_BYTES"])
            self.assertEqual(said[6], LIMITS["KM_H2_HEADER_LIST_BYTES_MAX"])
            self.assertEqual((said[2], said[9]), (0, 1))
            self.assertEqual(said.get(1, 4096), 4096)
            while kind != WINDOW_UPDATE:
                kind, _, stream, payload = raw.read_frame()
            self.assertEqual(
                (stream, struct.unpack(">I", payload)[0] + 65535),
                (0, LIMITS["KM_H2_WINDOW_BYTES"]))

    def send(self, client, size):
        """A Set whose message has that size: what fills it up is a field
        that the node does not know."""
        core = message((1, b"wide"), (2, b"k"), (3, b"v"))
        filler = size - len(core) - 2
        while len(core + message((100, b"x" * filler))) > size:
            filler -= 1
        whole = core + message((100, b"x" * filler))
        self.assertEqual(len(whole), size)
        return client.channel.unary_unary(V1 + "Set")(
            whole, timeout=30 * kamatest.SLOWDOWN)

    def test_message(self):
        """The largest value and 64 KiB for the rest of the message."""
        most = VALUE_MAX + LIMITS["KM_RPC_MESSAGE_SLACK_BYTES"]
        with Daemon("--group", "wide:max_bytes=64m,max_value_bytes=%d"
                    % VALUE_MAX) as node, Client(node) as client:
            self.send(client, most)
            self.assertEqual(client.get(b"k", "wide"), b"v")
            with self.assertRaises(grpc.RpcError) as caught:
                self.send(client, most + 1)
            self.assertEqual(kamatest.kama_status(caught.exception),
                             "KAMA_ERR_TOO_LARGE")
            self.assertIn(str(most), caught.exception.details())

    def test_scan_messages(self):
        """A message of a scan ends with the entry that reaches the limit."""
        limit = LIMITS["KM_SCAN_MESSAGE_BYTES"]
        with Daemon() as node, Client(node) as client:
            calls = [client.set_future(b"%06d" % i + b"k" * 1000, b"")
                     for i in range(500)]
            for call in calls:
                call.result()
            stub = client.channel.unary_stream("/kama.v2.Cache/Scan")
            request = pb2().ScanRequest().SerializeToString()
            sizes = [len(data) for data in stub(
                request, timeout=20 * kamatest.SLOWDOWN)]
        self.assertGreater(len(sizes), 500 * 1000 // limit)
        self.assertLess(max(sizes), limit + 1100)
        self.assertTrue(all(size >= limit for size in sizes[:-1]), sizes)

    def count_served(self, node, count):
        """How many of that many connections are served at the same time."""
        socks = [socket.create_connection(("127.0.0.1", node.port), 10)
                 for _ in range(count)]
        served = 0
        for sock in socks:
            try:
                sock.sendall(PREFACE + bytes(3) + b"\4" + bytes(5))
                served += sock.recv(9) != b""
            except ConnectionError:
                pass
        for sock in socks:
            sock.close()
        return served

    def test_connections(self):
        """128 descriptors are kept for other things than connections."""
        reserve = LIMITS["KM_NODE_FD_RESERVE"]
        most = 200
        with Daemon(preexec=kamatest.limit_descriptors(
                most + reserve)) as node:
            descriptors = node.descriptors()
            self.assertEqual(self.count_served(node, most + 1), most)
            kamatest.wait_until(lambda: node.descriptors() <= descriptors)
            self.assertEqual(self.count_served(node, most), most)

    def test_connections_beside_those_of_the_admin_port(self):
        """All that the admin port accepts take none from the data port."""
        most = 100 + LIMITS["KM_NODE_FD_RESERVE"]
        with Daemon(preexec=kamatest.limit_descriptors(
                most + LIMITS["KM_NODE_FD_RESERVE"])) as node, \
                contextlib.ExitStack() as stack:
            host, port = node.admin.rsplit(":", 1)
            descriptors = node.descriptors()
            for _ in range(LIMITS["KM_ADMIN_CONNECTIONS_MAX"]):
                stack.enter_context(
                    socket.create_connection((host, int(port)), 10))
            kamatest.wait_until(
                lambda: node.descriptors() ==
                descriptors + LIMITS["KM_ADMIN_CONNECTIONS_MAX"])
            self.assertEqual(self.count_served(node, most), most)


if __name__ == "__main__":
    kamatest.main()
