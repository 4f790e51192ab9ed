#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=180
"""/readyz and /healthz of real nodes in every state: the start, the node ready, etcd
lost, given up, drained; and that the client's --wait, the health of gRPC and the
readiness of systemd agree with them."""
import ctypes
import glob
import os
import socket
import subprocess
import threading
import unittest
import urllib.error
import urllib.request
from concurrent import futures

import etcdkit
import kamatest
from clikit import OK, cli
from clusterkit import Cluster, node_port
from etcdkit import Etcd, TcpProxy
from kamatest import Client, Daemon, Folder, HttpOrigin, wait_until

FAKETIME = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
STEPS = ["register", "view", "peers", "streams", "dialback", "lease"]


def ask(node, path):
    """(code, lines)"""
    try:
        with urllib.request.urlopen("http://%s%s" % (node.admin, path),
                                    timeout=10 * kamatest.SLOWDOWN) as answer:
            return answer.status, answer.read().decode().splitlines()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode().splitlines()


def ready(node):
    return ask(node, "/readyz")


def lease_held(node):
    """The value of the metric, as it is written."""
    lines = ask(node, "/metrics")[1]
    return dict(line.rsplit(" ", 1) for line in lines)["kamacache_lease_held"]


class Manager:
    """What systemd would hear of a node."""

    def __init__(self):
        self.folder = Folder()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def __enter__(self):
        path = os.path.join(self.folder.__enter__().path, "notify")
        self.socket.bind(path)
        self.socket.setblocking(False)
        self.env = {"NOTIFY_SOCKET": path}
        return self

    def __exit__(self, *error):
        self.socket.close()
        self.folder.__exit__(*error)

    def hears(self):
        try:
            return self.socket.recv(100)
        except BlockingIOError:
            return None


def thread_of(node, name):
    """The id of the thread with that name."""
    for path in glob.glob("/proc/%d/task/*/comm" % node.pid):
        with open(path, encoding="ascii") as comm:
            if comm.read() == name + "\n":
                return int(path.split("/")[-2])
    raise AssertionError("no thread " + name)


def listen():
    return "127.0.0.1:%d" % node_port()


def serving(node):
    return cli(node, "ping").returncode == OK


