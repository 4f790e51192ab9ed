# SPDX-License-Identifier: MIT
"""Wrong types at a KAMA_FLIGHT call site do not compile, in C (under the test
flags) and in C++; the right ones do, as C11 and C++11 without a warning."""
# ctest: labels=nosan
import os
import shutil
import subprocess
import tempfile
import unittest

SOURCE_DIR = os.environ.get(
    "KAMA_SOURCE_DIR",
    os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))

PROGRAM = """
#include <kamacache/flight.h>
#include <kamacache/loader.h>
struct day { int n; };
struct night { int n; };
struct report { int pages; };
static uint64_t day_hash(struct day d) { return (uint64_t)d.n; }
static int day_equal(struct day a, struct day b) { return a.n == b.n; }
static int night_equal(struct night a, struct night b) { return a.n == b.n; }
KAMA_FLIGHT_DEFINE(unused_flight, struct day, long, day_hash, day_equal)
KAMA_FLIGHT_DEFINE(flight, struct day, struct report *, day_hash, EQUAL)
static kama_status build(void *arg, struct day d, struct report **r)
{ (void)arg; (void)d; *r = NULL; return KAMA_OK; }
static kama_status build_night(void *arg, struct night d, struct report **r)
{ (void)arg; (void)d; *r = NULL; return KAMA_OK; }
static kama_status build_long(void *arg, struct day d, long *r)
{ (void)arg; (void)d; *r = 0; return KAMA_OK; }
int main(void)
{
    struct flight f;
    struct day d = {1};
    struct night night = {1};
    struct report *r = NULL;
    long number = 0;
    int shared = 0;
    (void)d; (void)night; (void)r; (void)number;
    (void)build; (void)build_night; (void)build_long; (void)night_equal;
    if (flight_init(&f) != KAMA_OK) { return 1; }
    kama_status st = flight_do(&f, KEY, FN, NULL, 0, RESULT, &shared);
    flight_fini(&f);
    return st == KAMA_OK ? 0 : 1;
}
"""

RIGHT = {"EQUAL": "day_equal", "KEY": "d", "FN": "build", "RESULT": "&r"}
WRONG = [
    {"KEY": "night"},
    {"KEY": "7"},
    {"FN": "build_night"},
    {"FN": "build_long"},
    {"RESULT": "&number"},
    {"RESULT": "r"},
    {"EQUAL": "night_equal"},
]
WARN = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
COMPILERS = [
    ("gcc", "c", ["-std=c11"] + WARN),
    ("clang", "c", ["-std=c11"] + WARN),
    ("g++", "c++", ["-std=c++11"] + WARN),
    ("clang++", "c++", ["-std=c++11"] + WARN),
]
# What is refused must be refused by these alone, not by other warnings.
ERRORS = {
    "c": ["-std=c11", "-Werror=incompatible-pointer-types",
          "-Werror=int-conversion", "-fsyntax-only"],
    "c++": ["-std=c++11", "-fsyntax-only"],
}


class FlightTypes(unittest.TestCase):
    def compile(self, compiler, language, flags, changes):
        words = dict(RIGHT, **changes)
        defines = ["-D%s=%s" % item for item in words.items()]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "program")
            with open(path, "w", encoding="ascii") as f:
                f.write(PROGRAM)
            return subprocess.run(
                [compiler, "-x", language, "-I",
                 os.path.join(SOURCE_DIR, "include")] + flags + defines +
                [path], capture_output=True, text=True, check=False)

    def compilers(self):
        found = [c for c in COMPILERS if shutil.which(c[0])]
        self.assertTrue(found)
        return found

    def test_right_types_compile_without_a_warning(self):
        for compiler, language, flags in self.compilers():
            with self.subTest(compiler=compiler):
                result = self.compile(compiler, language, flags, {})
                self.assertEqual(result.returncode, 0, result.stderr)

    def test_wrong_types_do_not_compile(self):
        for compiler, language, _ in self.compilers():
            for changes in WRONG:
                with self.subTest(compiler=compiler, changes=changes):
                    result = self.compile(compiler, language,
                                          ERRORS[language], changes)
                    self.assertNotEqual(result.returncode, 0)


if __name__ == "__main__":
    unittest.main()
