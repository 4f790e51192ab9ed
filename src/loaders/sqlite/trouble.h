/* SPDX-License-Identifier: MIT */
/*
 * What is wrong with a database, in words that say what to do: SQLite's own
 * messages name neither the file that is in the way nor the way out.
 *
 *     attempt to write a readonly database   a dead writer's hot journal
 *     unable to open database file           WAL mode in a read-only folder
 *
 * Threads: that of the connection.
 */
#pragma once

#include <sqlite3.h>

enum { KM_SQLITE_TROUBLE_BYTES = 256 };

/* Writes why the last call on db failed into text, without the path, and
 * returns text. db may be NULL, then rc alone says it. */
const char *km_sqlite_trouble(sqlite3 *db, int rc, const char *path,
                              char text[KM_SQLITE_TROUBLE_BYTES]);
