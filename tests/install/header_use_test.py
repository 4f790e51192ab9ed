#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: labels=nosan
"""Everything in the public headers, used: a program that takes the address of
each function, expands each macro and touches each struct compiles without a
warning as C11 and C++11; what the headers declare is what the library
exports."""
import glob
import os
import re
import shutil
import subprocess
import tempfile
import unittest

SOURCE = os.environ["KAMA_SOURCE_DIR"]
BUILD = os.environ["KAMA_BUILD_DIR"]
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror",
            "-fsyntax-only")
COMPILERS = (("gcc", "c", "c11"), ("clang", "c", "c11"),
             ("g++", "c++", "c++11"), ("clang++", "c++", "c++11"))
PLUGIN_ENTRY = "kama_loader_plugin"  # what a plug-in exports, not the library
NODE = re.compile(r"^kama_node_")

# Calls of the inline functions and macros, which have no address to export.
USES = """
static uint64_t hash(int n) { return (uint64_t)n; }
static int equal(int a, int b) { return a == b; }
static void ref(char *p) { (void)p; }
KAMA_FLIGHT_DEFINE(flight, int, long, hash, equal)
KAMA_FLIGHT_DEFINE(unused_flight, int, long, hash, equal)
KAMA_FLIGHT_DEFINE_REF(ref_flight, int, char *, hash, equal, ref, ref)
KAMA_FLIGHT_DEFINE_REF(unused_ref_flight, int, char *, hash, equal, ref, ref)
static kama_status work(void *arg, int n, long *ret_result)
{ (void)arg; *ret_result = n; return KAMA_OK; }
static kama_status name(void *arg, int n, char **ret_result)
{ (void)n; *ret_result = (char *)arg; return KAMA_OK; }
static int print(const char *fmt, ...) KAMA_PRINTF(1, 2);
static int print(const char *fmt, ...) { return fmt != NULL; }
static int inlines(kama_group *group)
{
    char letter = 'x';
    char *text = NULL;
    long number = 0;
    int shared = 0;
    struct flight one;
    struct ref_flight two;
    kama_ctx ctx;
    kama_sink_options sink;
    kama_group_options options;
    kama_set_options set;
    kama_node_options node;
    kama_group_stats stats;
    kama_flight_stats figures;
    kama_ctx_init(&ctx);
    kama_sink_options_init(&sink);
    kama_group_options_init(&options);
    kama_set_options_init(&set);
    kama_node_options_init(&node);
    kama_group_stats_get(group, &stats);
    ctx.flags = KAMA_NO_LOAD | KAMA_LOCAL_ONLY;
    ctx.origin = KAMA_ORIGIN_PEER;
    set.ttl_ms = KAMA_TTL_FOREVER;
    set.condition = KAMA_SET_IF_MATCH;
    if (flight_init(&one) != KAMA_OK || ref_flight_init(&two) != KAMA_OK ||
        flight_do(&one, 1, work, NULL, 0, &number, &shared) != KAMA_OK ||
        ref_flight_do(&two, 1, name, &letter, 0, &text, NULL) != KAMA_OK) {
        return 1;
    }
    flight_stats(&one, &figures);
    ref_flight_stats(&two, &figures);
    flight_fini(&one);
    ref_flight_fini(&two);
    return print("%d", (int)(KAMA_STR("x").len + KAMA_BYTES("x", 1).len +
                             KAMA_LOADER_ABI_VERSION));
}
"""


def headers():
    return sorted(os.path.basename(path) for path
                  in glob.glob(f"{SOURCE}/include/kamacache/*.h"))


def read(header):
    with open(f"{SOURCE}/include/kamacache/{header}",
              encoding="utf-8") as text:
        return re.sub(r"/\*.*?\*/", "", text.read(), flags=re.S)


def functions():
    """The names that are declared KAMA_API."""
    found = set()
    for header in headers():
        found |= set(re.findall(r"^KAMA_API[^;{]*?\b(kama_\w+)\(",
                                read(header), re.M))
    return found


def structs():
    """The public structs that are complete."""
    found = set()
    for header in headers():
        found |= set(re.findall(r"^typedef struct (kama_\w+) \{",
                                read(header), re.M))
    return found


def program():
    lines = [f"#include <kamacache/{header}>" for header in headers()]
    lines.append(USES)
    lines.append("typedef void (*any)(void);")
    lines.append("int main(void)\n{\n    kama_group *group = NULL;")
    for name in sorted(structs()):
        lines.append(f"    {name} a_{name};\n    (void)sizeof a_{name};")
    for name in sorted(functions()):
        lines.append(f"    if ((any){name} == NULL) {{ return 2; }}")
    lines.append("    return inlines(group);\n}\n")
    return "\n".join(lines)


def exported(library):
    lines = subprocess.run(
        ["nm", "-D", "--defined-only", f"{BUILD}/lib/lib{library}.so"],
        capture_output=True, text=True, check=True).stdout.splitlines()
    return {line.split()[2].split("@")[0] for line in lines
            if line.split()[1] != "A"}


class HeaderUse(unittest.TestCase):
    def test_compiles(self):
        text = program()
        for compiler, language, standard in COMPILERS:
            if shutil.which(compiler) is None:
                continue
            with self.subTest(compiler=compiler), \
                    tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "program")
                with open(path, "w", encoding="ascii") as out:
                    out.write(text)
                done = subprocess.run(
                    [compiler, "-x", language, f"-std={standard}",
                     f"-I{SOURCE}/include", *WARNINGS, "-Wno-address", path],
                    capture_output=True, text=True, check=False)
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_exports(self):
        declared = functions() - {PLUGIN_ENTRY}
        self.assertGreater(len(declared), 40)
        self.assertEqual(exported("kamacache"), declared)
        self.assertEqual(exported("kamacache-core"),
                         {name for name in declared if not NODE.match(name)})


if __name__ == "__main__":
    unittest.main()
