/* SPDX-License-Identifier: MIT */
/*
 * Option tables: one row makes the struct member, the flag, the environment
 * variable, the line of --help and the line of the documentation.
 *
 * A module declares its rows as an X-macro, and makes from it both the struct
 * and the array of rows that the functions below work on:
 *
 *     #define DAEMON_OPTIONS(X)                                          \
 *         X(limits, HEADING, NULL, NULL, 0, 0, "Limits")                 \
 *         X(max_connections, UINT, "N", "10000", 1, 1000000, "At most.") \
 *     struct daemon_options { DAEMON_OPTIONS(KM_OPTION_FIELD) };
 *     #define KM_OPTION_STRUCT struct daemon_options
 *     static const struct km_option rows[] = {DAEMON_OPTIONS(KM_OPTION_ROW)};
 *
 * The name of a row is the name of its member. Dashes and underscores mean the
 * same in names, and people see dashes.
 *
 * Values come from four origins, and a higher one wins:
 *
 *     default  <  file  <  environment (option_env.h)  <  flag (option_argv.h)
 *
 * Threads: one owner, during setup. Cost: finding a name is linear in the
 * number of rows. Errors: KAMA_ERR_INVALID, and KAMA_ERR_UNSUPPORTED for a row
 * of a later version; km_last_error names the option, the value and what is
 * accepted.
 * Ownership: texts are borrowed from their origin (argv, the environment); the
 * arrays of lists belong to km_options.
 */
#pragma once

#include "base/bytes.h"

#include <stddef.h>

enum km_option_kind {
    KM_OPTION_BOOL,     /* uint32_t: 0 or 1; a flag without a value is 1 */
    KM_OPTION_UINT,     /* uint64_t within min..max */
    KM_OPTION_BYTES,    /* uint64_t, with a unit k, m or g (powers of 1024) */
    KM_OPTION_DURATION, /* int64_t milliseconds: "250ms" "5s" "3m" "1h" or 0 */
    KM_OPTION_TTL,      /* like DURATION, or "forever" (KAMA_TTL_FOREVER) */
    KM_OPTION_STRING,   /* const char * */
    KM_OPTION_LIST,     /* struct km_option_list: it may be given repeatedly */
    KM_OPTION_LATER,    /* a known name that this version refuses */
    KM_OPTION_HEADING   /* not an option: `help` is a heading in --help */
};

/* These macros turn one row of an X-macro into a member of the struct, or into
 * an element of the array. The columns are field, KIND, arg, fallback, min, max
 * and help. */
#define KM_OPTION_FIELD(field, kind, arg, fallback, min, max, help)            \
    KM_OPTION_TYPE_##kind field;
#define KM_OPTION_ROW(field, kind, arg, fallback, min, max, help)              \
    {#field,                                                                   \
     KM_OPTION_##kind,                                                         \
     offsetof(KM_OPTION_STRUCT, field),                                        \
     arg,                                                                      \
     fallback,                                                                 \
     min,                                                                      \
     max,                                                                      \
     help},
#define KM_OPTION_TYPE_BOOL uint32_t
#define KM_OPTION_TYPE_UINT uint64_t
#define KM_OPTION_TYPE_BYTES uint64_t
#define KM_OPTION_TYPE_DURATION int64_t
#define KM_OPTION_TYPE_TTL int64_t
#define KM_OPTION_TYPE_STRING const char *
#define KM_OPTION_TYPE_LIST struct km_option_list
#define KM_OPTION_TYPE_LATER unsigned char
#define KM_OPTION_TYPE_HEADING unsigned char

#define KM_OPTION_LIST_MAX 1024     /* values of one list */
#define KM_OPTION_NAME_BYTES_MAX 63 /* the longest name of a row */

/* The values of a LIST row, in the order in which they were given. */
struct km_option_list {
    const char **items; /* freed by km_options_fini */
    size_t count;
};

struct km_option {
    const char *name; /* "max_connections" */
    enum km_option_kind kind;
    size_t offset;        /* of the member in the target struct */
    const char *arg;      /* how --help calls the value; NULL for BOOL */
    const char *fallback; /* the default as text; NULL if there is none */
    uint64_t min;         /* for UINT, BYTES, DURATION and TTL (ms) */
    uint64_t max;         /* 0 means that there is no upper bound */
    const char *help;     /* one sentence */
};

/* Where a value came from, from the weakest origin to the strongest. */
enum km_option_origin {
    KM_ORIGIN_DEFAULT,
    KM_ORIGIN_FILE,
    KM_ORIGIN_ENV,
    KM_ORIGIN_FLAG
};

struct km_options {
    const struct km_option *rows;
    size_t row_count;
    void *target;                   /* the struct that receives the values */
    enum km_option_origin *origins; /* the origin of each row's value */
    const kama_allocator *mem;
    struct km_option_copy *copies; /* texts that have no other owner */
};

/* Writes the default of every row into target. A default that does not parse is
 * an error of the programmer and ends the process. Memory comes from mem, or
 * from the default allocator if that is NULL. rows, mem and target are borrowed
 * until km_options_fini. Errors: KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status km_options_init_with(struct km_options *o,
                                                const kama_allocator *mem,
                                                const struct km_option *rows,
                                                size_t row_count, void *target);

/* Does the same with the default allocator. */
KAMA_NODISCARD kama_status km_options_init(struct km_options *o,
                                           const struct km_option *rows,
                                           size_t row_count, void *target);

/* Frees what o owns. The lists in target are freed too and left empty, and the
 * lines of a list that came from the environment are gone. */
void km_options_fini(struct km_options *o);

/* Sets the row called `name` from a text. A LIST row appends the value; the
 * first value of a higher origin replaces all values of a lower one. A value of
 * a lower origin than the present one is checked, but it is not kept. The text
 * must live as long as o. Errors: as km_option_parse, with the name in front of
 * the sentence, and KAMA_ERR_TOO_LARGE for a list that is full. */
KAMA_NODISCARD kama_status km_options_set(struct km_options *o,
                                          const char *name, const char *value,
                                          enum km_option_origin origin);

/* Returns the row of that name, or NULL. Dashes and underscores are equal. */
const struct km_option *km_option_find(const struct km_option *rows,
                                       size_t row_count, kama_bytes name);

/* Returns the name of the row that is nearest to name, for "did you mean", or
 * NULL: at most two typing mistakes away, and one when it is a word of up to four
 * letters, of which two make another word ("help" is no "del"). */
const char *km_option_nearest(const struct km_option *rows, size_t row_count,
                              kama_bytes name);
