/* SPDX-License-Identifier: MIT */
/*
 * Option tables: one row makes the struct field, the flag, the environment
 * variable, the --help line and the line of the documentation.
 *
 * A module declares its rows as an X-macro, makes the struct from it and a
 * `const struct km_option[]` with KM_OPTION_ROW, and walks that here.
 * Strings are borrowed from the source (argv, environ), lists are counted.
 * Thread-safety: one owner, setup. Errors: KAMA_ERR_INVALID, and
 * KAMA_ERR_UNSUPPORTED for rows of a later version; km_last_error names flag,
 * value and what is accepted.
 */
#pragma once

#include "base/bytes.h"

#include <stddef.h>

enum km_option_kind {
    KM_OPTION_BOOL,     /* uint32_t: 0 or 1; a flag without value is 1 */
    KM_OPTION_UINT,     /* uint64_t within min..max */
    KM_OPTION_BYTES,    /* uint64_t, with k m g (powers of 1024) */
    KM_OPTION_DURATION, /* int64_t ms: "250ms" "5s" "3m" "1h"; bare = ms */
    KM_OPTION_STRING,   /* const char * */
    KM_OPTION_LIST,     /* struct km_option_list: repeatable */
    KM_OPTION_LATER     /* known, and refused: not in this version */
};

#define KM_OPTION_LIST_MAX 1024

struct km_option_list {
    const char **items; /* allocated; km_options_fini */
    size_t count;
};

struct km_option {
    const char *name; /* "max-connections": flag, env, file */
    enum km_option_kind kind;
    size_t offset; /* in the options struct */
    const char *arg;      /* "ADDR", NULL for bool */
    const char *fallback; /* default as text, NULL: none */
    uint64_t min;
    uint64_t max;
    const char *help; /* one sentence */
};

/* Where a value came from, for --print-config. */
enum km_option_origin {
    KM_ORIGIN_DEFAULT,
    KM_ORIGIN_FILE,
    KM_ORIGIN_ENV,
    KM_ORIGIN_FLAG
};

struct km_options {
    const struct km_option *rows;
    size_t row_count;
    void *target;                   /* the struct */
    enum km_option_origin *origins; /* one per row */
};

/* Writes every default. */
KAMA_NODISCARD kama_status km_options_init(struct km_options *o,
                                           const struct km_option *rows,
                                           size_t row_count, void *target);
void km_options_fini(struct km_options *o);

/* Sets row `name` from text. A list row appends; the first value of a higher
 * origin replaces those of a lower one. */
KAMA_NODISCARD kama_status km_options_set(struct km_options *o,
                                          const char *name, const char *value,
                                          enum km_option_origin origin);

/* Reads PREFIX_NAME (upper case, - as _) for each row; a list row takes one
 * value per line (\n). getenv-like lookup is handed in. */
KAMA_NODISCARD kama_status km_options_from_env(struct km_options *o,
                                               const char *prefix);

/* Reads --name=value, --name value, --bool, --no-bool; `--` ends. Arguments
 * that are no options are moved to the front of argv; *ret_rest counts them.
 * An unknown flag is an error with the nearest name ("did you mean"). */
KAMA_NODISCARD kama_status km_options_from_argv(struct km_options *o, int argc,
                                                char **argv, int *ret_rest);

/* Help lines of every row that is not LATER, <= 80 columns, to f. */
struct km_buf;
KAMA_NODISCARD kama_status km_options_help(const struct km_options *o,
                                           struct km_buf *out);

/* "name = value  # origin" per row, to out. */
KAMA_NODISCARD kama_status km_options_print(const struct km_options *o,
                                            struct km_buf *out);

/* The row of that name (- and _ are the same), or NULL. */
const struct km_option *km_option_find(const struct km_option *rows,
                                       size_t row_count, kama_bytes name);

/* The name of rows that is nearest to name (edit distance <= 2), or NULL. */
const char *km_option_nearest(const struct km_option *rows, size_t row_count,
                              kama_bytes name);

/* Parsers of one value. Errors: KAMA_ERR_INVALID with a sentence. */
KAMA_NODISCARD kama_status km_parse_bytes(const char *text,
                                          uint64_t *ret_bytes);
KAMA_NODISCARD kama_status km_parse_duration_ms(const char *text,
                                                int64_t *ret_ms);
KAMA_NODISCARD kama_status km_parse_uint(const char *text, uint64_t min,
                                         uint64_t max, uint64_t *ret_value);
