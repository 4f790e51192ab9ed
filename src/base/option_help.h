/* SPDX-License-Identifier: MIT */
/*
 * The listings that are made from option rows: the text of --help, the settings
 * of --print-config, and the tables of the documentation.
 *
 *     struct km_buf out;
 *     km_buf_init(&out, NULL, SIZE_MAX);
 *     km_options_help(&o, &out);
 *
 *     Limits:
 *       --max-connections=N       Accept at most N connections at a time.
 *                                 [default: 10000]
 *
 * Rows of the kind LATER appear in none of the listings.
 *
 * Threads: any thread, while o does not change. Cost: linear in the text.
 * Errors: those of km_buf_append; out then holds the beginning of the listing.
 * Ownership: out is the caller's.
 */
#pragma once

#include "base/buf.h"
#include "base/option.h"

/* Appends one paragraph per row, under the heading of the row, in lines of at
 * most 80 columns. A heading without rows is left out. */
KAMA_NODISCARD kama_status km_options_help(const struct km_options *o,
                                           struct km_buf *out);

/* Appends one paragraph per row as km_options_help does, for rows that people
 * write as NAME=ARG and not as flags:
 *
 *       ttl=TIME                  How long entries live. [default: forever]
 */
KAMA_NODISCARD kama_status km_option_keys_help(const struct km_option *rows,
                                               size_t row_count,
                                               struct km_buf *out);

/* Appends "name = value  # origin" for each row, and for each value of a LIST
 * row. Texts are quoted. */
KAMA_NODISCARD kama_status km_options_print(const struct km_options *o,
                                            struct km_buf *out);

/* Appends a Markdown table per heading, with the flag, the environment variable
 * (prefix is its first part), the default and the sentence of each row. */
KAMA_NODISCARD kama_status km_options_document(const struct km_options *o,
                                               const char *prefix,
                                               struct km_buf *out);
