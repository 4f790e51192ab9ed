#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: labels=nosan timeout=60
"""The systemd unit: systemd finds nothing wrong with it, its exposure is low,
and what it starts tells the service manager that it is ready."""
import ctypes
import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import unittest

from installation import Installation, run

UNIT = "lib/systemd/system/kamacached.service"
EXPOSURE_MAX = 2.0


@unittest.skipUnless(shutil.which("systemd-analyze"),
                     "systemd is not installed")
class UnitTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.there = Installation()
        cls.addClassCleanup(cls.there.__exit__)

    def analyze(self, *arguments):
        """Pages of the manual are looked for in the installation."""
        return run("systemd-analyze", *arguments, self.there.path(UNIT),
                   env=dict(os.environ, SYSTEMD_LOG_LEVEL="warning",
                            MANPATH=self.there.path("share/man")))

    def test_verify(self):
        done = self.analyze("verify")
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (0, "", ""))

    def test_exposure(self):
        done = self.analyze("security", "--offline=true", "--no-pager",
                            "--threshold=%d" % (10 * EXPOSURE_MAX))
        self.assertEqual(done.returncode, 0, done.stdout[-200:])
        level = re.search(r"exposure level .*: ([\d.]+) ", done.stdout)
        self.assertLessEqual(float(level.group(1)), EXPOSURE_MAX)

    def test_example_of_the_settings(self):
        """systemd reads the file as it is meant to be read, once its lines
        are uncommented."""
        text = re.sub(r"(?m)^#(?=KAMA|pages)", "",
                      self.there.read("share/doc/kamacache/kamacached.env"))
        path = self.there.path("settings.env")
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        self.addCleanup(os.unlink, path)
        settings = dict(item.split("=", 1) for item in read_env_file(path))
        self.assertEqual(len(settings["KAMACACHE_GROUP"].split("\n")), 2)
        done = run(self.there.path("bin/kamacached"), "--check-config",
                   env={**os.environ, **settings})
        self.assertEqual(done.returncode, 0, done.stderr)


def read_env_file(path):
    """What systemd makes of the file: its own function, which is not part of
    its interface."""
    found = glob.glob("/usr/lib/*/systemd/libsystemd-shared-*.so")
    if not found:
        raise unittest.SkipTest("systemd's parser was not found")
    library = ctypes.CDLL(found[0])
    if not hasattr(library, "load_env_file"):
        raise unittest.SkipTest("systemd's parser has another name")
    items = ctypes.POINTER(ctypes.c_char_p)()
    if library.load_env_file(None, path.encode(), ctypes.byref(items)) < 0:
        raise AssertionError("systemd cannot read " + path)
    result = []
    while items[len(result)] is not None:
        result.append(items[len(result)])
    return [item.decode() for item in result]


class StartTest(unittest.TestCase):
    """ExecStart of an installation below DESTDIR, by hand."""

    def setUp(self):
        self.there = Installation("/usr")
        self.addCleanup(self.there.__exit__)
        path = os.path.join(self.there.folder, "notify")
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.manager.bind(path)
        self.manager.settimeout(20)
        self.env = {"NOTIFY_SOCKET": path, "PATH": os.environ["PATH"],
                    "KAMACACHE_LISTEN": "127.0.0.1:0",
                    "KAMACACHE_GROUP": "users:ttl=5m\n"
                                       "echo:loader=exec:/bin/cat"}

    def test_ready_and_stopping(self):
        command = re.search("^ExecStart=(.*)$", self.there.read(UNIT),
                            re.M).group(1).split()
        program = self.there.destdir + command[0]
        daemon = subprocess.Popen([program, *command[1:]], env=self.env,
                                  stderr=subprocess.PIPE, cwd="/")
        self.addCleanup(daemon.stderr.close)
        self.addCleanup(daemon.kill)
        self.assertEqual(self.manager.recv(100), b"READY=1")
        daemon.send_signal(signal.SIGTERM)
        self.assertEqual(self.manager.recv(100), b"STOPPING=1")
        self.assertEqual(daemon.wait(20), 0)


if __name__ == "__main__":
    unittest.main()
