#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: labels=nosan
"""What deploy/README.md tells an operator to use: the daemon takes the arguments
of its containers, and promtool the configuration of Prometheus."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

DEPLOY = os.path.join(os.environ["KAMA_SOURCE_DIR"], "deploy")
DAEMON = os.path.join(os.environ["KAMA_BUILD_DIR"], "bin", "kamacached")
PROMTOOL = shutil.which("promtool")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60,
                          check=False, env={"PATH": os.environ["PATH"]})
    return done.returncode, done.stdout + done.stderr


class Readme(unittest.TestCase):
    def setUp(self):
        with open(os.path.join(DEPLOY, "README.md"), encoding="utf-8") as file:
            self.text = file.read()
        self.yaml = re.findall(r"^```yaml\n(.*?)^```", self.text, re.M | re.S)

    def test_the_files_exist(self):
        names = re.findall(r"\]\(([^)#:]+)\)", self.text)
        self.assertGreater(len(names), 4)
        for name in names:
            self.assertTrue(os.path.exists(os.path.join(DEPLOY, name)), name)

    def check(self, *arguments):
        code, said = run(DAEMON, "--check-config", *arguments)
        self.assertEqual(code, 0, said)

    def test_the_daemon_takes_the_arguments(self):
        pods, = [part for part in self.yaml if "livenessProbe" in part]
        self.check(*re.findall(r"^ +- (--\S+)$", pods, re.M))
        command, = re.findall(r"^ {4}kamacached (.*)$", self.text, re.M)
        self.check(*command.split())

    def test_the_probes_name_a_port_and_paths(self):
        pods, = [part for part in self.yaml if "livenessProbe" in part]
        self.assertIn("{name: admin, containerPort: 9001}", pods)
        self.assertEqual(re.findall(r"httpGet: (.*)", pods),
                         ["{path: /healthz, port: admin}",
                          "{path: /readyz, port: admin}"])

    @unittest.skipUnless(PROMTOOL, "promtool is missing (package prometheus)")
    def test_prometheus_takes_the_configuration(self):
        config, = [part for part in self.yaml if "scrape_configs" in part]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "prometheus.yml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(config)
            code, said = run(PROMTOOL, "check", "config", path)
        self.assertEqual(code, 0, said)


if __name__ == "__main__":
    unittest.main()
