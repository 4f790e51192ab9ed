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


def run(files, *options):
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            full = os.path.join(root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="ascii") as out:
                out.write(text)
        done = subprocess.run([sys.executable, TOOL, *options, root],
                              text=True, capture_output=True, check=False)
    return done.returncode, done.stdout


def rows(output, name):
    """The cells of a folder's rows in the two tables."""
    return [line[24:].split() for line in output.splitlines()
            if line[:24].strip() == name]


def row(output, name):
    """The cells of a folder's row in the first table."""
    return rows(output, name)[0]


def language(output, name):
    """A folder's row in the second table."""
    names = ("words", "clipped", "c", "h", "asserts", "repeated")
    return dict(zip(names, rows(output, name)[1]))


def clauses(comment):
    """The clipped nouns that the tool finds in a comment."""
    status, output = run({"src/base/a.c": f"/* {comment} */\nint a;\n"},
                         "--clauses")
    assert status == 0, output
    return [line.split(": ", 1)[1] for line in output.splitlines()]


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

    def test_no_line_rule_for_tests(self):
        status, output = run({"tests/base/a_test.c": "int a;\n" * 501 +
                              function(90)})
        self.assertEqual(status, 0, output)
        self.assertNotIn("a_test.c", output)
        self.assertEqual(row(output, "tests")[-3:-1], ["-", "-"])

    def test_clipped_nouns_are_found(self):
        for comment in ("Who waits is woken.", "It hands the value to who asks.",
                        "Frees what is over.", "What is over is freed.",
                        "The one lock. Who holds it ends.",
                        "A list of\n * what is left.",
                        "It wakes and who sleeps goes on."):
            self.assertEqual(len(clauses(comment)), 1, comment)
        self.assertEqual(clauses("Gives back what was taken before."),
                         ["what was taken before."])

    def test_questions_and_relative_clauses_pass(self):
        for comment in ("The caller who leads runs the loader.",
                        "Who leads? The first caller.",
                        "Callers, who wait, are woken.",
                        "The flight decides who leads and who waits.",
                        "The sentence says what failed.",
                        "It does what the other does.",
                        "A line \"what is over\" is text.",
                        "For example:\n *\n *     what is drawn\n *"):
            self.assertEqual(clauses(comment), [], comment)

    def test_counts_words_and_clauses_of_comments(self):
        text = ("/* SPDX-License-Identifier: MIT */\n"
                "/* Who waits, waits long. */\n"
                "const char *s = \"/* who */\"; // And who asks, too\n")
        _, output = run({"src/base/a.c": text})
        self.assertEqual(language(output, "src/base")["words"], "8")
        self.assertEqual(language(output, "src/base")["clipped"], "250.0")

    def test_counts_comment_lines(self):
        source = "/* one\n * two */\n\nint a; /* three */\nint b;\n"
        header = "/* one */\nint kama_a(void);\n"
        _, output = run({"src/base/a.c": source, "src/base/a.h": header})
        found = language(output, "src/base")
        self.assertEqual((found["c"], found["h"]), ("75%", "50%"))
        self.assertEqual(row(output, "aim"), ["<2", ">=8%", ">=40%", ">=10",
                                              "0"])

    def test_counts_asserts(self):
        body = ["    KM_ASSERT(a);", "    KM_ASSERT_HELD(&lock);",
                "    KM_DEBUG_ASSERT(b); /* assert(c) */", "    my_assert(d);"]
        text = "\n".join(["void f(void)", "{"] + body + ["}", ""] +
                         ["int a;"] * 13)
        _, output = run({"src/group/a.c": text})
        self.assertEqual(language(output, "src/group")["asserts"], "150.0")

    def test_finds_repeated_blocks(self):
        block = "".join(f"int kama_{n};\n" for n in range(7))
        files = {"src/base/a.c": block + "int a;\n",
                 "src/base/b.c": "/* b */\n" + block.replace(" ", "  ") +
                                 "int b;\n"}
        status, output = run(files)
        self.assertEqual(status, 0)
        self.assertEqual(language(output, "src/base")["repeated"], "7")
        _, output = run(files, "--duplicates")
        self.assertEqual(output, "src/base/b.c:2: 7 lines as at "
                                 "src/base/a.c:1\n")

    def test_short_repetitions_pass(self):
        block = "".join(f"int kama_{n};\n" for n in range(5))
        _, output = run({"src/base/a.c": block + "int a;\n",
                         "src/base/b.c": block + "int b;\n"})
        self.assertEqual(language(output, "src/base")["repeated"], "0")


if __name__ == "__main__":
    sys.exit(unittest.main())
