/* SPDX-License-Identifier: MIT */
/*
 * What the files of the option module share: names and numbers as people read
 * them, and where a row's field is.
 * Thread-safety: pure functions.
 */
#pragma once

#include "base/option.h"

#define KM_OPTION_NUMBER_BYTES 24
#define KM_OPTION_SHOWN_BYTES (KM_OPTION_NAME_BYTES_MAX + 1)

/* A text that km_options owns, because its source is cut (environment). */
struct km_option_copy {
    struct km_option_copy *next;
    char text[];
};

static inline void *km_option_field(const struct km_options *o,
                                    const struct km_option *row)
{
    return (char *)o->target + row->offset;
}

/* The name with - for _. */
void km_option_show_name(const char *name,
                         char ret_shown[KM_OPTION_SHOWN_BYTES]);

/* PREFIX_NAME, cut at cap. */
void km_option_env_name(const char *prefix, const char *name, size_t cap,
                        char *ret_name);

/* "64m", "5s", "forever" or "12": the text that parses as number. */
void km_option_format_number(enum km_option_kind kind, uint64_t number,
                             char ret_text[KM_OPTION_NUMBER_BYTES]);

/* The error for a name that is in no row. */
kama_status km_option_unknown(const struct km_options *o, kama_bytes name,
                              const char *dashes);
