/* SPDX-License-Identifier: MIT */
/*
 * The manual page and the completion of kamacached, from its tables and those of
 * a group's options: `--help=man`, `--help=completion`. The installation keeps
 * both; nothing of them is written by hand twice.
 * Thread-safety: setup.
 */
#pragma once

#include "options.h"

/* kamacached(8), to out. */
KAMA_NODISCARD kama_status
daemon_manual_write(const struct daemon_options *options, struct km_buf *out);

/* The script for bash, to out. */
KAMA_NODISCARD kama_status daemon_completion_write(
    const struct daemon_options *options, struct km_buf *out);
