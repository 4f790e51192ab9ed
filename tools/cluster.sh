#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs etcd and three nodes on loopback, which serve the Unicode character table
# as one cluster, and shows in seven steps what a cluster does. Afterwards the
# cluster runs until Ctrl-C.
#
#   cluster.sh          waits for Enter before each step, on a terminal
#   cluster.sh --once   shows the steps without a stop, and ends
#
# KAMA_CLUSTER_PORTS names other ports: those of etcd for clients and for its
# peers, and those of the nodes A, B and C.
set -eu
cd "$(dirname "$0")/.."

die() {
    printf 'cluster: %s\n' "$*" >&2
    exit 1
}

. tools/demo_data.sh

once=no
case ${1:-} in
'') ;;
--once) once=yes ;;
*) die "unknown argument: $1 (--once is known)" ;;
esac

# shellcheck disable=SC2086
set -- ${KAMA_CLUSTER_PORTS:-12379 12380 8001 8002 8003}
[ $# -eq 5 ] || die "KAMA_CLUSTER_PORTS: $# ports; five are needed"
etcd_port=$1 etcd_peer_port=$2
a=127.0.0.1:$3 b=127.0.0.1:$4 c=127.0.0.1:$5
key=1F600
demo_options=sync=broadcast,
cli=$build/bin/kamacache-cli
folder=
etcd_pid=

# -- processes ----------------------------------------------------------------

# name_of ADDRESS: A, B or C.
name_of() {
    case $1 in
    "$a") echo A ;;
    "$b") echo B ;;
    *) echo C ;;
    esac
}

pid_of() {
    cat "$folder/$(name_of "$1").pid"
}

# end PID...: SIGTERM, and SIGKILL for what is still there after 20 s. A child
# that has ended is no process any more after `wait`. The nap has inherited that
# SIGTERM is ignored, so that only SIGKILL ends it.
end() {
    for pid in "$@"; do
        kill "$pid" 2>/dev/null || continue
        (
            sleep 20 &
            nap=$!
            trap 'kill -9 $nap 2>/dev/null; exit 0' TERM
            wait $nap
            kill -9 "$pid" 2>/dev/null
        ) &
        guard=$!
        wait "$pid" 2>/dev/null || :
        kill "$guard" 2>/dev/null || :
        wait "$guard" 2>/dev/null || :
    done
}

# Nothing is left behind: no process, and no data of etcd.
clean_up() {
    code=$?
    trap '' INT TERM HUP
    trap - EXIT
    if [ -n "$folder" ]; then
        for file in "$folder"/?.pid; do
            [ ! -e "$file" ] || end "$(cat "$file")"
        done
        [ -z "$etcd_pid" ] || end "$etcd_pid"
        rm -rf "$folder"
    fi
    exit "$code"
}

# is_taken PORT: whether something listens there, on any address.
is_taken() {
    hex=$(printf ':%04X' "$1")
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
        awk -v port="$hex" '$4 == "0A" && substr($2, length($2) - 4) == port \
            { found = 1 } END { exit !found }'
}

check_ports() {
    for port in "$@"; do
        ! is_taken "$port" || die "port $port is taken by another program;" \
            "stop it, or name five other ports:" \
            "KAMA_CLUSTER_PORTS='22379 22380 9001 9002 9003' ./dev cluster"
    done
}

