#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs clang-format over the C and C++ sources of the tree.
#   format.sh --check   fails and names the lines that differ
#   format.sh --fix     rewrites the files
set -eu
cd "$(dirname "$0")/.."

case ${1:-} in
--check) options='--dry-run -Werror --ferror-limit=3' ;;
--fix) options=-i ;;
*)
    echo "usage: tools/format.sh --check|--fix" >&2
    exit 2
    ;;
esac

list=$(mktemp)
trap 'rm -f "$list"' EXIT
for folder in include src tests examples bench fuzz tools; do
    [ ! -d "$folder" ] || find "$folder" -name node_modules -prune -o \
        -type f \( -name '*.[ch]' -o -name '*.cc' \) -print
done >"$list"
# shellcheck disable=SC2086
xargs -r clang-format --style=file $options <"$list"
printf 'format: %s files\n' "$(wc -l <"$list")"
