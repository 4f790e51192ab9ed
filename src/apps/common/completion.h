/* SPDX-License-Identifier: MIT */
/*
 * Completion for bash, written from tables. The script needs nothing but bash:
 * `complete -F`, and a function that knows the flags, which of them take a value
 * and what the value may be, and the commands.
 * Errors: those of the buffer. Thread-safety: one owner.
 */
#pragma once

#include "base/buf.h"
#include "base/option.h"

/* What the value of an option may be. */
struct completion_value {
    const char *option;  /* the name of its row */
    const char *command; /* of the shell: it prints candidates for $value, what
                          * was typed of the value, one per line */
};

/* A short form: -g for the row "group". */
struct completion_letter {
    char letter;
    const char *option;
};

struct completion {
    const char *program;          /* "kamacache-cli" */
    const struct km_option *rows; /* those of a later version are left out */
    size_t row_count;
    const struct completion_value *values;   /* ends with a NULL option; other
                                            * options have no candidates */
    const struct completion_letter *letters; /* ends with a NULL option */
    const char *optional;  /* the option whose value stands behind = only; "" */
    const char *functions; /* of the shell, which the commands call; "" */
    const char *words;     /* the commands of the program, each followed by a
                            * blank; "" for a program without */
    const char *arguments; /* of the shell: prints candidates behind the
                            * command $word; "" */
};

/* Writes the script. */
KAMA_NODISCARD kama_status completion_write(const struct completion *completion,
                                            struct km_buf *out);
