#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: labels=nosan timeout=180
"""./dev cluster: its demonstration from begin to end, a taken port, and that
it leaves nothing behind. The demonstration needs a daemon that joins a cluster
(--etcd), etcd and the data set; it is skipped where one of them is missing."""
import os
import shutil
import signal
import socket
import subprocess
import unittest

import kamatest
from kamatest import free_port, wait_until

SCRIPT = os.path.join(kamatest.SOURCE, "tools", "cluster.sh")
TABLE = "/usr/share/unicode/UnicodeData.txt"


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


@unittest.skipUnless(shutil.which("etcd") and shutil.which("etcdctl") and
                     shutil.which("sqlite3") and os.path.exists(TABLE),
                     "needs etcd-server, etcd-client, sqlite3, unicode-data")
class Cluster(unittest.TestCase):
    def setUp(self):
        self.ports = [free_port() for _ in range(5)]
        self.folder = kamatest.Folder()
        self.addCleanup(self.folder.__exit__)

    def start(self, *arguments):
        env = kamatest.environment({
            "KAMA_CLUSTER_PORTS": " ".join(map(str, self.ports)),
            "KAMA_BUILD_DIR": kamatest.BUILD, "TMPDIR": self.folder.path})
        return subprocess.Popen(
            [SCRIPT, *arguments], env=env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)

    def expect_nothing_left(self):
        self.assertEqual(os.listdir(self.folder.path), [])
        for port in self.ports:
            self.assertFalse(listens(port), port)

    def test_a_taken_port_is_named(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            self.ports[3] = taken.getsockname()[1]
            out, _ = self.start("--once").communicate(timeout=30)
        self.assertIn("port %d is taken by another program" % self.ports[3],
                      out)
        self.expect_nothing_left()

    def test_an_interrupt_leaves_nothing_behind(self):
        script = self.start()
        wait_until(lambda: listens(self.ports[0]) or
                   script.poll() is not None, 20, "etcd")
        script.send_signal(signal.SIGTERM)
        script.communicate(timeout=60)
        self.expect_nothing_left()

    def test_the_demonstration(self):
        probe = kamatest.run("--check-config", "--etcd=127.0.0.1:1")
        if "--etcd: not in this version" in probe.stderr:
            self.skipTest("this daemon cannot join a cluster yet")
        script = self.start("--once")
        out, _ = script.communicate(timeout=150)
        self.assertEqual(script.returncode, 0, out)
        loads = [line.split()[-1] for line in out.splitlines()
                 if "loads in the cluster" in line]
        self.assertEqual(loads[:3], ["1", "1", "1"], out)
        self.assertEqual(out.count("a smile"), 2, out)
        self.expect_nothing_left()


if __name__ == "__main__":
    kamatest.main()
