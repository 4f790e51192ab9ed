/* SPDX-License-Identifier: MIT */
/*
 * The configuration of the sqlite loader:
 *
 *     PATH?query=SQL
 *     PATH?bind=text|blob&query=SQL
 *
 * The SQL is everything behind the first `query=`, without any decoding.
 *
 *     struct km_sqlite_config config;
 *     const char *wrong = km_sqlite_config_parse(text, &config);
 *     if (wrong == NULL) {
 *         open_database(config.path);
 *         km_sqlite_config_fini(&config);
 *     }
 *
 * Cost: linear in the text. Threads: the owner, when the loader is opened.
 * Errors: static sentences. Ownership: the strings belong to the configuration.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The type with which the key is bound to ?1. SQLite never finds a BLOB equal
 * to a TEXT, whatever their bytes are. */
enum km_sqlite_bind { KM_SQLITE_BIND_TEXT, KM_SQLITE_BIND_BLOB };

struct km_sqlite_config {
    char *path; /* owned */
    char *sql;  /* owned */
    enum km_sqlite_bind bind;
};

/* Reads text into ret_config, which is freed by km_sqlite_config_fini. Returns
 * NULL, or a static sentence about the fault; ret_config is not written
 * then. */
const char *km_sqlite_config_parse(const char *text,
                                   struct km_sqlite_config *ret_config);

/* Frees the strings. */
void km_sqlite_config_fini(struct km_sqlite_config *config);
