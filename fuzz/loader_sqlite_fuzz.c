/* SPDX-License-Identifier: MIT */
/* Parses the input as a configuration of the sqlite loader, which has a path
 * and an SQL statement in it. */
#include "base/assert.h"
#include "loaders/sqlite/config.c"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = strndup((const char *)data, len);
    KM_ASSERT(text != NULL);
    struct km_sqlite_config config;
    if (km_sqlite_config_parse(text, &config) == NULL) {
        size_t sql_len = strlen(config.sql);
        KM_ASSERT(strncmp(text, config.path, strlen(config.path)) == 0);
        KM_ASSERT(strcmp(text + strlen(text) - sql_len, config.sql) == 0);
        KM_ASSERT(sql_len > 0 && config.path[0] != '\0');
        km_sqlite_config_fini(&config);
    }
    free(text);
    return 0;
}
