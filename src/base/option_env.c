/* SPDX-License-Identifier: MIT */
/* Option values from the environment, variables that Kubernetes has set, and
 * variables that are no option. */
#include "base/option_env.h"

#include "base/mem.h"
#include "base/option_text.h"
#include "base/status.h"
#include "base/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <unistd.h>

#define VARIABLE_BYTES 256 /* a longer name is cut */

/* Returns a copy of len bytes as a string that o owns, or NULL without
 * memory. */
static const char *keep_copy(struct km_options *o, const char *text, size_t len)
{
    struct km_option_copy *copy = km_mem_alloc(o->mem, sizeof *copy + len + 1);
    if (copy == NULL) {
        return NULL;
    }
    memcpy(copy->text, text, len);
    copy->text[len] = '\0';
    copy->next = o->copies;
    o->copies = copy;
    return copy->text;
}

/* Adds a value to a LIST row for each line that is not empty. */
static kama_status set_lines(struct km_options *o, const struct km_option *row,
                             const char *text)
{
    kama_status status = KAMA_OK;
    while (status == KAMA_OK && *text != '\0') {
        size_t len = strcspn(text, "\n");
        if (len > 0) {
            const char *line = keep_copy(o, text, len);
            status = line != NULL
                         ? km_options_set(o, row->name, line, KM_ORIGIN_ENV)
                         : km_fail(KAMA_ERR_NO_MEMORY, "no memory for options");
        }
        text += len + (text[len] == '\n' ? 1 : 0);
    }
    return status;
}

/* Sets one row from its variable, if there is one. */
static kama_status set_from_env(struct km_options *o,
                                const struct km_option *row, const char *prefix)
{
    char name[2 * KM_OPTION_SHOWN_BYTES];
    km_option_env_name(prefix, row->name, sizeof name, name);
    const char *text = getenv(name);
    if (text == NULL || km_option_is_injected(prefix, name, text)) {
        return KAMA_OK;
    }
    kama_status status =
        row->kind == KM_OPTION_LIST
            ? set_lines(o, row, text)
            : km_options_set(o, row->name, text, KM_ORIGIN_ENV);
    if (status != KAMA_OK) {
        return km_fail(status, "%s: %s", name, km_last_error());
    }
    return KAMA_OK;
}

kama_status km_options_from_env(struct km_options *o, const char *prefix)
{
    for (size_t i = 0; i < o->row_count; i++) {
        if (o->rows[i].kind == KM_OPTION_HEADING) {
            continue;
        }
        kama_status status = set_from_env(o, &o->rows[i], prefix);
        if (status != KAMA_OK) {
            return status;
        }
    }
    return KAMA_OK;
}

/* -- variables of Kubernetes --------------------------------------------- */

/* Returns whether text is like "8001_TCP", with or without "_PROTO", "_PORT" or
 * "_ADDR" behind it. */
static bool is_injected_port(const char *text)
{
    static const char *const protocols[] = {"_TCP", "_UDP", "_SCTP"};
    static const char *const ends[] = {"", "_PROTO", "_PORT", "_ADDR"};
    size_t digits = strspn(text, "0123456789");
    for (size_t i = 0; digits > 0 && i < 3; i++) {
        size_t len = strlen(protocols[i]);
        if (strncmp(text + digits, protocols[i], len) != 0) {
            continue;
        }
        for (size_t k = 0; k < 4; k++) {
            if (strcmp(text + digits + len, ends[k]) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* Returns whether Kubernetes sets such a variable. tail is the part of its name
 * behind the name of the service, and begins with an underscore. */
static bool is_injected_tail(const char *tail, const char *value)
{
    static const char service_port[] = "_SERVICE_PORT";
    static const char port[] = "_PORT";
    if (strcmp(tail, "_SERVICE_HOST") == 0) {
        return true;
    }
    if (strncmp(tail, service_port, strlen(service_port)) == 0) {
        const char *name = tail + strlen(service_port);
        return name[0] == '\0' || name[0] == '_';
    }
    if (strncmp(tail, port, strlen(port)) != 0) {
        return false;
    }
    const char *rest = tail + strlen(port);
    return rest[0] == '\0' ? strstr(value, "://") != NULL
                           : rest[0] == '_' && is_injected_port(rest + 1);
}

bool km_option_is_injected(const char *prefix, const char *variable,
                           const char *value)
{
    size_t len = strlen(prefix);
    const char *at = variable + len;
    if (strncmp(variable, prefix, len) != 0 || *at != '_') {
        return false;
    }
    if (strcmp(at, "_PORT") == 0) {
        return true;
    }
    for (; at != NULL; at = strchr(at + 1, '_')) {
        if (is_injected_tail(at, value)) {
            return true;
        }
    }
    return false;
}

/* -- unknown variables --------------------------------------------------- */

/* Writes the name of the option that a variable spells, in lower case. Returns
 * false if the name is longer than that of any option. */
static bool option_name(const char *text, size_t len,
                        char ret_name[KM_OPTION_SHOWN_BYTES])
{
    if (len >= KM_OPTION_SHOWN_BYTES) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        ret_name[i] = (char)tolower((unsigned char)text[i]);
    }
    ret_name[len] = '\0';
    return true;
}

/* The arguments of km_options_unknown_env. */
struct env_search {
    const struct km_options *o;
    const char *prefix;
    const struct km_option *others;
    size_t other_count;
    km_option_unknown_fn seen;
    void *arg;
};

/* Reports an unknown variable. name is its name in lower case without the
 * prefix, or NULL if it is too long to be near to any option. */
static void report_unknown(const struct env_search *search,
                           const char *variable, const char *name)
{
    char shown[2 * KM_OPTION_SHOWN_BYTES];
    const char *nearest =
        name != NULL ? km_option_nearest(search->o->rows, search->o->row_count,
                                         KAMA_STR(name))
                     : NULL;
    if (nearest != NULL) {
        km_option_env_name(search->prefix, nearest, sizeof shown, shown);
    }
    search->seen(search->arg, variable, nearest != NULL ? shown : NULL);
}

/* Reports a variable that is in neither table. `at` is the place in its name
 * behind the prefix and the underscore. */
static void check_variable(const struct env_search *search,
                           const char *variable, const char *at)
{
    char name[KM_OPTION_SHOWN_BYTES];
    if (!option_name(at, strlen(at), name)) {
        report_unknown(search, variable, NULL);
        return;
    }
    kama_bytes bytes = KAMA_STR(name);
    if (km_option_find(search->o->rows, search->o->row_count, bytes) == NULL &&
        km_option_find(search->others, search->other_count, bytes) == NULL) {
        report_unknown(search, variable, name);
    }
}

void km_options_unknown_env(const struct km_options *o, const char *prefix,
                            const struct km_option *others, size_t other_count,
                            km_option_unknown_fn seen, void *arg)
{
    const struct env_search search = {o,           prefix, others,
                                      other_count, seen,   arg};
    size_t prefix_len = strlen(prefix);
    for (char **entry = environ; *entry != NULL; entry++) {
        char variable[VARIABLE_BYTES];
        const char *equals = strchr(*entry, '=');
        if (equals == NULL || strncmp(*entry, prefix, prefix_len) != 0 ||
            (*entry)[prefix_len] != '_') {
            continue;
        }
        kama_bytes text = kama_bytes_make(*entry, (size_t)(equals - *entry));
        text.len = km_text_cut(text, sizeof variable - 1);
        memcpy(variable, text.data, text.len);
        variable[text.len] = '\0';
        if (!km_option_is_injected(prefix, variable, equals + 1)) {
            check_variable(&search, variable, variable + prefix_len + 1);
        }
    }
}
