/* SPDX-License-Identifier: MIT */
/*
 * Printing of keys, values and JSON to stdout. Each function prints a sentence
 * to stderr when it cannot and returns false.
 * Thread-safety: main thread.
 */
#pragma once

#include "cli.h"

#include <jansson.h>

/* A key (quoted where it has to be, unless --raw) and a newline. */
bool cli_print_key(const struct cli *cli, kama_bytes key);

/* A value, for people or raw, and (unless --raw) a newline. */
bool cli_print_value(const struct cli *cli, kama_bytes value);

/* Sets object[name] to text, or object[name_base64] when it is not UTF-8. */
bool cli_json_set_bytes(json_t *object, const char *name, kama_bytes bytes);

/* Prints value and a newline; takes it. NULL (no memory) is a failure. */
bool cli_print_json(json_t *value);

/* OK, or OTHER when printing failed. */
static inline enum cli_exit cli_printed(bool printed)
{
    return printed ? CLI_EXIT_OK : CLI_EXIT_OTHER;
}
