/* SPDX-License-Identifier: MIT */
/*
 * Parsers of the values that a person types: in flags, in the environment, in
 * the keys of a group and on the command line of the client.
 *
 *     uint64_t bytes;
 *     kama_status status = km_parse_bytes("64m", &bytes);
 *
 * The text has no sign, no space and no fraction. Bytes are "4096", "512k",
 * "64m" or "1g". A duration is "250ms", "5s", "3m" or "1h", and 0 is one
 * without a unit; any other bare number is refused ("5 what? write 5s or 5ms"),
 * because readers differ on what it means. A time to live is a duration or
 * "forever", which is KAMA_TTL_FOREVER.
 *
 * Errors: KAMA_ERR_INVALID with a sentence that shows the text and says what is
 * accepted; a value is written only on success.
 * Cost: linear in the text. Threads: any.
 */
#pragma once

#include <kamacache/kamacache.h>

/* Reads a size in bytes. The units k, m and g are powers of 1024. */
KAMA_NODISCARD kama_status km_parse_bytes(const char *text,
                                          uint64_t *ret_bytes);
/* Reads a duration. */
KAMA_NODISCARD kama_status km_parse_duration_ms(const char *text,
                                                int64_t *ret_ms);
/* Reads a duration or "forever". */
KAMA_NODISCARD kama_status km_parse_ttl_ms(const char *text, int64_t *ret_ms);
/* Reads a whole number from min to max. */
KAMA_NODISCARD kama_status km_parse_uint(const char *text, uint64_t min,
                                         uint64_t max, uint64_t *ret_value);
