#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: labels=nosan timeout=120
"""A stop ends the streams that clients hold open, and loses no call of a
proxy that can go to another node."""
import os
import subprocess
import tempfile
import threading
import unittest

import grpc

import kamatest
from kamatest import Client, Daemon, SLOWDOWN, pb2

HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    retries 3
    option redispatch 1
frontend clients
    bind 127.0.0.1:%(port)d proto h2
    default_backend nodes
backend nodes
    server a %(a)s proto h2
    server b %(b)s proto h2
"""


def hold_watch(channel):
    """A watch of the health that has had its first answer."""
    h = pb2("grpc.health.v1.health")
    call = channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=lambda m: m.SerializeToString(),
        response_deserializer=h.HealthCheckResponse.FromString)(
            h.HealthCheckRequest())
    next(call)
    return call


def hold_reflection(channel, done):
    """A stream of reflection that has had an answer, and asks no more."""
    r = pb2("grpc.reflection.v1.reflection")

    def requests():
        yield r.ServerReflectionRequest(list_services="")
        done.wait()
    call = channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        request_serializer=lambda m: m.SerializeToString(),
        response_deserializer=r.ServerReflectionResponse.FromString)(
            requests())
    next(call)
    return call


class HeldStreams(unittest.TestCase):
    def stop_soon(self, node):
        """Stops the node long before its drain_timeout of a minute."""
        node.signal()
        self.assertEqual(node.wait(20 * SLOWDOWN), 0)
        self.assertEqual(node.wait_line("stopped")["drain"], "complete")

    def stop_with(self, *hold):
        """Stops a node while streams are held, which it ends itself."""
        with Daemon("--drain-timeout", "60s") as node:
            channels = [kamatest.connected_channel(node.address)
                        for _ in hold]
            calls = [begin(channel)
                     for begin, channel in zip(hold, channels)]
            self.stop_soon(node)
            for call in calls:
                with self.assertRaises(grpc.RpcError):
                    list(call)
                self.assertEqual(call.code(), grpc.StatusCode.UNAVAILABLE)
            for channel in channels:
                channel.close()

    def test_watch(self):
        self.stop_with(hold_watch)

    def test_many_watches(self):
        self.stop_with(*[hold_watch] * 5)

    def test_reflection(self):
        done = threading.Event()
        self.addCleanup(done.set)
        self.stop_with(lambda channel: hold_reflection(channel, done),
                       hold_watch)

    def test_idle_clients(self):
        with Daemon("--drain-timeout", "60s") as node, Client(node) as client:
            client.set(b"k", b"v")
            self.stop_soon(node)


class RollingRestart(unittest.TestCase):
    def start_proxy(self, nodes):
        folder = tempfile.TemporaryDirectory(prefix="kama-proxy-")
        self.addCleanup(folder.cleanup)
        port = kamatest.free_port()
        path = os.path.join(folder.name, "config")
        with open(path, "w", encoding="ascii") as config:
            config.write(HAPROXY % {"port": port, "a": nodes[0].address,
                                    "b": nodes[1].address})
        process = subprocess.Popen(["haproxy", "-db", "-f", path],
                                   stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        return "127.0.0.1:%d" % port

    def call_until(self, client, stop, done, failures, index):
        while not stop.is_set():
            try:
                client.set(b"k%d" % index, b"v", timeout=20)
                done[index] += 1
            except grpc.RpcError as error:
                failures.append((error.code(), error.details()))

    def test_behind_haproxy(self):
        """Two nodes behind a proxy are restarted in turns under load."""
        listen = ["127.0.0.1:%d" % kamatest.free_port() for _ in range(2)]
        nodes = [Daemon(listen=address) for address in listen]
        client = Client(self.start_proxy(nodes))
        self.addCleanup(client.close)
        client.set(b"warm", b"up", wait_for_ready=True)
        stop, failures, done = threading.Event(), [], [0] * 8
        threads = [threading.Thread(target=self.call_until, args=(
            client, stop, done, failures, i)) for i in range(len(done))]
        for thread in threads:
            thread.start()
        for turn in range(6):
            goal = [n + 50 for n in done]
            kamatest.wait_until(lambda g=goal: failures or all(
                n >= m for n, m in zip(done, g)), 20)
            nodes[turn % 2].stop()
            nodes[turn % 2] = Daemon(listen=listen[turn % 2])
        stop.set()
        for thread in threads:
            thread.join()
        for node in nodes:
            node.stop()
        self.assertEqual(failures, [])


if __name__ == "__main__":
    kamatest.main()
