/* SPDX-License-Identifier: MIT */
/*
 * Small functions on kama_bytes: comparing, cutting, UTF-8, quoting for people,
 * and matching patterns.
 *
 *     if (km_bytes_starts(name, KM_LIT("no-"))) {
 *         name = km_bytes_skip(name, strlen("no-"));
 *     }
 *     char shown[64];
 *     printf("key \"%s\"\n", km_bytes_quote(key, shown, sizeof shown));
 *
 * Cost: linear in the bytes, except for km_bytes_glob. No function recurses or
 * allocates.
 * Threads: any; pure functions. Errors: none. Ownership: a kama_bytes is a
 * view, and what is cut from it is a view of the same memory.
 */
#pragma once

#include <kamacache/kamacache.h>
#include <stdbool.h>

/* A view of a string literal, which may hold NUL bytes. */
#define KM_LIT(s) kama_bytes_make("" s, sizeof(s) - 1)

/* Returns whether both have the same length and the same bytes. */
static inline bool km_bytes_eq(kama_bytes a, kama_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Returns a number below, equal to or above 0, in the order of memcmp. A prefix
 * comes before a longer text. */
int km_bytes_cmp(kama_bytes a, kama_bytes b);

/* Returns whether b begins with prefix. */
static inline bool km_bytes_starts(kama_bytes b, kama_bytes prefix)
{
    return b.len >= prefix.len &&
           (prefix.len == 0 || memcmp(b.data, prefix.data, prefix.len) == 0);
}

/* Returns the number that four bytes are, the most significant one first, as HTTP/2 and
 * gRPC have them. */
static inline uint32_t km_bytes_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
           p[3];
}

/* Returns b without its first n bytes; n is at most b.len. */
static inline kama_bytes km_bytes_skip(kama_bytes b, size_t n)
{
    return kama_bytes_make((const char *)b.data + n, b.len - n);
}

/* Returns whether b is well-formed UTF-8 (RFC 3629), without surrogates and
 * overlong forms. */
bool km_bytes_is_utf8(kama_bytes b);

/* Returns how many bytes the UTF-8 character at the start of b takes. Returns 0
 * if the start is malformed or b is empty. */
size_t km_bytes_utf8_char(kama_bytes b);

/* Returns the code point of the UTF-8 character at the start of b, which must
 * be well-formed (km_bytes_utf8_char). */
uint32_t km_bytes_utf8_code(kama_bytes b);

/* Returns how many bytes at the end of b begin a UTF-8 character that b does
 * not complete: 0 to 3. Text that was cut by its length ends so. */
size_t km_bytes_utf8_tail(kama_bytes b);

/* Writes c as km_bytes_quote shows it, without a NUL. Returns the length. */
size_t km_bytes_quote_byte(uint8_t c, char ret_shown[4]);

/* Writes b for a person or a log: printable ASCII stays, `"` and `\` get a
 * backslash, and every other byte becomes \n, \r, \t or \xNN. A text that does
 * not fit is cut and ends with "...", never between the bytes of one UTF-8
 * character. buf is always NUL-terminated; cap is at least 4. Returns buf. */
const char *km_bytes_quote(kama_bytes b, char *buf, size_t cap);

/* Writes b in base64 (RFC 4648, with padding) and a NUL: KM_BYTES_BASE64(b.len)
 * bytes. Returns text. */
#define KM_BYTES_BASE64(len) (((len) + 2) / 3 * 4 + 1)
const char *km_bytes_base64(kama_bytes b, char *text);

/* Returns whether name matches the pattern, in which `*` stands for any bytes,
 * `?` for one byte, [a-z] and [^a-z] for one byte of a class or not of it, and
 * a backslash for the next byte, as in Redis. At worst the cost is the product
 * of both lengths. */
bool km_bytes_glob(kama_bytes pattern, kama_bytes name);
