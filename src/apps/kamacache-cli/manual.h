/* SPDX-License-Identifier: MIT */
/*
 * The manual page and the completion of kamacache-cli (`--help=man` and
 * `--help=completion`), which the build installs.
 *
 * Both are written from the tables of options and commands, so that a new
 * command appears in them without further work.
 *
 * Threads: the main thread. Errors: those of the buffer.
 */
#pragma once

#include "options.h"

/* Appends the manual page kamacache-cli(1). notes is the text that --help
 * prints below its lists. */
KAMA_NODISCARD kama_status cli_manual_write(const struct cli_options *options,
                                            const char *notes,
                                            struct km_buf *out);

/* Appends the completion script for bash. */
KAMA_NODISCARD kama_status
cli_completion_write(const struct cli_options *options, struct km_buf *out);
