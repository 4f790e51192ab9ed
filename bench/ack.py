#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Measures how long a change takes until it is acknowledged, for each sync_ack: runs
bench/ack_bench with an etcd of its own. The arguments go to ack_bench."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cluster
import measure

if __name__ == "__main__":
    with cluster.Cluster() as empty:
        sys.exit(subprocess.run(
            [os.path.join(measure.BUILD, "bench", "ack_bench"), "--etcd",
             "127.0.0.1:%d" % empty.etcd_port, *sys.argv[1:]],
            check=False).returncode)
