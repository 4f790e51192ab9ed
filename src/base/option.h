/* SPDX-License-Identifier: MIT */
/*
 * Option tables: one row makes the struct field, the flag, the environment
 * variable, the --help line and the line of the documentation.
 *
 * A module declares its rows as an X-macro, makes the struct from it and a
 * `const struct km_option[]`, and walks that here:
 *
 *     #define DAEMON_OPTIONS(X)                                          \
 *         X(limits, HEADING, NULL, NULL, 0, 0, "Limits")                 \
 *         X(max_connections, UINT, "N", "10000", 1, 1000000, "At most.") \
 *     struct daemon_options { DAEMON_OPTIONS(KM_OPTION_FIELD) };
 *     #define KM_OPTION_STRUCT struct daemon_options
 *     static const struct km_option rows[] = {DAEMON_OPTIONS(KM_OPTION_ROW)};
 *
 * A row's name is its field's: - and _ are the same in names, and shown as -.
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
    KM_OPTION_DURATION, /* int64_t ms: "250ms" "5s" "3m" "1h", or 0 */
    KM_OPTION_TTL,      /* as DURATION, or "forever": KAMA_TTL_FOREVER */
    KM_OPTION_STRING,   /* const char * */
    KM_OPTION_LIST,     /* struct km_option_list: repeatable */
    KM_OPTION_LATER,    /* known, and refused: not in this version */
    KM_OPTION_HEADING   /* no option: help is a heading in --help */
};

/* Columns of a row: field, KIND, arg, fallback, min, max, help. */
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

#define KM_OPTION_LIST_MAX 1024
#define KM_OPTION_NAME_BYTES_MAX 63 /* names of rows are shorter */

struct km_option_list {
    const char **items; /* allocated; km_options_fini */
    size_t count;
};

struct km_option {
    const char *name; /* "max-connections": flag, env, file */
    enum km_option_kind kind;
    size_t offset;        /* in the options struct */
    const char *arg;      /* "ADDR", NULL for bool */
    const char *fallback; /* default as text, NULL: none */
    uint64_t min;         /* of UINT, BYTES, DURATION and TTL (ms) */
    uint64_t max;         /* 0: no bound */
    const char *help;     /* one sentence */
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
    const kama_allocator *mem;
    struct km_option_copy *copies; /* texts that have no other owner */
};

/* Writes every default (a fallback that does not parse is asserted). The
 * memory comes from the default allocator, or from mem. */
KAMA_NODISCARD kama_status km_options_init_with(struct km_options *o,
                                                const kama_allocator *mem,
                                                const struct km_option *rows,
                                                size_t row_count, void *target);
KAMA_NODISCARD kama_status km_options_init(struct km_options *o,
                                           const struct km_option *rows,
                                           size_t row_count, void *target);
/* Also frees the lists in target, and leaves them empty. */
void km_options_fini(struct km_options *o);

/* Sets row `name` from text. A list row appends; the first value of a higher
 * origin replaces those of a lower one; a value of a lower origin is checked
 * and not kept. */
KAMA_NODISCARD kama_status km_options_set(struct km_options *o,
                                          const char *name, const char *value,
                                          enum km_option_origin origin);

/* Reads PREFIX_NAME (upper case, - as _) of the environment for each row; a
 * list row takes one value per line (\n). A variable that Kubernetes has set is
 * not read (km_option_is_injected). */
KAMA_NODISCARD kama_status km_options_from_env(struct km_options *o,
                                               const char *prefix);

/*
 * Returns whether Kubernetes sets such a variable in every container beside a
 * service that is called PREFIX or PREFIX-X:
 *
 *     PREFIX[_X]_SERVICE_HOST            10.0.0.11
 *     PREFIX[_X]_SERVICE_PORT[_NAME]     8001
 *     PREFIX[_X]_PORT[_8001_TCP]         tcp://10.0.0.11:8001
 *     PREFIX[_X]_PORT_8001_TCP_{PROTO,PORT,ADDR}
 *
 * Nobody has chosen these values as settings, so no option may take them.
 * PREFIX_X_PORT alone may well be a setting: it counts only with a URL as its
 * value.
 */
