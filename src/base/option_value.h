/* SPDX-License-Identifier: MIT */
/*
 * One value of an option, read from text.
 *
 * Every value passes through this function, whether it comes from a flag, from
 * the environment, from the specification of a group or from a default, so that
 * all of them accept the same texts and give the same error sentences.
 *
 *     union km_option_value value;
 *     kama_status status = km_option_parse(&row, "64m", &value);
 *     value.number == 64 << 20
 *
 * Threads: any thread; a pure function apart from the thread's last error.
 * Cost: linear in the text. Ownership: value.text is the text that was given.
 */
#pragma once

#include "base/option.h"

/* The value of a row. The kind of the row says which member holds it. */
union km_option_value {
    uint32_t flag;    /* BOOL: 0 or 1 */
    uint64_t number;  /* UINT, BYTES */
    int64_t ms;       /* DURATION, TTL: milliseconds */
    const char *text; /* STRING, and one element of a LIST: borrowed */
};

/* Returns whether a number lies within the bounds of a row of the kind UINT,
 * BYTES, DURATION or TTL. A time is given as the bits of its int64_t; a negative
 * one is never allowed, except KAMA_TTL_FOREVER, which always is in a TTL row. */
bool km_option_allows(const struct km_option *row, uint64_t number);

/* Reads text as a value of that row and checks its bounds; *ret_value is
 * written only on success. Errors: KAMA_ERR_INVALID, or KAMA_ERR_UNSUPPORTED
 * for a LATER row. The sentence shows the text but does not name the row,
 * because the caller knows how the user has spelled that. */
KAMA_NODISCARD kama_status km_option_parse(const struct km_option *row,
                                           const char *text,
                                           union km_option_value *ret_value);
