#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: labels=nosan timeout=60
"""The manual pages: man shows them without a warning, and they have what the
programs and the tables have."""
import os
import re
import shutil
import unittest

from installation import BUILD, SOURCE, Installation, check, run

PROGRAMS = {"kamacached": "share/man/man8/kamacached.8",
            "kamacache-cli": "share/man/man1/kamacache-cli.1"}


@unittest.skipUnless(shutil.which("man"), "man-db is not installed")
class ManualTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.there = Installation()
        cls.addClassCleanup(cls.there.__exit__)

    def shown(self, program):
        """The page as text, without line breaks inside of words."""
        return check("man", "-l", self.there.path(PROGRAMS[program]),
                     env=dict(os.environ, MANWIDTH="200", LC_ALL="C.UTF-8"))

    def test_no_warnings(self):
        for program, page in PROGRAMS.items():
            done = run("man", "--warnings=w", "-E", "UTF-8", "-Tutf8", "-Z",
                       "-l", self.there.path(page),
                       env=dict(os.environ, LC_ALL="C.UTF-8", MANWIDTH="80"))
            self.assertEqual((done.returncode, done.stderr), (0, ""), program)
            self.assertGreater(len(done.stdout), 1000)

    def test_names(self):
        """The pages are found by name and by subject."""
        for program, page in PROGRAMS.items():
            self.assertIn(program + " - ",
                          check("lexgrog", self.there.path(page)))

    def test_flags(self):
        """Every flag of --help is there, and its sentence."""
        for program in PROGRAMS:
            page = self.shown(program)
            usage = check(os.path.join(BUILD, "bin", program), "--help")
            flags = re.findall(r"^  (--[a-z-]+)", usage, re.M)
            self.assertGreater(len(flags), 8)
            for flag in flags:
                self.assertRegex(page, r"(?m)^ +%s\b" % flag)

    def test_variables(self):
        table = check(os.path.join(BUILD, "bin", "kamacached"),
                      "--help=markdown")
        page = self.shown("kamacached")
        for variable in re.findall(r"`(KAMACACHE_\w+)`", table):
            self.assertIn("Variable: %s." % variable, page)
        for name in ("ENDPOINT", "GROUP", "TIMEOUT"):
            self.assertIn("Variable: KAMACACHE_%s." % name,
                          self.shown("kamacache-cli"))

    def test_group_keys(self):
        page = self.shown("kamacached")
        with open(SOURCE + "/docs/OPTIONS.md", encoding="utf-8") as document:
            keys = re.findall(r"^\| `(\w+=[\w:]+)`", document.read(), re.M)
        self.assertGreater(len(keys), 8)
        for key in keys:
            self.assertRegex(page, r"(?m)^ +%s\b" % re.escape(key))

    def test_commands(self):
        usage = check(os.path.join(BUILD, "bin", "kamacache-cli"), "--help")
        commands = usage.split("Commands:\n")[1].split("\n\n")[0]
        page = self.shown("kamacache-cli")
        names = re.findall(r"^  (\w.*)$", commands, re.M)
        self.assertGreater(len(names), 8)
        for use in names:
            self.assertRegex(page, r"(?m)^ +%s\b" % re.escape(use.split()[0]))

    def test_any_environment(self):
        """A wrong variable does not get in the way of a build."""
        page = check(os.path.join(BUILD, "bin", "kamacached"), "--help=man",
                     env=dict(os.environ, KAMACACHE_THREADS="many"))
        self.assertEqual(page, self.there.read(PROGRAMS["kamacached"]))


if __name__ == "__main__":
    unittest.main()
