/* SPDX-License-Identifier: MIT */
/*
 * Bytes as hexadecimal digits: ids and etags.
 *
 *     char text[2 * 8 + 1];
 *     cli_hex_write(etag, text, sizeof text);          "0123456789abcdef"
 *     if (!cli_hex_read("0123456789abcdef", bytes, sizeof bytes, &len)) { ... }
 *
 * Cost: linear in the bytes. Threads: any; pure functions. Errors: as said below.
 * Ownership: all memory is the caller's.
 */
#pragma once

#include <kamacache/kamacache.h>
#include <stdbool.h>
#include <string.h>

/* Returns the value of a hexadecimal digit, or -1. */
static inline int cli_hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)((at - digits) % 16) : -1;
}

/* Writes as many bytes as have room with two digits each, and a NUL. Returns
 * text. */
const char *cli_hex_write(kama_bytes bytes, char *text, size_t cap);

/* Reads digits, of which there are two for each byte. Returns false for any other
 * text, and for one of no bytes or more than cap. */
bool cli_hex_read(const char *text, uint8_t *bytes, size_t cap,
                  size_t *ret_len);
