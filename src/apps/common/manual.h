/* SPDX-License-Identifier: MIT */
/*
 * A manual page, written from tables (roff with the man macros):
 *
 *     struct manual m;
 *     manual_begin(&m, out, "kamacached", "8", "serves a cache");
 *     manual_section(&m, "OPTIONS");
 *     manual_options(&m, rows, row_count, "KAMACACHE");
 *     manual_section(&m, "SIGNALS");
 *     manual_item(&m, "SIGTERM", "Drains and stops.");
 *     status = manual_end(&m);
 *
 * Text is plain: it may begin with a dot and hold backslashes and quotes. What
 * stands between backquotes is set in bold, and a hyphen stays one that can be
 * copied.
 * Errors: the first one stays and is what manual_end returns; what is written
 * after it is lost. Thread-safety: one owner.
 */
#pragma once

#include "base/buf.h"
#include "base/option.h"

struct manual {
    struct km_buf *out;
    kama_status status;
    bool after_heading; /* nothing was written since */
};

/* Begins the page of a program: its title and the section NAME. */
void manual_begin(struct manual *m, struct km_buf *out, const char *name,
                  const char *section, const char *brief);

/* Headings: "OPTIONS", and "Serving" within that. */
void manual_section(struct manual *m, const char *title);
void manual_subsection(struct manual *m, const char *title);

/* A paragraph. */
void manual_text(struct manual *m, const char *text);

/* A term in bold, and indented below it what it means. */
void manual_item(struct manual *m, const char *term, const char *text);

/* Lines as they are, indented. */
void manual_example(struct manual *m, const char *lines);

/* The rows that are in this version, with their headings, defaults and, unless
 * prefix is NULL, variables of the environment. */
void manual_options(struct manual *m, const struct km_option *rows,
                    size_t row_count, const char *prefix);

/* The rows as NAME=ARG, without headings and variables. */
void manual_keys(struct manual *m, const struct km_option *rows,
                 size_t row_count);

KAMA_NODISCARD kama_status manual_end(const struct manual *m);
