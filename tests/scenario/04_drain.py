#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""SIGTERM drains: what was begun is answered. A second one does not wait."""
import signal
import threading
import time
import unittest

import grpc

import kamatest
from kamatest import Client, Daemon, HttpOrigin, SLOWDOWN


def gated_origin(gate):
    """An origin that answers when gate is set."""
    def answer(_path):
        gate.wait(60)
        return 200, b"loaded"
    return HttpOrigin(answer)


class Drain(unittest.TestCase):
    def test_running_calls_are_answered(self):
        """A Get whose load runs when SIGTERM comes gets its value."""
        gate = threading.Event()
        with gated_origin(gate) as origin, \
                Daemon("--group", origin.group("g")) as node, \
                Client(node) as client:
            calls = [client.get_future(b"k%d" % i, "g") for i in range(20)]
            kamatest.wait_until(lambda: len(origin.requests) == 20)
            node.signal()
            node.wait_line("draining")
            self.assertTrue(node.alive())
            gate.set()
            for call in calls:
                self.assertEqual(kamatest.parse(call.result())[1], b"loaded")
            self.assertEqual(node.wait(), 0)
            self.assertEqual(node.wait_line("stopped")["drain"], "complete")

    def test_deadline(self):
        """What does not end within drain_timeout is cut off, with an error."""
        gate = threading.Event()
        with gated_origin(gate) as origin, \
                Daemon("--drain-timeout=300ms", "--group",
                       origin.group("g", loader_timeout="2s")) as node, \
                Client(node) as client:
            call = client.get_future(b"k", "g")
            kamatest.wait_until(lambda: origin.requests)
            node.signal()
            with self.assertRaises(grpc.RpcError) as caught:
                call.result()
            self.assertEqual(caught.exception.code(),
                             grpc.StatusCode.UNAVAILABLE)
            self.assertEqual(node.wait(), 0)
            self.assertEqual(node.wait_line("stopped")["drain"], "cut off")
            gate.set()

    def test_second_signal(self):
        """It ends at once, with the status of a killed process."""
        for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
            gate = threading.Event()
            with gated_origin(gate) as origin:
                node = Daemon("--group", origin.group("g"))
                with Client(node) as client:
                    call = client.get_future(b"k", "g")
                    kamatest.wait_until(lambda: origin.requests)
                    node.signal()
                    node.signal(number)  # so soon, it is taken for the first
                    node.wait_line("draining")
                    time.sleep(0.1)
                    self.assertTrue(node.alive())
                    begin = time.monotonic()
                    node.signal(number)
                    self.assertEqual(node.wait(), status)
                    self.assertLess(time.monotonic() - begin, 2 * SLOWDOWN)
                    call.cancel()
                    gate.set()

    def test_load_that_hangs(self):
        """A load that nobody waits for any more does not hold the exit."""
        gate = threading.Event()
        with gated_origin(gate) as origin, \
                Daemon("--group", origin.group("g", loader_timeout="1h")) \
                as node, Client(node) as client:
            call = client.get_future(b"k", "g")
            kamatest.wait_until(lambda: origin.requests)
            call.cancel()
            node.signal()
            self.assertEqual(node.wait(10), 0)
            node.wait_line("loads that are still running are abandoned")
            gate.set()

    def test_load_through_a_restart(self):
        """Callers that wait for a ready server lose no call when a daemon
        drains and another takes its port."""
        address = "127.0.0.1:%d" % kamatest.free_port()
        node = Daemon(listen=address)
        stop = threading.Event()
        failures = []
        done = [0] * 4

        def call_all_the_time(i):
            with Client(address) as client:
                while not stop.is_set():
                    try:
                        client.set(b"k%d" % i, b"v", timeout=20,
                                   wait_for_ready=True)
                        done[i] += 1
                    except grpc.RpcError as error:
                        failures.append((error.code(), error.details()))
                        return

        threads = [threading.Thread(target=call_all_the_time, args=(i,))
                   for i in range(len(done))]
        for thread in threads:
            thread.start()
        for _ in range(3):
            goal = [n + 50 for n in done]
            kamatest.wait_until(lambda g=goal: failures or all(
                n >= m for n, m in zip(done, g)), 20)
            node.stop()
            node = Daemon(listen=address)
        goal = [n + 50 for n in done]
        kamatest.wait_until(lambda: failures or all(
            n >= m for n, m in zip(done, goal)), 20)
        stop.set()
        for thread in threads:
            thread.join()
        node.stop()
        self.assertEqual(failures, [])


if __name__ == "__main__":
    kamatest.main()
