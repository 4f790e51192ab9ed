/* SPDX-License-Identifier: MIT */
/*
 * The options of the client. Three of them, the settings, may also come from
 * the environment.
 *
 *     kamacache-cli -g users set KEY -1 --ttl=5m
 *                   |        |       |  |
 *                   short    command |  a long form may stand anywhere
 *                   form             |  before `--`
 *                                    a value may begin with a dash, because
 *                                    short forms stand before the command only
 *
 * Threads: the main thread. Cost: none worth naming.
 * Errors: KAMA_ERR_INVALID and KAMA_ERR_NO_MEMORY, with a sentence.
 * Ownership: texts point into argv and the environment.
 */
#pragma once

#include "base/buf.h"
#include "base/limits.h"
#include "base/option_env.h"
#include "base/option_text.h"

#define CLI_WAIT_DEFAULT "10s" /* for --wait without a value */
#define CLI_WAIT_MS_MAX (24LL * 3600 * 1000)

/* The settings and the flags, as X(field, KIND, arg, fallback, min, max,
 * help). */
#define CLI_SETTINGS(X)                                                        \
    X(options, HEADING, NULL, NULL, 0, 0, "Options")                           \
    X(endpoint, STRING, "ADDR", "127.0.0.1:8001", 0, 0,                        \
      "The node to ask, as host:port; short: -e ADDR. Of several, A,B,C, the " \
      "next one is asked when one cannot be reached.")                         \
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
    X(nx, BOOL, NULL, "false", 0, 0, "set: only if the key is absent.")        \
    X(xx, BOOL, NULL, "false", 0, 0, "set: only if the key is there.")         \
    X(etag, STRING, "E", NULL, 0, 0,                                           \
      "set: only if the value has this etag, which --json get prints.")        \
    X(limit, UINT, "N", NULL, 1, 0,                                            \
      "keys, hotkeys: at most so many; short: -n N. hotkeys shows 20 without " \
      "it.")                                                                   \
    X(largest, BOOL, NULL, "false", 0, 0,                                      \
      "hotkeys: the entries with the longest values.")                         \
    X(bytes, BOOL, NULL, "false", 0, 0,                                        \
      "groups, hotkeys: sizes as exact numbers.")                              \
    X(cluster, BOOL, NULL, "false", 0, 0,                                      \
      "ping, stats: ask every member of the cluster.")                         \
    X(probe_load, STRING, "GROUP:KEY", NULL, 0, 0,                             \
      "doctor: let each member load this key with its own loader.")

struct cli_options {
    CLI_SETTINGS(KM_OPTION_FIELD)
    CLI_FLAGS(KM_OPTION_FIELD)
    bool verbose;        /* -v was given */
    bool has_group;      /* the group was given and is not the default */
    bool group_is_typed; /* by a flag, so that --quoted applies to it */
    bool has_timeout;    /* the timeout was given and is not the default */
    struct km_options table;
    char *env_group; /* owned; a group of the environment */
};

/* Reads the environment and the flags. The command and its arguments are moved
 * to argv[0..*ret_count). cli_options_fini must be called, also after an
 * error. */
KAMA_NODISCARD kama_status cli_options_init(struct cli_options *options,
                                            int argc, char **argv,
                                            int *ret_count);
/* Frees the table. */
void cli_options_fini(struct cli_options *options);

/* Refuses an option that belongs to another command. own has the options of this
 * command, separated by blanks, or is NULL. */
KAMA_NODISCARD kama_status cli_options_check(const struct cli_options *options,
                                             const char *own);

/* Calls seen for each variable KAMACACHE_* that is no setting of the client or
 * of the daemon, as daemon_options_unknown does. */
void cli_options_unknown(const struct cli_options *options,
                         km_option_unknown_fn seen, void *arg);

/* Writes how the user has spelled an option: --endpoint, or KAMACACHE_ENDPOINT
 * if its value came from the environment. */
void cli_options_spelling(const struct cli_options *options, const char *name,
                          char ret_spelling[KM_OPTION_SPELLING_BYTES]);

/* Appends the options as --help shows them. */
KAMA_NODISCARD kama_status cli_options_help(const struct cli_options *options,
                                            struct km_buf *out);
