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
import tempfile
import unittest

import kamatest
from kamatest import free_port, wait_until

SCRIPT = os.path.join(kamatest.SOURCE, "tools", "cluster.sh")
TABLE = "/usr/share/unicode/UnicodeData.txt"


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def processes_of_session(session):
    """The command lines of its living processes."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.getsid(int(pid)) == session:
                with open("/proc/%s/cmdline" % pid, "rb") as f:
                    found.append(f.read())
        except OSError:
            pass  # it has ended meanwhile
    return [line for line in found if line != b""]


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
        self.output = tempfile.TemporaryFile()
        self.addCleanup(self.output.close)
        return subprocess.Popen(
            [SCRIPT, *arguments], env=env, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=self.output,
            stderr=subprocess.STDOUT)

    def ended(self, script, timeout):
        """Waits for the end of the script, and returns what it has printed. Its
        output is a file, because a process that the script has left behind would
        hold a pipe open."""
        code = script.wait(timeout)
        left = processes_of_session(script.pid)
        self.output.seek(0)
        out = self.output.read().decode()
        self.assertEqual(left, [], out)
        return code, out

    def expect_nothing_left(self):
        self.assertEqual(os.listdir(self.folder.path), [])
        for port in self.ports:
            self.assertFalse(listens(port), port)

    def test_a_taken_port_is_named(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            self.ports[3] = taken.getsockname()[1]
            _, out = self.ended(self.start("--once"), 30)
        self.assertIn("port %d is taken by another program" % self.ports[3],
                      out)
        self.expect_nothing_left()

    def test_an_interrupt_leaves_nothing_behind(self):
        script = self.start()
        wait_until(lambda: listens(self.ports[0]) or
                   script.poll() is not None, 20, "etcd")
        script.send_signal(signal.SIGTERM)
        code, out = self.ended(script, 60)
        self.assertEqual(code, 143, out)
        self.expect_nothing_left()

    def test_the_demonstration(self):
        probe = kamatest.run("--check-config", "--etcd=127.0.0.1:1")
        if "--etcd: not in this version" in probe.stderr:
            self.skipTest("this daemon cannot join a cluster yet")
        script = self.start("--once")
        code, out = self.ended(script, 150)
        self.assertEqual(code, 0, out)
        loads = [line.split()[-1] for line in out.splitlines()
                 if "loads in the cluster" in line]
        self.assertEqual(loads[:4], ["1", "1", "1", "2"], out)
        self.assertEqual(out.count("a smile"), 4, out)
        self.assertIn("-g unicode set 1F600 'a smile'\n   A$ ", out)
        # Each step begins behind one empty line, and there is no other one.
        self.assertEqual(out.count("\n\n"), out.count("\n\n== "), out)
        self.assertNotRegex(out, r"(?m)^ +$")
        self.expect_nothing_left()


if __name__ == "__main__":
    kamatest.main()
