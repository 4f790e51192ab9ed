#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Measures the processor time of servers per unary Get: kamacached, nghttpd that
sends the same bytes, and a callback server of grpc++, in one run.

Each pair runs every server for the given time, one after the other, with the
same h2load (8 connections with 32 streams each, then 1 with 1)."""
import argparse
import os
import re
import statistics
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import measure

GET = "/kama.v1.KamaCacheService/Get"


def message(*fields):
    """A protobuf message of (number, bytes) fields."""
    out = b""
    for number, value in fields:
        out += bytes([number << 3 | 2, len(value)]) + value
    return out


def frame(body):
    """A gRPC frame."""
    return b"\0" + struct.pack(">I", len(body)) + body


class Load:
    """One h2load shape; run returns server ns per call and calls."""

    def __init__(self, connections, streams, seconds, request):
        self.shape = ["-c", str(connections), "-m", str(streams),
                      "-D", str(seconds), "-t1", "-d", request,
                      "-H", "content-type: application/grpc",
                      "-H", "te: trailers"]

    def run(self, process, port):
        before = measure.cpu_ns(process.pid)
        out = subprocess.run(
            ["h2load", *self.shape, "http://127.0.0.1:%d%s" % (port, GET)],
            capture_output=True, text=True, check=True).stdout
        spent = measure.cpu_ns(process.pid) - before
        done = int(re.search(r"(\d+) succeeded", out).group(1))
        failed = int(re.search(r"(\d+) failed", out).group(1))
        ok = int(re.search(r"status codes: (\d+) 2xx", out).group(1))
        if done == 0 or ok < done or failed > done / 100:
            sys.exit("h2load failed:\n" + out)
        return spent / done


def start_servers(folder, value):
    """name -> (process, port)."""
    servers = {}
    port = measure.free_port()
    servers["kamacached"] = (measure.start_node(port, "--threads", "1"), port)
    root = os.path.join(folder, "root")
    os.makedirs(root + os.path.dirname(GET))
    with open(root + GET, "wb") as f:
        f.write(frame(message((1, value))))
    port = measure.free_port()
    servers["nghttpd"] = (measure.start(
        ["nghttpd", "--no-tls", "-n1", "-d", root,
         "--trailer=grpc-status: 0", str(port)], port), port)
    peer = os.path.join(measure.BUILD, "bench", "grpcpp_server_bench")
    if os.path.exists(peer):
        process = subprocess.Popen([peer, str(len(value))],
                                   stdout=subprocess.PIPE, text=True)
        servers["grpc++"] = (process, int(process.stdout.readline()))
    return servers


def put(port, folder, value):
    """Stores the value that is asked for."""
    path = os.path.join(folder, "set")
    with open(path, "wb") as f:
        f.write(frame(message((1, b"default"), (2, b"bench"), (3, value))))
    out = subprocess.run(
        ["nghttp", "-v", "-d", path, "-H", "content-type: application/grpc",
         "-H", "te: trailers",
         "http://127.0.0.1:%d/kama.v1.KamaCacheService/Set" % port],
        capture_output=True, text=True, check=True).stdout
    if "grpc-status: 0" not in out:
        sys.exit("the value could not be stored:\n" + out)


def compare(name, load, servers, pairs, bars):
    spent = {server: [] for server in servers}
    for _ in range(pairs):
        for server, (process, port) in servers.items():
            spent[server].append(load.run(process, port))
    for server, values in spent.items():
        print("%-44s median %.2f us" % (name + ", " + server,
                                        statistics.median(values) / 1000))
    met = True
    for server, bar in bars.items():
        if server not in spent:
            continue
        ratios = [a / b for a, b in zip(spent["kamacached"], spent[server])]
        met &= measure.ratio_line(name + ", beside " + server, ratios, bar)
    return met


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=25)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--value-bytes", type=int, default=100)
    options = parser.parse_args()
    value = b"x" * options.value_bytes
    with tempfile.TemporaryDirectory() as folder:
        request = os.path.join(folder, "get")
        with open(request, "wb") as f:
            f.write(frame(message((1, b"default"), (2, b"bench"))))
        servers = start_servers(folder, value)
        try:
            put(servers["kamacached"][1], folder, value)
            met = compare("unary Get, 8 x 32",
                          Load(8, 32, options.seconds, request), servers,
                          options.pairs, {"nghttpd": 1.0, "grpc++": 0.25})
            compare("unary Get, depth 1",
                    Load(1, 1, options.seconds, request), servers,
                    max(1, options.pairs // 5), {"nghttpd": None})
        finally:
            for process, _ in servers.values():
                measure.stop(process)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
