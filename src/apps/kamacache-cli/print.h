/* SPDX-License-Identifier: MIT */
/*
 * Printing of keys, values and JSON to stdout. A JSON value that could not be
 * made is NULL, which every function here passes on; cli_print_json says it.
 * Thread-safety: main thread, or the loop's while it waits. Errors of writing:
 * ferror(stdout).
 */
#pragma once

#include "cli.h"

#include <jansson.h>

/* A key, quoted where it has to be unless --raw, and a newline. */
void cli_print_key(const struct cli *cli, kama_bytes key);

/* A value, and (unless --raw) a newline. */
void cli_print_value(const struct cli *cli, kama_bytes value);

/* "OK" on a terminal, {"ok":true}, or nothing. */
enum cli_exit cli_print_ok(const struct cli *cli);

/* Sets object[name] to text, or object[name_base64] when it is not UTF-8. */
bool cli_json_set_bytes(json_t *object, const char *name, kama_bytes bytes);

/* Sets object[name]; takes value. */
bool cli_json_set(json_t *object, const char *name, json_t *value);

/* A number; those past 2^63 - 1 as that. */
json_t *cli_json_uint(uint64_t number);

/* object when made, else NULL (and object is gone). */
json_t *cli_json_made(json_t *object, bool made);

/* Prints value and a newline; takes it. OTHER: NULL, or no memory; said. */
enum cli_exit cli_print_json(json_t *value);
