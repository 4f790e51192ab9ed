/* SPDX-License-Identifier: MIT */
/*
 * How keys and values are typed and shown. Bytes that are printable and hold
 * no quote, backslash or blank stand for themselves; everything else is
 * "quoted" with \" \\ \n \r \t and \xNN. What is shown can be typed again.
 * Thread-safety: pure.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"

/* Can b be shown as it is (and typed back as it is)? UTF-8 is printable. */
bool cli_quote_is_plain(kama_bytes b);

/* Is b text that may go to a terminal as it is: printable UTF-8, blanks, tabs
 * and newlines? */
bool cli_quote_is_text(kama_bytes b);

/* Appends b, quoted when it has to be. */
KAMA_NODISCARD kama_status cli_quote_append(struct km_buf *out, kama_bytes b);

/* Appends the bytes that text stands for: text itself, unless it begins with
 * a double quote. Errors: KAMA_ERR_INVALID with a sentence. */
KAMA_NODISCARD kama_status cli_quote_parse(const char *text,
                                           struct km_buf *out);

/* Appends b in base64 (RFC 4648, with padding). */
KAMA_NODISCARD kama_status cli_base64_append(struct km_buf *out, kama_bytes b);
