# SPDX-License-Identifier: MIT
"""Metrics in the text formats of Prometheus, and nodes that print them.

    with MetricsNode(etcd.address) as node:      # examples/metrics.c
        node.client.get(b"key", node.group)
        text = node.text()                       # or node.text("openmetrics")
        samples = read(text)
        total(samples, "kamacache_gets_total", source="local")

    scrape(daemon)                               # its /metrics

read() is strict about what it reads, and knows nothing of the meaning of names;
it takes the text from wherever it comes.
"""
import os
import re
import shutil
import subprocess
import urllib.request

from kamatest import BUILD, SLOWDOWN, Client, wait_until

PROMTOOL = shutil.which("promtool", path="/usr/bin:/usr/local/bin")
NO_PROMTOOL = None if PROMTOOL else "promtool (package prometheus) is missing"

_SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)')
_LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\["\\n])*)"(?:,|$)')


def _labels(text):
    labels = {}
    at = 0
    while at < len(text):
        match = _LABEL.match(text, at)
        assert match, "bad labels: %s" % text
        assert match.group(1) not in labels, text
        labels[match.group(1)] = re.sub(
            r'\\(.)', lambda m: "\n" if m.group(1) == "n" else m.group(1),
            match.group(2))
        at = match.end()
    return labels


def read(text):
    """The samples of a text: a list of (name, labels, value). No series may be
    there twice."""
    samples = []
    seen = set()
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        match = _SAMPLE.fullmatch(line)
        assert match, "bad line: %s" % line
        labels = _labels(match.group(2) or "")
        series = (match.group(1), tuple(sorted(labels.items())))
        assert series not in seen, "twice: %s" % line
        seen.add(series)
        samples.append((match.group(1), labels, float(match.group(3))))
    return samples


def total(samples, name, **labels):
    """The sum of the samples of that name with these labels."""
    return sum(value for name_, labels_, value in samples
               if name_ == name and labels.items() <= labels_.items())


def check(text):
    """What promtool says about a text of the format 0.0.4; "" means all is
    well."""
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=text.encode(),
                          capture_output=True, timeout=60, check=False)
    said = done.stdout.decode() + done.stderr.decode()
    return said or ("" if done.returncode == 0 else "promtool failed")


def scrape(daemon):
    """The text that the admin port of a daemon gives to Prometheus."""
    with urllib.request.urlopen("http://%s/metrics" % daemon.admin,
                                timeout=10 * SLOWDOWN) as reply:
        return reply.read().decode()


class MetricsNode:
    """A node with one group and a loader, which prints its metrics when it is
    asked: in the cluster of an etcd, or alone."""

    group = "users"

    def __init__(self, etcd=None):
        program = os.path.join(BUILD, "examples", "metrics")
        self.process = subprocess.Popen(
            [program] + (["node", etcd] if etcd else []),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("serving on "), line
        self.address = line.split()[-1]
        self.client = Client(self)

    def text(self, format_="prometheus"):
        self.process.stdin.write(format_ + "\n")
        self.process.stdin.flush()
        lines = iter(self.process.stdout.readline, "\n")
        return "".join(lines)

    def samples(self):
        return read(self.text())

    def wait(self, what, condition, seconds=20):
        """The samples, as soon as they fulfil the condition."""
        def attempt():
            samples = self.samples()
            return samples if condition(samples) else None
        return wait_until(attempt, seconds, what)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()
        self.process.stdin.close()
        try:
            assert self.process.wait(30) == 0
        finally:
            self.process.kill()
            self.process.stdout.close()
