#!/bin/sh
# SPDX-License-Identifier: MIT
# The gate: runs each step, goes on after a failure, and closes with a table
# of steps and times. Without arguments all steps run.
#   check.sh [format|layers|style|sim|clang|asan|tsan|fuzz]...
# KAMA_FUZZ_SECONDS: how long each fuzz target runs (10).
set -u
cd "$(dirname "$0")/.."

all_steps='format layers style sim clang asan tsan fuzz'
python=/usr/bin/python3
jobs=$(nproc 2>/dev/null || echo 2)

build() {
    cmake --preset "$1" -G Ninja >"build-$1.log" 2>&1 || {
        cat "build-$1.log"
        rm -f "build-$1.log"
        return 1
    }
    rm -f "build-$1.log"
    cmake --build --preset "$1" -j "$jobs" -- --quiet
}

# ThreadSanitizer of gcc 12 does not start under the address randomisation
# of newer kernels.
without_aslr() {
    if setarch -R true 2>/dev/null; then
        setarch -R "$@"
    else
        "$@"
    fi
}

step_format() {
    tools/format.sh --check
}

step_layers() {
    $python tools/check_layers.py
}

step_style() {
    $python tools/style_stats.py
}

# More seeds of the simulator than the tests run.
step_sim() {
    cmake --preset release -G Ninja >/dev/null &&
        cmake --build --preset release -j "$jobs" --target sim_sync_sim &&
        tools/sim.py --seeds 2000 --jobs "$jobs"
}

# The whole tree has passed its tests with gcc; here the units suffice.
step_clang() {
    build clang && ctest --preset clang -j "$jobs" -E '^(scenario|install)_'
}

step_asan() {
    build asan && ctest --preset asan -j "$jobs"
}

step_tsan() {
    build tsan && without_aslr ctest --preset tsan -j "$jobs"
}

# New inputs go to a scratch folder; only a finding is worth keeping.
fuzz_one() {
    name=$(basename "$1" _fuzz)
    scratch=$(mktemp -d)
    mkdir -p build-fuzz/findings
    set -- "$1" -max_total_time="${KAMA_FUZZ_SECONDS:-10}" -timeout=10 \
        -rss_limit_mb=2048 -print_final_stats=0 -verbosity=0 \
        -artifact_prefix=build-fuzz/findings/"$name"- "$scratch"
    [ ! -d "fuzz/corpus/$name" ] || set -- "$@" "fuzz/corpus/$name"
    "$@"
    status=$?
    echo "fuzz: $name: exit $status, $(find "$scratch" -type f | wc -l) inputs"
    rm -rf "$scratch"
    return $status
}

step_fuzz() {
    build fuzz || return 1
    failed=0
    for target in build-fuzz/fuzz/*_fuzz; do
        [ -x "$target" ] || continue
        fuzz_one "$target" || failed=1
    done
    return $failed
}

# run STEP: prints its output, adds a line to the table.
run() {
    printf '\n== %s\n' "$1"
    start=$(date +%s)
    if "step_$1"; then
        verdict=ok
    else
        verdict=FAILED
        failures=$((failures + 1))
    fi
    seconds=$(($(date +%s) - start))
    printf '== %s: %s, %d s\n' "$1" "$verdict" "$seconds"
    table="$table$(printf '%-8s %-7s %5d s' "$1" "$verdict" "$seconds")
"
}

for step in "$@"; do
    case " $all_steps " in
    *" $step "*) ;;
    *)
        echo "check: no step '$step' (there are: $all_steps)" >&2
        exit 2
        ;;
    esac
done

failures=0
table=
# shellcheck disable=SC2086
[ $# -gt 0 ] || set -- $all_steps
for step in "$@"; do
    run "$step"
done
printf '\n%s' "$table"
if [ "$failures" -gt 0 ]; then
    echo "check: $failures of $# steps failed"
    exit 1
fi
echo "check: all $# steps passed"
