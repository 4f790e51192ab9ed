#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""The daemon as a child of odd parents and as the first process of a
container: signals, descriptors and children that it did not ask for."""
import concurrent.futures
import glob
import os
import re
import signal
import unittest

from kamatest import (SANITIZER, Client, Daemon, Folder, group, main, run,
                      wait_until)

SIGPIPE_BIT = 1 << (signal.SIGPIPE - 1)
# Signals 32 and 33 are the C library's own, which ignores them in what it
# starts.
SIGNALS = [number for number in range(1, signal.SIGRTMAX + 1)
           if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33)]
SIGNAL_BITS = sum(1 << (number - 1) for number in SIGNALS)
STATUS = """
cat /proc/self/status
cd /proc/$$/fd
for fd in *; do
    case $(readlink $fd) in *inherited*) printf 'it has %s\\n' $fd ;; esac
done
"""
# Leaves one orphan in its process group, which is killed with that, and one
# outside of it, which ends a little later.
ORPHANS = """
sleep 600 &
setsid sh -c 'sleep 0.1' &
case $1 in
miss*) exit 4 ;;
fail*) exit 3 ;;
esac
printf '%s' "$1"
"""


def signals_of(status):
    """The bits of ignored and of blocked signals in a /proc/PID/status."""
    return [int(re.search(r"^%s:\s*(\w+)" % field, status, re.M).group(1),
                16) & SIGNAL_BITS for field in ("SigIgn", "SigBlk")]


def children(pid):
    """Process ids below pid, the dead ones that wait for it included."""
    found = []
    for path in glob.glob("/proc/%d/task/*/children" % pid):
        with open(path, encoding="ascii") as text:
            found += [int(word) for word in text.read().split()]
    return found


def ignore_and_block():
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


class ProcessTest(unittest.TestCase):
    def setUp(self):
        self.folder = Folder()
        self.addCleanup(self.folder.__exit__)

    def loader(self, name, text, arguments="{key}"):
        script = self.folder.script(name, text)
        return group("g", loader="exec:%s %s" % (script, arguments))

    def test_ignored_sigchld(self):
        """Each load gets the exit status of its program."""
        text = self.loader("load", ORPHANS)
        with Daemon("--group", text, preexec=lambda: signal.signal(
                signal.SIGCHLD, signal.SIG_IGN)) as node, \
                Client(node) as client:
            self.assertEqual(client.get(b"tom", "g"), b"tom")
            self.assertEqual(client.error(b"miss", "g")[0], "KAMA_MISS")
            self.assertIn("exit code 3", client.error(b"fail", "g")[1])

    def test_everything_ignored_and_blocked(self):
        """The daemon and its programs have the defaults, and it drains."""
        text = self.loader("status", STATUS, "x")
        with Daemon("--group", text, preexec=ignore_and_block) as node, \
                Client(node) as client:
            program = client.get(b"k", "g").decode()
            self.assertEqual(signals_of(program), [0, 0])
            with open("/proc/%d/status" % node.pid,
                      encoding="ascii") as status:
                ignored, blocked = signals_of(status.read())
            self.assertEqual(ignored, SIGPIPE_BIT)
            # Those that the main thread waits for.
            self.assertLessEqual(bin(blocked).count("1"), 4)

    def test_inherited_descriptors(self):
        """A descriptor of the parent stays with the daemon."""
        path = self.folder.file("inherited")
        text = self.loader("status", STATUS, "x")
        wrap = ["/bin/sh", "-c", 'exec "$@" 7<"$0"', path]
        with Daemon("--group", text, wrap=wrap) as node, \
                Client(node) as client:
            held = [os.readlink(fd) for fd in
                    glob.glob("/proc/%d/fd/*" % node.pid)]
            self.assertIn(path, held)
            self.assertNotIn(b"it has", client.get(b"k", "g"))


class FirstProcessTest(unittest.TestCase):
    """As PID 1 of a namespace of its own."""

    def setUp(self):
        self.folder = Folder()
        self.addCleanup(self.folder.__exit__)
        self.unshare = ["unshare", "--pid", "--fork", "--mount-proc"]
        if run(*self.unshare[1:], "/bin/true",
               program="unshare").returncode != 0:
            self.skipTest("process namespaces cannot be made here")

    def start(self):
        script = self.folder.script("load", ORPHANS)
        node = Daemon("--group", group("g", loader="exec:%s {key}" % script),
                      wrap=self.unshare)
        self.addCleanup(node.kill)
        (pid,) = children(node.pid)
        # Without its first process the namespace ends.
        self.addCleanup(self.kill, pid)
        return node, pid

    @staticmethod
    def kill(pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def check_load(self, client, key):
        name = key.encode()
        if key.startswith("miss"):
            return client.error(name, "g", 60)[0] == "KAMA_MISS"
        if key.startswith("fail"):
            return "exit code 3" in client.error(name, "g", 60)[1]
        return client.get(name, "g", 60) == name

    def test_orphans_are_collected(self):
        """No zombie stays, and no load loses its exit status to that."""
        node, pid = self.start()
        count = 20 if SANITIZER else 100
        keys = ["%s%d" % (kind, number) for number in range(count)
                for kind in ("value", "miss", "fail")]
        with Client(node) as client, \
                concurrent.futures.ThreadPoolExecutor(16) as pool:
            for good in pool.map(lambda key: self.check_load(client, key),
                                 keys):
                self.assertTrue(good)
        wait_until(lambda: not children(pid), 30, what="no children")
        os.kill(pid, signal.SIGTERM)
        self.assertEqual(node.wait(), 0)

    def test_it_ends(self):
        """Signals have no default action there; it drains all the same."""
        node, pid = self.start()
        with Client(node) as client:
            self.assertEqual(client.get(b"tom", "g"), b"tom")
        os.kill(pid, signal.SIGINT)
        self.assertEqual(node.wait(), 0)


if __name__ == "__main__":
    main()
