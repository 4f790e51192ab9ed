/* SPDX-License-Identifier: MIT */
/* pkg-config: sqlite3 */
/*
 * The sqlite loader: the value of a key is the first column of the first row
 * that a query returns for it.
 *
 *     no row, or NULL          the key does not exist
 *     a second column ttl_ms   the time to live of the value
 *
 * Each load that runs has a connection and a prepared statement of its own. A
 * connection is made when all others are in use, and kept for later loads. The
 * first one is made when the loader is opened, so that a wrong file or query is
 * an error at the start.
 */
#include "../common/call.h"
#include "../common/spares.h"
#include "connection.h"
#include "trouble.h"

#include <kamacache/loader.h>
#include <stdlib.h>
#include <string.h>

enum { SENTENCE_BYTES = 256 };

/* How much of a wrong ttl_ms a sentence shows. */
enum { TTL_TEXT_BYTES = 41 };

/* Up to this number, 2^53, every whole number has a REAL of its own. */
#define REAL_MAX 9007199254740992.0

struct sqlite_loader {
    const kama_loader_host *host;
    struct km_sqlite_config config;
    struct km_spares spares; /* of struct km_sqlite_connection */
    uint64_t max_value_bytes;
};

static void close_connection(void *item)
{
    km_sqlite_connection_free(item);
}

/* -- one load ----------------------------------------------------------- */

/* Opens another connection. A file or query that was right at the start and is
 * wrong now is an error of the loader. */
static kama_status connect_anew(const struct sqlite_loader *loader,
                                const struct km_load_call *call,
                                struct km_sqlite_connection **ret_connection)
{
    char error[SENTENCE_BYTES] = "";
    struct km_sqlite_open options = {
        .config = &loader->config,
        .max_value_bytes = loader->max_value_bytes,
        .deadline_ms = call->deadline_ms,
        .error = error,
        .error_cap = sizeof error,
    };
    kama_status status = km_sqlite_connection_new(&options, ret_connection);
    if (status == KAMA_ERR_INVALID) {
        status = KAMA_ERR_LOADER;
    }
    return status == KAMA_OK ? status
                             : km_load_call_fail(call, status, "%s", error);
}

/* Returns a connection, armed for this load, to the file that has the name
 * now. */
static kama_status take_connection(struct sqlite_loader *loader,
                                   const struct km_load_call *call,
                                   struct km_sqlite_connection **ret_connection)
{
    struct km_sqlite_connection *connection;
    while ((connection = km_spares_take(&loader->spares)) != NULL) {
        if (km_sqlite_connection_is_fresh(connection, loader->config.path)) {
            km_sqlite_connection_arm(connection, call->deadline_ms);
            *ret_connection = connection;
            return KAMA_OK;
        }
        km_sqlite_connection_free(connection);
    }
    return connect_anew(loader, call, ret_connection);
}

static void give_connection(struct sqlite_loader *loader,
                            struct km_sqlite_connection *connection)
{
    if (!km_spares_give(&loader->spares, connection)) {
        km_sqlite_connection_free(connection);
    }
}

/* Fails for the error of a query. */
static kama_status fail_query(const struct sqlite_loader *loader,
                              const struct km_load_call *call, sqlite3 *db)
{
    char why[KM_SQLITE_TROUBLE_BYTES];
    const char *path = loader->config.path;
    int rc = sqlite3_errcode(db);
    switch (rc) {
    case SQLITE_INTERRUPT:
        return km_load_call_timeout(call, path);
    case SQLITE_BUSY:
        return km_load_call_fail(
            call, KAMA_ERR_TIMEOUT,
            "%s: still locked by a writer after %lld ms: %s", path,
            (long long)call->req->deadline_ms, sqlite3_errmsg(db));
    case SQLITE_TOOBIG:
        return km_load_call_too_large(call, loader->max_value_bytes);
    case SQLITE_NOMEM:
        return KAMA_ERR_NO_MEMORY;
    default:
        return km_load_call_fail(call, KAMA_ERR_LOADER, "%s: %s", path,
                                 km_sqlite_trouble(db, rc, path, why));
    }
}

static int bind_key(const struct sqlite_loader *loader, sqlite3_stmt *query,
                    kama_bytes key)
{
    if (loader->config.bind == KM_SQLITE_BIND_BLOB) {
        return sqlite3_bind_blob64(query, 1, key.data, key.len, SQLITE_STATIC);
    }
    return sqlite3_bind_text64(query, 1, key.data, key.len, SQLITE_STATIC,
                               SQLITE_UTF8);
}

