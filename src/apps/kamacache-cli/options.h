/* SPDX-License-Identifier: MIT */
/*
 * What can be set on the client's command line, and the three settings that
 * may come from the environment.
 *
 * Options in their long form stand anywhere before `--`, their short forms
 * (-e -g -q -h -v) before the command, so that a value may begin with a dash.
 * Thread-safety: setup. Errors: KAMA_ERR_INVALID, KAMA_ERR_NO_MEMORY; the
 * sentence is km_last_error.
 */
#pragma once

#include "base/buf.h"
#include "base/limits.h"
#include "base/option_env.h"
#include "base/option_text.h"

#define CLI_WAIT_DEFAULT "10s" /* of --wait alone */
#define CLI_WAIT_MS_MAX (24LL * 3600 * 1000)

/* X(field, KIND, arg, fallback, min, max, help) */
#define CLI_SETTINGS(X)                                                        \
    X(options, HEADING, NULL, NULL, 0, 0, "Options")                           \
    X(endpoint, STRING, "ADDR", "127.0.0.1:8001", 0, 0,                        \
      "The node to ask, as host:port; short: -e ADDR.")                        \
    X(group, STRING, "NAME", "default", 0, 0,                                  \
      "The group to work on; short: -g NAME.")                                 \
    X(timeout, DURATION, "TIME", "10s", 1, KM_GRPC_TIMEOUT_MS_MAX,             \
      "How long an answer may take. `keys` has no limit without it.")
#define CLI_FLAGS(X)                                                           \
    X(wait, DURATION, "TIME", NULL, 1, CLI_WAIT_MS_MAX,                        \
      "First wait until the node serves; --wait alone is 10s.")                \
    X(quoted, BOOL, NULL, "false", 0, 0,                                       \
      "Read an argument in double quotes as quoted bytes; short: -q.")         \
    X(json, BOOL, NULL, "false", 0, 0, "Print JSON.")                          \
    X(raw, BOOL, NULL, "false", 0, 0,                                          \
      "Print bytes as they are, and nothing behind a value.")                  \
    X(version, BOOL, NULL, "false", 0, 0,                                      \
      "Print the version; with -v, how it was built.")                         \
    X(help, BOOL, NULL, "false", 0, 0,                                         \
      "Print this text; behind a command, how that is used.")                  \
    X(commands, HEADING, NULL, NULL, 0, 0, "Options of commands")              \
    X(ttl, TTL, "TIME", NULL, 1, 0,                                            \
      "set, mset, touch: how long the value lives, or `forever`. Without "     \
      "it: the group's ttl.")                                                  \
    X(limit, UINT, "N", NULL, 1, 0, "keys: at most so many.")                  \
    X(bytes, BOOL, NULL, "false", 0, 0, "groups: sizes as exact numbers.")

struct cli_options {
    CLI_SETTINGS(KM_OPTION_FIELD)
    CLI_FLAGS(KM_OPTION_FIELD)
    bool verbose;        /* -v */
    bool has_group;      /* given, not the default */
    bool group_is_typed; /* by a flag, in the notation of arguments */
    bool has_timeout;
    struct km_options table;
    char *env_group; /* owned */
};

/* Reads environment and flags. What is no option is moved to
 * argv[0..*ret_count): the command and its arguments. Ends with
 * cli_options_fini, also after an error. */
KAMA_NODISCARD kama_status cli_options_init(struct cli_options *options,
                                            int argc, char **argv,
                                            int *ret_count);
void cli_options_fini(struct cli_options *options);

/* Refuses the option of another command; own is the one the command has, or
 * NULL. */
KAMA_NODISCARD kama_status cli_options_check(const struct cli_options *options,
                                             const char *own);

/* Calls seen for each KAMACACHE_ variable that is no setting of the client or
 * the daemon, as daemon_options_unknown does. */
void cli_options_unknown(const struct cli_options *options,
                         km_option_unknown_fn seen, void *arg);

/* Writes how the user named the option: --endpoint, or KAMACACHE_ENDPOINT when
 * its value came from the environment. */
void cli_options_spelling(const struct cli_options *options, const char *name,
                          char ret_spelling[KM_OPTION_SPELLING_BYTES]);

/* The rows as --help shows them, to out. */
KAMA_NODISCARD kama_status cli_options_help(const struct cli_options *options,
                                            struct km_buf *out);
