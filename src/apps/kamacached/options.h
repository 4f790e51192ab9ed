/* SPDX-License-Identifier: MIT */
/*
 * What can be set on the daemon's command line and in its environment: one
 * row makes the field, the flag, KAMACACHE_<NAME>, the line of --help and of
 * docs/OPTIONS.md. Flags win over the environment.
 *
 * Thread-safety: setup. Errors: KAMA_ERR_INVALID, KAMA_ERR_UNSUPPORTED; the
 * sentence is km_last_error.
 */
#pragma once

#include "base/buf.h"
#include "base/log.h"
#include "base/option_env.h"

/* X(field, KIND, arg, fallback, min, max, help) */
#define DAEMON_SETTINGS(X)                                                     \
    X(serving, HEADING, NULL, NULL, 0, 0, "Serving")                           \
    X(listen, STRING, "ADDR", "127.0.0.1:8001", 0, 0,                          \
      "Address of the data port (gRPC). Port 0 takes any that is free.")       \
    X(insecure, BOOL, NULL, "false", 0, 0,                                     \
      "Listen where other machines can connect, without encryption.")          \
    X(threads, UINT, "N", "0", 0, 64, "Event loops. 0 is one per core.")       \
    X(max_connections, UINT, "N", "0", 0, 10000000,                            \
      "Connections at a time. 0 is 10000, or what descriptors permit.")        \
    X(start_timeout, DURATION, "TIME", "10s", 1, 3600000,                      \
      "How long a start may take.")                                            \
    X(drain_timeout, DURATION, "TIME", "15s", 0, 3600000,                      \
      "How long running calls may take to end when the daemon stops.")         \
    X(groups, HEADING, NULL, NULL, 0, 0, "Groups")                             \
    X(group, LIST, "NAME[:KEY=VALUE,...]", NULL, 0, 0,                         \
      "A group to serve. Without any: `default`, 64 MiB.")                     \
    X(loader_path, STRING, "DIR[:DIR]", NULL, 0, 0,                            \
      "Folders of loader plug-ins, searched before the built-in one.")         \
    X(log, HEADING, NULL, NULL, 0, 0, "Log")                                   \
    X(log_level, STRING, "LEVEL", "info", 0, 0,                                \
      "Least level written to stderr: debug, info, warn, error.")              \
    X(log_format, STRING, "FORMAT", "text", 0, 0, "Lines as text or json.")    \
    X(config, LATER, NULL, NULL, 0, 0, "")                                     \
    X(advertise, LATER, NULL, NULL, 0, 0, "")                                  \
    X(admin, LATER, NULL, NULL, 0, 0, "")                                      \
    X(cluster, LATER, NULL, NULL, 0, 0, "")                                    \
    X(service, LATER, NULL, NULL, 0, 0, "")                                    \
    X(etcd, LATER, NULL, NULL, 0, 0, "")                                       \
    X(etcd_user, LATER, NULL, NULL, 0, 0, "")                                  \
    X(etcd_password_file, LATER, NULL, NULL, 0, 0, "")                         \
    X(etcd_ca, LATER, NULL, NULL, 0, 0, "")                                    \
    X(etcd_cert, LATER, NULL, NULL, 0, 0, "")                                  \
    X(etcd_key, LATER, NULL, NULL, 0, 0, "")                                   \
    X(peers, LATER, NULL, NULL, 0, 0, "")                                      \
    X(labels, LATER, NULL, NULL, 0, 0, "")                                     \
    X(weight, LATER, NULL, NULL, 0, 0, "")                                     \
    X(tls_cert, LATER, NULL, NULL, 0, 0, "")                                   \
    X(tls_key, LATER, NULL, NULL, 0, 0, "")                                    \
    X(tls_ca, LATER, NULL, NULL, 0, 0, "")                                     \
    X(auth_token_file, LATER, NULL, NULL, 0, 0, "")                            \
    X(memory_limit, LATER, NULL, NULL, 0, 0, "")                               \
    X(require_discovery, LATER, NULL, NULL, 0, 0, "")

/* What is done instead of serving: flags only, without a variable, because
 * KAMACACHE_VERSION is what a container image likes to call its version. */
#define DAEMON_ACTIONS(X)                                                      \
    X(instead, HEADING, NULL, NULL, 0, 0, "Instead of serving")                \
    X(check_config, BOOL, NULL, "false", 0, 0,                                 \
      "Check the settings, open the loaders, and exit: 0 or 2.")               \
    X(print_config, BOOL, NULL, "false", 0, 0,                                 \
      "Print every setting and where it comes from.")                          \
    X(version, BOOL, NULL, "false", 0, 0,                                      \
      "Print the version; with -v, how it was built.")                         \
    X(help, BOOL, NULL, "false", 0, 0, "Print this text.")

struct daemon_options {
    DAEMON_SETTINGS(KM_OPTION_FIELD)
    DAEMON_ACTIONS(KM_OPTION_FIELD)
    enum km_log_level level;
    enum km_log_format format;
    struct km_options table;
};

/* Reads environment and flags; argv may be permuted. Ends with
 * daemon_options_fini, also after an error. */
KAMA_NODISCARD kama_status daemon_options_init(struct daemon_options *options,
                                               int argc, char **argv);
void daemon_options_fini(struct daemon_options *options);

/* Puts the flag or the variable that the user wrote for the option `name` before
 * the sentence of this thread's last error; returns status. */
kama_status daemon_options_name(const struct daemon_options *options,
                                const char *name, kama_status status);

/* Writes the sentence of this thread's last error anew when it is about one of
 * kama_node_options, so that it names the flag or the variable that the user
 * wrote; returns status. */
kama_status daemon_options_explain(const struct daemon_options *options,
                                   kama_status status);

/* Calls seen(name) for each KAMACACHE_ variable that counts. */
void daemon_options_variables(const struct daemon_options *options,
                              void (*seen)(const char *name));

/* Calls seen for each KAMACACHE_ variable that is no setting of the daemon or
 * its client: probably a mistake. nearest is the variable that was meant, or
 * NULL. Variables that Kubernetes sets, and KAMACACHE_VERSION, which images of
 * containers like to set, are left out. */
void daemon_options_unknown(const struct daemon_options *options,
                            km_option_unknown_fn seen, void *arg);

/* --help, --help=markdown (docs/OPTIONS.md) and --print-config, to out. */
KAMA_NODISCARD kama_status
daemon_options_help(const struct daemon_options *options, struct km_buf *out);
KAMA_NODISCARD kama_status daemon_options_document(
    const struct daemon_options *options, struct km_buf *out);
KAMA_NODISCARD kama_status
daemon_options_print(const struct daemon_options *options, struct km_buf *out);
