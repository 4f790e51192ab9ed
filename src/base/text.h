/* SPDX-License-Identifier: MIT */
/*
 * Text for people: sentences of errors, lines of a log, output on a terminal.
 *
 * Names, keys and sentences come from the network, from files and from the
 * environment, and they end up on terminals and in logs. Two rules keep that
 * readable and safe, and this module is the one place that knows them:
 *
 *  - A text that does not fit is cut at a character, never inside the bytes of
 *    a UTF-8 character, because half a character makes the whole text
 *    malformed (gRPC clients refuse such a message).
 *  - A control character, a malformed byte or a mark that changes the direction
 *    of text is shown as \n, \r, \t or \xNN, because a newline would forge a
 *    line of the log, and an escape sequence would steer the terminal.
 *
 *     char text[KM_ERROR_BYTES_MAX];
 *     km_text_printf(text, sizeof text, "no group \"%.*s\"",
 *                    KM_TEXT_UP_TO(64, name));
 *
 * Cost: linear in the text; nothing is allocated. Threads: any; pure functions.
 * Errors: none; a text that does not fit is shortened.
 */
#pragma once

#include "base/bytes.h"

#include <stdarg.h>

/* Returns how many bytes of the UTF-8 character at the start of b may be shown
 * as they are. Returns 0 if b is empty, malformed, or begins with a character
 * that must not reach a terminal: a control, a mark of direction, a line or
 * paragraph separator, or an invisible tag. */
size_t km_text_shown(kama_bytes b);

/* Returns how many bytes of text to keep so that at most max bytes remain and
 * no UTF-8 character is cut in two. Reads only the first max bytes, so that
 * text.len may be the length that a text would have had (as snprintf says). */
size_t km_text_cut(kama_bytes text, size_t max);

/* The two arguments of "%.*s" for a string of which at most max bytes are
 * shown. The string is evaluated twice. */
#define KM_TEXT_UP_TO(max, string)                                             \
    (int)km_text_cut(KAMA_STR(string), max), (string)

/* Writes text into buf and escapes everything that must not be shown. A text
 * that does not fit is cut at a character, and an incomplete character at its
 * end is left out. buf is always NUL-terminated; cap is at least 1; buf and
 * text must not overlap. Returns the length. */
size_t km_text_clean(kama_bytes text, char *buf, size_t cap);

/* Formats a sentence into buf as printf does, and cleans it as km_text_clean
 * does. Arguments may lie in buf. Only the first KM_TEXT_FORMAT_BYTES_MAX bytes
 * of the formatted text are used. Returns the length. */
#define KM_TEXT_FORMAT_BYTES_MAX 1024
size_t km_text_printf(char *buf, size_t cap, const char *fmt, ...)
    KAMA_PRINTF(3, 4);
size_t km_text_vprintf(char *buf, size_t cap, const char *fmt, va_list args);
