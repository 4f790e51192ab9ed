#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Prints the tables of docs/EVICTION.md: miss ratios of eviction policies.

    hitratio.py [--bench FILE] [--traces DIR] [--policy NAME]... [OPTION]...

The first table has the traces web07, multi2 and gli, with objects that count as
one; the second has adaptsize, in bytes. DIR holds them as NAME.FORMAT, packed by
xz, by gzip or not at all; without --traces both tables are left out. The third
table has the means of generated traces: Zipf's distribution with four exponents,
each with caches of 1, 5 and 20 percent of the keys, undisturbed and with five
disturbances; the fourth has the undisturbed ones with sizes, in bytes. Further
options, like --shards=16, go to the bench.
"""
import argparse
import concurrent.futures
import glob
import gzip
import json
import lzma
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TRACES = (("web07", (204, 1024, 2048, 5121)), ("multi2", (56, 284, 568, 1421)),
          ("gli", (25, 126, 252, 632)))
SIZED = "adaptsize"
SIZED_PERCENTS = (1, 5, 10, 25)
SIZED_SEEDS = range(1, 6)
KEYS = 20000
REQUESTS = 400000
EXPONENTS = (0.7, 0.9, 0.99, 1.1)
SHARES = (0.01, 0.05, 0.2)
# Each mix, and its scan or loop beside the size of the cache.
MIXES = (("none", 1), ("one-hit", 1), ("scan", 2), ("drift", 1), ("loop", 1.2),
         ("loop", 3))
OPEN = {".xz": lzma.open, ".gz": gzip.open}


def run(options, *arguments, data=None):
    """The rows that the bench prints for one trace."""
    command = [options.bench, "--json", *options.rest, *arguments]
    for policy in options.policy:
        command += ["--policy", policy]
    done = subprocess.run(command, input=data, stdout=subprocess.PIPE,
                          check=False)
    if done.returncode != 0:
        sys.exit(f"hitratio.py: {' '.join(command)} failed")
    return json.loads(done.stdout)


def read_trace(folder, name):
    """(bytes, format) of the trace of that name in the folder."""
    found = glob.glob(os.path.join(folder, name + ".*"))
    if not found:
        sys.exit(f"hitratio.py: there is no trace {name}.* in {folder}")
    base, packing = os.path.splitext(found[0])
    opener = OPEN.get(packing)
    if opener is None:
        base, opener = found[0], open
    with opener(found[0], "rb") as trace:
        return trace.read(), os.path.splitext(base)[1][1:]


def trace_rows(options, name, caches):
    data, form = read_trace(options.traces, name)
    arguments = [word for cache in caches for word in ("--objects", str(cache))]
    return run(options, "--trace", "-", "--format", form, *arguments, data=data)


def sized_rows(options):
    data, _ = read_trace(options.traces, SIZED)
    arguments = [word for percent in SIZED_PERCENTS
                 for word in ("--percent", str(percent))]
    return run(options, "--trace", "-", "--format", "adaptsize", *arguments,
               data=data)


def sized_zipf_rows(options):
    arguments = [word for percent in SIZED_PERCENTS
                 for word in ("--percent", str(percent))]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        cells = [pool.submit(run, options, "--zipf", str(exponent), "--sizes",
                             "--keys", str(KEYS), "--requests", str(REQUESTS),
                             "--seed", str(seed), *arguments)
                 for exponent in EXPONENTS for seed in SIZED_SEEDS]
        return [row for cell in cells for row in cell.result()]


def zipf_rows(options, mix, factor, exponent, share):
    cache = int(KEYS * share)
    return run(options, "--zipf", str(exponent), "--keys", str(KEYS),
               "--requests", str(REQUESTS), "--mix", mix,
               "--span", str(int(cache * factor) + 1), "--objects", str(cache))


def ratios(rows, policy, part="misses", whole="requests"):
    return [row[part] / row[whole] for row in rows if row["policy"] == policy]


def mean(values):
    return sum(values) / len(values)


def policies_of(rows):
    return list(dict.fromkeys(row["policy"] for row in rows))


def print_table(heads, policies, columns):
    """columns: for each head, the ratio of each policy."""
    print("| policy | " + " | ".join(heads) + " |")
    print("| --- |" + " ---: |" * len(heads))
    best = [min(column.values()) for column in columns]
    for policy in policies:
        cells = []
        for column, low in zip(columns, best):
            text = f"{column[policy]:.4f}"[1:]
            is_best = column[policy] < low + 0.00005
            cells.append(f"**{text}**" if is_best else text)
        print(f"| {policy} | " + " | ".join(cells) + " |")
    print()


def print_traces(options):
    heads, columns, policies = [], [], []
    for name, caches in TRACES:
        rows = trace_rows(options, name, caches)
        policies = policies_of(rows)
        for i, cache in enumerate(caches):
            heads.append(f"{name} {cache}")
            columns.append({p: ratios(rows, p)[i] for p in policies})
    heads.append("mean")
    columns.append({p: mean([column[p] for column in columns])
                    for p in policies})
    print_table(heads, policies, columns)


def print_sized(rows):
    """Prints the misses and the missed bytes for each percentage of SIZED_PERCENTS.
    With several rows for a policy and a percentage, their mean."""
    policies = policies_of(rows)
    heads, columns = [], []
    for part, whole in (("misses", "requests"), ("missed_bytes", "bytes")):
        for percent in SIZED_PERCENTS:
            these = [row for row in rows if row["cache"] == f"{percent}%"]
            heads.append(f"{part.replace('_', ' ')} {percent} %")
            columns.append({p: mean(ratios(these, p, part, whole))
                            for p in policies})
    print_table(heads, policies, columns)


def print_generated(options):
    heads, columns, policies = [], [], []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for mix, factor in MIXES:
            cells = [pool.submit(zipf_rows, options, mix, factor, exponent,
                                 share)
                     for exponent in EXPONENTS for share in SHARES]
            rows = [row for cell in cells for row in cell.result()]
            policies = policies_of(rows)
            heads.append(f"loop x{factor}" if mix == "loop" else mix)
            columns.append({p: mean(ratios(rows, p)) for p in policies})
    heads.append("mean")
    columns.append({p: mean([column[p] for column in columns])
                    for p in policies})
    print_table(heads, policies, columns)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--bench", default=os.path.join(
        ROOT, "build", "bench", "hitratio"))
    parser.add_argument("--traces")
    parser.add_argument("--policy", action="append", default=[])
    options, options.rest = parser.parse_known_args()
    if options.traces:
        print_traces(options)
        print_sized(sized_rows(options))
    print_generated(options)
    print_sized(sized_zipf_rows(options))


if __name__ == "__main__":
    main()
