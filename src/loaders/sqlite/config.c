/* SPDX-License-Identifier: MIT */
/* Reading PATH?query=SQL. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

static const char QUERY[] = "?query=";
static const char BIND[] = "?bind=";
static const char TEXT_THEN_QUERY[] = "text&query=";
static const char BLOB_THEN_QUERY[] = "blob&query=";

/* Returns the text behind prefix, or NULL if it does not begin with that. */
static const char *skip(const char *text, const char *prefix)
{
    size_t len = strlen(prefix);
    return strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

/* Reads the option `bind` and returns the SQL behind it. Returns NULL if the
 * value of the option is unknown. */
static const char *parse_bind(const char *value, enum km_sqlite_bind *ret_bind)
{
    const char *sql = skip(value, BLOB_THEN_QUERY);
    if (sql != NULL) {
        *ret_bind = KM_SQLITE_BIND_BLOB;
        return sql;
    }
    sql = skip(value, TEXT_THEN_QUERY);
    if (sql != NULL) {
        *ret_bind = KM_SQLITE_BIND_TEXT;
    }
    return sql;
}

/* Checks and copies the parts. Returns NULL, or a sentence about the fault. */
static const char *fill(const char *text, size_t path_len, const char *sql,
                        enum km_sqlite_bind bind,
                        struct km_sqlite_config *ret_config)
{
    if (path_len == 0) {
        return "there is no path before '?'";
    }
    if (*sql == '\0') {
        return "there is no SQL after 'query='";
    }
    struct km_sqlite_config config = {
        .path = strndup(text, path_len),
        .sql = strdup(sql),
        .bind = bind,
    };
    if (config.path == NULL || config.sql == NULL) {
        km_sqlite_config_fini(&config);
        return "out of memory";
    }
    *ret_config = config;
    return NULL;
}

/* `?bind=` counts only in front of `?query=`; behind it, it is a part of the
 * SQL. */
const char *km_sqlite_config_parse(const char *text,
                                   struct km_sqlite_config *ret_config)
{
    const char *query = strstr(text, QUERY);
    const char *bind = strstr(text, BIND);
    if (bind == NULL || (query != NULL && query < bind)) {
        if (query == NULL) {
            return "it is not PATH?query=SQL";
        }
        return fill(text, (size_t)(query - text), query + strlen(QUERY),
                    KM_SQLITE_BIND_TEXT, ret_config);
    }
    enum km_sqlite_bind type = KM_SQLITE_BIND_TEXT;
    const char *sql = parse_bind(bind + strlen(BIND), &type);
    if (sql == NULL) {
        return "'?bind=' must be followed by text&query=SQL or blob&query=SQL";
    }
    return fill(text, (size_t)(bind - text), sql, type, ret_config);
}

void km_sqlite_config_fini(struct km_sqlite_config *config)
{
    free(config->path);
    free(config->sql);
    config->path = NULL;
    config->sql = NULL;
}
