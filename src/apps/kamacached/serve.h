/* SPDX-License-Identifier: MIT */
/*
 * The daemon between its settings and its end: a node with the groups and
 * loaders that were asked for, what it says in the log, and how it stops.
 * Thread-safety: main thread.
 */
#pragma once

#include "options.h"

#include "base/clock.h"

/* Exit statuses; README and --help name them. */
enum { EXIT_STOPPED = 0, EXIT_NOT_STARTED = 1, EXIT_SETTINGS = 2 };

/* Serves until a signal; started_at is when the process began. Returns the
 * exit status. */
int serve(const struct daemon_options *options, km_ns started_at);

/* Does everything that comes before listening, and says what is wrong.
 * Returns the exit status. */
int serve_check(const struct daemon_options *options);
