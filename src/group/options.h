/* SPDX-License-Identifier: MIT */
/*
 * The options of a group, made from the table in option_table.h: rows for
 * everything that reads or lists options by name (kama_group_options_set, the
 * help and the manual page of the daemon), and the check of the ranges.
 *
 *     for (size_t i = 0; i < km_group_option_count; i++) {
 *         puts(km_group_option_rows[i].name);
 *     }
 *
 * The rows that this version has come first, and km_group_option_details has an
 * element for each of them. The names that later versions will use follow as
 * rows of the kind KM_OPTION_LATER:
 *
 *     km_group_option_rows     | max_bytes | ttl | ... | hot_copies | breaker
 *     km_group_option_details  | max_bytes | ttl | ... |
 *                              0                       km_group_option_count
 *
 * Threads: any; the tables are constant. Cost: linear in the number of rows.
 */
#pragma once

#include "base/option.h"

/* What a row says beyond base/option.h. */
struct km_group_option_detail {
    const char *member; /* of kama_group_options: "ttl_ms" */
    size_t member_bytes;
    const char *since; /* the version that brought the option: "0.1.0" */
};

extern const struct km_option km_group_option_rows[];
extern const size_t km_group_option_row_count;
extern const struct km_group_option_detail km_group_option_details[];
extern const size_t km_group_option_count;

/* Checks the numbers of options, a struct of this version's size, against the
 * ranges of their rows; a number that is the default passes. The sentence of an
 * error begins with the name of the member: "ttl_ms: -5 is less than 0".
 * Errors: KAMA_ERR_TOO_LARGE for a size over its maximum, KAMA_ERR_INVALID for
 * every other number outside its range. */
KAMA_NODISCARD kama_status
km_group_options_check(const kama_group_options *options);
