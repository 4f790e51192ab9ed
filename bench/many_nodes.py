#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Measures what a cluster costs: the start of a node that joins, hits on a node
that belongs to a cluster beside those on a node alone, memory and processor time
of idle nodes, one MGet beside single gets, and a stampede on all nodes."""
import argparse
import http.server
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import grpc

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cluster
import measure
from rpc_cpu import message

CLIENT = os.path.join(measure.BUILD, "bench", "get_client")
GET = "/kama.v1.KamaCacheService/Get"
REPEATS = 20


def start_to_ready(runs):
    """A third node joins a cluster of two, and beside it a node starts alone."""
    joined, alone = [], []
    with cluster.Cluster(2) as nodes:
        for _ in range(runs):
            node = cluster.Node()
            alone.append(node.start_ms)
            node.stop()
            node = nodes.add()
            joined.append(node.start_ms)
            nodes.remove(node)
    print("start to ready alone: median %.0f ms" % statistics.median(alone))
    print("start to ready, third node of a cluster: median %.0f ms, p90 %.0f "
          "ms, largest %.0f ms (%d runs), bar 500 ms  %s" % (
              statistics.median(joined), measure.percentile(joined, 0.9),
              max(joined), runs,
              "met" if measure.percentile(joined, 0.9) <= 500 else "MISSED"))


def client(node, connections, ms, file):
    """Processor time in us per get of the node; the client runs on the cores
    of this process."""
    before = measure.cpu_ns(node.pid)
    out = subprocess.run(
        [CLIENT, "grpc", str(node.port), str(connections), str(ms), file],
        stdout=subprocess.PIPE, text=True, check=True).stdout
    return (measure.cpu_ns(node.pid) - before) / 1000 / int(out.split()[0])


def clustered_hit(pairs, ms):
    """A hit by gRPC on a node of a cluster that owns the key. Each pair has four
    slices per side that take turns; the time of a side is that of its fastest
    slice, which other programs have disturbed least. Everything runs on one core:
    how many requests a node finds at a time would else depend on where the
    scheduler puts the client."""
    ratios = []
    every = os.sched_getaffinity(0)
    with tempfile.NamedTemporaryFile() as file, \
            cluster.Cluster(2, "--threads", "1") as nodes:
        clustered = nodes.nodes[0]
        alone = cluster.Node("--threads", "1")
        try:
            keys = cluster.keys_of(1000, clustered)
            cluster.store(clustered, keys)
            cluster.store(alone, keys)
            file.write(b"\n".join(keys))
            file.flush()
            os.sched_setaffinity(0, {min(every)})
            for node in (alone, clustered):
                measure.pin(node.pid, {min(every)})
            for _ in range(pairs):
                times = {alone: [], clustered: []}
                for node in (alone, clustered, clustered, alone) * 2:
                    times[node].append(client(node, 64, ms, file.name))
                ratios.append(min(times[clustered]) / min(times[alone]))
        finally:
            os.sched_setaffinity(0, every)
            alone.stop()
    measure.ratio_line("hit by gRPC, clustered beside alone", ratios, 1.05)


def sockets(pid):
    folder = "/proc/%d/fd" % pid
    return sum(os.readlink(os.path.join(folder, fd)).startswith("socket:")
               for fd in os.listdir(folder))


def threads(pid):
    return len(os.listdir("/proc/%d/task" % pid))


def wakeups(pid):
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/status" % (pid, task)) as f:
            for line in f:
                if line.startswith("voluntary_ctxt_switches"):
                    total += int(line.split()[1])
    return total


def idle(count, seconds):
    """Memory per connection of peers, and what idle nodes do."""
    with cluster.Cluster(1) as nodes:
        first = nodes.nodes[0]
        time.sleep(1.5)
        memory = measure.memory_kib(first.pid, "RssAnon")
        open_sockets = sockets(first.pid)
        nodes.add()
        nodes.add()
        time.sleep(1.5)
        before = measure.cpu_ns(first.pid), wakeups(first.pid)
        time.sleep(seconds)
        print("idle node of 3: RssAnon %.2f MiB, %d threads, %.2f ms of "
              "processor time and %.0f wake-ups per second" % (
                  measure.memory_kib(first.pid, "RssAnon") / 1024,
                  threads(first.pid),
                  (measure.cpu_ns(first.pid) - before[0]) / 1e6 / seconds,
                  (wakeups(first.pid) - before[1]) / seconds))
        while len(nodes.nodes) < count:
            nodes.add()
        time.sleep(1.5)
        more = sockets(first.pid) - open_sockets
        print("connection of a peer: %.1f KiB RssAnon (%d connections of %d "
              "peers)" % ((measure.memory_kib(first.pid, "RssAnon") - memory)
                          / more, more, count - 1))


def calls(node):
    out = subprocess.run(
        [os.path.join(measure.BUILD, "bin", "kamacache-cli"), "-e",
         node.address, "--json", "stats"], stdout=subprocess.PIPE, text=True,
        check=True).stdout
    return json.loads(out)["node"]["calls"]


def spent(nodes, function):
    """Processor time in us of the nodes for one call of the function."""
    before = sum(measure.cpu_ns(node.pid) for node in nodes)
    for _ in range(REPEATS):
        function()
    after = sum(measure.cpu_ns(node.pid) for node in nodes)
    return (after - before) / 1000 / REPEATS


def many_keys(rounds):
    """One MGet of 100 keys of three nodes, beside 100 gets one after another."""
    with cluster.Cluster(3, "--group", "default:sync=owner") as nodes, \
            grpc.insecure_channel(nodes.nodes[0].address) as channel:
        keys = []
        for node, count in zip(nodes.nodes, (34, 33, 33)):
            mine = cluster.keys_of(count, node)
            cluster.store(node, mine)
            keys += mine
        mget = cluster.call_of(channel, "/kama.v2.Cache/MGet")
        get = cluster.call_of(channel, GET)
        whole = message((1, b"default"), *((2, key) for key in keys))
        single = [message((1, b"default"), (2, key)) for key in keys]
        assert mget(whole, timeout=10).count(b"v" * 100) == 100

        ratios, times, asked = [], [], []
        for _ in range(rounds):
            before = sum(map(calls, nodes.nodes[1:]))
            many = spent(nodes.nodes, lambda: mget(whole, timeout=10))
            asked.append((sum(map(calls, nodes.nodes[1:])) - before - 2)
                         / REPEATS)
            one = spent(nodes.nodes, lambda: [
                get(request, timeout=10) for request in single])
            times.append(many)
            ratios.append(many / one)
    print("MGet of 100 keys of 3 nodes: %.0f us of processor time of all nodes, "
          "%.1f calls of peers (Hello included)" % (
              statistics.median(times), statistics.median(asked)))
    measure.ratio_line("the same beside 100 gets one by one", ratios, None)


class SlowOrigin(http.server.BaseHTTPRequestHandler):
    loads = 0

    def do_GET(self):
        SlowOrigin.loads += 1
        time.sleep(0.3)
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"v" * 100)

    def log_message(self, *_):
        pass


def stampede(runs):
    """1000 cold gets of one key at each of three nodes at once."""
    origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), SlowOrigin)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    group = 'default:loader="http:http://127.0.0.1:%d/{key}"' % (
        origin.server_address[1])
    slowest, loads = [], []
    with tempfile.NamedTemporaryFile() as file, \
            cluster.Cluster(3, "--group", group) as nodes:
        for number in range(runs):
            with open(file.name, "w") as f:
                f.write("cold-%d" % number)
            SlowOrigin.loads = 0
            clients = [subprocess.Popen(
                [CLIENT, "grpc", str(node.port), "1000", "0", file.name],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                for node in nodes.nodes]
            for one in clients:
                one.stdout.readline()
            time.sleep(0.3)  # the nodes read what came with the connections
            for one in clients:
                one.stdin.write("\n")
                one.stdin.flush()
            slowest.append(max(float(one.communicate()[0].split()[4])
                               for one in clients) / 1000)
            loads.append(SlowOrigin.loads)
    origin.shutdown()
    print("3000 cold gets of one key at 3 nodes, 300 ms loader: %d load(s), "
          "slowest median %.0f ms = %.3fx, largest %.3fx, bar 1.1x  %s" % (
              max(loads), statistics.median(slowest),
              statistics.median(slowest) / 300, max(slowest) / 300,
              "met" if max(loads) == 1 and
              measure.percentile(slowest, 0.9) <= 330 else "MISSED"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--pairs", type=int, default=25)
    parser.add_argument("--ms", type=int, default=100)
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=10)
    options = parser.parse_args()
    if cluster.ETCD is None:
        print("clusters are not measured: etcd-server is missing")
        return
    start_to_ready(options.runs)
    clustered_hit(options.pairs, options.ms)
    idle(options.nodes, options.seconds)
    many_keys(options.runs)
    stampede(options.runs)


if __name__ == "__main__":
    main()
