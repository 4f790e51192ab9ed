# SPDX-License-Identifier: MIT
"""The program of docs/FLIGHT.md compiles as it stands, with both compilers and
without a warning, and prints what it should; the tables name the members and
functions that the header has."""
# ctest: labels=nosan
import os
import re
import shutil
import subprocess
import tempfile
import unittest

SOURCE_DIR = os.environ.get(
    "KAMA_SOURCE_DIR",
    os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
LIB_DIR = os.path.join(os.environ.get("KAMA_BUILD_DIR", "build"), "lib")


def read(*parts):
    with open(os.path.join(SOURCE_DIR, *parts), encoding="utf-8") as text:
        return text.read()


class FlightDocument(unittest.TestCase):
    def setUp(self):
        self.text = read("docs", "FLIGHT.md")
        self.header = read("include", "kamacache", "flight.h")

    def test_the_program_runs(self):
        program, = re.findall(r"^```c\n(.*?)^```", self.text, re.M | re.S)
        for compiler in filter(shutil.which, ("gcc", "clang")):
            with tempfile.TemporaryDirectory() as folder:
                source = os.path.join(folder, "pages.c")
                with open(source, "w", encoding="ascii") as out:
                    out.write(program)
                subprocess.run(
                    [compiler, "-std=c11", "-Wall", "-Wextra", "-Wpedantic",
                     "-Werror", "-I", os.path.join(SOURCE_DIR, "include"),
                     source, "-o", folder + "/pages", "-L", LIB_DIR,
                     "-lkamacache-core", "-Wl,-rpath," + LIB_DIR], check=True)
                said = subprocess.run([folder + "/pages"], check=True,
                                      capture_output=True, text=True).stdout
            self.assertEqual(said, "ok: 34 pages, not shared, "
                                   "1 of 1 calls led\n")

    def test_every_counter_is_explained(self):
        members = re.search(r"typedef struct kama_flight_stats \{(.*?)\}",
                            self.header, re.S).group(1)
        names = set(re.findall(r"uint64_t (\w+);", members))
        section = self.text.split("## What is counted", 1)[1]
        rows = re.findall(r"^\| (`.*?) \|", section.split("\n## ", 1)[0],
                          re.M)
        self.assertEqual(names, set(re.findall(r"`(\w+)`", " ".join(rows))))

    def test_every_function_is_explained(self):
        names = set(re.findall(r"name##_(\w+[a-z])\(", self.header))
        section = self.text.split("## The functions", 1)[1]
        self.assertEqual(names, set(re.findall(r"^\| `name_(\w+)\(", section,
                                               re.M)))


if __name__ == "__main__":
    unittest.main()
