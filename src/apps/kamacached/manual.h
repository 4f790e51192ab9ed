/* SPDX-License-Identifier: MIT */
/*
 * The manual page and the completion of kamacached (`--help=man` and
 * `--help=completion`), which the build installs.
 *
 * Both are written from the option tables of the daemon and of a group, so that
 * a new option appears in them without further work.
 *
 * Threads: the main thread. Errors: those of the buffer.
 */
#pragma once

#include "options.h"

/* Appends the manual page kamacached(8). */
KAMA_NODISCARD kama_status
daemon_manual_write(const struct daemon_options *options, struct km_buf *out);

/* Appends the completion script for bash. */
KAMA_NODISCARD kama_status daemon_completion_write(
    const struct daemon_options *options, struct km_buf *out);
