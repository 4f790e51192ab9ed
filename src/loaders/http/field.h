/* SPDX-License-Identifier: MIT */
/*
 * Reading the header fields of a response. A field is a view of borrowed text,
 * which is cut at separators and trimmed.
 *
 *     struct km_field value;
 *     struct km_field name = km_field_cut(line, ':', &value);
 *     while (value.len > 0) {
 *         struct km_field item = km_field_cut(value, ',', &value);
 *     }
 *
 * Cost: linear in the bytes; nothing is copied. Threads: any. Errors: none.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct km_field {
    const char *data;
    size_t len;
};

/* Returns the text without the blanks at its ends. */
struct km_field km_field_trim(struct km_field text);

/* Returns whether text is this word, in upper or lower case. */
bool km_field_is(struct km_field text, const char *word);

/* Cuts text at the first separator. Returns the trimmed part before it;
 * *ret_rest becomes the part behind it, which is empty if there is no
 * separator. */
struct km_field km_field_cut(struct km_field text, char separator,
                             struct km_field *ret_rest);
