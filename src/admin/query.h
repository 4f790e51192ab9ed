/* SPDX-License-Identifier: MIT */
/*
 * The parameters of a request: NAME=VALUE pairs behind the `?` of its target,
 * joined by `&`. In a value, %XX is any byte and `+` is a blank.
 *
 *     status = km_admin_query_check(query, "group key");
 *     status = km_admin_query_get(query, "key", buf, sizeof buf, &key);
 *
 * Threads: any thread; pure functions. Cost: O(length).
 * Errors: KAMA_ERR_INVALID with a sentence that names the parameter.
 * Ownership: values are written into the caller's memory.
 */
#pragma once

#include "base/bytes.h"

/* Returns KAMA_OK if each parameter is one of `names`, which blanks separate, and
 * none is there twice. */
KAMA_NODISCARD kama_status km_admin_query_check(kama_bytes query,
                                                const char *names);

/* Writes the value of a parameter. Returns KAMA_MISS if it is not there. Errors:
 * KAMA_ERR_INVALID (a % without two digits), KAMA_ERR_TOO_LARGE. */
KAMA_NODISCARD kama_status km_admin_query_get(kama_bytes query,
                                              const char *name, char *buf,
                                              size_t cap,
                                              kama_bytes *ret_value);
