#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs seeds of the simulator of synchronized groups, in several processes.

    sim.py [--seeds N] [--first N] [--jobs N] [--build DIR] [--coverage]

Each seed is a cluster in one thread in which things break
(tests/sim/sync_sim_test.c). A seed that violates a promise is printed with the
faults that it needs and the variables that repeat it, and makes the exit status
1. The progress goes to the standard error.

--coverage: says how many lines of each folder under test have run, for a build
with the preset coverage.
"""
import argparse
import collections
import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import time

CHUNK = 25


def run_chunk(program, first, count):
    """Returns the program's output, and how many of its seeds have failed."""
    environment = dict(os.environ, KAMA_SEED=str(first), KAMA_SEEDS=str(count))
    done = subprocess.run([program], env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    found = re.search(r"(\d+) seeds, (\d+) violations", done.stdout)
    if found is None:
        tail = done.stdout[-2000:]
        return f"seeds {first} to {first + count - 1} ended with " \
               f"{done.returncode}:\n{tail}\n", 1
    violations = int(found.group(2))
    lines = done.stdout.splitlines(keepends=True)
    shown = [line for line in lines if line.startswith(("seed ", "  "))]
    return "".join(shown), violations


def print_coverage(build):
    """Prints the lines of each folder that the tests of the simulator have run."""
    lines = collections.Counter()
    run = collections.Counter()
    counts = glob.glob(os.path.join(build, "tests", "CMakeFiles", "km_breakable.dir",
                                    "**", "*.gcda"), recursive=True)
    for path in counts:
        text = subprocess.run(["gcov", "-n", path], text=True,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL).stdout
        for name, share, count in re.findall(
                r"File '.*?src/([a-z]+)/[^']*[.]c'\nLines executed:"
                r"([\d.]+)% of (\d+)", text):
            lines[name] += int(count)
            run[name] += round(float(share) * int(count) / 100)
    for name in sorted(lines):
        print(f"src/{name:12} {run[name]:6} of {lines[name]:6} lines "
              f"{100 * run[name] / lines[name]:5.1f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--build", default="build")
    parser.add_argument("--coverage", action="store_true")
    options = parser.parse_args()
    program = os.path.join(options.build, "tests", "sim_sync_sim")
    began = time.monotonic()
    seeds_done = violations = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        chunks = {}
        for first in range(options.first, options.first + options.seeds, CHUNK):
            count = min(CHUNK, options.first + options.seeds - first)
            chunks[pool.submit(run_chunk, program, first, count)] = count
        for chunk in concurrent.futures.as_completed(chunks):
            text, failed = chunk.result()
            seeds_done += chunks[chunk]
            violations += failed
            sys.stdout.write(text)
            sys.stdout.flush()
            sys.stderr.write(f"\r{seeds_done} of {options.seeds} seeds, "
                             f"{violations} violations, "
                             f"{time.monotonic() - began:.0f} s ")
            sys.stderr.flush()
    sys.stderr.write("\n")
    print(f"sim: {seeds_done} seeds, {violations} violations, "
          f"{time.monotonic() - began:.0f} s")
    if options.coverage:
        print_coverage(options.build)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
