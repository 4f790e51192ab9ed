#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Measures the daemon as a process: the time from exec to the first answer, its
memory when it is idle and per idle connection, and 300 concurrent cold Gets of
a loader that takes 300 ms."""
import argparse
import concurrent.futures
import http.server
import os
import socket
import statistics
import subprocess
import sys
import threading
import time

import grpc

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import measure
from rpc_cpu import GET, message

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"


def start_to_ready(runs):
    """Milliseconds until a TCP connect is answered with SETTINGS."""
    times = []
    for _ in range(runs):
        port = measure.free_port()
        begin = time.monotonic()
        process = subprocess.Popen(
            [os.path.join(measure.BUILD, "bin", "kamacached"),
             "--listen", "127.0.0.1:%d" % port],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), 1) as s:
                    s.sendall(PREFACE)
                    s.recv(9)
                break
            except OSError:
                time.sleep(0.0005)
        times.append((time.monotonic() - begin) * 1000)
        measure.stop(process)
    print("start to the first answer: median %.1f ms, largest %.1f ms "
          "(%d runs), bar 50 ms  %s" % (
              statistics.median(times), max(times), runs,
              "met" if measure.percentile(times, 0.9) <= 50 else "MISSED"))


def idle_memory(connections):
    port = measure.free_port()
    process = measure.start_node(port)
    time.sleep(0.5)
    anon = measure.memory_kib(process.pid, "RssAnon")
    print("idle daemon: RssAnon %.1f MiB, VmRSS %.1f MiB, bar 6 MiB  %s" % (
        anon / 1024, measure.memory_kib(process.pid, "VmRSS") / 1024,
        "met" if anon <= 6 * 1024 else "MISSED"))
    sockets = []
    for _ in range(connections):
        s = socket.create_connection(("127.0.0.1", port))
        s.sendall(PREFACE)
        s.recv(9)
        sockets.append(s)
    more = measure.memory_kib(process.pid, "RssAnon") - anon
    print("idle gRPC connection: %.1f KiB RssAnon (%d of them)" % (
        more / connections, connections))
    for s in sockets:
        s.close()
    measure.stop(process)


class SlowOrigin(http.server.BaseHTTPRequestHandler):
    loads = 0

    def do_GET(self):
        SlowOrigin.loads += 1
        time.sleep(0.3)
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


def stampede(callers):
    origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), SlowOrigin)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    port = measure.free_port()
    process = measure.start_node(
        port, "--group", 'cold:loader="http:http://127.0.0.1:%d/{key}"'
        % origin.server_address[1])
    with grpc.insecure_channel("127.0.0.1:%d" % port) as channel:
        get = channel.unary_unary(GET)
        grpc.channel_ready_future(channel).result(10)

        def one(key):
            begin = time.monotonic()
            reply = get(message((1, b"cold"), (2, key)), timeout=10)
            assert reply == message((1, b"hello"))
            return time.monotonic() - begin
        with concurrent.futures.ThreadPoolExecutor(callers) as pool:
            list(pool.map(one, [b"warm"] * callers))
            SlowOrigin.loads = 0
            times = list(pool.map(one, [b"key"] * callers))
    print("%d concurrent cold Gets, 300 ms loader: %d load(s), slowest %.0f ms"
          " = %.3fx, bar 1.1x  %s" % (
              callers, SlowOrigin.loads, max(times) * 1000, max(times) / 0.3,
              "met" if SlowOrigin.loads == 1 and max(times) <= 0.33
              else "MISSED"))
    measure.stop(process)
    origin.shutdown()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=25)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--callers", type=int, default=300)
    options = parser.parse_args()
    start_to_ready(options.runs)
    idle_memory(options.connections)
    stampede(options.callers)


if __name__ == "__main__":
    main()
