/* SPDX-License-Identifier: MIT */
/*
 * Printing keys, values and JSON to standard output, in the mode of the output.
 *
 *     json_t *object = json_object();
 *     bool made = cli_json_set_bytes(object, "key", key) &&
 *                 cli_json_set(object, "ttl_ms", json_integer(ttl_ms));
 *     return cli_print_json(cli_json_made(object, made));
 *
 * A JSON value that could not be made is NULL. Every function here passes NULL
 * on, and cli_print_json prints a sentence about it, so that commands need no
 * checks.
 *
 * Cost: linear in the output. Threads: the main thread, or the thread of the
 * loop while the main thread waits for it. Errors: ferror(stdout), which
 * cli_close_output looks at. Ownership: a function that takes a JSON value
 * takes its reference, also after an error.
 */
#pragma once

#include "cli.h"

#include <jansson.h>

/* Prints a key and a newline. The key is quoted if necessary, but never with
 * --raw. */
void cli_print_key(const struct cli *cli, kama_bytes key);

/* Prints a value and, except with --raw, a newline. On a terminal, a value that
 * is not plain text is quoted. */
void cli_print_value(const struct cli *cli, kama_bytes value);

/* Prints "OK" on a terminal, {"ok":true} as JSON, and nothing otherwise. */
enum cli_exit cli_print_ok(const struct cli *cli);

/* Sets object[name] to a text, or object[name_base64] if the bytes are not
 * UTF-8. Returns false without memory. */
bool cli_json_set_bytes(json_t *object, const char *name, kama_bytes bytes);

/* Sets object[name] and takes value. Returns false without memory. */
bool cli_json_set(json_t *object, const char *name, json_t *value);

/* Returns a number. Numbers above 2^63 - 1 become that. */
json_t *cli_json_uint(uint64_t number);

/* Returns object if all its members were set. Frees it and returns NULL
 * otherwise. */
json_t *cli_json_made(json_t *object, bool made);

/* Prints value and a newline, and takes value. If it is NULL or memory is
 * short, it prints a sentence and returns CLI_EXIT_OTHER. */
enum cli_exit cli_print_json(json_t *value);
