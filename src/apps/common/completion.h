/* SPDX-License-Identifier: MIT */
/*
 * A script for bash that completes the command line of a program, written from
 * the tables of the program.
 *
 *     const struct completion c = {.program = "kamacached", .rows = rows, ...};
 *     status = completion_write(&c, &out);
 *
 * The script needs nothing but bash. Its function knows the flags and the
 * commands of the program, the flags that take a value, and candidates for
 * these values.
 *
 * Cost: linear in the tables. Threads: one owner. Errors: those of the buffer.
 * Ownership: all texts are borrowed until completion_write returns.
 */
#pragma once

#include "base/buf.h"
#include "base/option.h"

/* The candidates for the value of an option. */
struct completion_value {
    const char *option;  /* the name of its row */
    const char *command; /* a shell command that prints one candidate per line;
                          * $value is the part of the value that was typed */
};

/* The short form of an option: -g for the row "group". */
struct completion_letter {
    char letter;
    const char *option;
};

struct completion {
    const char *program;          /* "kamacache-cli" */
    const struct km_option *rows; /* rows of a later version are left out */
    size_t row_count;

    /* The last element of each of these has a NULL option. */
    const struct completion_value *values;
    const struct completion_letter *letters;

    /* Each of these is "" if the program has no such thing. */
    const char *optional; /* the option whose value can only stand behind `=` */
    const char *functions; /* shell functions that the commands above call */
    const char *words;     /* the program's commands, a blank behind each */
    const char *arguments; /* a shell command that prints candidates for the
                            * arguments of the program's command $word */
};

/* Appends the script to out. */
KAMA_NODISCARD kama_status completion_write(const struct completion *completion,
                                            struct km_buf *out);
