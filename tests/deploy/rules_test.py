#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: labels=nosan
"""The rules for Prometheus in deploy/, by its own tool."""
import os
import shutil
import subprocess
import unittest

FOLDER = os.path.join(os.environ["KAMA_SOURCE_DIR"], "deploy", "prometheus")
TESTS = os.path.dirname(os.path.abspath(__file__))
PROMTOOL = shutil.which("promtool")


@unittest.skipUnless(PROMTOOL, "promtool is missing (package prometheus)")
class Rules(unittest.TestCase):
    def promtool(self, *args):
        result = subprocess.run([PROMTOOL, *args], capture_output=True,
                                text=True, timeout=60, check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_the_rules_are_valid(self):
        self.promtool("check", "rules",
                      os.path.join(FOLDER, "kamacache.rules.yml"))

    def test_the_example_is_valid(self):
        self.promtool("check", "config",
                      os.path.join(FOLDER, "prometheus.yml"))

    def test_each_alert_fires_when_it_should(self):
        self.promtool("test", "rules", os.path.join(TESTS, "rules.yml"))

    def test_each_alert_has_a_test(self):
        with open(os.path.join(FOLDER, "kamacache.rules.yml"),
                  encoding="utf-8") as file:
            rules = file.read()
        with open(os.path.join(TESTS, "rules.yml"), encoding="utf-8") as file:
            tests = file.read()
        names = [line.split()[-1] for line in rules.splitlines()
                 if line.strip().startswith("- alert:")]
        self.assertGreater(len(names), 10)
        for name in names:
            self.assertIn("alertname: %s\n" % name, tests)


if __name__ == "__main__":
    unittest.main()
