/* SPDX-License-Identifier: MIT */
/*
 * Opening a database read-only and preparing the query of the loader.
 *
 * Everything that can be known at the start is checked here, so that a mistake
 * in the configuration is reported when the daemon starts and not by the first
 * load.
 */
#include "connection.h"

#include "../common/call.h"
#include "trouble.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* SQLite runs so many of its virtual instructions between two looks at the
 * clock. */
enum { INSTRUCTIONS_PER_LOOK = 1000 };

/* How much longer than the largest value a string or row of SQLite may be,
 * because of other columns and intermediate results. */
enum { LENGTH_SLACK_BYTES = 1 << 20 };

/* SQLite calls this while a query runs. A result other than 0 interrupts it. */
static int is_overdue(void *arg)
{
    const struct km_sqlite_connection *connection = arg;
    return km_load_call_now_ms() >= connection->deadline_ms;
}

/* Fails for a result code of SQLite; `what` is the step that failed. */
static kama_status fail_sqlite(const struct km_sqlite_connection *connection,
                               const struct km_sqlite_open *options, int rc,
                               const char *what)
{
    char why[KM_SQLITE_TROUBLE_BYTES];
    const char *path = options->config->path;
    kama_status status = KAMA_ERR_INVALID;
    if (rc == SQLITE_NOMEM) {
        status = KAMA_ERR_NO_MEMORY;
    } else if (rc == SQLITE_BUSY || rc == SQLITE_INTERRUPT) {
        status = KAMA_ERR_TIMEOUT;
    }
    return km_open_fail(options->error, options->error_cap, status,
                        "%s: %s: %s", path, what,
                        km_sqlite_trouble(connection->db, rc, path, why));
}

static kama_status refuse(const struct km_sqlite_open *options,
                          const char *sentence)
{
    return km_open_fail(options->error, options->error_cap, KAMA_ERR_INVALID,
                        "%s: %s", options->config->path, sentence);
}

/* Remembers the identity of the file, which must be a regular one. */
static kama_status remember_file(struct km_sqlite_connection *connection,
                                 const struct km_sqlite_open *options)
{
    struct stat info;
    if (stat(options->config->path, &info) != 0) {
        return refuse(options,
                      "there is no such file, or it cannot be accessed");
    }
    if (!S_ISREG(info.st_mode)) {
        return refuse(options, "it is not a regular file");
    }
    connection->device = info.st_dev;
    connection->inode = info.st_ino;
    return KAMA_OK;
}

/* Bounds the length of strings and rows, and the time of queries. */
static void set_limits(struct km_sqlite_connection *connection,
                       const struct km_sqlite_open *options)
{
    uint64_t length = options->max_value_bytes + LENGTH_SLACK_BYTES;
    sqlite3_limit(connection->db, SQLITE_LIMIT_LENGTH,
                  length < INT_MAX ? (int)length : INT_MAX);
    sqlite3_progress_handler(connection->db, INSTRUCTIONS_PER_LOOK, is_overdue,
                             connection);
    km_sqlite_connection_arm(connection, options->deadline_ms);
}

static kama_status open_file(struct km_sqlite_connection *connection,
                             const struct km_sqlite_open *options)
{
    int rc = sqlite3_open_v2(options->config->path, &connection->db,
                             SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK) {
        return fail_sqlite(connection, options, rc, "cannot open");
    }
    set_limits(connection, options);
    return KAMA_OK;
}

/* Returns whether there is another statement behind the first one. Blanks and
 * comments do not count. */
static bool has_more(sqlite3 *db, const char *tail)
{
    sqlite3_stmt *second = NULL;
    int rc = sqlite3_prepare_v2(db, tail, -1, &second, NULL);
    sqlite3_finalize(second);
    return rc != SQLITE_OK || second != NULL;
}

bool km_sqlite_query_has_ttl(sqlite3_stmt *query)
{
    if (sqlite3_column_count(query) != 2) {
        return false;
    }
    const char *name = sqlite3_column_name(query, 1);
    return name != NULL && strcmp(name, "ttl_ms") == 0;
}

/* Returns NULL, or a sentence about the fault in the shape of the query. */
static const char *check_query(sqlite3 *db, sqlite3_stmt *query,
                               const char *tail)
{
    if (query == NULL) {
        return "the query is empty";
    }
    if (has_more(db, tail)) {
        return "the query is more than one statement";
    }
    if (!sqlite3_stmt_readonly(query)) {
        return "the query writes; a loader only reads";
    }
    int columns = sqlite3_column_count(query);
    if (columns == 0) {
        return "the query returns no column";
    }
    if (columns > 1 && !km_sqlite_query_has_ttl(query)) {
        return "the query returns more than a value and ttl_ms";
    }
    if (sqlite3_bind_parameter_count(query) != 1) {
        return "the query needs one parameter, ?1, for the key";
    }
    return NULL;
}

static kama_status prepare(struct km_sqlite_connection *connection,
                           const struct km_sqlite_open *options)
{
    const char *tail = NULL;
    int rc = sqlite3_prepare_v3(connection->db, options->config->sql, -1,
                                SQLITE_PREPARE_PERSISTENT, &connection->query,
                                &tail);
    if (rc != SQLITE_OK) {
        return fail_sqlite(connection, options, rc, "cannot prepare the query");
    }
    const char *wrong = check_query(connection->db, connection->query, tail);
    return wrong != NULL ? refuse(options, wrong) : KAMA_OK;
}

kama_status km_sqlite_connection_new(
    const struct km_sqlite_open *options,
    struct km_sqlite_connection **ret_connection)
{
    struct km_sqlite_connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        return km_open_fail(options->error, options->error_cap,
                            KAMA_ERR_NO_MEMORY, "out of memory");
    }
    kama_status status = remember_file(connection, options);
    if (status == KAMA_OK) {
        status = open_file(connection, options);
    }
    if (status == KAMA_OK) {
        status = prepare(connection, options);
    }
    if (status != KAMA_OK) {
        km_sqlite_connection_free(connection);
        return status;
    }
    *ret_connection = connection;
    return KAMA_OK;
}

void km_sqlite_connection_free(struct km_sqlite_connection *connection)
{
    if (connection == NULL) {
        return;
    }
    sqlite3_finalize(connection->query);
    sqlite3_close(connection->db);
    free(connection);
}

bool km_sqlite_connection_is_fresh(
    const struct km_sqlite_connection *connection, const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && info.st_dev == connection->device &&
           info.st_ino == connection->inode;
}

void km_sqlite_connection_arm(struct km_sqlite_connection *connection,
                              int64_t deadline_ms)
{
    int64_t left_ms = deadline_ms - km_load_call_now_ms();
    if (left_ms < 1) {
        left_ms = 1;
    }
    connection->deadline_ms = deadline_ms;
    sqlite3_busy_timeout(connection->db,
                         left_ms < INT_MAX ? (int)left_ms : INT_MAX);
}
