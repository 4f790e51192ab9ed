/* SPDX-License-Identifier: MIT */
/* Cutting, trimming and comparing the text of header fields. */
#include "field.h"

#include <string.h>
#include <strings.h>

/* Line ends count as blanks, because libcurl hands lines over with them. */
static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct km_field km_field_trim(struct km_field text)
{
    while (text.len > 0 && is_blank(text.data[0])) {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && is_blank(text.data[text.len - 1])) {
        text.len--;
    }
    return text;
}

bool km_field_is(struct km_field text, const char *word)
{
    return text.len == strlen(word) &&
           strncasecmp(text.data, word, text.len) == 0;
}

/* The rest is empty and not NULL without a separator, so that loops can simply
 * go on until it is empty. */
struct km_field km_field_cut(struct km_field text, char separator,
                             struct km_field *ret_rest)
{
    const char *at = memchr(text.data, separator, text.len);
    struct km_field head = text;
    ret_rest->data = text.data + text.len;
    ret_rest->len = 0;
    if (at != NULL) {
        head.len = (size_t)(at - text.data);
        ret_rest->data = at + 1;
        ret_rest->len = text.len - head.len - 1;
    }
    return km_field_trim(head);
}
