#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: labels=nosan timeout=120
"""The README's quick start and its other commands, as a reader types them:
`./dev run` serves the Unicode table, the commands that it prints are those of
the README and work; the programs in C and Python that it shows run."""
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import unittest

import kamatest
from kamatest import CLI, Client, Daemon, Folder, run

ROWS = 34924
INCLUDE = os.path.join(kamatest.SOURCE, "include")
LIBRARY = os.path.join(kamatest.BUILD, "lib")
WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Werror")
C_COMPLETED = """
#include <stdio.h>
static const char *db_find(void *db, const void *key, size_t len);
%s
static const char *db_find(void *db, const void *key, size_t len)
{
    (void)db;
    return len == 3 && memcmp(key, "tom", 3) == 0 ? "a row" : NULL;
}
int main(void)
{
    void *db = NULL;
    int found = 0;
%s
    kama_group_free(users);
    return found == 5 ? 0 : 1;
}
"""


def readme():
    with open(os.path.join(kamatest.SOURCE, "README.md"),
              encoding="utf-8") as text:
        return text.read()


def block(language, containing):
    """The block of code that contains a text."""
    return next(code for code in re.findall(
        rf"^```{language}\n(.*?)^```", readme(), re.M | re.S)
        if containing in code)


class QuickStart(unittest.TestCase):
    def commands(self, text):
        """The commands of the client in a text, as words."""
        return [shlex.split(line) for line in text.splitlines()
                if line.strip().startswith(("build/bin/kamacache-cli",
                                            CLI))]

    def client(self, node, words):
        """Runs one of them against the node of this test."""
        return run("-e", node.address, *words, program=CLI)

    def test_demo(self):
        port = kamatest.free_port()
        address = "127.0.0.1:%d" % port
        demo = os.path.join(kamatest.SOURCE, "tools", "demo.sh")
        with Daemon("--threads=2", listen=address, program=(demo,)) as node:
            head = "\n".join(node.raw)
            self.assertIn("%d characters in " % ROWS, head)
            printed = self.commands(head)
            self.assertEqual(len(printed), 3)
            wanted = self.commands(block("sh", "keys '1F6*'"))
            self.assertEqual([words[3:] for words in printed],
                             [words[1:] for words in wanted])
            for words in printed:
                self.assertEqual(words[1:3], ["-e", address])
            answers = [self.client(node, words[3:]) for words in printed]
            for answer in answers:
                self.assertEqual((answer.returncode, answer.stderr), (0, ""))
            get, keys, stats = (answer.stdout for answer in answers)
            self.assertEqual((get, keys), ("GRINNING FACE\n", "1F600\n"))
            self.assertRegex(stats, r"loads +1\n")
            again = self.client(node, printed[0][3:])
            self.assertEqual(again.stdout, get)
            stats = self.client(node, printed[2][3:]).stdout
            self.assertRegex(stats, r"hits +1\n")
            self.assertRegex(stats, r"loads +1\n")
            self.check_table(node)

    def check_table(self, node):
        """Every thousandth row of the table is served as it stands there."""
        with open("/usr/share/unicode/UnicodeData.txt",
                  encoding="ascii") as table:
            rows = [line.split(";") for line in table]
        self.assertEqual(len(rows), ROWS)
        with Client(node) as client:
            for row in rows[:1] + rows[1000::1000]:
                name = row[1] if row[1] != "<control>" else row[10]
                self.assertEqual(
                    client.get(row[0].encode(), "unicode").decode(), name)
            self.assertEqual(client.error(b"no such", "unicode")[0],
                             "KAMA_MISS")
            self.assertIn(b'"lower":"0061"', client.get(
                b"0041", "unicode-json").replace(b" ", b""))

    def test_daemon_of_your_own(self):
        """With a database where the README has one."""
        words = shlex.split(block("sh", "--group 'users").replace("\\\n", ""))
        self.assertEqual(words[0], "build/bin/kamacached")
        with Folder() as folder:
            path = os.path.join(folder.path, "app.db")
            with sqlite3.connect(path) as database:
                database.execute("CREATE TABLE users(name TEXT, row TEXT)")
                database.execute("INSERT INTO users VALUES('tom', '630')")
            database.close()
            spec = words[words.index("--group") + 1]
            self.assertIn("/srv/app.db", spec)
            spec = spec.replace("/srv/app.db", path)
            with Daemon("--group", spec) as node, Client(node) as client:
                self.assertEqual(client.get(b"tom", "users"), b"630")
                self.assertEqual(node.wait_line("group")["ttl_ms"], 60000)
                self.python_program(node)

    def python_program(self, node):
        """The README's, with stubs generated as its reader would."""
        if not shutil.which("grpc_python_plugin"):
            self.fail("install protobuf-compiler-grpc")
        with Folder() as folder:
            command = block("sh", "protoc").replace(
                "-I proto ", "-I %s/proto " % shlex.quote(kamatest.SOURCE))
            self.assertIn(kamatest.SOURCE, command)
            subprocess.run(["sh", "-euc", command], cwd=folder.path,
                           check=True)
            lines = block("python", "stub.Get").strip().split("\n")
            lines[-1] = "print(%s)" % lines[-1]
            text = "\n".join(lines)
            self.assertIn('"127.0.0.1:8001"', text)
            text = text.replace("127.0.0.1:8001", node.address)
            done = subprocess.run([sys.executable, "-c", text],
                                  cwd=folder.path, text=True, check=False,
                                  capture_output=True)
            self.assertEqual((done.returncode, done.stdout), (0, "b'630'\n"),
                             done.stderr)

    def test_c_program(self):
        """The README's, completed at the dots."""
        code = block("c", "load_user")
        loader, body = code.split("\n\nkama_group_options", 1)
        body = ("kama_group_options" + body).replace("{ ... }", "{ return 1; }")
        body = body.replace("    kama_value_unref(v);",
                            "    found = (int)b.len;\n    kama_value_unref(v);")
        self.assertIn("found", body)
        for library in ("kamacache", "kamacache-core"):
            with self.subTest(library=library), Folder() as folder:
                source = folder.file("program.c", C_COMPLETED % (loader, body))
                program = os.path.join(folder.path, "program")
                done = subprocess.run(
                    ["cc", *WARNINGS, "-I", INCLUDE, source, "-o", program,
                     "-L", LIBRARY, "-l" + library,
                     "-Wl,-rpath," + LIBRARY],
                    text=True, capture_output=True, check=False)
                self.assertEqual(done.returncode, 0, done.stderr)
                subprocess.run([program], check=True)

    def test_flags_that_come_next(self):
        """Known, and refused with the words of the README."""
        self.assertIn('"not in this version"', readme())
        result = run("--peers", "127.0.0.1:8002")
        self.assertEqual(result.returncode, 2)
        self.assertIn("not in this version", result.stderr)


if __name__ == "__main__":
    kamatest.main()
