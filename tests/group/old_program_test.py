# SPDX-License-Identifier: MIT
"""A program that was built against an older header, whose structs were
smaller, runs with the library of today; so does one whose structs are larger,
as long as it leaves at zero what the library does not know."""
# ctest: labels=nosan
import os
import re
import subprocess
import tempfile
import unittest

SOURCE_DIR = os.environ.get(
    "KAMA_SOURCE_DIR",
    os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
LIB_DIR = os.path.join(os.environ.get("KAMA_BUILD_DIR", "build"), "lib")

PROGRAM = r"""
#include <kamacache/kamacache.h>
#include <stdio.h>

#define CANARY 0x5a5a5a5a5a5a5a5aull

int main(void)
{
    struct { kama_group_options o; unsigned long long canary; } a;
    struct { kama_group_stats s; unsigned long long canary; } b;
    struct { kama_ctx c; unsigned long long canary; } c;
    kama_group *group;
    char buf[16];
    size_t len;
    a.canary = b.canary = c.canary = CANARY;
    kama_group_options_init(&a.o);
    kama_ctx_init(&c.c);
    a.o.name = "old";
    a.o.ttl_ms = 60000;
    if (kama_group_new(&a.o, &group) != KAMA_OK ||
        kama_set(group, KAMA_STR("k"), KAMA_STR("v"), NULL) != KAMA_OK ||
        kama_get_copy(group, KAMA_STR("k"), &c.c, buf, sizeof buf, &len) !=
            KAMA_OK) {
        return 1;
    }
    kama_group_stats_get(group, &b.s);
    printf("%s %zu %u %llu %llu\n", kama_group_name(group), len,
           (unsigned)a.o.struct_size, (unsigned long long)b.s.gets,
           (unsigned long long)b.s.hits);
    kama_group_free(group);
    return a.canary == CANARY && b.canary == CANARY && c.canary == CANARY
               ? 0
               : 2;
}
"""


def cut(header, struct, last_field):
    """The header with the struct's fields after last_field removed."""
    pattern = re.compile(
        r"(typedef struct %s \{.*?\b%s;[^\n]*\n).*?(\} %s;)" %
        (struct, last_field, struct), re.S)
    assert pattern.search(header), (struct, last_field)
    return pattern.sub(r"\1\2", header)


def extend(header, struct):
    """The header with two more fields at the end of the struct."""
    mark = "} %s;" % struct
    assert mark in header
    return header.replace(mark, "    uint64_t later_a, later_b;\n" + mark)


def older(header):
    header = cut(header, "kama_group_options", "ttl_ms")
    header = cut(header, "kama_group_stats", "misses")
    return cut(header, "kama_ctx", "flags")


def newer(header):
    for struct in ("kama_group_options", "kama_group_stats", "kama_ctx"):
        header = extend(header, struct)
    return header


class OldProgram(unittest.TestCase):
    def build_and_run(self, change):
        include = os.path.join(SOURCE_DIR, "include", "kamacache")
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(os.path.join(folder, "kamacache"))
            for name in ("kamacache.h", "version.h"):
                with open(os.path.join(include, name),
                          encoding="utf-8") as f:
                    text = f.read()
                if name == "kamacache.h":
                    text = change(text)
                with open(os.path.join(folder, "kamacache", name), "w",
                          encoding="utf-8") as f:
                    f.write(text)
            source = os.path.join(folder, "program.c")
            with open(source, "w", encoding="ascii") as f:
                f.write(PROGRAM)
            program = os.path.join(folder, "program")
            subprocess.run(
                ["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-I",
                 folder, source, "-o", program, "-L", LIB_DIR,
                 "-lkamacache-core", "-Wl,-rpath," + LIB_DIR], check=True)
            return subprocess.run([program], capture_output=True, text=True,
                                  check=False)

    def expect(self, change):
        result = self.build_and_run(change)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        name, length, size, gets, hits = result.stdout.split()
        self.assertEqual((name, length, gets, hits), ("old", "1", "1", "1"))
        return int(size)

    def test_ages(self):
        today = self.expect(lambda header: header)
        self.assertLess(self.expect(older), today)
        self.assertGreater(self.expect(newer), today)


if __name__ == "__main__":
    unittest.main()
