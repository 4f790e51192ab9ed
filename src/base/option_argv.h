/* SPDX-License-Identifier: MIT */
/*
 * Option values from the command line.
 *
 *     struct km_options o;
 *     int rest;
 *     km_options_init(&o, rows, row_count, &target);
 *     km_options_from_argv(&o, argc, argv, &rest);
 *     for (int i = 1; i <= rest; i++) {
 *         use_operand(argv[i]);
 *     }
 *
 * Accepted forms are --name=value, --name value, --flag and --no-flag for a
 * BOOL row, and -h, which means --help. Everything after `--` is an operand. A
 * single dash in front of a longer name is refused with the correct spelling.
 *
 * Threads: one owner. Cost: one pass over argv, and one over the rows per flag.
 * Ownership: values of STRING and LIST rows point into argv.
 */
#pragma once

#include "base/option.h"

/*
 * Reads the options of argv into o.
 *
 * argv[0] is the name of the program and stays where it is. Operands (arguments
 * that are not options, and a `-` alone) are moved to argv[1..*ret_rest], and
 * *ret_rest is their number.
 *
 * Errors: as km_options_set, with a sentence that names the flag. An unknown
 * flag is KAMA_ERR_INVALID, and the sentence suggests the nearest name. After
 * an error, the values that came before it are set and argv may be permuted.
 */
KAMA_NODISCARD kama_status km_options_from_argv(struct km_options *o, int argc,
                                                char **argv, int *ret_rest);
