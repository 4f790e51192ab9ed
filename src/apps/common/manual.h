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
 * Texts are plain: they may begin with a dot and contain backslashes and
 * quotes, which are escaped for roff. Words between backquotes are set in bold,
 * and a hyphen stays a hyphen that can be copied.
 *
 * Cost: linear in the text. Threads: one owner. Errors: the first one stays,
 * and manual_end returns it. Ownership: out is the caller's.
 */
#pragma once

#include "base/buf.h"
#include "base/option.h"

struct manual {
    struct km_buf *out;
    kama_status status;
    bool after_heading; /* nothing was written behind the last heading */
};

/* Begins the page of a program: its title and the section NAME. */
void manual_begin(struct manual *m, struct km_buf *out, const char *name,
                  const char *section, const char *brief);

/* Begin a section ("OPTIONS"), and a part of a section ("Serving"). */
void manual_section(struct manual *m, const char *title);
void manual_subsection(struct manual *m, const char *title);

/* Writes a paragraph. */
void manual_text(struct manual *m, const char *text);

/* Writes a term in bold, and its meaning indented below it. */
void manual_item(struct manual *m, const char *term, const char *text);

/* Writes indented lines as they are. */
void manual_example(struct manual *m, const char *lines);

/* Writes the options that this version has, with their headings, their defaults
 * and, unless prefix is NULL, their variables of the environment. */
void manual_options(struct manual *m, const struct km_option *rows,
                    size_t row_count, const char *prefix);

/* Writes the options as NAME=ARG, without headings and variables. */
void manual_keys(struct manual *m, const struct km_option *rows,
                 size_t row_count);

/* Ends the page. Returns the first error. */
KAMA_NODISCARD kama_status manual_end(const struct manual *m);
