#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=240
"""grpc-go with its defaults, at full speed: no connection is cut off and every
call ends. The client is built from tests/go; the tests are skipped where Go is
missing or too old, or where its modules cannot be fetched."""
import json
import os
import shutil
import socket
import subprocess
import unittest

import kamatest
from kamatest import Client, Daemon, group

SOURCE = os.path.join(kamatest.SOURCE, "tests", "go")
CLIENT = os.path.join(kamatest.BUILD, "tests", "grpc_go_client")


def go(*arguments, timeout):
    return subprocess.run(
        ["go", *arguments], cwd=SOURCE, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=timeout, check=False,
        env=dict(os.environ, GOTOOLCHAIN="local", GOFLAGS="-mod=readonly"))


def build():
    """The client's path; skips the tests where it cannot be built."""
    if shutil.which("go") is None:
        raise unittest.SkipTest("there is no Go compiler")
    try:
        fetched = go("mod", "download", timeout=120)
    except subprocess.TimeoutExpired:
        raise unittest.SkipTest("fetching Go modules took 120 s") from None
    if fetched.returncode != 0:
        raise unittest.SkipTest("go mod download: " + fetched.stdout[-300:])
    built = go("build", "-o", CLIENT, ".", timeout=200)
    if built.returncode != 0:
        raise AssertionError(built.stdout)
    return CLIENT


class GrpcGo(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        build()

    def run_client(self, node, *arguments):
        """One mode of the client; how its calls and connections ended."""
        done = subprocess.run(
            [CLIENT, arguments[0], node.address, *map(str, arguments[1:])],
            stdout=subprocess.PIPE, text=True, check=True,
            timeout=60 * kamatest.SLOWDOWN)
        print(done.stdout, end="")
        return json.loads(done.stdout)

    def assert_calm(self, node, tally, codes):
        """All calls ended with these codes, on the first connections."""
        self.assertEqual(tally["codes"], codes, tally)
        self.assertEqual(tally["lost"], 0, tally)
        self.assertFalse([line for line in node.lines
                          if line.get("event") == "abuse"])

    def test_gets(self):
        """One caller, 20 callers and 256 callers on one connection each: the
        client sends a PING for nearly every answer."""
        calls = 20000 // kamatest.SLOWDOWN
        with Daemon() as node:
            with Client(node) as client:
                client.set(b"k", b"v")
            for callers in (1, 20, 256):
                tally = self.run_client(node, "parallel", "k", calls, callers)
                self.assert_calm(node, tally, {"OK": calls})

    def test_deadlines(self):
        """An origin that hangs, and calls that give up after 50 ms: the
        client resets 2,500 streams a second."""
        rate, seconds = 2500 // kamatest.SLOWDOWN, 3
        with socket.create_server(("127.0.0.1", 0), backlog=64) as hung:
            loader = "http:http://127.0.0.1:%d/{key}" % hung.getsockname()[1]
            with Daemon("--drain-timeout=100ms", "--group",
                        group("hung", loader=loader,
                              loader_timeout="500ms")) as node:
                tally = self.run_client(node, "deadlines", "hung", rate,
                                        seconds, 50)
                self.assert_calm(node, tally,
                                 {"DeadlineExceeded": rate * seconds})

    def test_uploads(self):
        """More Sets of 1 MB at once than the node takes: those that are
        refused get their answer, and no call hangs."""
        calls = 600 // kamatest.SLOWDOWN
        with Daemon() as node:
            tally = self.run_client(node, "uploads", 2, calls, 1000000)
            codes = tally["codes"]
            self.assertEqual(sum(codes.values()), 2 * calls, tally)
            self.assertLessEqual(set(codes), {"OK", "ResourceExhausted"})
            self.assertEqual(tally["lost"], 0, tally)

    def test_gzip(self):
        with Daemon() as node:
            tally = self.run_client(node, "gzip", "k", "text " * 100)
            self.assert_calm(node, tally, {"OK": 2})
            self.assertEqual(tally["value"], "text " * 100)


if __name__ == "__main__":
    kamatest.main()
