#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs every benchmark of bench/ and prints the bars with what was measured.
# Each line has both sides of its ratio from this run.
#   --quick   few and short slices: to see that all of it works
set -eu
cd "$(dirname "$0")/.."
build=${KAMA_BUILD_DIR:-build}
KAMA_BUILD_DIR=$(cd "$build" && pwd)
export KAMA_BUILD_DIR

quick=
pairs=25
seconds=3
runs=25
if [ "${1:-}" = --quick ]; then
    quick=--quick
    pairs=3
    seconds=1
    runs=5
fi

for bench in "$build"/bench/*_bench; do
    case $bench in
    */grpcpp_server_bench | *'*'*) continue ;;
    esac
    printf '\n== %s\n' "$(basename "$bench")"
    case $bench in
    */store_bench | */shapes_bench) "$bench" $quick ;;
    *) "$bench" ;;
    esac
done
printf '\n== daemon\n'
/usr/bin/python3 bench/daemon.py --runs "$runs"
printf '\n== server processor time per call\n'
/usr/bin/python3 bench/rpc_cpu.py --pairs "$pairs" --seconds "$seconds"
printf '\n== peer hit\n'
/usr/bin/python3 bench/peer.py --pairs "$pairs"
printf '\n== many nodes\n'
/usr/bin/python3 bench/many_nodes.py --runs "$runs" --pairs "$pairs"
