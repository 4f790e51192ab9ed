#!/bin/sh
# SPDX-License-Identifier: MIT
# Serves the Unicode character table read-through from SQLite, in the
# foreground. ARGS go to kamacached: `--listen 127.0.0.1:8002`.
set -eu
cd "$(dirname "$0")/.."

die() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

. tools/demo_data.sh

# listen_address [ARGS]: as kamacached will see it.
listen_address() {
    address=${KAMACACHE_LISTEN:-127.0.0.1:8001}
    while [ $# -gt 0 ]; do
        case $1 in
        --listen=*) address=${1#--listen=} ;;
        --listen) address=${2:-} ;;
        esac
        shift
    done
    printf '%s' "$address"
}

demo_prepare
address=$(listen_address "$@")
cli=$build/bin/kamacache-cli
[ "$address" = 127.0.0.1:8001 ] || cli="$cli -e $address"

cat <<TEXT
$rows characters in $database, served on $address until Ctrl-C.
Try in another terminal:

  $cli -g unicode get 1F600
  $cli -g unicode keys '1F6*'
  $cli -g unicode stats

TEXT

demo_node "$@"
