/* SPDX-License-Identifier: MIT */
/*
 * What every command of the client gets: where to, how to print, a client; and
 * how it asks, fails and ends. A command prints to stdout and does not look
 * whether that worked: cli_close_output does, once.
 * Thread-safety: main thread. Errors: exit codes (CLI_EXIT_).
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"
#include "options.h"
#include "rpc/client.h"
#include "wire/msg/pb.h"

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
    CLI_MODE_PEOPLE, /* a terminal: quoted where it has to be */
    CLI_MODE_PIPE,   /* values as they are, keys quoted, a line each */
    CLI_MODE_RAW,    /* bytes as they are */
    CLI_MODE_JSON    /* one JSON value */
};

struct cli {
    const struct cli_command *command;
    struct cli_options options;
    enum cli_mode mode;
    kama_bytes group;
    struct km_client *client;
};

/* -- commands ------------------------------------------------------------ */

struct cli_command {
    const char *name;
    const char *args;   /* "KEY [VALUE]"; NULL: none */
    const char *option; /* its own, "ttl"; NULL: none */
    const char *help;   /* a sentence or two, lines of up to 74 columns */
    int args_min;
    int args_max; /* -1: any number */
    /* args are the bytes that the words stand for; count of them as min and
     * max permit. */
    enum cli_exit (*run)(struct cli *cli, const kama_bytes *args, int count);
};

extern const struct cli_command cli_commands[];
extern const size_t cli_command_count;

/* The command of that name, or NULL. */
const struct cli_command *cli_command_find(const char *name);
/* The name nearest to it, or NULL. */
const char *cli_command_nearest(const char *name);

/* -- asking -------------------------------------------------------------- */

/* A unary call. The request is a message of a table, or the group (field 1) and
 * keys (field 2), or bytes that are encoded already. */
struct cli_request {
    const char *path;
    const struct km_pb_message *request_table; /* NULL: another kind */
    const void *request;
    const kama_bytes *keys; /* NULL: another kind */
    int key_count;
    kama_bytes encoded;
    const struct km_pb_message *reply_table; /* NULL: not looked at */
    void *reply; /* borrows the buffer of the call until that ends */
};

/* Sends it and decodes the reply, whose bytes lie in buf (the caller's,
 * initialised). */
KAMA_NODISCARD kama_status cli_request(struct cli *cli,
                                       const struct cli_request *call,
                                       struct km_buf *buf);

/* cli_request, then print(cli, arg) while the reply lasts, or cli_failed. */
typedef enum cli_exit (*cli_print_fn)(struct cli *cli, const void *arg);
enum cli_exit cli_ask(struct cli *cli, const struct cli_request *call,
                      cli_print_fn print, const void *arg);

/* km_pb_decode of what the node sent: an error is the node's
 * (KAMA_ERR_PROTOCOL, with a sentence). */
KAMA_NODISCARD kama_status cli_decode(const struct km_pb_message *table,
                                      kama_bytes bytes, void *message);

/* Decodes each element of list into message and visits it, up to the first
 * error. */
typedef kama_status (*cli_visit_fn)(void *arg, const void *message);
KAMA_NODISCARD kama_status cli_each(struct km_pb_list list,
                                    const struct km_pb_message *table,
                                    void *message, cli_visit_fn visit,
                                    void *arg);

/* One grpc.health.v1 Check of the whole node. */
KAMA_NODISCARD kama_status cli_health(struct cli *cli, int64_t timeout_ms,
                                      bool wait_for_ready, bool *ret_serving);

/* --wait: until the node serves, or UNREACHABLE (said). */
enum cli_exit cli_wait(struct cli *cli);

/* -- ending -------------------------------------------------------------- */

enum cli_exit cli_exit_of(kama_status status);

/* Prints "kamacache-cli: COMMAND: sentence (STATUS)" to stderr, and what to do
 * next; the exit code of status. */
enum cli_exit cli_failed(const struct cli *cli, kama_status status);

/* A usage error; what is printed of arguments is escaped. */
enum cli_exit cli_usage_error(const char *fmt, ...) KAMA_PRINTF(1, 2);

/* code, or OTHER and a sentence when stdout could not be written. A reader
 * that has gone away needs no sentence. */
enum cli_exit cli_close_output(enum cli_exit code);