/* Returns the bytes of the first column. Their data are NULL without memory. */
static kama_bytes column_bytes(sqlite3_stmt *query)
{
    kama_bytes bytes;
    if (sqlite3_column_type(query, 0) == SQLITE_BLOB) {
        bytes.data = sqlite3_column_blob(query, 0);
        bytes.len = (size_t)sqlite3_column_bytes(query, 0);
        if (bytes.len == 0) {
            bytes.data = "";
        }
        return bytes;
    }
    bytes.data = sqlite3_column_text(query, 0);
    bytes.len = (size_t)sqlite3_column_bytes(query, 0);
    return bytes;
}

/* Fails with KAMA_ERR_LOADER for a wrong ttl_ms. The sentence shows its type
 * and its beginning. */
static kama_status fail_ttl(const struct km_load_call *call,
                            sqlite3_stmt *query)
{
    static const char *const kinds[] = {
        [SQLITE_INTEGER] = "",
        [SQLITE_FLOAT] = "",
        [SQLITE_TEXT] = "the text ",
        [SQLITE_BLOB] = "the blob ",
    };
    char text[TTL_TEXT_BYTES];
    const char *kind = kinds[sqlite3_column_type(query, 1)];
    const void *data = sqlite3_column_blob(query, 1);
    size_t len = (size_t)sqlite3_column_bytes(query, 1);
    km_quote(text, sizeof text, kama_bytes_make(data, data != NULL ? len : 0));
    return km_load_call_fail(
        call, KAMA_ERR_LOADER,
        "ttl_ms is %s%s%s%s; it has to be a whole number of "
        "milliseconds, -1 for ever, or NULL",
        kind, kind[0] != '\0' ? "\"" : "", text, kind[0] != '\0' ? "\"" : "");
}

/* Reads the column ttl_ms. If the query has none, or if it is NULL, the result
 * is 0, which means the ttl of the group. A text is refused even if it looks
 * like a number, because SQLite would make 0 of most texts. */
static kama_status column_ttl_ms(const struct km_load_call *call,
                                 sqlite3_stmt *query, int64_t *ret_ttl_ms)
{
    if (!km_sqlite_query_has_ttl(query)) {
        *ret_ttl_ms = 0;
        return KAMA_OK;
    }
    double real;
    switch (sqlite3_column_type(query, 1)) {
    case SQLITE_NULL:
        *ret_ttl_ms = 0;
        return KAMA_OK;
    case SQLITE_INTEGER:
        *ret_ttl_ms = sqlite3_column_int64(query, 1);
        break;
    case SQLITE_FLOAT:
        real = sqlite3_column_double(query, 1);
        if (!(real >= KAMA_TTL_FOREVER && real <= REAL_MAX) ||
            real != (double)(int64_t)real) {
            return fail_ttl(call, query);
        }
        *ret_ttl_ms = (int64_t)real;
        break;
    default:
        return fail_ttl(call, query);
    }
    return *ret_ttl_ms < KAMA_TTL_FOREVER ? fail_ttl(call, query) : KAMA_OK;
}

/* Gives the host the row that the query has returned. */
static kama_status deliver(const struct sqlite_loader *loader,
                           const struct km_load_call *call, sqlite3_stmt *query)
{
    if (sqlite3_column_type(query, 0) == SQLITE_NULL) {
        return KAMA_MISS;
    }
    int64_t ttl_ms = 0;
    kama_status status = column_ttl_ms(call, query, &ttl_ms);
    if (status != KAMA_OK) {
        return status;
    }
    kama_bytes value = column_bytes(query);
    if (value.data == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    if (value.len > loader->max_value_bytes) {
        return km_load_call_too_large(call, loader->max_value_bytes);
    }
    const kama_sink_options options = {
        .struct_size = sizeof options,
        .ttl_ms = ttl_ms,
    };
    return km_load_call_set(call, value, &options);
}

static kama_status run_query(const struct sqlite_loader *loader,
                             const struct km_load_call *call,
                             struct km_sqlite_connection *connection)
{
    sqlite3_stmt *query = connection->query;
    kama_status status;
    int rc = bind_key(loader, query, call->req->key);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(query);
    }
    if (rc == SQLITE_ROW) {
        status = deliver(loader, call, query);
    } else if (rc == SQLITE_DONE) {
        status = KAMA_MISS;
    } else {
        status = fail_query(loader, call, connection->db);
    }
    /* The reset ends the read transaction, so that writers can checkpoint. */
    sqlite3_reset(query);
    sqlite3_clear_bindings(query);
    return status;
}

