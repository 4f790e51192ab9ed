/* SPDX-License-Identifier: MIT */
/*
 * Names and numbers of options as people read and write them.
 *
 * A row's name is that of a struct member, max_connections. People see it in
 * one of three spellings:
 *
 *     max-connections               in listings and error sentences
 *     --max-connections             as a flag
 *     KAMACACHED_MAX_CONNECTIONS    as a variable of the environment
 *
 *     char text[KM_OPTION_NUMBER_BYTES];
 *     km_option_format_number(KM_OPTION_BYTES, 64 << 20, text);    "64m"
 *
 * Threads: any thread; pure functions apart from the thread's last error.
 * Cost: linear in the text. Errors: a text that does not fit is cut.
 */
#pragma once

#include "base/option.h"

#define KM_OPTION_NUMBER_BYTES 24
#define KM_OPTION_SHOWN_BYTES (KM_OPTION_NAME_BYTES_MAX + 1)
#define KM_OPTION_SPELLING_BYTES 128

/* A text that km_options owns, because the text in its source is not a string
 * of its own: a line of a variable, for example. */
struct km_option_copy {
    struct km_option_copy *next;
    char text[];
};

/* Returns the member of the target struct that holds the value of row. */
static inline void *km_option_field(const struct km_options *o,
                                    const struct km_option *row)
{
    return (char *)o->target + row->offset;
}

/* Writes the name with a dash for each underscore. */
void km_option_show_name(const char *name,
                         char ret_shown[KM_OPTION_SHOWN_BYTES]);

/* Writes PREFIX_NAME in upper case, cut so that it fits into cap bytes. */
void km_option_env_name(const char *prefix, const char *name, size_t cap,
                        char *ret_name);

/* Writes how the user has spelled option `name` of a row: as the variable
 * PREFIX_NAME if its value came from the environment, and as the flag --name
 * otherwise. Messages about the value use this spelling. */
void km_options_spelling(const struct km_options *o, const char *prefix,
                         const char *name,
                         char ret_spelling[KM_OPTION_SPELLING_BYTES]);

/* Writes number as a text that parses to the same number as a value of that
 * kind, in the greatest unit that divides it: "64m", "5s", "forever", "12". */
void km_option_format_number(enum km_option_kind kind, uint64_t number,
                             char ret_text[KM_OPTION_NUMBER_BYTES]);

/* Fails with KAMA_ERR_INVALID for a name that no row has. The sentence suggests
 * the nearest name, if one is near; dashes is what stands before the names. */
kama_status km_option_unknown(const struct km_options *o, kama_bytes name,
                              const char *dashes);
