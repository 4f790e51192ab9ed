#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: labels=nosan timeout=120
"""Completion in a real bash: what is typed, a tab, and what the program
gets."""
import os
import re
import shutil
import tempfile
import unittest

import pexpect

from installation import BUILD, Installation, check
from kamatest import Daemon

# Stands in for both programs: prints what it got. The client is asked for the
# groups of a node by the completion itself.
PROGRAM = """#!/bin/sh
case " $* " in
*" groups ") exec %s/bin/kamacache-cli "$@" ;;
esac
printf '[[%%s]]' "$*"
echo
"""
PROGRAMS = ("kamacached", "kamacache-cli")


class CompletionTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        there = Installation()
        cls.addClassCleanup(there.__exit__)
        cls.folder = tempfile.mkdtemp(prefix="kama-completion-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        os.makedirs(cls.folder + "/plain/deep")
        scripts = there.path("share/bash-completion/completions")
        cls.scripts = {}
        for program in PROGRAMS:
            path = os.path.join(cls.folder, program)
            with open(path, "w", encoding="ascii") as out:
                out.write(PROGRAM % BUILD)
            os.chmod(path, 0o755)
            cls.scripts[program] = os.path.join(scripts, program)
        env = dict(os.environ, PATH=cls.folder + ":" + os.environ["PATH"],
                   PS1="ready> ", TERM="dumb", INPUTRC="/dev/null")
        cls.shell = pexpect.spawn("bash", ["--norc", "--noprofile", "-i"],
                                  env=env, encoding="utf-8", timeout=30,
                                  dimensions=(50, 500))
        cls.addClassCleanup(cls.shell.close, True)
        cls.shell.expect_exact("ready> ")
        for line in ("bind 'set bell-style none'",
                     "bind 'set enable-bracketed-paste off'",
                     *("source " + path for path in cls.scripts.values())):
            cls.shell.sendline(line)
            cls.shell.expect_exact("ready> ")

    def typed(self, text):
        """What the program gets when this is typed."""
        self.shell.sendline(text)
        self.shell.expect(r"\[\[(.*?)\]\]\r?\n.*ready> ")
        return self.shell.match.group(1)

    def gives(self, text, program, arguments):
        self.assertEqual(self.typed("%s %s" % (program, text)), arguments)

    def test_flags(self):
        self.gives("--che\t", "kamacached", "--check-config")
        self.gives("--drain\t3s --ins\t", "kamacached",
                   "--drain-timeout=3s --insecure")
        self.gives("--js\tgro\t-v", "kamacache-cli", "--json groups -v")
        self.gives("set k v --n\t", "kamacache-cli", "set k v --nx")
        self.gives("set k v --et\t1f", "kamacache-cli", "set k v --etag=1f")
        self.gives("--time\t2s get k", "kamacache-cli", "--timeout=2s get k")

    def test_values(self):
        self.gives("--log-level d\t", "kamacached", "--log-level debug")
        self.gives("--log-format=j\t", "kamacached", "--log-format=json")
        self.gives("--listen 1\t", "kamacached", "--listen 1")
        self.gives("set k v --ttl=f\t", "kamacache-cli",
                   "set k v --ttl=forever")

    def test_values_are_accepted(self):
        """Every candidate is one that the program takes."""
        with open(self.scripts["kamacached"], encoding="utf-8") as text:
            lists = re.findall(r"--(log-\w+)\)\n.*printf '%s\\n' ([^)]*)\)",
                               text.read())
        self.assertEqual(len(lists), 2)
        for flag, words in lists:
            for word in words.split():
                check(BUILD + "/bin/kamacached", "--check-config",
                      "--%s=%s" % (flag, word))

    def test_keys_of_groups(self):
        self.gives("--group users:negative\t5s", "kamacached",
                   "--group users:negative_ttl=5s")
        self.gives("--group=users:ttl=5m,pol\tlru", "kamacached",
                   "--group=users:ttl=5m,policy=lru")
        self.gives("--group us\t", "kamacached", "--group us")

    def test_folders(self):
        self.gives("--loader-path %s/pl\tde\t" % self.folder, "kamacached",
                   "--loader-path %s/plain/deep/" % self.folder)
        self.gives("--loader-path=/tmp:%s/pl\t" % self.folder, "kamacached",
                   "--loader-path=/tmp:%s/plain/" % self.folder)

    def test_commands(self):
        self.gives("sta\t", "kamacache-cli", "stats")
        self.gives("--wait pi\t", "kamacache-cli", "--wait ping")
        self.gives("-e 127.0.0.1:1 cle\t", "kamacache-cli",
                   "-e 127.0.0.1:1 clear")
        self.gives("get sta\t", "kamacache-cli", "get sta")

    def test_groups_of_a_node(self):
        with Daemon("--group", "users", "--group", "pages") as node:
            self.gives("-e %s -g us\tget k" % node.address, "kamacache-cli",
                       "-e %s -g users get k" % node.address)
            self.gives("--endpoint=%s stats pa\t" % node.address,
                       "kamacache-cli",
                       "--endpoint=%s stats pages" % node.address)
            self.gives("-e %s resize us\t64m" % node.address, "kamacache-cli",
                       "-e %s resize users 64m" % node.address)
        self.gives("-e 127.0.0.1:1 -g us\tget k", "kamacache-cli",
                   "-e 127.0.0.1:1 -g usget k")

    def test_all_flags_and_commands(self):
        """The script has every flag and every command of --help."""
        for program in PROGRAMS:
            usage = check(os.path.join(BUILD, "bin", program), "--help")
            with open(self.scripts[program], encoding="utf-8") as text:
                script = text.read()
            flags = re.findall(r"^  (--[a-z-]+)", usage, re.M)
            for flag in flags:
                self.assertRegex(script, r"flags='[^']*%s[= ]" % flag)
        commands = usage.split("Commands:\n")[1].split("\n\n")[0]
        for command in re.findall(r"^  (\w+)", commands, re.M):
            self.assertRegex(script, r"words='[^']*\b%s " % command)


if __name__ == "__main__":
    unittest.main()
