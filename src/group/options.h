/* SPDX-License-Identifier: MIT */
/*
 * The rows of a group's options: names, ranges and help, for
 * kama_group_options_set and for documentation.
 * Thread-safety: constant.
 */
#pragma once

#include "base/option.h"

extern const struct km_option km_group_option_rows[];
extern const size_t km_group_option_row_count;
