#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: labels=nosan timeout=300
"""A loader whose source is put into src/loaders/ is built without an edit of
CMake, with the packages that it names, and works in the daemon."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import kamatest
from kamatest import Client, Daemon

PARTS = ("CMakeLists.txt", "cmake", "include", "proto", "src", "tools")
# A loader of two files, one of which asks for a library.
CHECKSUM = r"""/* SPDX-License-Identifier: MIT */
/* pkg-config: zlib */
#include "sum.h"
#include <zlib.h>
unsigned long checksum(kama_bytes key)
{
    return crc32(0, key.data, (unsigned)key.len);
}
"""
HEADER = r"""#pragma once
#include <kamacache/loader.h>
unsigned long checksum(kama_bytes key);
"""


def example():
    """The plug-in that docs/LOADERS.md shows."""
    with open(os.path.join(kamatest.SOURCE, "docs/LOADERS.md"),
              encoding="utf-8") as text:
        return re.search(r"^```c\n(.*?)^```", text.read(),
                         re.M | re.S).group(1)


class BuildTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="kama-loader-")
        self.addCleanup(folder.cleanup)
        self.tree = os.path.join(folder.name, "tree")
        self.build = os.path.join(folder.name, "build")
        os.mkdir(self.tree)
        for part in PARTS:
            source = os.path.join(kamatest.SOURCE, part)
            copy = shutil.copytree if os.path.isdir(source) else shutil.copy
            copy(source, os.path.join(self.tree, part))

    def write(self, name, text):
        path = os.path.join(self.tree, "src/loaders", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)

    def cmake(self, *arguments):
        done = subprocess.run(["cmake", *arguments], text=True, check=False,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def configure(self):
        return self.cmake("-G", "Ninja", "-S", self.tree, "-B", self.build,
                          "-DKAMA_WERROR=ON", "-DKAMA_TESTS=OFF",
                          "-DKAMA_EXAMPLES=OFF", "-DKAMA_BENCH=OFF")

    def test_sources_are_enough(self):
        self.configure()
        hello = example()
        self.write("hello.c", hello)
        self.write("sum/sum.h", HEADER)
        self.write("sum/checksum.c", CHECKSUM)
        self.write("sum/plugin.c", '#include "sum.h"\n' + hello.replace(
            '"%s %.*s", hello->word',
            '"%s %lx %.*s", hello->word, checksum(req->key)'))
        self.cmake("--build", self.build, "--target", "loader_hello",
                   "loader_sum")
        with Daemon("--loader-path", self.build + "/lib/kamacache/loaders",
                    "--group", "a:loader=hello:Hi",
                    "--group", "b:loader=sum:Hi") as node, \
                Client(node) as client:
            self.assertEqual(client.get(b"tom", "a"), b"Hi tom")
            self.assertEqual(client.get(b"tom", "b"), b"Hi 7ddf7313 tom")

    def test_missing_package(self):
        self.write("lacking.c", "/* pkg-config: no-such-package */\n" +
                   example())
        said = self.configure()
        self.assertIn("The loader lacking needs the package no-such-package",
                      said)
        self.assertIn("loader_exec", self.cmake("--build", self.build,
                                                "--target", "help"))
        self.assertNotIn("loader_lacking", self.cmake(
            "--build", self.build, "--target", "help"))


if __name__ == "__main__":
    kamatest.main()
