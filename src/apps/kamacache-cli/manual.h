/* SPDX-License-Identifier: MIT */
/*
 * The manual page and the completion of kamacache-cli, from its tables of
 * options and commands: `--help=man`, `--help=completion`.
 * Thread-safety: main thread.
 */
#pragma once

#include "options.h"

/* kamacache-cli(1), to out. notes: what --help says below its lists. */
KAMA_NODISCARD kama_status cli_manual_write(const struct cli_options *options,
                                            const char *notes,
                                            struct km_buf *out);

/* The script for bash, to out. */
KAMA_NODISCARD kama_status
cli_completion_write(const struct cli_options *options, struct km_buf *out);
