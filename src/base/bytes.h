/* SPDX-License-Identifier: MIT */
/*
 * Small helpers on kama_bytes: compare, cut, quote for people.
 * Thread-safety: pure functions. Errors: none.
 */
#pragma once

#include <kamacache/kamacache.h>
#include <stdbool.h>

#define KM_LIT(s) kama_bytes_make("" s, sizeof(s) - 1)

/* Same length and same bytes. */
static inline bool km_bytes_eq(kama_bytes a, kama_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Order of memcmp, the shorter first when one is a prefix of the other. */
int km_bytes_cmp(kama_bytes a, kama_bytes b);

static inline bool km_bytes_starts(kama_bytes b, kama_bytes prefix)
{
    return b.len >= prefix.len &&
           (prefix.len == 0 || memcmp(b.data, prefix.data, prefix.len) == 0);
}

/* b without its first n bytes; n <= b.len. */
static inline kama_bytes km_bytes_skip(kama_bytes b, size_t n)
{
    return kama_bytes_make((const char *)b.data + n, b.len - n);
}

/* Well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms)? */
bool km_bytes_is_utf8(kama_bytes b);

/* How many bytes the UTF-8 character at the start of b takes; 0: malformed or
 * nothing there. */
size_t km_bytes_utf8_char(kama_bytes b);

/* Returns the code point of the UTF-8 character at the start of b, which must
 * be well-formed (km_bytes_utf8_char). */
uint32_t km_bytes_utf8_code(kama_bytes b);

/* Returns how many bytes at the end of b begin a UTF-8 character that b does
 * not complete: 0 to 3. Text that was cut by its length ends so. */
size_t km_bytes_utf8_tail(kama_bytes b);

/* Writes c as km_bytes_quote shows it, without NUL; returns the length. */
size_t km_bytes_quote_byte(uint8_t c, char ret_shown[4]);

/* Writes b for a person or a log: printable ASCII as it is, `"` and `\` with
 * a backslash, everything else as \n \r \t or \xNN; cut with "..." when it
 * does not fit, and then never between the bytes of one UTF-8 character.
 * Always NUL-terminated; cap >= 4. Returns buf. */
const char *km_bytes_quote(kama_bytes b, char *buf, size_t cap);

/* Does name match the glob pattern (* ? [a-z] [^a-z] \x, as Redis)? Linear in
 * |pattern| x |name| at worst; no recursion. */
bool km_bytes_glob(kama_bytes pattern, kama_bytes name);
