# SPDX-License-Identifier: MIT
"""Wrong types at a KAMA_FLIGHT call site do not compile, in C (under the test
flags) and in C++; the right ones do, as C11 and C++11 without a warning. Types
that cannot be copied as bytes do not compile in C++."""
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
    kama_flight_stats stats;
    flight_stats(&f, &stats);
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


# C++ as its users write it: with the warnings that a cast of C causes.
CPLUSPLUS = """
#include <kamacache/flight.h>
#include <kamacache/loader.h>
#include <memory>
#include <string>
#include <vector>
struct day { int n; };
struct counted { counted(const counted &); counted(); int n; };
static std::uint64_t hash(KEY const &) { return 1; }
static int equal(KEY const &, KEY const &) { return 1; }
static void keep(RESULT const &) {}
KAMA_FLIGHT_DEFINE(flight, KEY, RESULT, hash, equal)
KAMA_FLIGHT_DEFINE_REF(ref_flight, KEY, RESULT, hash, equal, keep, keep)
static kama_status work(void *, KEY, RESULT *) { return KAMA_OK; }
int main()
{
    flight one;
    ref_flight two;
    kama_set_options set;
    KEY key{};
    RESULT result{};
    kama_set_options_init(&set);
    set.ttl_ms = KAMA_TTL_FOREVER;
    if (flight_init(&one) != KAMA_OK || ref_flight_init(&two) != KAMA_OK ||
        flight_do(&one, key, work, nullptr, 0, &result, nullptr) != KAMA_OK ||
        ref_flight_do(&two, key, work, nullptr, 0, &result, nullptr) !=
            KAMA_OK) {
        return 1;
    }
    kama_flight_stats stats;
    flight_stats(&one, &stats);
    ref_flight_stats(&two, &stats);
    flight_fini(&one);
    ref_flight_fini(&two);
    return set.ttl_ms == KAMA_TTL_FOREVER &&
                   KAMA_STR("x").len == KAMA_BYTES("x", 1).len &&
                   KAMA_LOADER_ABI_VERSION == 1u
               ? 0
               : 1;
}
"""
STRICT = ["-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Wold-style-cast",
          "-Wcast-qual", "-Wconversion", "-Wsign-conversion", "-Wshadow",
          "-Werror", "-fsyntax-only"]
COPYABLE = ["day", "int", "const char *", "std::vector<int> *"]
NOT_COPYABLE = ["std::string", "counted", "std::unique_ptr<int>",
                "std::vector<int>"]


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

    def compile_cplusplus(self, compiler, key, result):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "program")
            with open(path, "w", encoding="ascii") as f:
                f.write(CPLUSPLUS)
            return subprocess.run(
                [compiler, "-x", "c++", "-I",
                 os.path.join(SOURCE_DIR, "include"), *STRICT,
                 "-DKEY=" + key, "-DRESULT=" + result, path],
                capture_output=True, text=True, check=False)

    def test_macros_are_clean_where_casts_of_c_warn(self):
        for compiler in ("g++", "clang++"):
            for spelled in COPYABLE if shutil.which(compiler) else []:
                with self.subTest(compiler=compiler, type=spelled):
                    done = self.compile_cplusplus(compiler, spelled, spelled)
                    self.assertEqual(done.returncode, 0, done.stderr)

    def test_types_that_are_not_trivially_copyable_do_not_compile(self):
        for compiler in ("g++", "clang++"):
            for spelled in NOT_COPYABLE if shutil.which(compiler) else []:
                with self.subTest(compiler=compiler, type=spelled):
                    done = self.compile_cplusplus(compiler, spelled, "int")
                    self.assertIn("the key type must be trivially copyable",
                                  done.stderr)
                    done = self.compile_cplusplus(compiler, "int", spelled)
                    self.assertIn("the result type must be trivially copyable",
                                  done.stderr)

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
