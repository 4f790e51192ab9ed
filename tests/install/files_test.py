#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: labels=nosan timeout=120
"""Which files the installation has, who can read them, and that it can be
moved, repeated and put below DESTDIR."""
import glob
import os
import re
import stat
import unittest

from installation import SOURCE, Installation, check, permissions

FILES = """
bin/kamacached bin/kamacache-cli
lib/systemd/system/kamacached.service
share/bash-completion/completions/kamacached
share/bash-completion/completions/kamacache-cli
share/doc/kamacache/LICENSE share/doc/kamacache/README.md
share/doc/kamacache/README.zh-CN.md share/doc/kamacache/CHANGELOG.md
share/doc/kamacache/kamacached.env share/doc/kamacache/docs/LOADERS.md
share/doc/kamacache/docs/OPTIONS.md share/doc/kamacache/docs/CLI.md
share/doc/kamacache/docs/FLIGHT.md share/doc/kamacache/docs/LOG.md
share/doc/kamacache/docs/ADMIN.md share/doc/kamacache/deploy/README.md
share/doc/kamacache/deploy/prometheus/kamacache.rules.yml
share/doc/kamacache/deploy/grafana/kamacache.json
share/doc/kamacache/examples/alone.c
share/kamacache/proto/kama/v1/kama.proto
share/man/man1/kamacache-cli.1 share/man/man8/kamacached.8
include/kamacache/kamacache.h
""".split()


class FilesTest(unittest.TestCase):
    def test_files(self):
        with Installation() as there:
            for name in FILES:
                self.assertTrue(os.path.isfile(there.path(name)), name)
            for loader in glob.glob(SOURCE + "/src/loaders/*/plugin.c"):
                name = os.path.basename(os.path.dirname(loader)) + ".so"
                self.assertTrue(glob.glob(there.path(
                    "lib/**/kamacache/loaders", name), recursive=True), name)

    def check_permissions(self, entries):
        for name, mode in entries.items():
            wanted = 0o644
            if stat.S_ISDIR(mode) or os.path.dirname(name).endswith("/bin"):
                wanted = 0o755
            if not stat.S_ISLNK(mode):
                self.assertEqual(permissions(mode), wanted, name)

    def test_everybody_may_read(self):
        """Whatever the umask of who installs."""
        for umask in (0o022, 0o077):
            with Installation(umask=umask) as there:
                self.check_permissions(there.entries())

    def test_again(self):
        """An installation over itself is the same installation."""
        with Installation() as there:
            before = there.entries()
            os.chmod(there.path("share/doc/kamacache/LICENSE"), 0o444)
            there.install(0o077)
            self.assertEqual(there.entries(), before)

    def test_prefixes(self):
        """The prefix of --install counts, not that of the build."""
        for prefix in ("/usr", "/usr/local", "/opt/kama"):
            with Installation(prefix) as there:
                unit = there.read("lib/systemd/system/kamacached.service")
                self.assertEqual(re.findall("^ExecStart=(.*)$", unit, re.M),
                                 [prefix + "/bin/kamacached"])
                for path in glob.glob(there.path("lib/**/*.pc"),
                                      recursive=True):
                    with open(path, encoding="utf-8") as text:
                        self.assertIn("prefix=%s\n" % prefix, text.read())

    def test_programs_find_their_loaders(self):
        """Those of the installation, also where that was moved to."""
        with Installation("/usr") as there:
            listing = check(there.path("bin/kamacached"), "--check-config",
                            "--group", "g:loader=exec:/bin/true")
            self.assertEqual(listing, "the settings are good\n")
            os.rename(there.path("bin"), there.path("moved"))
            os.rename(there.path(""), there.folder + "/elsewhere")
            check(there.folder + "/elsewhere/moved/kamacached",
                  "--check-config", "--group", "g:loader=exec:/bin/true")

    def test_no_place_of_the_build(self):
        """Texts of the installation name neither build nor source."""
        with Installation() as there:
            for name in FILES:
                if name.startswith("bin/"):
                    continue
                with open(there.path(name), encoding="utf-8") as text:
                    self.assertNotIn(SOURCE + "/", text.read(), name)


if __name__ == "__main__":
    unittest.main()
