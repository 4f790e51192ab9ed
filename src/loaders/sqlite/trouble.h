/* SPDX-License-Identifier: MIT */
/*
 * Trouble with a database, explained in sentences that say what to do. SQLite's
 * own messages name neither the file that is in the way nor a remedy:
 *
 *     SQLite's message                        the trouble
 *     attempt to write a readonly database    the hot journal of a dead writer
 *     unable to open database file            WAL mode in a read-only folder
 *
 *     char text[KM_SQLITE_TROUBLE_BYTES];
 *     printf("%s: %s\n", path, km_sqlite_trouble(db, rc, path, text));
 *
 * Cost: some system calls. Threads: the thread that uses the connection.
 * Errors: none.
 */
#pragma once

#include <sqlite3.h>

enum { KM_SQLITE_TROUBLE_BYTES = 256 };

/* Writes into text why the last call on db has failed, without the path, and
 * returns text. db may be NULL; the sentence then follows from rc alone. */
const char *km_sqlite_trouble(sqlite3 *db, int rc, const char *path,
                              char text[KM_SQLITE_TROUBLE_BYTES]);
