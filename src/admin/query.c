/* SPDX-License-Identifier: MIT */
#include "admin/query.h"

#include "base/status.h"

/* One pair, as it stands in the query. */
struct pair {
    kama_bytes name;
    kama_bytes value;
};

/* Returns the bytes before the first c, or all of them, and moves *rest behind
 * them. */
static kama_bytes cut(kama_bytes *rest, char c)
{
    const char *at = rest->len > 0 ? memchr(rest->data, c, rest->len) : NULL;
    size_t len =
        at != NULL ? (size_t)(at - (const char *)rest->data) : rest->len;
    kama_bytes piece = kama_bytes_make(rest->data, len);
    *rest = km_bytes_skip(*rest, at != NULL ? len + 1 : len);
    return piece;
}

/* Returns false at the end. Empty pairs are passed over. */
static bool next_pair(kama_bytes *rest, struct pair *ret_pair)
{
    while (rest->len > 0) {
        kama_bytes whole = cut(rest, '&');
        if (whole.len > 0) {
            ret_pair->name = cut(&whole, '=');
            ret_pair->value = whole;
            return true;
        }
    }
    return false;
}

/* -- names ------------------------------------------------------------------- */

static bool is_among(kama_bytes name, const char *names)
{
    kama_bytes rest = KAMA_STR(names);
    while (rest.len > 0) {
        if (km_bytes_eq(cut(&rest, ' '), name)) {
            return true;
        }
    }
    return false;
}

static bool comes_again(kama_bytes rest, kama_bytes name)
{
    struct pair pair;
    while (next_pair(&rest, &pair)) {
        if (km_bytes_eq(pair.name, name)) {
            return true;
        }
    }
    return false;
}

kama_status km_admin_query_check(kama_bytes query, const char *names)
{
    struct pair pair;
    char shown[40];
    while (next_pair(&query, &pair)) {
        if (!is_among(pair.name, names)) {
            return km_fail(KAMA_ERR_INVALID,
                           "%s: there is no such parameter here; known: %s",
                           km_bytes_quote(pair.name, shown, sizeof shown),
                           names[0] != '\0' ? names : "none");
        }
        if (comes_again(query, pair.name)) {
            return km_fail(KAMA_ERR_INVALID, "%s: the parameter is there twice",
                           km_bytes_quote(pair.name, shown, sizeof shown));
        }
    }
    return KAMA_OK;
}

/* -- values ------------------------------------------------------------------ */

static int digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads the two digits behind a %. Returns -1 if there are none. */
static int escaped(const uint8_t *p, size_t len)
{
    int high = len > 2 ? digit(p[1]) : -1;
    int low = len > 2 ? digit(p[2]) : -1;
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static kama_status decode(const char *name, kama_bytes value, char *buf,
                          size_t cap, kama_bytes *ret_value)
{
    const uint8_t *p = value.data;
    size_t n = 0;
    for (size_t i = 0; i < value.len; i++) {
        int c = p[i] == '+' ? ' ' : p[i];
        if (p[i] == '%') {
            c = escaped(p + i, value.len - i);
            i += 2;
        }
        if (c < 0) {
            return km_fail(
                KAMA_ERR_INVALID,
                "%s: a %% without two hexadecimal digits; write %%25 "
                "for the sign itself",
                name);
        }
        if (n == cap) {
            return km_fail(KAMA_ERR_TOO_LARGE, "%s: more than %zu bytes", name,
                           cap);
        }
        buf[n++] = (char)c;
    }
    *ret_value = kama_bytes_make(buf, n);
    return KAMA_OK;
}

kama_status km_admin_query_get(kama_bytes query, const char *name, char *buf,
                               size_t cap, kama_bytes *ret_value)
{
    struct pair pair;
    while (next_pair(&query, &pair)) {
        if (km_bytes_eq(pair.name, KAMA_STR(name))) {
            return decode(name, pair.value, buf, cap, ret_value);
        }
    }
    return KAMA_MISS;
}
