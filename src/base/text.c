/* SPDX-License-Identifier: MIT */
/* Which characters may be shown to people, and where a text may be cut. */
#include "base/text.h"

#include "base/assert.h"

#include <stdio.h>

/* The longest escaped character: four bytes, each of them as \xNN. */
#define ESCAPED_CHAR_BYTES_MAX 16

/* -- characters that may be shown ---------------------------------------- */

/* Returns whether a code point may be shown. Hidden are controls, marks and
 * overrides of the direction of text, separators of lines, and invisible
 * tags. */
static bool is_shown(uint32_t c)
{
    static const uint32_t hidden[][2] = {
        {0x00, 0x1f},     {0x7f, 0x9f},     {0x61c, 0x61c},
        {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2066, 0x2069},
        {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
    };
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++) {
        if (c >= hidden[i][0] && c <= hidden[i][1]) {
            return false;
        }
    }
    return true;
}

size_t km_text_shown(kama_bytes b)
{
    size_t len = km_bytes_utf8_char(b);
    return len > 0 && is_shown(km_bytes_utf8_code(b)) ? len : 0;
}

/* -- cutting ------------------------------------------------------------- */

size_t km_text_cut(kama_bytes text, size_t max)
{
    if (text.len <= max) {
        return text.len;
    }
    return max - km_bytes_utf8_tail(kama_bytes_make(text.data, max));
}

/* Escapes the first character of text, or its first byte if that is malformed,
 * into out. Returns the length of the result, and in *ret_taken how many bytes
 * of text it stands for. */
static size_t escape_char(kama_bytes text, char out[ESCAPED_CHAR_BYTES_MAX],
                          size_t *ret_taken)
{
    const uint8_t *p = text.data;
    size_t taken = km_bytes_utf8_char(text);
    size_t len = 0;
    taken = taken > 0 ? taken : 1;
    for (size_t i = 0; i < taken; i++) {
        len += km_bytes_quote_byte(p[i], out + len);
    }
    *ret_taken = taken;
    return len;
}

size_t km_text_clean(kama_bytes text, char *buf, size_t cap)
{
    size_t len = 0;
    KM_ASSERT(cap > 0);
    text.len -= km_bytes_utf8_tail(text);
    while (text.len > 0) {
        char escaped[ESCAPED_CHAR_BYTES_MAX];
        const char *unit = text.data;
        size_t taken = km_text_shown(text);
        size_t unit_len = taken;
        if (taken == 0) {
            unit = escaped;
            unit_len = escape_char(text, escaped, &taken);
        }
        if (unit_len > cap - 1 - len) {
            break;
        }
        memcpy(buf + len, unit, unit_len);
        len += unit_len;
        text = km_bytes_skip(text, taken);
    }
    buf[len] = '\0';
    return len;
}

/* -- formatting ---------------------------------------------------------- */

size_t km_text_vprintf(char *buf, size_t cap, const char *fmt, va_list args)
{
    /* An argument may lie in buf, so buf is not written yet. */
    char text[KM_TEXT_FORMAT_BYTES_MAX];
    int len = vsnprintf(text, sizeof text, fmt, args);
    kama_bytes whole = kama_bytes_make(text, len > 0 ? (size_t)len : 0);
    whole.len = km_text_cut(whole, sizeof text - 1);
    return km_text_clean(whole, buf, cap);
}

size_t km_text_printf(char *buf, size_t cap, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    size_t len = km_text_vprintf(buf, cap, fmt, args);
    va_end(args);
    return len;
}
