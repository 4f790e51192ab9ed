#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: labels=nosan timeout=60
"""The style statistic counts right and fails on what breaks a rule."""
import os
import subprocess
import sys
import tempfile
import unittest

TOOL = os.path.join(os.environ["KAMA_SOURCE_DIR"], "tools/style_stats.py")


def function(lines, first="    (void)0;"):
    """A function of so many lines."""
    body = [first] + ["    (void)0;"] * (lines - 4)
    return "\n".join(["void f(void)", "{"] + body + ["}", ""])


def run(files):
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            full = os.path.join(root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="ascii") as out:
                out.write(text)
        done = subprocess.run([sys.executable, TOOL, root], text=True,
                              capture_output=True, check=False)
    return done.returncode, done.stdout


def row(output, name):
    """The cells of a folder's row."""
    line, = [line for line in output.splitlines()
             if line[:24].strip() == name]
    return line[24:].split()


class StyleStatsTest(unittest.TestCase):
    def test_counts_functions(self):
        text = "/* top */\n\n" + function(5) + "\n" + function(9)
        status, output = run({"src/base/a.c": text})
        self.assertEqual(status, 0, output)
        files, lines, code, functions, _, _, longest = \
            row(output, "src/base")[:7]
        self.assertEqual((files, lines, code, functions, longest),
                         ("1", "17", "14", "2", "9"))

    def test_long_function_fails(self):
        self.assertEqual(run({"src/base/a.c": function(70)})[0], 0)
        status, output = run({"src/base/a.c": function(71)})
        self.assertEqual(status, 1)
        self.assertIn("src/base/a.c:1: 71 lines", output)

    def test_long_table_passes(self):
        text = function(90, first="    /* long: table */")
        self.assertEqual(run({"src/base/a.c": text})[0], 0)

    def test_missing_braces_fail(self):
        for statement in ("if (a)", "for (;;)", "while (a &&\n           b)",
                          "else"):
            text = f"void f(void)\n{{\n    {statement}\n        g();\n}}\n"
            status, output = run({"src/base/a.c": text})
            self.assertEqual(status, 1, text)
            self.assertIn("src/base/a.c:3", output)

    def test_braces_pass(self):
        text = ("void f(void)\n{\n    do {\n        g();\n    } while (a);\n"
                "    if (a) { /* why */\n    } else if (b ||\n"
                "               c) {\n    } else {\n    }\n}\n")
        status, output = run({"src/base/a.c": text})
        self.assertEqual(status, 0, output)

    def test_undocumented_public_prototype_fails(self):
        documented = "/* Does it. */\nint kama_a(void);\nint kama_b(void);\n"
        status, output = run({"include/kamacache/a.h": documented})
        self.assertEqual(status, 0, output)
        text = documented + "\nint kama_c(int a,\n           int b);\n"
        status, output = run({"include/kamacache/a.h": text})
        self.assertEqual(status, 1)
        self.assertIn("include/kamacache/a.h:5", output)
        self.assertEqual(row(output, "include/kamacache")[-1], "67%")

    def test_long_file_is_named(self):
        status, output = run({"src/base/a.c": "int a;\n" * 501})
        self.assertEqual(status, 0)
        self.assertIn("src/base/a.c: 501 lines", output)


if __name__ == "__main__":
    sys.exit(unittest.main())
