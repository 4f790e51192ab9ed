/* SPDX-License-Identifier: MIT */
/*
 * How the client ends: exit codes, and sentences on standard error.
 *
 *     kamacache-cli: get: no group "userz" (KAMA_ERR_NO_GROUP)
 *     -g NAME names another; 'kamacache-cli groups' lists them.
 *
 * Text that comes from the node or from arguments is escaped, so that it cannot
 * control the terminal.
 *
 * Threads: the main thread. Cost: none worth naming. Errors: none; there is no
 * place left to report them to.
 */
#pragma once

#include "cli.h"

/* Returns the exit code of a status. */
enum cli_exit cli_exit_of(kama_status status);

/* Prints the sentence of this thread's last error with the command and the name
 * of the status, and a hint of what to do next. Returns the exit code of
 * status. */
enum cli_exit cli_failed(const struct cli *cli, kama_status status);

/* Prints a sentence about a wrong command line. Returns CLI_EXIT_USAGE. */
enum cli_exit cli_usage_error(const char *fmt, ...) KAMA_PRINTF(1, 2);

/* Flushes standard output. Returns code, or CLI_EXIT_OTHER if the output could
 * not be written. A sentence says so, unless the reader of a pipe has gone
 * away. */
enum cli_exit cli_close_output(enum cli_exit code);
