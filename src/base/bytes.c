/* SPDX-License-Identifier: MIT */
/* Comparing, checking, quoting and matching views of bytes. */
#include "base/bytes.h"

#include "base/assert.h"

int km_bytes_cmp(kama_bytes a, kama_bytes b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
    if (order != 0 || a.len == b.len) {
        return order;
    }
    return a.len < b.len ? -1 : 1;
}

/* -- UTF-8 --------------------------------------------------------------- */

/* Writes how many continuation bytes follow the byte `lead`, and the range in
 * which the first of them must lie. Returns false if no character begins with
 * this byte. */
static bool utf8_lead(uint8_t lead, size_t *ret_more, uint8_t *ret_low,
                      uint8_t *ret_high)
{
    *ret_low = 0x80;
    *ret_high = 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf) {
        *ret_more = 1;
    } else if (lead >= 0xe0 && lead <= 0xef) {
        *ret_more = 2;
        *ret_low = lead == 0xe0 ? 0xa0 : 0x80;  /* overlong */
        *ret_high = lead == 0xed ? 0x9f : 0xbf; /* surrogates */
    } else if (lead >= 0xf0 && lead <= 0xf4) {
        *ret_more = 3;
        *ret_low = lead == 0xf0 ? 0x90 : 0x80;  /* overlong */
        *ret_high = lead == 0xf4 ? 0x8f : 0xbf; /* past U+10FFFF */
    } else {
        return false;
    }
    return true;
}

/* Returns whether the n bytes at p begin a character whose first byte is p[0]:
 * the second one is in the given range, and the others are continuations. */
static bool continues(const uint8_t *p, size_t n, uint8_t low, uint8_t high)
{
    for (size_t i = 1; i < n; i++) {
        if (p[i] < low || p[i] > high) {
            return false;
        }
        low = 0x80;
        high = 0xbf;
    }
    return true;
}

size_t km_bytes_utf8_char(kama_bytes b)
{
    const uint8_t *p = b.data;
    size_t more;
    uint8_t low;
    uint8_t high;
    if (b.len == 0 || p[0] < 0x80) {
        return b.len > 0 ? 1 : 0;
    }
    if (!utf8_lead(p[0], &more, &low, &high) || b.len <= more ||
        !continues(p, more + 1, low, high)) {
        return 0;
    }
    return more + 1;
}

uint32_t km_bytes_utf8_code(kama_bytes b)
{
    static const uint8_t lead_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    const uint8_t *p = b.data;
    size_t len = km_bytes_utf8_char(b);
    KM_ASSERT(len > 0);
    uint32_t c = p[0] & lead_bits[len];
    for (size_t i = 1; i < len; i++) {
        c = c << 6 | (p[i] & 0x3f);
    }
    return c;
}

size_t km_bytes_utf8_tail(kama_bytes b)
{
    const uint8_t *p = b.data;
    for (size_t n = 1; n <= 3 && n <= b.len; n++) {
        const uint8_t *lead = p + b.len - n;
        size_t more;
        uint8_t low;
        uint8_t high;
        if (utf8_lead(*lead, &more, &low, &high)) {
            return n <= more && continues(lead, n, low, high) ? n : 0;
        }
    }
    return 0;
}

bool km_bytes_is_utf8(kama_bytes b)
{
    while (b.len > 0) {
        size_t n = km_bytes_utf8_char(b);
        if (n == 0) {
            return false;
        }
        b = km_bytes_skip(b, n);
    }
    return true;
}

/* -- quoting ------------------------------------------------------------- */

/* The letter of a two-character escape, 0 for none. */
static char short_escape(uint8_t c)
{
    switch (c) {
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    case '"':
    case '\\':
        return (char)c;
    default:
        return 0;
    }
}

size_t km_bytes_quote_byte(uint8_t c, char ret_shown[4])
{
    static const char digits[] = "0123456789abcdef";
    char letter = short_escape(c);
    if (letter != 0) {
        ret_shown[0] = '\\';
        ret_shown[1] = letter;
        return 2;
    }
    if (c >= 0x20 && c < 0x7f) {
        ret_shown[0] = (char)c;
        return 1;
    }
    ret_shown[0] = '\\';
    ret_shown[1] = 'x';
    ret_shown[2] = digits[c >> 4];
    ret_shown[3] = digits[c & 15];
    return 4;
}

/* Quotes the n bytes of one character. Returns the length of the result. */
static size_t quote_char(const uint8_t *p, size_t n, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        len += km_bytes_quote_byte(p[i], out + len);
    }
    return len;
}

