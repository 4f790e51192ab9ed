#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Measures a peer hit: a client asks node A for keys that node B owns and has in
memory. Three processes take part: the client, A and B. Beside it is the same with
two nodes of groupcache-go v3, whose HTTP client keeps its connections; the client
asks them over HTTP/1.1, which costs them less than HTTP/2 does.

Both sides take turns in slices. The client has as many connections as gets at a
time, one on each. A keeps nothing of what it asks for, on both sides.

With one get at a time only one of the processes works at any moment. To wake a
core that sleeps can take longer than the get itself, above all in a virtual machine.
Therefore this case is measured on all cores and once more on one core alone."""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cluster
import measure

FOLDER = os.path.dirname(os.path.abspath(__file__))
CLIENT = os.path.join(measure.BUILD, "bench", "get_client")


class Side:
    """Two nodes, and the keys that the second one owns."""

    def __init__(self, protocol, port, pids, keys, folder):
        self.protocol = protocol
        self.port = port
        self.pids = pids
        self.cores = os.sched_getaffinity(0)
        self.file = os.path.join(folder, protocol)
        with open(self.file, "w") as f:
            f.write("\n".join(keys))

    def pin(self, cores):
        """From now on the nodes and the client run on these cores."""
        self.cores = cores
        for pid in self.pids:
            measure.pin(pid, cores)

    def run(self, connections, ms):
        """Median in us of one get, processor time in us of both nodes per get,
        and gets per second."""
        before = sum(map(measure.cpu_ns, self.pids))
        out = subprocess.run(
            [CLIENT, self.protocol, str(self.port), str(connections), str(ms),
             self.file], stdout=subprocess.PIPE, text=True, check=True,
            preexec_fn=lambda: os.sched_setaffinity(0, self.cores)).stdout
        spent = sum(map(measure.cpu_ns, self.pids)) - before
        gets, median = out.split()[:2]
        return (float(median), spent / 1000 / int(gets),
                int(gets) * 1000 / ms)


def our_side(nodes, count, value_bytes, folder):
    keys = cluster.keys_of(count, nodes[1])
    cluster.store(nodes[1], keys, value_bytes)
    return Side("grpc", nodes[0].port, [node.pid for node in nodes],
                [key.decode() for key in keys], folder)


def build_peer(folder):
    """The path of the program, or None where it cannot be built."""
    source = os.path.join(FOLDER, "peers_go")
    program = os.path.join(folder, "peers_go")
    environment = dict(os.environ, GOTOOLCHAIN="local", GOFLAGS="-mod=readonly")
    if shutil.which("go") is None:
        print("groupcache-go v3 is left out: there is no Go compiler")
        return None
    for arguments in (["mod", "download"], ["build", "-o", program, "."]):
        try:
            done = subprocess.run(
                ["go", *arguments], cwd=source, env=environment, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=240,
                check=False)
            problem = done.stdout[-300:] if done.returncode != 0 else None
        except subprocess.TimeoutExpired:
            problem = "it took more than 240 s"
        if problem is not None:
            print("groupcache-go v3 is left out: go %s: %s" % (
                " ".join(arguments), problem))
            return None
    return program


def owns(port, key):
    try:
        urllib.request.urlopen("http://127.0.0.1:%d/owns/%s" % (port, key),
                               timeout=10).close()
        return True
    except urllib.error.HTTPError:
        return False


def peer_side(program, processes, count, value_bytes, folder):
    ports = [measure.free_port() for _ in range(4)]
    fronts = ports[2:]
    for me, other, kept in ((0, 1, 0), (1, 0, 64 << 20)):
        processes.append(measure.start(
            [program, str(ports[me]), str(fronts[me]), str(ports[other]),
             str(kept), str(value_bytes)], fronts[me]))
    keys = []
    number = 0
    while len(keys) < count:
        key = "key-%08d" % number
        number += 1
        if owns(fronts[1], key):
            keys.append(key)
    side = Side("http", fronts[0], [p.pid for p in processes], keys, folder)
    side.run(1, 1000)  # the second node loads
    return side


def compare(name, sides, options, connections, cores):
    """Each side's (medians, processor times, rates)."""
    results = {side: [] for side in sides}
    for side in sides.values():
        side.pin(cores)
        side.run(connections, 200)
    for _ in range(options.pairs):
        for key, side in sides.items():
            results[key].append(side.run(connections, options.ms))
    for side, runs in results.items():
        print("%-44s median %.1f us, processor %.1f us per get, %.0f/s" % (
            name + ", " + side,
            *(statistics.median(one) for one in zip(*runs))), flush=True)
    return {side: list(zip(*runs)) for side, runs in results.items()}


def ratios(results, column):
    ours, theirs = (side[column] for side in results.values())
    return [a / b for a, b in zip(ours, theirs)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--ms", type=int, default=1000)
    parser.add_argument("--keys", type=int, default=1000)
    parser.add_argument("--value-bytes", type=int, default=100)
    options = parser.parse_args()
    if cluster.ETCD is None:
        print("the peer hit is not measured: etcd-server is missing")
        return
    processes = []
    with tempfile.TemporaryDirectory() as folder, \
            cluster.Cluster(2, "--group", "default:sync=owner") as nodes:
        try:
            sides = {"kamacached": our_side(nodes.nodes, options.keys,
                                            options.value_bytes, folder)}
            program = build_peer(folder)
            if program is not None:
                sides["groupcache-go"] = peer_side(
                    program, processes, options.keys, options.value_bytes,
                    folder)
            every = os.sched_getaffinity(0)
            for name, connections, cores, column, bar in (
                    ("peer hit, one at a time", 1, every, 0, 0.6),
                    ("peer hit, one at a time, one core", 1, {min(every)}, 0,
                     0.6),
                    ("peer hit, 64 at a time", 64, every, 1, 0.25)):
                results = compare(name, sides, options, connections, cores)
                if program is not None:
                    measure.ratio_line(
                        name + (", time" if column == 0 else ", processor"),
                        ratios(results, column), bar)
        finally:
            for process in processes:
                measure.stop(process)


if __name__ == "__main__":
    main()
