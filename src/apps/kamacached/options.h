/* SPDX-License-Identifier: MIT */
/*
 * The options of the daemon. One row makes the member of the struct, the flag,
 * the variable KAMACACHE_<NAME>, the line of --help and the line of
 * docs/OPTIONS.md. A flag overrides its variable.
 *
 *     struct daemon_options options;
 *     status = daemon_options_init(&options, argc, argv);
 *     serve(&options, started_at);
 *     daemon_options_fini(&options);
 *
 * To add an option, add a row below and use its member.
 *
 * Cost: none worth naming. Threads: the main thread, during the start.
 * Errors: KAMA_ERR_INVALID and KAMA_ERR_UNSUPPORTED, with a sentence that names
 * the flag or the variable. Ownership: texts point into argv and the
 * environment.
 */
#pragma once

#include "base/buf.h"
#include "base/log.h"
#include "base/option_env.h"

/* The settings, as X(field, KIND, arg, fallback, min, max, help). Names that
 * later versions will use are refused with a sentence of their own (LATER). */
#define DAEMON_SETTINGS(X)                                                     \
    X(serving, HEADING, NULL, NULL, 0, 0, "Serving")                           \
    X(listen, STRING, "ADDR", "127.0.0.1:8001", 0, 0,                          \
      "Address of the data port (gRPC). Port 0 takes any that is free.")       \
    X(insecure, BOOL, NULL, "false", 0, 0,                                     \
      "Listen where other machines can connect, without encryption.")          \
    X(admin, STRING, "ADDR", NULL, 0, 0,                                       \
      "Address of the admin port (HTTP), or `off`. Without it: 127.0.0.1 and " \
      "the data port + 1000.")                                                 \
    X(admin_host, LIST, "NAME", NULL, 0, 0,                                    \
      "A name by which the admin port may be asked, beside addresses and "     \
      "localhost.")                                                            \
    X(threads, UINT, "N", "0", 0, 64, "Event loops. 0 is one per core.")       \
    X(max_connections, UINT, "N", "0", 0, 10000000,                            \
      "Connections at a time. 0 is 10000, or what descriptors permit.")        \
    X(start_timeout, DURATION, "TIME", "10s", 1, 3600000,                      \
      "How long a start may take.")                                            \
    X(drain_timeout, DURATION, "TIME", "15s", 0, 3600000,                      \
      "How long running calls may take to end when the daemon stops.")         \
    X(in_a_cluster, HEADING, NULL, NULL, 0, 0, "Cluster")                      \
    X(etcd, STRING, "ADDR[,ADDR]", NULL, 0, 0,                                 \
      "Endpoints of etcd. Without any, the node is alone.")                    \
    X(etcd_user, STRING, "NAME", NULL, 0, 0, "The user of etcd.")              \
    X(etcd_password_file, STRING, "FILE", NULL, 0, 0,                          \
      "The file whose first line is the password of that user.")               \
    X(advertise, STRING, "ADDR", NULL, 0, 0,                                   \
      "Where the other nodes reach this one. Without it: the address of "      \
      "--listen.")                                                             \
    X(cluster, STRING, "NAME", "default", 0, 0, "The name of the cluster.")    \
    X(service, STRING, "NAME", "kama-cache", 0, 0,                             \
      "The name of the service, in etcd and in health checks.")                \
    X(labels, STRING, "NAME[,NAME]", NULL, 0, 0,                               \
      "Labels of the node, which are shown with the members.")                 \
    X(weight, UINT, "N", "1", 1, 16,                                           \
      "The share of the keys beside that of nodes with the weight 1.")         \
    X(require_discovery, BOOL, NULL, "false", 0, 0,                            \
      "Fail to start without etcd, instead of serving alone until it "         \
      "answers.")                                                              \
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
    X(etcd_ca, LATER, NULL, NULL, 0, 0, "")                                    \
    X(etcd_cert, LATER, NULL, NULL, 0, 0, "")                                  \
    X(etcd_key, LATER, NULL, NULL, 0, 0, "")                                   \
    X(peers, LATER, NULL, NULL, 0, 0, "")                                      \
    X(tls_cert, LATER, NULL, NULL, 0, 0, "")                                   \
    X(tls_key, LATER, NULL, NULL, 0, 0, "")                                    \
    X(tls_ca, LATER, NULL, NULL, 0, 0, "")                                     \
    X(auth_token_file, LATER, NULL, NULL, 0, 0, "")                            \
    X(memory_limit, LATER, NULL, NULL, 0, 0, "")

/* The actions, which are done instead of serving. They are flags only and have
 * no variables, because images of containers often set KAMACACHE_VERSION to the
 * version of the image. */
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
    enum km_log_level level;   /* log_level, parsed */
    enum km_log_format format; /* log_format, parsed */
    struct km_options table;
};

/* Reads the flags and the environment; argv may be permuted.
 * daemon_options_fini must be called, also after an error. */
KAMA_NODISCARD kama_status daemon_options_init(struct daemon_options *options,
                                               int argc, char **argv);
/* Frees the table. */
void daemon_options_fini(struct daemon_options *options);

/* Puts the flag or the variable that the user wrote for the option `name` before
 * the sentence of this thread's last error; returns status. */
kama_status daemon_options_name(const struct daemon_options *options,
                                const char *name, kama_status status);

/* Rewrites the sentence of this thread's last error if it is about a member of
 * kama_node_options, so that it names the flag or the variable which the user
 * has written. Returns status. */
kama_status daemon_options_explain(const struct daemon_options *options,
                                   kama_status status);

/* Calls seen(name) for each variable KAMACACHE_* whose value is used. */
void daemon_options_variables(const struct daemon_options *options,
                              void (*seen)(const char *name));

/* Calls seen for each variable KAMACACHE_* that is no setting of the daemon or
 * of its client, which is probably a mistake. Variables that Kubernetes sets,
 * and KAMACACHE_VERSION, are left out. */
void daemon_options_unknown(const struct daemon_options *options,
                            km_option_unknown_fn seen, void *arg);

/* Append the texts of --help, --help=markdown (docs/OPTIONS.md) and
 * --print-config to out. */
KAMA_NODISCARD kama_status
daemon_options_help(const struct daemon_options *options, struct km_buf *out);
KAMA_NODISCARD kama_status daemon_options_document(
    const struct daemon_options *options, struct km_buf *out);
KAMA_NODISCARD kama_status
daemon_options_print(const struct daemon_options *options, struct km_buf *out);
