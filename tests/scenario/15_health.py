#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=60
"""grpc.health.v1: Check and Watch, for the node, each service and its own
name; a watch hears of the shutdown and does not hold it up."""
import queue
import threading
import time
import unittest

import grpc

import kamatest
from kamatest import Daemon, pb2, unary

NAMES = ["", "kama.v1.KamaCacheService", "kama.v2.Cache",
         "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
         "grpc.reflection.v1alpha.ServerReflection", "kama-cache"]
PATH = "/grpc.health.v1.Health/"


def health():
    return pb2("grpc.health.v1.health")


class Watcher:
    """A watch; .next() is the next status, or the code it ended with."""

    def __init__(self, channel, service):
        h = health()
        self.news = queue.Queue()
        self.call = channel.unary_stream(
            PATH + "Watch",
            request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=h.HealthCheckResponse.FromString)(
                h.HealthCheckRequest(service=service))
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            for reply in self.call:
                self.news.put(reply.status)
            self.news.put("end")
        except grpc.RpcError as error:
            self.news.put(error.code().name)

    def next(self):
        return self.news.get(timeout=10 * kamatest.SLOWDOWN)


class Health(unittest.TestCase):
    def open(self, node):
        channel = kamatest.connected_channel(node.address)
        self.addCleanup(channel.close)
        return channel

    def check(self, channel, service):
        h = health()
        return unary(channel, PATH + "Check",
                     h.HealthCheckRequest(service=service),
                     h.HealthCheckResponse).status

    def test_check(self):
        serving = health().HealthCheckResponse.SERVING
        with Daemon() as node:
            channel = self.open(node)
            for name in NAMES:
                self.assertEqual(self.check(channel, name), serving, name)
            for name in ("nothing", "kama.v2.Cach", "kama.v2.Cache/Get"):
                with self.assertRaises(grpc.RpcError) as caught:
                    self.check(channel, name)
                self.assertEqual(caught.exception.code(),
                                 grpc.StatusCode.NOT_FOUND)

    def test_watch(self):
        """SERVING at once; with the stop NOT_SERVING, and the stream ends."""
        h = health().HealthCheckResponse
        node = Daemon("--drain-timeout", "60s")
        self.addCleanup(node.kill)
        channel = self.open(node)
        watchers = [Watcher(channel, name) for name in NAMES]
        unknown = Watcher(channel, "nothing")
        self.assertEqual({w.next() for w in watchers}, {h.SERVING})
        self.assertEqual(unknown.next(), h.SERVICE_UNKNOWN)
        begin = time.monotonic()
        node.stop()
        self.assertLess(time.monotonic() - begin, 30)
        self.assertEqual({w.next() for w in watchers}, {h.NOT_SERVING})
        self.assertEqual({w.next() for w in watchers + [unknown]},
                         {"UNAVAILABLE"})

    def test_watchers_leave(self):
        """Watches that were cancelled are forgotten before the stop."""
        with Daemon() as node:
            channel = self.open(node)
            for _ in range(50):
                watcher = Watcher(channel, "")
                watcher.next()
                watcher.call.cancel()
            last = Watcher(channel, "")
            self.assertEqual(last.next(), health().HealthCheckResponse.SERVING)


if __name__ == "__main__":
    kamatest.main()
