# SPDX-License-Identifier: MIT
"""What the tests of the installation share: an installation of the build in a
folder of its own."""
import os
import shutil
import stat
import subprocess
import tempfile

BUILD = os.environ["KAMA_BUILD_DIR"]
SOURCE = os.environ["KAMA_SOURCE_DIR"]


def run(*command, **extra):
    """The finished process; its output is text."""
    return subprocess.run(command, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          **extra)


def check(*command, **extra):
    """The standard output of a command that has to succeed."""
    done = run(*command, **extra)
    if done.returncode != 0:
        raise AssertionError("%s: exit %d\n%s%s" % (
            " ".join(command), done.returncode, done.stdout, done.stderr))
    return done.stdout


class Installation:
    """An installation with a prefix, below DESTDIR if destdir is given. The
    folder of either goes with the object."""

    def __init__(self, prefix=None, umask=0o022):
        self.folder = tempfile.mkdtemp(prefix="kama-install-")
        os.chmod(self.folder, 0o755)
        self.destdir = self.folder if prefix else ""
        self.prefix = prefix or os.path.join(self.folder, "usr")
        self.install(umask)

    def install(self, umask=0o022):
        check("cmake", "--install", BUILD, "--prefix", self.prefix,
              env=dict(os.environ, DESTDIR=self.destdir),
              preexec_fn=lambda: os.umask(umask))

    def path(self, *parts):
        return os.path.join(self.destdir + self.prefix, *parts)

    def entries(self):
        """{path below the folder: mode} of all that was installed."""
        found = {}
        for folder, folders, names in os.walk(self.folder):
            for name in folders + names:
                path = os.path.join(folder, name)
                found[os.path.relpath(path, self.folder)] = os.lstat(
                    path).st_mode
        return found

    def read(self, *parts):
        with open(self.path(*parts), encoding="utf-8") as text:
            return text.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)


def permissions(mode):
    """The permission bits, as a number."""
    return stat.S_IMODE(mode)