const char *km_bytes_quote(kama_bytes b, char *buf, size_t cap)
{
    KM_ASSERT(cap >= 4);
    size_t room = cap - 1;
    size_t len = 0;
    size_t cut = 0; /* the last place at which "..." still fits */
    while (b.len > 0) {
        char unit[16];
        size_t taken = km_bytes_utf8_char(b);
        taken = taken > 0 ? taken : 1;
        size_t n = quote_char(b.data, taken, unit);
        if (len + n > room) {
            memcpy(buf + cut, "...", 4);
            return buf;
        }
        memcpy(buf + len, unit, n);
        len += n;
        if (len + 3 <= room) {
            cut = len;
        }
        b = km_bytes_skip(b, taken);
    }
    buf[len] = '\0';
    return buf;
}

const char *km_bytes_base64(kama_bytes b, char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *p = b.data;
    char *to = text;
    for (size_t i = 0; i < b.len; i += 3) {
        size_t n = b.len - i;
        uint32_t bits = (uint32_t)p[i] << 16;
        bits |= n > 1 ? (uint32_t)p[i + 1] << 8 : 0;
        bits |= n > 2 ? p[i + 2] : 0;
        *to++ = digits[bits >> 18];
        *to++ = digits[bits >> 12 & 63];
        *to++ = n > 1 ? digits[bits >> 6 & 63] : '=';
        *to++ = n > 2 ? digits[bits & 63] : '=';
    }
    *to = '\0';
    return text;
}

/* -- glob ---------------------------------------------------------------- */

/* Reads one character of a class, without the backslash that may stand before
 * it, and moves *at behind it. */
static uint8_t class_char(const uint8_t *p, size_t len, size_t *at)
{
    if (p[*at] == '\\' && *at + 1 < len) {
        (*at)++;
    }
    return p[(*at)++];
}

/* Returns whether c is in the class whose first byte after `[` is p[*at]. Moves
 * *at behind the `]`, or to the end of the pattern if the class has none. */
static bool class_match(const uint8_t *p, size_t len, size_t *at, uint8_t c)
{
    bool negated = *at < len && p[*at] == '^';
    bool found = false;
    *at += negated ? 1 : 0;
    while (*at < len && p[*at] != ']') {
        uint8_t low = class_char(p, len, at);
        uint8_t high = low;
        if (*at + 1 < len && p[*at] == '-' && p[*at + 1] != ']') {
            (*at)++;
            high = class_char(p, len, at);
        }
        if (low > high) {
            uint8_t swapped = low;
            low = high;
            high = swapped;
        }
        found = found || (c >= low && c <= high);
    }
    *at += *at < len ? 1 : 0;
    return found != negated;
}

/* Returns whether the element of the pattern at p[*at], which stands for one
 * byte, matches c. Moves *at behind it. */
static bool element_match(const uint8_t *p, size_t len, size_t *at, uint8_t c)
{
    uint8_t element = p[(*at)++];
    if (element == '?') {
        return true;
    }
    if (element == '[') {
        return class_match(p, len, at, c);
    }
    if (element == '\\' && *at < len) {
        element = p[(*at)++];
    }
    return element == c;
}

/*
 * When the rest does not match, only the last star has to take one more byte
 * and try again. An earlier star need not: whatever bytes it would take in
 * addition, the last star can take as well. So the function remembers one place
 * to go back to, and needs no stack. With pattern "a*b*c" and name "a1b2b3c":
 *
 *     a 1 b 2 b 3 c
 *     a ~ b . . . .     the first star takes "1", then "b" matches
 *           ~ ~ ~ c     the second star takes "2b3" in three attempts
 */
bool km_bytes_glob(kama_bytes pattern, kama_bytes name)
{
    const uint8_t *p = pattern.data;
    const uint8_t *s = name.data;
    size_t at = 0;
    size_t i = 0;
    bool has_star = false;
    size_t star_at = 0; /* the place in the pattern behind the last star */
    size_t star_i = 0;  /* the first byte of name that the star has not taken */
    while (i < name.len) {
        if (at < pattern.len && p[at] == '*') {
            has_star = true;
            star_at = ++at;
            star_i = i;
        } else if (at < pattern.len &&
                   element_match(p, pattern.len, &at, s[i])) {
            i++;
        } else if (has_star) {
            at = star_at;
            i = ++star_i;
        } else {
            return false;
        }
    }
    while (at < pattern.len && p[at] == '*') {
        at++;
    }
    return at == pattern.len;
}
