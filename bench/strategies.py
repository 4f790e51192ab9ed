#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Measures what a mutation costs under each strategy (option sync) in a cluster of
three nodes, of which the first one is called:

  bytes      of the messages on all streams of mutations, answers included, for each
             mutation (kamacache_sync_bytes_total of all nodes, direction sent); none
             of them is of the connections. Mutations come one after the other, so that
             none shares a frame: a busy stream needs less.
  requests   to the owner, for each mutation: it carries the mutation out, and the
             value travels to it beside the streams
  copies     nodes that have the value afterwards

Each strategy has a cluster of its own. Heartbeats, which come twice a second and are
no part of a mutation, are counted while the cluster is idle, and taken off."""
import argparse
import os
import sys
import time
import urllib.request

import grpc

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cluster
import measure
from rpc_cpu import message

STRATEGIES = ["broadcast", "invalidate", "shard:2", "owner", "peers:warm",
              "local"]
V2 = "/kama.v2.Cache/"
KEY = b"key-%012d"  # 16 bytes
IDLE_SECONDS = 2
FOUND = b"\x08\x01"  # of a GetResponse
LOCAL_NO_LOAD = b"\x18\x01\x20\x01"  # of a GetRequest


class Figures:
    """What all nodes have counted until now."""

    def __init__(self, nodes):
        time.sleep(0.4)  # the figures are up to a quarter of a second old
        self.bytes = self.requests = 0
        self.at = time.monotonic()
        for node in nodes:
            with urllib.request.urlopen(
                    "http://127.0.0.1:%d/metrics" % node.admin,
                    timeout=10) as answer:
                for line in answer.read().decode().splitlines():
                    self._read(line)

    def _read(self, line):
        series, _, value = line.rpartition(" ")
        if series.startswith("kamacache_sync_bytes_total{"):
            self.bytes += float(value) * ('direction="sent"' in series)
        elif series.startswith("kamacache_peer_requests_total{"):
            self.requests += float(value) * ('method="mutate"' in series)


def idle(nodes):
    """Bytes a second of an idle cluster."""
    before = Figures(nodes)
    time.sleep(IDLE_SECONDS)
    after = Figures(nodes)
    return (after.bytes - before.bytes) / (after.at - before.at)


def per_mutation(nodes, count, rest, act):
    """(bytes, requests) of a mutation"""
    before = Figures(nodes)
    for number in range(count):
        act(KEY % number)
    after = Figures(nodes)
    return ((after.bytes - before.bytes - rest * (after.at - before.at)) /
            count, (after.requests - before.requests) / count)


def caller(channel, method):
    call = cluster.call_of(channel, V2 + method)

    def act(*fields, flags=b""):
        return call(message(*fields) + flags, timeout=10)
    return act


def copies(channels, count):
    """On how many nodes a key is, on the mean."""
    held = 0
    for channel in channels:
        get = caller(channel, "Get")
        for number in range(0, count, 10):
            try:
                answer = get((1, b"s"), (2, KEY % number),
                             flags=LOCAL_NO_LOAD)
                held += answer.startswith(FOUND)
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.NOT_FOUND:
                    raise
    return held / len(range(0, count, 10))


def measure_strategy(strategy, count, value_bytes):
    """((bytes, requests) of a set, of a delete, copies)"""
    with cluster.Cluster() as nodes:
        for number in range(3):
            admin = measure.free_port()
            node = nodes.add(
                "--group", "s:max_bytes=64m,sync=" + strategy, "--admin",
                "127.0.0.1:%d" % admin,
                *(["--labels", "warm"] if number == 2 else []))
            node.admin = admin
        channels = [grpc.insecure_channel(n.address) for n in nodes.nodes]
        first = channels[0]
        put, remove = caller(first, "Set"), caller(first, "Delete")
        value = b"v" * value_bytes
        put((1, b"s"), (2, b"first"), (3, value))
        rest = idle(nodes.nodes)
        sets = per_mutation(nodes.nodes, count, rest,
                            lambda key: put((1, b"s"), (2, key), (3, value)))
        kept = copies(channels, count)
        deletes = per_mutation(nodes.nodes, count, rest,
                               lambda key: remove((1, b"s"), (2, key)))
        for channel in channels:
            channel.close()
    return sets, deletes, kept


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mutations", type=int, default=2000)
    parser.add_argument("--value-bytes", type=int, default=100)
    parser.add_argument("strategies", nargs="*", default=STRATEGIES)
    arguments = parser.parse_args()
    print("%d mutations; key 16 bytes, value %d bytes"
          % (arguments.mutations, arguments.value_bytes))
    print("%-11s %10s %10s %10s %10s %7s" % (
        "sync", "set bytes", "requests", "del bytes", "requests", "copies"))
    for strategy in arguments.strategies:
        sets, deletes, kept = measure_strategy(
            strategy, arguments.mutations, arguments.value_bytes)
        print("%-11s %10.0f %10.2f %10.0f %10.2f %7.2f" % (
            strategy, *sets, *deletes, kept), flush=True)


if __name__ == "__main__":
    main()
