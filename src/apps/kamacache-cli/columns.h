/* SPDX-License-Identifier: MIT */
/*
 * The cells of a table for people: the width of a text on a terminal, padding,
 * and sizes in the units in which they are typed.
 *
 *     int width = cli_columns_width(KAMA_STR(name));
 *     cli_columns_left(stdout, name, 20);
 *     cli_columns_right(stdout, cli_columns_size(bytes, buf), 8);
 *
 *     users                   9.8k
 *
 * Cost: linear in the text. Threads: any, after cli_columns_init.
 * Errors: NULL without memory. Ownership: a quoted text is the caller's.
 */
#pragma once

#include "base/bytes.h"

#include <stdio.h>

/* Sets the locale, so that cli_columns_width knows wide and combining
 * characters. Without it, every character counts as one column. */
void cli_columns_init(void);

/* Returns how many columns of a terminal the text takes. It must not contain
 * control characters. */
int cli_columns_width(kama_bytes text);

/* Returns b as cli_quote_write prints it, as a string for free(). Returns NULL
 * without memory. */
char *cli_columns_quote(kama_bytes b);

/* Writes a number of bytes as "512", "9.8k" or "64m", rounded to two digits or
 * more, in the units in which sizes are typed. Returns buf. */
#define CLI_SIZE_BYTES 24
const char *cli_columns_size(uint64_t bytes, char buf[CLI_SIZE_BYTES]);

/* Writes a time in the largest unit in which it is at least 1: "250ms", "10s",
 * "3d". Returns buf. */
#define CLI_TIME_BYTES 24
const char *cli_columns_time(uint64_t ms, char buf[CLI_TIME_BYTES]);

/* Print text at the left or at the right of a cell of that width, and pad it
 * with blanks. */
void cli_columns_left(FILE *out, const char *text, int width);
void cli_columns_right(FILE *out, const char *text, int width);
