# SPDX-License-Identifier: MIT
"""Common functions of the benchmarks that run real servers. They start and stop
servers, read their processor time and memory from /proc, and print the ratios
of one run."""
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time

BUILD = os.environ.get(
    "KAMA_BUILD_DIR",
    os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build"))


def free_port():
    """A loopback port that was free a moment ago."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port, process, seconds=10):
    """Waits until something listens on port; the process must live."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            sys.exit("the server ended with %s" % process.returncode)
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.005)
    sys.exit("nothing listens on port %d" % port)


def start(argv, port, **kwargs):
    """Starts a server whose output is dropped and waits for its port."""
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, **kwargs)
    wait_port(port, process)
    return process


def start_node(port, *arguments):
    """A kamacached on port."""
    return start([os.path.join(BUILD, "bin", "kamacached"),
                  "--listen", "127.0.0.1:%d" % port, *arguments], port)


def stop(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def cpu_ns(pid):
    """Processor time of every thread, from the scheduler's counters."""
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/schedstat" % (pid, task)) as f:
            total += int(f.read().split()[0])
    return total


def pin(pid, cores):
    """From now on every thread of a process runs on these cores."""
    for task in os.listdir("/proc/%d/task" % pid):
        os.sched_setaffinity(int(task), cores)


def memory_kib(pid, field):
    """VmRSS, RssAnon, ... of a process."""
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"^%s:\s+(\d+)" % field, f.read(), re.M).group(1))


def percentile(values, q):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def ratio_line(name, ratios, bar):
    """One line: median, 10th and 90th percentile; the bar is missed when the
    90th percentile misses. Without a bar (None) the ratio is reported."""
    p90 = percentile(ratios, 0.9)
    met = bar is None or p90 <= bar
    verdict = "reported" if bar is None else "bar %.2f  %s" % (
        bar, "met" if met else "MISSED")
    print("%-44s median %.3f  p10 %.3f  p90 %.3f  %s" % (
        name, statistics.median(ratios), percentile(ratios, 0.1), p90,
        verdict), flush=True)
    return met
