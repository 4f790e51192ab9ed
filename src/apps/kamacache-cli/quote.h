/* SPDX-License-Identifier: MIT */
/*
 * The notation in which keys and values are shown, and can be typed with
 * --quoted.
 *
 *     tom             printable UTF-8 without blanks, quotes and backslashes
 *     "a b\n\xff"     everything else, in quotes, with \" \\ \n \r \t and \xNN
 *     "-1", "(x)"     also in quotes: a dash begins options, and a bracket
 *                     begins remarks of the client
 *
 * A text in this notation can be copied from the output and typed again with
 * --quoted. Control characters, malformed UTF-8 and characters that change the
 * direction of text are never printed as they are.
 *
 * Cost: linear in the text. Threads: any; pure functions. Errors: ferror(out)
 * after printing. Ownership: all texts are borrowed.
 */
#pragma once

#include "base/bytes.h"

#include <stdio.h>

/* Returns whether b can be shown as it is and typed again. */
bool cli_quote_is_plain(kama_bytes b);

/* Returns whether b may go to a terminal as it is: printable UTF-8 with blanks,
 * tabs and newlines. A text that begins with a quote may not, because it would
 * look like quoted bytes. */
bool cli_quote_is_text(kama_bytes b);

/* Prints b, in quotes if necessary. */
void cli_quote_write(FILE *out, kama_bytes b);

/* Print a sentence, for example one that a node has sent. Only characters that
 * must not reach a terminal are escaped. */
void cli_quote_write_text(FILE *out, kama_bytes text);
void cli_quote_write_sentence(FILE *out, const char *text);

/* Turns text in place into the bytes that it stands for. A text that does not
 * begin with a double quote stands for itself. Errors: KAMA_ERR_INVALID with a
 * sentence; text has been changed in part then. */
KAMA_NODISCARD kama_status cli_unquote(char *text, kama_bytes *ret_bytes);
