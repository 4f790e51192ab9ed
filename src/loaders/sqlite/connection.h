/* SPDX-License-Identifier: MIT */
/*
 * One read-only connection to the database with the loader's query prepared.
 *
 * A connection is for one thread at a time. It remembers which file it has
 * open: a database that was replaced by renaming another one over it is not
 * fresh any more, and is to be opened again.
 * Errors: written as a sentence by whoever asked; the functions here return a
 * status and keep SQLite's own words until the connection is closed.
 */
#pragma once

#include "config.h"

#include <kamacache/loader.h>
#include <sqlite3.h>
#include <sys/types.h>

struct km_sqlite_connection {
    sqlite3 *db;
    sqlite3_stmt *query;
    dev_t device;
    ino_t inode;
    int64_t deadline_ms; /* what runs past it is interrupted */
};

/* What a connection is opened with. */
struct km_sqlite_open {
    const struct km_sqlite_config *config;
    uint64_t max_value_bytes;
    int64_t deadline_ms; /* on the clock of km_load_call_now_ms */
    char *error;         /* the sentence goes here, error_cap bytes */
    size_t error_cap;
};

/* Opens the database and prepares the query.
 * Errors, with a sentence in options->error: KAMA_ERR_INVALID (file or query
 * are not what they have to be), KAMA_ERR_TIMEOUT (locked),
 * KAMA_ERR_NO_MEMORY. */
kama_status km_sqlite_connection_new(
    const struct km_sqlite_open *options,
    struct km_sqlite_connection **ret_connection);

/* Closes it. NULL is a no-op. */
void km_sqlite_connection_free(struct km_sqlite_connection *connection);

/* Whether path still names the file that the connection has open. */
bool km_sqlite_connection_is_fresh(
    const struct km_sqlite_connection *connection, const char *path);

/* From now on what runs is interrupted at that time, and waits for locks
 * until then. */
void km_sqlite_connection_arm(struct km_sqlite_connection *connection,
                              int64_t deadline_ms);

/* Whether the query returns a value and, second, a column named ttl_ms. */
bool km_sqlite_query_has_ttl(sqlite3_stmt *query);
