#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=60
"""A log that cannot be written stops nothing."""
import os
import signal
import subprocess
import unittest

import kamatest
from kamatest import Client, DAEMON


class Log(unittest.TestCase):
    def serve(self, redirect, check=None):
        """Runs a daemon whose streams the shell redirects: it must serve, and
        stop with 0."""
        address = "127.0.0.1:%d" % kamatest.free_port()
        process = subprocess.Popen(
            ["sh", "-c", 'exec "$@" ' + redirect, "sh", DAEMON,
             "--listen", address, "--log-level=debug"],
            env=kamatest.environment(), stdin=subprocess.DEVNULL)
        try:
            with Client(address) as client:
                client.set(b"k", b"v", wait_for_ready=True)
                for _ in range(200):
                    process.send_signal(signal.SIGHUP)  # a line each
                    self.assertEqual(client.get(b"k"), b"v")
                if check:
                    check(process)
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(20 * kamatest.SLOWDOWN), 0)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def test_full(self):
        self.serve("2>/dev/full >/dev/full")

    def test_closed(self):
        """Closed descriptors are not taken by sockets, or the log would go to
        a client."""
        def check(process):
            for number in (0, 1, 2):
                target = os.readlink("/proc/%d/fd/%d" % (process.pid, number))
                self.assertEqual(target, "/dev/null")
        self.serve("<&- >&- 2>&-", check)

    def test_blocked_pipe(self):
        """Nobody reads the pipe."""
        read_end, write_end = os.pipe()
        os.set_inheritable(write_end, True)
        try:
            # Fill it, so that the first line already has no room.
            os.set_blocking(write_end, False)
            with self.assertRaises(BlockingIOError):
                while True:
                    os.write(write_end, b"x" * 4096)
            os.set_blocking(write_end, True)
            address = "127.0.0.1:%d" % kamatest.free_port()
            process = subprocess.Popen(
                [DAEMON, "--listen", address], stderr=write_end,
                env=kamatest.environment())
            with Client(address) as client:
                client.set(b"k", b"v", wait_for_ready=True)
                self.assertEqual(client.get(b"k"), b"v")
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(20 * kamatest.SLOWDOWN), 0)
        finally:
            os.close(read_end)
            os.close(write_end)

    def test_help_into_a_closed_pipe(self):
        result = subprocess.run(["sh", "-c", '"$1" --help | true', "sh",
                                 DAEMON], stderr=subprocess.PIPE, check=False)
        self.assertEqual((result.returncode, result.stderr), (0, b""))


if __name__ == "__main__":
    kamatest.main()
