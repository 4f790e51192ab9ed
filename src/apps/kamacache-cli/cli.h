/* SPDX-License-Identifier: MIT */
/*
 * What every command of the client gets: where to, how to print, a client.
 * Thread-safety: main thread. Errors: exit codes (CLI_EXIT_).
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"
#include "rpc/client.h"

#include <stdio.h>

/* The exit codes; the table of the manual. */
enum cli_exit {
    CLI_EXIT_OK = 0,
    CLI_EXIT_MISS = 1,
    CLI_EXIT_USAGE = 2,
    CLI_EXIT_UNREACHABLE = 3,
    CLI_EXIT_REFUSED = 4,
    CLI_EXIT_OTHER = 5
};

enum cli_mode {
    CLI_MODE_PEOPLE, /* quoted where it has to be */
    CLI_MODE_RAW,    /* bytes as they are */
    CLI_MODE_JSON    /* one JSON value */
};

struct cli {
    const kama_allocator *mem;
    const char *endpoint;
    const char *group;
    enum cli_mode mode;
    bool raw_given;     /* --raw: exact bytes, no newline behind a value */
    bool wait;          /* for the server to be there */
    int64_t timeout_ms; /* of a call; with wait the whole waiting */
    struct km_client *client;
};

struct cli_command {
    const char *name;
    const char *usage; /* "KEY VALUE [--ttl=DURATION]" */
    const char *help;  /* one sentence */
    int args_min;
    int args_max; /* -1: any number */
    enum cli_exit (*run)(struct cli *cli, int argc, char **argv);
};

extern const struct cli_command cli_commands[];
extern const size_t cli_command_count;

/* The command of that name, or NULL. */
const struct cli_command *cli_command_find(const char *name);

/* Prints "kamacache-cli: what: sentence" to stderr and maps status to the
 * exit code. */
enum cli_exit cli_failed(const struct cli *cli, const char *what,
                         kama_status status);
/* A usage error of a command. */
enum cli_exit cli_usage_error(const char *fmt, ...) KAMA_PRINTF(1, 2);

/* The request in message's table, sent; the reply decoded into ret_message,
 * whose bytes lie in reply (the caller's, initialised). */
struct km_pb_message;
struct cli_call {
    const char *path;
    const struct km_pb_message *request_table;
    const void *request;
    const struct km_pb_message *reply_table; /* NULL: not looked at */
};
KAMA_NODISCARD kama_status cli_call(struct cli *cli,
                                    const struct cli_call *call,
                                    struct km_buf *reply, void *ret_message);

/* Unquotes an argument into buf (initialised by this, to be finished by the
 * caller in any case). A usage error is printed; false then. */
bool cli_argument(const struct cli *cli, const char *text, struct km_buf *buf);

/* Writes to stdout; false (and a sentence on stderr) when that failed. */
bool cli_write(const void *data, size_t len);
