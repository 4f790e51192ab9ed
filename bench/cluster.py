# SPDX-License-Identifier: MIT
"""A cluster of kamacached over an etcd of its own, for the benchmarks. All ports
are free ones of the loopback, and all processes are ended by their id."""
import itertools
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request

import grpc

import measure
from rpc_cpu import message

ETCD = shutil.which("etcd", path="/usr/bin:/usr/local/bin")
SET = "/kama.v1.KamaCacheService/Set"


class Node:
    """A kamacached. start_ms is the time from its exec to its line "ready"."""

    def __init__(self, *arguments):
        self.port = measure.free_port()
        begin = time.monotonic()
        self.process = subprocess.Popen(
            [os.path.join(measure.BUILD, "bin", "kamacached"),
             "--listen", "127.0.0.1:%d" % self.port, *arguments],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for line in self.process.stderr:
            if b"msg=ready" in line:
                break
        else:
            raise SystemExit("kamacached has ended before it was ready")
        self.start_ms = (time.monotonic() - begin) * 1000

    @property
    def pid(self):
        return self.process.pid

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def stop(self):
        measure.stop(self.process)
        self.process.stderr.close()


class Cluster:
    """An etcd, and nodes that join it. Everything ends with the context."""

    def __init__(self, count=0, *arguments):
        self.folder = tempfile.mkdtemp(prefix="kama-bench-")
        self.etcd_port = measure.free_port()
        self.arguments = arguments
        self.nodes = []
        self.etcd = None
        try:
            self._start_etcd()
            for _ in range(count):
                self.add()
        except BaseException:
            self.close()
            raise

    def _start_etcd(self):
        client = "http://127.0.0.1:%d" % self.etcd_port
        peer = "http://127.0.0.1:%d" % measure.free_port()
        self.etcd = measure.start(
            [ETCD, "--data-dir", self.folder, "--listen-client-urls", client,
             "--advertise-client-urls", client, "--listen-peer-urls", peer,
             "--initial-advertise-peer-urls", peer,
             "--initial-cluster", "default=" + peer], self.etcd_port)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(client + "/health", timeout=2) as a:
                    if b'"true"' in a.read():
                        return
            except OSError:
                pass
            time.sleep(0.01)
        raise SystemExit("etcd does not answer")

    def add(self, *arguments):
        """Starts one more node, and returns it when it is ready."""
        node = Node("--etcd", "127.0.0.1:%d" % self.etcd_port,
                    *self.arguments, *arguments)
        self.nodes.append(node)
        return node

    def remove(self, node):
        self.nodes.remove(node)
        node.stop()

    def close(self):
        for node in self.nodes:
            node.stop()
        if self.etcd is not None:
            measure.stop(self.etcd)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def call_of(channel, path):
    """A unary call whose messages are bytes."""
    return channel.unary_unary(path, request_serializer=bytes,
                               response_deserializer=bytes)


def owner_call(channel):
    """A function from a key to the address of its owner."""
    call = call_of(channel, "/kama.v2.Cache/Owner")

    def owner(key):
        answer = call(message((1, b"default"), (2, key)), timeout=10)
        return answer[2:2 + answer[1]].decode()
    return owner


def store(node, keys, value_bytes=100):
    """Stores a value for each key at the node that owns them. A node that has just
    become their owner refuses that until the others know."""
    with grpc.insecure_channel(node.address) as channel:
        put = call_of(channel, SET)
        end = time.monotonic() + 10
        for key in keys:
            while True:
                try:
                    put(message((1, b"default"), (2, key),
                                (3, b"v" * value_bytes)), timeout=10)
                    break
                except grpc.RpcError:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.05)


def keys_of(count, node):
    """The first count keys that the node owns."""
    with grpc.insecure_channel(node.address) as channel:
        owner = owner_call(channel)
        keys = (b"key-%08d" % number for number in itertools.count())
        return list(itertools.islice(
            (key for key in keys if owner(key) == node.address), count))
