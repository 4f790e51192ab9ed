#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: labels=nosan
"""Each public header stands alone in C11 and C++11, with both compilers, and
defines no name outside KAMA_."""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

INCLUDE = os.path.join(os.environ["KAMA_SOURCE_DIR"], "include")
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")
COMPILERS = (("gcc", "c", "c11"), ("clang", "c", "c11"),
             ("g++", "c++", "c++11"), ("clang++", "c++", "c++11"))


def headers():
    return sorted(os.path.relpath(path, INCLUDE) for path
                  in glob.glob(f"{INCLUDE}/kamacache/*.h"))


def compile_text(compiler, language, text, *options):
    """(exit status, output) of compiling `text`."""
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "unit")
        with open(source, "w", encoding="ascii") as out:
            out.write(text)
        done = subprocess.run(
            [compiler, "-x", language, f"-I{INCLUDE}", *options, source],
            capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def macros(text):
    _, output = compile_text("gcc", "c", text, "-std=c11", "-dM", "-E")
    return set(re.findall(r"^#define (\w+)", output, re.M))


class HeadersTest(unittest.TestCase):
    def check_header(self, header, compiler, language, standard):
        unit = f"#include <{header}>\n#include <{header}>\n"
        unit += "int main(void) { return 0; }\n" if language == "c" else \
            "int main() { return 0; }\n"
        status, output = compile_text(compiler, language, unit,
                                      f"-std={standard}", *WARNINGS,
                                      "-fsyntax-only")
        self.assertEqual(status, 0, output)

    def test_each_header_alone(self):
        self.assertNotEqual(headers(), [])
        for header in headers():
            for compiler, language, standard in COMPILERS:
                if shutil.which(compiler) is None:
                    continue
                with self.subTest(header=header, compiler=compiler):
                    self.check_header(header, compiler, language, standard)

    def test_macros_are_ours(self):
        for header in headers():
            with open(os.path.join(INCLUDE, header),
                      encoding="utf-8") as text:
                used = re.findall(r"#\s*include <(?!kamacache/)[^>]+>",
                                  text.read())
            system = "\n".join(used) + "\n"
            for other in headers():
                with open(os.path.join(INCLUDE, other),
                          encoding="utf-8") as text:
                    system += "\n".join(
                        re.findall(r"#\s*include <(?!kamacache/)[^>]+>",
                                   text.read())) + "\n"
            added = macros(f"#include <{header}>\n") - macros(system)
            foreign = [name for name in added
                       if not name.startswith(("KAMA_", "KAMACACHE_"))]
            self.assertEqual(foreign, [], header)


if __name__ == "__main__":
    sys.exit(unittest.main())
