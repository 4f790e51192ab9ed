/* SPDX-License-Identifier: MIT */
/*
 * Serving: the daemon from its settings to its end. It makes a node with the
 * groups and loaders of the settings, logs its steps, waits for a signal and
 * drains.
 *
 *     log lines   starting -> group, loader ... -> listening -> ready
 *                 -> draining -> stopped
 *
 *     exit codes  0  stopped by a signal
 *                 1  could not start
 *                 2  the settings are wrong
 *
 * Threads: the main thread. Cost: that of a node. Errors: exit codes, and a
 * line in the log or on standard error.
 */
#pragma once

#include "options.h"

#include "base/clock.h"

/* The exit codes, which README and --help list. */
enum { EXIT_STOPPED = 0, EXIT_NOT_STARTED = 1, EXIT_SETTINGS = 2 };

/* Serves until a signal comes. started_at is the time at which the process
 * began. Returns the exit code. */
int serve(const struct daemon_options *options, km_ns started_at);

/* Does everything that comes before listening, and prints a sentence about the
 * first fault. Returns the exit code. */
int serve_check(const struct daemon_options *options);