# wait_for SECONDS WHAT COMMAND...: tries the command until it succeeds.
wait_for() {
    tries=$(($1 * 10)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || fail "waited in vain until $what"
        sleep 0.1
    done
}

# fail TEXT: with the end of the logs, which are about to be removed.
fail() {
    tail -n 5 "$folder"/*.log >&2 || :
    die "$*"
}

start_etcd() {
    client=http://127.0.0.1:$etcd_port peer=http://127.0.0.1:$etcd_peer_port
    etcd --name demo --data-dir "$folder/etcd" \
        --listen-client-urls "$client" --advertise-client-urls "$client" \
        --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" \
        --initial-cluster "demo=$peer" >"$folder/etcd.log" 2>&1 &
    etcd_pid=$!
    wait_for 20 "etcd answers on port $etcd_port" \
        env ETCDCTL_API=3 etcdctl --endpoints "127.0.0.1:$etcd_port" \
        endpoint health
}

start_node() {
    (demo_node --listen "$1" --etcd "127.0.0.1:$etcd_port" \
        --require-discovery) >>"$folder/$(name_of "$1").log" 2>&1 &
    echo $! >"$folder/$(name_of "$1").pid"
}

# has_peers ADDRESS COUNT: whether the node is settled and has so many peers.
has_peers() {
    "$cli" -e "$1" node | awk -v count="$2" '
        $1 == "peers" { peers = $2 }
        $1 == "ready" { ready = $2 }
        $1 == "view" { settled = NF == 2 }
        END { exit !(peers == count && ready == "yes" && settled) }'
}

# streams_in_sync ADDRESS: whether the mutations of the node flow to both others.
streams_in_sync() {
    [ "$("$cli" -e "$1" peers | grep -c ' in_sync ')" -eq 2 ]
}

wait_peers() {
    count=$1
    shift
    for address in "$@"; do
        wait_for 30 "node $(name_of "$address") has $count peers" \
            has_peers "$address" "$count"
    done
}

# -- the demonstration --------------------------------------------------------

# step TEXT: says what comes, and waits for Enter on a terminal.
step() {
    printf '\n== %s\n' "$*"
    if [ "$once" = no ] && [ -t 0 ]; then
        printf '   Enter goes on. '
        read -r _ || :
    fi
}

# ask ADDRESS ARGS...: runs the client at a node, as it would be typed, and
# indents its answer. A set has none here, because it prints into a pipe.
ask() {
    address=$1
    shift
    printf '   %s$ kamacache-cli -e %s -g unicode' "$(name_of "$address")" \
        "$address"
    for word in "$@"; do
        case $word in
        *' '*) printf " '%s'" "$word" ;;
        *) printf ' %s' "$word" ;;
        esac
    done
    printf '\n'
    { "$cli" -e "$address" -g unicode "$@" 2>&1 || echo "(exit code $?)"; } |
        sed 's/^/   /'
}

# How many times the nodes that can be asked have called the loader, together.
show_loads() {
    loads=$("$cli" -e "$1" --json stats unicode --cluster 2>/dev/null |
        sed -n 's/.*"loads": *\([0-9]*\).*/\1/p')
    printf '   loads in the cluster: %s\n' "${loads:-unknown}"
}

owner_of() {
    "$cli" -e "$a" -g unicode --raw owner "$1"
}

# other_than ADDRESS: a node that is not the one at this address.
other_than() {
    if [ "$1" = "$a" ]; then echo "$b"; else echo "$a"; fi
}

# holds ADDRESS VALUE: whether the node has this value of the key in memory.
holds() {
    "$cli" -e "$1" -g unicode exists $key &&
        [ "$("$cli" -e "$1" -g unicode --raw get $key)" = "$2" ]
}

lacks() {
    ! "$cli" -e "$1" -g unicode exists $key
}

demonstrate() {
    step "A get on node A. The value comes from SQLite, once."
    ask "$a" get $key
    show_loads "$a"

    step "The same get on node B: it asks the owner of the key, and nobody loads." \
        "It keeps the answer."
    ask "$b" get $key
    show_loads "$b"

    step "A set on node C acts there at once, and reaches the others by itself."
    ask "$c" set $key 'a smile'
    wait_for 10 "the set reaches node A" holds "$a" 'a smile'
    ask "$a" get $key
    ask "$a" explain $key
    show_loads "$a"

    step "After a delete on node B no node has it. The next get loads, once."
    ask "$b" del $key
    wait_for 10 "the delete reaches node C" lacks "$c"
    ask "$c" get $key
    show_loads "$c"

    owner=$(owner_of $key)
    reader=$(other_than "$owner")
    step "Node $(name_of "$owner") owns the key. It is killed with SIGKILL after a" \
        "set; the others have a copy."
    ask "$owner" set $key 'a smile'
    wait_for 10 "the set reaches the others" holds "$reader" 'a smile'
    kill -9 "$(pid_of "$owner")"
    wait "$(pid_of "$owner")" 2>/dev/null || :
    rm "$folder/$(name_of "$owner").pid"
    ask "$reader" get $key
    show_loads "$reader"

    step "It leaves the view when its lease ends, within 12 s. It may have died with" \
        "a delete that nobody knows of, so the others load again what they can load."
    wait_peers 1 "$reader"
    wait_for 10 "the entries are dropped" lacks "$reader"
    ask "$reader" get $key
    ask "$reader" get $key
    show_loads "$reader"

    step "It is started again. SYNC says that the others get its mutations."
    start_node "$owner"
    wait_peers 2 "$a" "$b" "$c"
    wait_for 10 "the streams are shown" streams_in_sync "$owner"
    ask "$owner" peers
    ask "$owner" get $key
    show_loads "$owner"
}

demo_prepare
command -v etcd >/dev/null || die "install the package etcd-server"
command -v etcdctl >/dev/null || die "install the package etcd-client"
check_ports "$etcd_port" "$etcd_peer_port" "${a##*:}" "${b##*:}" "${c##*:}"
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
folder=$(mktemp -d)
start_etcd
for address in "$a" "$b" "$c"; do
    start_node "$address"
done
for address in "$a" "$b" "$c"; do
    "$cli" -e "$address" --wait=20s ping >/dev/null ||
        fail "node $(name_of "$address") does not serve"
done
wait_peers 2 "$a" "$b" "$c"
cat <<TEXT
$rows characters in $database, served by three nodes:
  A $a   B $b   C $c   etcd 127.0.0.1:$etcd_port
TEXT
demonstrate
[ "$once" = no ] || exit 0
cat <<TEXT

The cluster runs until Ctrl-C. Try in another terminal:

  $cli -e $a peers
  $cli -e $a,$b,$c -g unicode get 1F680
  $cli -e $a -g unicode owner 1F680
  $cli -e $a ping --cluster
TEXT
# Waiting for etcd starts no process that an interrupted script would leave.
wait "$etcd_pid" || :
fail "etcd has ended"
