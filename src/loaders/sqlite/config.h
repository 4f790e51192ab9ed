/* SPDX-License-Identifier: MIT */
/*
 * The configuration of the sqlite loader:
 *
 *     PATH?query=SQL
 *     PATH?bind=text|blob&query=SQL
 *
 * SQL is everything after the first `query=`, as it stands.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The type with which the key is bound to ?1. SQLite never finds a BLOB equal to
 * a TEXT, whatever their bytes are. */
enum km_sqlite_bind { KM_SQLITE_BIND_TEXT, KM_SQLITE_BIND_BLOB };

struct km_sqlite_config {
    char *path; /* owned */
    char *sql;  /* owned */
    enum km_sqlite_bind bind;
};

/* Reads text into ret_config, whose strings are the caller's.
 * NULL, or a sentence (static) that says what is wrong; then ret_config is
 * not written. */
const char *km_sqlite_config_parse(const char *text,
                                   struct km_sqlite_config *ret_config);

/* Frees the strings. */
void km_sqlite_config_fini(struct km_sqlite_config *config);
