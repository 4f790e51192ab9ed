#!/bin/sh
# SPDX-License-Identifier: MIT
# Serves the Unicode character table read-through from SQLite, in the
# foreground. ARGS go to kamacached: `--listen 127.0.0.1:8002`.
set -eu
cd "$(dirname "$0")/.."
build=${KAMA_BUILD_DIR:-build}
table=/usr/share/unicode/UnicodeData.txt
database=$build/demo/unicode.db

die() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

[ -x "$build/bin/kamacached" ] || die "$build is not built; run ./dev build"
[ -r "$table" ] || die "$table is missing; install the package unicode-data"
command -v sqlite3 >/dev/null || die "install the package sqlite3"

# make_database: one row per character; a control character has its name of
# Unicode 1.0. The file appears when it is complete.
make_database() {
    mkdir -p "$build/demo"
    rm -f "$database.new"
    sqlite3 -batch "$database.new" <<SQL
CREATE TABLE raw(code TEXT, name TEXT, category TEXT, combining TEXT,
    bidi TEXT, decomposition TEXT, decimal TEXT, digit TEXT, numeric TEXT,
    mirrored TEXT, old_name TEXT, comment TEXT, upper TEXT, lower TEXT,
    title TEXT);
.mode ascii
.separator ; "\n"
.import $table raw
CREATE TABLE chars(code TEXT PRIMARY KEY, name TEXT NOT NULL,
    category TEXT NOT NULL, upper TEXT, lower TEXT) WITHOUT ROWID;
INSERT INTO chars SELECT code,
    CASE WHEN name = '<control>' AND old_name <> '' THEN old_name ELSE name END,
    category, nullif(upper, ''), nullif(lower, '') FROM raw;
DROP TABLE raw;
VACUUM;
SQL
    mv "$database.new" "$database"
}

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

[ "$database" -nt "$table" ] || make_database
rows=$(sqlite3 -batch "$database" 'SELECT count(*) FROM chars')
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

json="json_object('code', code, 'name', name, 'category', category, \
'upper', upper, 'lower', lower)"
exec "$build/bin/kamacached" \
    --group "unicode:loader=\"sqlite:$database?query=\
SELECT name FROM chars WHERE code=?1\"" \
    --group "unicode-json:loader=\"sqlite:$database?query=\
SELECT $json FROM chars WHERE code=?1\"" \
    "$@"