def waiting(address):
    """kamacache-cli --wait as a process."""
    return subprocess.Popen(
        [kamatest.CLI, "-e", address, "--wait=60s", "ping"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Alone(unittest.TestCase):
    def test_from_the_start_to_the_end(self):
        """The drain is as long as a call that runs, and can be asked for."""
        go_on = threading.Event()

        def slow(_):
            go_on.wait(60 * kamatest.SLOWDOWN)
            return 200, b"value"
        with HttpOrigin(slow) as origin:
            spec = 'slow:loader="http:http://127.0.0.1:%d/{key}"' % origin.port
            with Daemon("--group", spec, "--drain-timeout=60s") as node, \
                    Client(node) as client:
                self.assertEqual(ready(node), (200, ["ready"]))
                self.assertEqual(ask(node, "/healthz"), (200, ["ok"]))
                call = client.get_future(b"k", "slow", 60)
                wait_until(lambda: origin.requests)
                node.signal()
                wait_until(lambda: ready(node) == (503, ["draining"]))
                self.assertEqual(ask(node, "/healthz"), (200, ["ok"]))
                go_on.set()
                call.result()
                self.assertEqual(node.wait(), 0)

    def test_a_loop_that_stands_still(self):
        """One thread is stopped, as a debugger does it."""
        libc = ctypes.CDLL(None, use_errno=True)
        attach, detach = 16, 17
        with Daemon("--threads=2") as node:
            tid = thread_of(node, "kama-loop-1")
            if libc.ptrace(attach, tid, None, None) != 0:
                self.skipTest("this process may not stop a thread")
            os.waitpid(tid, 0x40000000)  # __WALL
            try:
                code, lines = wait_until(
                    lambda: (lambda said: said if said[0] == 503 else None)(
                        ask(node, "/healthz")), 20, "a late loop")
                self.assertEqual(len(lines), 1)
                self.assertRegex(lines[0], r"^loop 1: no answer for [2-9]\d{3} ms$"
                                 if not kamatest.SANITIZER else "^loop 1: ")
                self.assertEqual(ready(node), (200, ["ready"]))
            finally:
                libc.ptrace(detach, tid, None, None)
            wait_until(lambda: ask(node, "/healthz") == (200, ["ok"]))


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class InACluster(unittest.TestCase):
    def test_all_signs_come_together(self):
        """While etcd is silent, nobody is told that the node is ready; then
        everybody is."""
        with Etcd() as etcd, TcpProxy(etcd.address) as proxy, \
                Manager() as manager:
            proxy.stall()
            address = listen()
            wait = waiting(address)
            with Daemon("--etcd", proxy.address, "--start-timeout=60s",
                        listen=address, ready=False,
                        env=manager.env) as node:
                node.wait_line("listening")
                node.address = address
                wait_until(lambda: ready(node) == (503, STEPS))
                self.assertEqual(ask(node, "/healthz"), (200, ["ok"]))
                self.assertFalse(serving(node))
                self.assertIsNone(manager.hears())
                self.assertIsNone(wait.poll())
                proxy.flow()
                node.wait_line("ready", 30)
                self.assertEqual(wait.wait(60 * kamatest.SLOWDOWN), OK)
                self.assertTrue(serving(node))
                self.assertEqual(ready(node), (200, ["ready"]))
                self.assertEqual(wait_until(manager.hears), b"READY=1")

    def test_a_node_that_serves_alone(self):
        """Start, --wait and systemd are content; /readyz is not, until the node
        has become a member."""
        with Etcd() as etcd, TcpProxy(etcd.address) as proxy, \
                Manager() as manager:
            proxy.stall()
            with Daemon("--etcd", proxy.address, "--start-timeout=500ms",
                        listen=listen(), env=manager.env) as node:
                self.assertEqual(wait_until(manager.hears), b"READY=1")
                self.assertEqual(
                    waiting(node.address).wait(60 * kamatest.SLOWDOWN), OK)
                self.assertTrue(serving(node))
                self.assertEqual(ready(node), (503, STEPS))
                proxy.flow()
                wait_until(lambda: ready(node) == (200, ["ready"]), 30)
                self.assertTrue(serving(node))

    def test_etcd_is_lost(self):
        """An outage of the registry takes no node out of service."""
        with Cluster(2, etcd_proxies=True) as cluster:
            node = cluster.nodes[0]
            self.assertEqual(ready(node.daemon), (200, ["ready"]))
            for each in cluster.nodes:
                each.etcd_proxy.swallow()
            for each in cluster.nodes:
                wait_until(lambda: ready(each.daemon) ==
                           (200, ["ready", "degraded: lease"]), 40)
                self.assertTrue(serving(each))
                self.assertEqual(lease_held(each.daemon), "0")
            for each in cluster.nodes:
                each.etcd_proxy.cut()
                each.etcd_proxy.flow()
            for each in cluster.nodes:
                wait_until(lambda: ready(each.daemon) == (200, ["ready"]), 40)
                self.assertEqual(lease_held(each.daemon), "1")

    def test_given_up(self):
        """A node whose lease has run out, while the others go on."""
        with Cluster(3, etcd_proxies=True) as cluster:
            node = cluster.nodes[0]
            node.etcd_proxy.swallow()
            wait_until(lambda: ready(node.daemon) == (503, ["given up"]), 40)
            self.assertEqual(node.node().degraded, "given up")
            self.assertEqual(ready(cluster.nodes[1].daemon), (200, ["ready"]))
            node.etcd_proxy.cut()
            node.etcd_proxy.flow()
            wait_until(lambda: ready(node.daemon) == (200, ["ready"]), 40)

    def test_every_page_at_every_time(self):
        """From before the node listens until it has ended, each page has an
        answer."""
        paths = ("/readyz", "/healthz", "/metrics", "/api/v1/node",
                 "/api/v1/cluster", "/api/v1/groups", "/api/v1/ring",
                 "/api/v1/keys?group=default",
                 "/api/v1/key?group=default&key=k")
        stop, wrong = threading.Event(), []

        def look(node):
            asked = 0
            while not stop.is_set():
                try:
                    code, lines = ask(node, paths[asked % len(paths)])
                except OSError:  # the port has closed
                    break
                if code not in (200, 503) or not lines:
                    wrong.append((paths[asked % len(paths)], code, lines))
                asked += 1
            return asked
        with Etcd() as etcd, futures.ThreadPoolExecutor(4) as pool:
            for _ in range(3):
                node = Daemon("--etcd", etcd.address, listen=listen(),
                              ready=False)
                self.addCleanup(node.kill)
                node.wait_line("admin port")
                looks = [pool.submit(look, node) for _ in range(4)]
                node.wait_ready()
                with Client(node) as client:
                    client.set(b"k", b"v")
                node.stop()
                stop.set()
                self.assertGreater(sum(each.result() for each in looks), 9)
                stop.clear()
        self.assertEqual(wrong, [])

    def test_the_others_see_the_admin_ports(self):
        with Cluster(2) as cluster:
            for seen in cluster.nodes[0].members().values():
                node = next(each for each in cluster.nodes
                            if each.advertise == seen.address)
                self.assertEqual(seen.admin_address, node.daemon.admin)

    @unittest.skipUnless(FAKETIME and not kamatest.SANITIZER,
                         "faketime is missing")
    def test_another_clock(self):
        """A node that has served alone finds the others, and that its clock is
        not theirs."""
        with Cluster(2) as cluster, TcpProxy(cluster.etcd.address) as proxy:
            proxy.stall()
            node = Daemon(
                "--etcd", proxy.address, "--start-timeout=500ms",
                listen=listen(), ready=False,
                env={"LD_PRELOAD": FAKETIME[0], "FAKETIME": "+3600s",
                     "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
            self.addCleanup(node.kill)
            node.wait_ready()
            self.assertEqual(ready(node), (503, STEPS))
            proxy.flow()
            wait_until(lambda: "clock" in ready(node)[1], 30)
            self.assertEqual(ready(node)[0], 503)
            self.assertTrue(serving(node))


if __name__ == "__main__":
    kamatest.main()
