/* SPDX-License-Identifier: MIT */
/*
 * Cells of a table for people: how wide a text is on a terminal, and sizes as
 * one types them.
 *
 * Thread-safety: pure, except cli_columns_init: setup.
 */
#pragma once

#include "base/bytes.h"

#include <stdio.h>

/* Lets cli_columns_width know wide and combining characters. Without it, every
 * character is taken for one column. */
void cli_columns_init(void);

/* How many columns of a terminal the text takes; it holds no controls. */
int cli_columns_width(kama_bytes text);

/* b as cli_quote_write prints it: a string that the caller frees, or NULL
 * without memory. */
char *cli_columns_quote(kama_bytes b);

/* "512", "9.8k", "64m": bytes rounded to two digits or more, with the units
 * that sizes are typed in. Returns buf. */
#define CLI_SIZE_BYTES 24
const char *cli_columns_size(uint64_t bytes, char buf[CLI_SIZE_BYTES]);

/* Prints text and pads it with blanks to width, on the right or on the left. */
void cli_columns_left(FILE *out, const char *text, int width);
void cli_columns_right(FILE *out, const char *text, int width);
