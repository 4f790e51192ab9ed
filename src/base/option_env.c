/* SPDX-License-Identifier: MIT */
/* Option values from the environment. */
#include "base/mem.h"
#include "base/option_text.h"
#include "base/status.h"

#include <stdlib.h>

/* len bytes at text as a string that o owns; NULL without memory. */
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

/* Each line that is not empty is a value. */
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

static kama_status set_from_env(struct km_options *o,
                                const struct km_option *row, const char *prefix)
{
    char name[2 * KM_OPTION_SHOWN_BYTES];
    km_option_env_name(prefix, row->name, sizeof name, name);
    const char *text = getenv(name);
    if (text == NULL) {
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
