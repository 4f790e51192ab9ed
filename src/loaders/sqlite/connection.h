/* SPDX-License-Identifier: MIT */
/*
 * A connection: one read-only connection to the database, with the query of the
 * loader prepared.
 *
 *     km_sqlite_connection_new(&options, &connection);
 *     if (!km_sqlite_connection_is_fresh(connection, path)) ...
 *     km_sqlite_connection_arm(connection, deadline_ms);
 *     sqlite3_step(connection->query);
 *     km_sqlite_connection_free(connection);
 *
 * A connection remembers which file it has open. If somebody replaces the
 * database by renaming another file over it, the connection is no longer fresh
 * and has to be opened again; otherwise it would read the old file for ever.
 *
 * Cost: opening reads the schema; a fresh check is one stat. Threads: one at a
 * time per connection. Errors: a status with a sentence in options->error.
 * Ownership: the options are borrowed until km_sqlite_connection_new returns.
 */
#pragma once

#include "config.h"

#include <kamacache/loader.h>
#include <sqlite3.h>
#include <sys/types.h>

struct km_sqlite_connection {
    sqlite3 *db;
    sqlite3_stmt *query;
    dev_t device; /* device and inode of the file that is open */
    ino_t inode;
    int64_t deadline_ms; /* a query that runs longer is interrupted */
};

/* The options with which a connection is opened. */
struct km_sqlite_open {
    const struct km_sqlite_config *config;
    uint64_t max_value_bytes;
    int64_t deadline_ms; /* on the clock of km_load_call_now_ms */
    char *error;         /* receives the sentence about an error */
    size_t error_cap;    /* the bytes at `error` */
};

/* Opens the database and prepares the query. Errors, with a sentence in
 * options->error: KAMA_ERR_INVALID if the file or the query cannot be used,
 * KAMA_ERR_TIMEOUT if the database is locked, and KAMA_ERR_NO_MEMORY. */
kama_status km_sqlite_connection_new(
    const struct km_sqlite_open *options,
    struct km_sqlite_connection **ret_connection);

/* Closes the connection. NULL does nothing. */
void km_sqlite_connection_free(struct km_sqlite_connection *connection);

/* Returns whether path still names the file that the connection has open. */
bool km_sqlite_connection_is_fresh(
    const struct km_sqlite_connection *connection, const char *path);

/* Sets the time until which the following queries may run and wait for
 * locks. */
void km_sqlite_connection_arm(struct km_sqlite_connection *connection,
                              int64_t deadline_ms);

/* Returns whether the query has two columns, of which the second is ttl_ms. */
bool km_sqlite_query_has_ttl(sqlite3_stmt *query);
