# SPDX-License-Identifier: MIT
# The data set of the demonstrations: the Unicode character table in an SQLite
# file, and a node that serves it read-through. Sourced by demo.sh and
# cluster.sh, from the root of the tree, after they have defined die().
#
#   demo_prepare       checks what is needed, makes the database, sets $rows
#   demo_node ARGS...  becomes a kamacached with the groups of the data set;
#                      $demo_options is "" or more options of them, with a comma
build=${KAMA_BUILD_DIR:-build}
table=/usr/share/unicode/UnicodeData.txt
database=$build/demo/unicode.db

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

demo_prepare() {
    [ -x "$build/bin/kamacached" ] || die "$build is not built; run ./dev build"
    [ -r "$table" ] || die "$table is missing; install the package unicode-data"
    command -v sqlite3 >/dev/null || die "install the package sqlite3"
    [ "$database" -nt "$table" ] || make_database
    rows=$(sqlite3 -batch "$database" 'SELECT count(*) FROM chars')
}

demo_node() {
    json="json_object('code', code, 'name', name, 'category', category, \
'upper', upper, 'lower', lower)"
    exec "$build/bin/kamacached" \
        --group "unicode:${demo_options:-}loader=\"sqlite:$database?query=\
SELECT name FROM chars WHERE code=?1\"" \
        --group "unicode-json:${demo_options:-}loader=\"sqlite:$database?query=\
SELECT $json FROM chars WHERE code=?1\"" \
        "$@"
}
