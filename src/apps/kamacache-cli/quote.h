/* SPDX-License-Identifier: MIT */
/*
 * How keys and values are shown, and typed with --quoted. Printable UTF-8
 * without a blank, a quote or a backslash stands for itself, unless it begins
 * with `-` (an option) or `(` (a remark of ours); everything else is "quoted"
 * with \" \\ \n \r \t and \xNN. What is shown can be typed again with --quoted.
 * Controls, malformed UTF-8 and characters that turn the direction of text are
 * never printed.
 * Thread-safety: pure. Errors of printing: ferror(out).
 */
#pragma once

#include "base/bytes.h"

#include <stdio.h>

/* Can b be shown as it is, and typed back? */
bool cli_quote_is_plain(kama_bytes b);

/* Is b text that may go to a terminal as it is: printable UTF-8, blanks, tabs
 * and newlines? Not when it begins with a quote, as quoted bytes do. */
bool cli_quote_is_text(kama_bytes b);

/* Prints b, quoted when it has to be. */
void cli_quote_write(FILE *out, kama_bytes b);

/* Prints a sentence, for example one that a node sent: only what must not reach
 * a terminal is escaped. */
void cli_quote_write_text(FILE *out, kama_bytes text);
void cli_quote_write_sentence(FILE *out, const char *text);

/* Turns text, in place, into the bytes it stands for: itself, unless it
 * begins with a double quote. Errors: KAMA_ERR_INVALID with a sentence; text
 * is garbled then. */
KAMA_NODISCARD kama_status cli_unquote(char *text, kama_bytes *ret_bytes);
