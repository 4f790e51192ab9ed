/* SPDX-License-Identifier: MIT */
/*
 * The client while it runs one command: its options, its output mode and its
 * connection. Every command gets a struct cli.
 *
 *     main --options--> command of the table --> call.h --> node
 *                             |
 *                             +--> print.h, quote.h, columns.h --> stdout
 *                             +--> report.h --> stderr, exit code
 *
 * A command prints to stdout and does not check whether that worked;
 * cli_close_output does it once at the end.
 *
 * Threads: the main thread. Errors: exit codes.
 * Ownership: everything lives until the command has ended.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"
#include "endpoints.h"
#include "options.h"

#include <stdio.h>

/* The exit codes, which the manual lists. */
enum cli_exit {
    CLI_EXIT_OK = 0,
    CLI_EXIT_MISS = 1,
    CLI_EXIT_USAGE = 2,
    CLI_EXIT_UNREACHABLE = 3,
    CLI_EXIT_REFUSED = 4,
    CLI_EXIT_OTHER = 5
};

/* The form of the output. */
enum cli_mode {
    CLI_MODE_PEOPLE, /* for a terminal: values are quoted if necessary */
    CLI_MODE_PIPE,   /* values as they are and quoted keys, a line each */
    CLI_MODE_RAW,    /* bytes as they are */
    CLI_MODE_JSON    /* one JSON value */
};

struct cli_command; /* commands.h */

struct cli {
    const struct cli_command *command;
    struct cli_options options;
    enum cli_mode mode;
    kama_bytes group;
    struct cli_endpoints endpoints;
};
