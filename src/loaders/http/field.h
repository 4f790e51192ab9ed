/* SPDX-License-Identifier: MIT */
/*
 * Reading the header fields of a response: text that is borrowed, cut at
 * separators and trimmed.
 *
 *     struct km_field value;
 *     struct km_field name = km_field_cut(line, ':', &value);
 *     while (value.len > 0) {
 *         struct km_field item = km_field_cut(value, ',', &value);
 *     }
 *
 * Threads: any. Cost: O(bytes).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct km_field {
    const char *data;
    size_t len;
};

/* The text without blanks at its ends. */
struct km_field km_field_trim(struct km_field text);

/* Whether text is word; case does not count. */
bool km_field_is(struct km_field text, const char *word);

/* Cuts text at the first separator. Returns what stands before it, trimmed;
 * *ret_rest becomes what follows it, empty if there is none. */
struct km_field km_field_cut(struct km_field text, char separator,
                             struct km_field *ret_rest);