static kama_status load(void *arg, const kama_load *req, kama_sink *out)
{
    struct sqlite_loader *loader = arg;
    struct km_load_call call;
    km_load_call_init(&call, loader->host, req, out);
    struct km_sqlite_connection *connection;
    kama_status status = take_connection(loader, &call, &connection);
    if (status != KAMA_OK) {
        return status;
    }
    status = run_query(loader, &call, connection);
    if (status == KAMA_ERR_LOADER) {
        km_sqlite_connection_free(connection);
    } else {
        give_connection(loader, connection);
    }
    return status;
}

/* -- setup -------------------------------------------------------------- */

/* Checks the file and the query by making the first connection. */
static kama_status connect_first(struct sqlite_loader *loader,
                                 const kama_loader_config *config, char *error,
                                 size_t cap)
{
    struct km_sqlite_open options = {
        .config = &loader->config,
        .max_value_bytes = loader->max_value_bytes,
        .deadline_ms = km_load_call_now_ms() + config->timeout_ms,
        .error = error,
        .error_cap = cap,
    };
    struct km_sqlite_connection *connection;
    kama_status status = km_sqlite_connection_new(&options, &connection);
    if (status == KAMA_OK) {
        give_connection(loader, connection);
    }
    return status;
}

static void close_loader(void *arg)
{
    struct sqlite_loader *loader = arg;
    km_spares_fini(&loader->spares, close_connection);
    km_sqlite_config_fini(&loader->config);
    free(loader);
}

static kama_status make(const kama_loader_host *host,
                        const kama_loader_config *config,
                        struct km_sqlite_config parsed,
                        struct sqlite_loader **ret_loader)
{
    struct sqlite_loader *loader = calloc(1, sizeof *loader);
    if (loader == NULL ||
        !km_spares_init(&loader->spares, config->concurrency)) {
        free(loader);
        return KAMA_ERR_NO_MEMORY;
    }
    loader->host = host;
    loader->config = parsed;
    loader->max_value_bytes = config->max_value_bytes;
    *ret_loader = loader;
    return KAMA_OK;
}

static kama_status open_loader(const kama_loader_host *host,
                               const kama_loader_config *config, char *error,
                               size_t cap, void **ret_loader)
{
    kama_status status = km_open_check(host, config, error, cap);
    if (status != KAMA_OK) {
        return status;
    }
    if (sqlite3_threadsafe() == 0) {
        return km_open_fail(error, cap, KAMA_ERR_UNSUPPORTED,
                            "this SQLite was built for a single thread");
    }
    struct km_sqlite_config parsed;
    const char *wrong = km_sqlite_config_parse(config->config, &parsed);
    if (wrong != NULL) {
        return km_open_fail(error, cap, KAMA_ERR_INVALID, "\"%s\": %s",
                            config->config, wrong);
    }
    struct sqlite_loader *loader;
    status = make(host, config, parsed, &loader);
    if (status != KAMA_OK) {
        km_sqlite_config_fini(&parsed);
        return km_open_fail(error, cap, status, "out of memory");
    }
    status = connect_first(loader, config, error, cap);
    if (status != KAMA_OK) {
        close_loader(loader);
        return status;
    }
    *ret_loader = loader;
    return KAMA_OK;
}

static const char HELP[] =
    "sqlite:PATH?query=SQL\n"
    "sqlite:PATH?bind=blob&query=SQL\n"
    "  The value is the first column of the first row. No row or NULL means\n"
    "  that the key does not exist. The key is ?1, as TEXT or BLOB. A second\n"
    "  column called ttl_ms is the time to live of the value.\n"
    "  sqlite:/srv/app.db?query=SELECT value FROM t WHERE key=?1\n";

static const kama_loader_plugin_info INFO = {
    .struct_size = sizeof INFO,
    .abi_version = KAMA_LOADER_ABI_VERSION,
    .name = "sqlite",
    .version = KAMA_VERSION_STRING,
    .help = HELP,
    .open = open_loader,
    .load = load,
    .close = close_loader,
};

const kama_loader_plugin_info *kama_loader_plugin(void)
{
    return &INFO;
}
