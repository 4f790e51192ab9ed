#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: labels=nosan
"""The program of docs/METRICS.md compiles as it stands, with both compilers and
without a warning, and prints metrics that Prometheus takes."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

SOURCE_DIR = os.environ["KAMA_SOURCE_DIR"]
LIB_DIR = os.path.join(os.environ["KAMA_BUILD_DIR"], "lib")
PROMTOOL = shutil.which("promtool")


class MetricsDocument(unittest.TestCase):
    def printed(self, compiler):
        """What the program prints that this compiler makes."""
        path = os.path.join(SOURCE_DIR, "docs", "METRICS.md")
        with open(path, encoding="utf-8") as text:
            program, = re.findall(r"^```c\n(.*?)^```", text.read(), re.M | re.S)
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "page.c")
            with open(source, "w", encoding="ascii") as out:
                out.write(program)
            subprocess.run(
                [compiler, "-std=c11", "-Wall", "-Wextra", "-Wpedantic",
                 "-Werror", "-I", os.path.join(SOURCE_DIR, "include"), source,
                 "-o", folder + "/page", "-L", LIB_DIR, "-lkamacache-core",
                 "-Wl,-rpath," + LIB_DIR], check=True)
            return subprocess.run([folder + "/page"], check=True,
                                  capture_output=True, text=True).stdout

    def test_the_program_runs(self):
        for compiler in filter(shutil.which, ("gcc", "clang")):
            said = self.printed(compiler)
            self.assertIn('\nkamacache_mutations_total{group="users",'
                          'operation="set"} 1\n', said)
            if PROMTOOL:
                checked = subprocess.run(
                    [PROMTOOL, "check", "metrics"], input=said, text=True,
                    capture_output=True, check=False)
                self.assertEqual((checked.returncode, checked.stdout,
                                  checked.stderr), (0, "", ""))


if __name__ == "__main__":
    unittest.main()