bool km_option_is_injected(const char *prefix, const char *variable,
                           const char *value);

/* Calls seen for each variable PREFIX_* of the environment that neither a row
 * of o nor one of the `others` (rows of another program with the same prefix)
 * names, and that Kubernetes has not set. nearest is the variable that was
 * probably meant, or NULL. Both are borrowed until seen returns; variable may
 * hold any bytes. */
typedef void (*km_option_unknown_fn)(void *arg, const char *variable,
                                     const char *nearest);
void km_options_unknown_env(const struct km_options *o, const char *prefix,
                            const struct km_option *others, size_t other_count,
                            km_option_unknown_fn seen, void *arg);

/* A row for `others`: only its name counts. */
#define KM_OPTION_NAME_ROW(field, kind, arg, fallback, min, max, help)         \
    {#field, KM_OPTION_##kind, 0, NULL, NULL, 0, 0, NULL},

/* Reads --name=value, --name value, --bool, --no-bool, and -h for --help; `--`
 * ends. argv[0] is the program's name and stays; arguments that are no options
 * (`-` alone is none) are moved to argv[1..*ret_rest], and *ret_rest counts
 * them. An unknown flag is an error with the nearest name ("did you mean").
 * After an error the values before it are set, and argv may be permuted. */
KAMA_NODISCARD kama_status km_options_from_argv(struct km_options *o, int argc,
                                                char **argv, int *ret_rest);

/* Writes how the user wrote option `name` of a row: as the variable PREFIX_NAME
 * if its value came from the environment, else as the flag --name. Messages
 * about the value name it so. */
#define KM_OPTION_SPELLING_BYTES 128
void km_options_spelling(const struct km_options *o, const char *prefix,
                         const char *name,
                         char ret_spelling[KM_OPTION_SPELLING_BYTES]);

/* Help lines of every row that is not LATER, under its heading, <= 80
 * columns, to out. */
struct km_buf;
KAMA_NODISCARD kama_status km_options_help(const struct km_options *o,
                                           struct km_buf *out);

/* "name = value  # origin" per row (per value of a list), to out. */
KAMA_NODISCARD kama_status km_options_print(const struct km_options *o,
                                            struct km_buf *out);

/* A Markdown table of the rows for the documentation, per heading: flag,
 * environment variable, default, sentence. */
KAMA_NODISCARD kama_status km_options_document(const struct km_options *o,
                                               const char *prefix,
                                               struct km_buf *out);

/* A value of any row that has one; the kind says which member. */
union km_option_value {
    uint32_t flag;    /* BOOL */
    uint64_t number;  /* UINT, BYTES */
    int64_t ms;       /* DURATION, TTL */
    const char *text; /* STRING, and one element of a LIST: borrowed */
};

/* Reads text as a value of that row and checks its bounds. Errors:
 * KAMA_ERR_INVALID and, of a LATER row, KAMA_ERR_UNSUPPORTED, with a sentence
 * about the text that does not name the row; *ret_value is written only on
 * success. */
KAMA_NODISCARD kama_status km_option_parse(const struct km_option *row,
                                           const char *text,
                                           union km_option_value *ret_value);

/* The row of that name (- and _ are the same), or NULL. */
const struct km_option *km_option_find(const struct km_option *rows,
                                       size_t row_count, kama_bytes name);

/* The name of rows, as its row spells it, that is nearest to name, or NULL: at
 * most two typing mistakes away, and one when it is a word of up to four letters,
 * of which two make another word ("help" is no "del"). */
const char *km_option_nearest(const struct km_option *rows, size_t row_count,
                              kama_bytes name);
