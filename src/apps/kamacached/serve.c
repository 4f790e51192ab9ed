/* SPDX-License-Identifier: MIT */
/* The lines of the log, the node with its groups, and the order of start and
 * stop. */
#include "serve.h"

#include "admin_port.h"
#include "base/limits.h"
#include "base/status.h"
#include "group_spec.h"
#include "kamacache_build.h"
#include "notify.h"
#include "plugin.h"
#include "process.h"
#include "summary.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define COMPONENT "kamacached"
#define KEY_LOGGED_BYTES 64

/* -- the log ------------------------------------------------------------- */

/* Logs a group at the start. There may be many groups, so that each line has a
 * call site of its own; with a common one the rate limit would hold lines
 * back. */
static void log_group(const struct group_spec *spec, const char *loader)
{
    struct km_log_site site = {0};
    const kama_group_options *o = &spec->options;
    int64_t ttl_ms = o->ttl_ms != 0 ? o->ttl_ms : KAMA_TTL_FOREVER;
    KM_LOG_AT(&site, KM_LOG_INFO, COMPONENT, "group",
              km_f_str("name", spec->name),
              km_f_int("max_bytes", (int64_t)o->max_bytes),
              km_f_int("ttl_ms", ttl_ms), km_f_str("policy", o->policy),
              km_f_str("sync", o->sync), km_f_str("sync_ack", o->sync_ack),
              km_f_str("loader", loader));
}

/* Logs the loader of a group at the start. */
static void log_loader(const struct group_spec *spec,
                       const struct plugin *plugin)
{
    struct km_log_site site = {0};
    KM_LOG_AT(&site, KM_LOG_INFO, COMPONENT, "loader",
              km_f_str("name", plugin->info->name),
              km_f_str("version", plugin->info->version),
              km_f_str("folder", plugin->folder),
              km_f_str("group", spec->name));
}

static void log_variable(const char *name)
{
    struct km_log_site site = {0};
    KM_LOG_AT(&site, KM_LOG_INFO, COMPONENT, "recognized environment variable",
              km_f_str("name", name));
}

/* Logs a warning about a variable that is probably misspelled. */
static void log_unknown(void *arg, const char *name, const char *nearest)
{
    struct km_log_site site = {0};
    (void)arg;
    if (nearest != NULL) {
        KM_LOG_AT(&site, KM_LOG_WARN, COMPONENT, "unknown environment variable",
                  km_f_str("name", name), km_f_str("did_you_mean", nearest));
    } else {
        KM_LOG_AT(&site, KM_LOG_WARN, COMPONENT, "unknown environment variable",
                  km_f_str("name", name));
    }
}

static void log_hangup(void)
{
    KM_LOG(KM_LOG_INFO, COMPONENT, "nothing to reload",
           km_f_str("signal", "SIGHUP"));
}

/* Logs an event about a group. The node has limited the events, so that each
 * line has a call site of its own here. Keys are cut, because their first bytes
 * tell most. */
static void log_group_event(const kama_node_event *event)
{
    struct km_log_site site = {0};
    enum km_log_level level = (enum km_log_level)event->level;
    kama_bytes key = event->key;
    key.len = key.len < KEY_LOGGED_BYTES ? key.len : KEY_LOGGED_BYTES;
    int64_t took_us = (int64_t)(event->duration_ns / 1000);
    if (event->duration_ns == 0 && event->status == KAMA_OK) {
        KM_LOG_AT(&site, level, "node", event->message,
                  km_f_str("event", event->name),
                  km_f_str("group", event->group), km_f_bytes("key", key));
    } else if (event->level == KM_LOG_DEBUG) {
        KM_LOG_AT(&site, level, "node", event->message,
                  km_f_str("event", event->name),
                  km_f_str("group", event->group), km_f_bytes("key", key),
                  km_f_str("status", kama_status_name(event->status)),
                  km_f_int("took_us", took_us));
    } else {
        KM_LOG_AT(&site, level, "node", event->message,
                  km_f_str("event", event->name),
                  km_f_str("group", event->group), km_f_bytes("key", key),
                  km_f_str("status", kama_status_name(event->status)),
                  km_f_int("took_us", took_us),
                  km_f_int("suppressed", (int64_t)event->suppressed));
    }
}

/* Events of the life of the daemon, which have a line of their own in this
 * file. */
static bool is_logged_elsewhere(const char *name)
{
    static const char *const names[] = {"ready", "group", "drain", "stopped"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* Logs an event about the node or its cluster. These are rare, so that each line
 * has a call site of its own, and none is held back. */
static void log_node_event(const kama_node_event *event)
{
    struct km_log_site site = {0};
    enum km_log_level level = (enum km_log_level)event->level;
    if (strcmp(event->name, "peers") == 0) {
        KM_LOG_AT(&site, level, "node", event->message,
                  km_f_str("event", event->name),
                  km_f_str("address", event->address),
                  km_f_int("count", (int64_t)event->count));
    } else if (event->address != NULL) {
        KM_LOG_AT(&site, level, "node", event->message,
                  km_f_str("event", event->name),
                  km_f_str("address", event->address));
    } else if (event->count > 0) {
        KM_LOG_AT(&site, level, "node", event->message,
                  km_f_str("event", event->name),
                  km_f_int("count", (int64_t)event->count));
    } else {
        KM_LOG_AT(&site, level, "node", event->message,
                  km_f_str("event", event->name));
    }
}

/* The node and its groups, which are needed for their counters at the end. */
struct server {
    kama_node *node;
    struct admin_port admin;
    kama_group *groups[KM_GROUPS_MAX];
    size_t group_count;
};

/* Receives the events of the node. Abuse may come from anybody as often as he
 * wants, so that its lines have one call site, which limits them. */
static void on_event(void *arg, const kama_node_event *event)
{
    const struct server *server = arg;
    if (event->group != NULL) {
        log_group_event(event);
    } else if (strcmp(event->name, "abuse") == 0) {
        KM_LOG(KM_LOG_WARN, "node", event->message,
               km_f_str("event", event->name));
    } else if (strcmp(event->name, "listen") == 0) {
        KM_LOG(KM_LOG_INFO, COMPONENT, "listening",
               km_f_str("addr", event->address));
    } else if (strcmp(event->name, "joined") == 0) {
        log_node_event(event);
        summary_log(server->node);
    } else if (!is_logged_elsewhere(event->name)) {
        log_node_event(event);
    }
}

/* -- the node ------------------------------------------------------------ */

/* Whoever requires discovery has probably mistyped where etcd is. */
static kama_status check_discovery(const struct daemon_options *options)
{
    bool has_etcd = options->etcd != NULL && options->etcd[0] != '\0';
    return !options->require_discovery || has_etcd
               ? KAMA_OK
               : km_fail(KAMA_ERR_INVALID,
                         "require_discovery: no endpoint of etcd is given, so "
                         "that the node would be alone");
}

/* Makes the node of the server from the settings. */
static kama_status make_node(const struct daemon_options *options,
                             struct server *server)
{
    kama_node_options node;
    kama_status status = check_discovery(options);
    if (status != KAMA_OK) {
        return status;
    }
    kama_node_options_init(&node);
    node.listen = options->listen;
    node.threads = (uint32_t)options->threads;
    node.max_connections = (uint32_t)options->max_connections;
    node.insecure = options->insecure;
    node.etcd = options->etcd;
    node.etcd_user = options->etcd_user;
    node.etcd_password_file = options->etcd_password_file;
    node.advertise = options->advertise;
    node.cluster = options->cluster;
    node.service = options->service;
    node.labels = options->labels;
    node.weight = (uint32_t)options->weight;
    node.require_discovery = options->require_discovery;
    node.start_timeout_ms = options->start_timeout;
    node.drain_timeout_ms = options->drain_timeout;
    node.event = on_event;
    node.event_arg = server;
    node.event_level = (uint32_t)options->level;
    return kama_node_new(&node, &server->node);
}

/* Opens the loader of a group, if it has one, and adds the group to the
 * node. */
static kama_status add_group(struct server *server, struct group_spec *spec,
                             const struct loader_path *path)
{
    kama_group *group;
    struct plugin plugin = {.info = NULL};
    if (spec->loader != NULL) {
        kama_status status = plugin_open(spec, path, &plugin);
        if (status != KAMA_OK) {
            return status;
        }
        log_loader(spec, &plugin);
    }
    kama_status status =
        kama_node_add_group(server->node, &spec->options, &group);
    if (status == KAMA_OK) {
        server->groups[server->group_count++] = group;
        log_group(spec, plugin.info != NULL ? plugin.info->name : "none");
    } else if (plugin.info != NULL) {
        plugin.info->close(spec->options.loader_arg);
    }
    return status;
}

/* Adds the groups of the settings, or the group `default` if there are none. */
static kama_status add_groups_of(struct server *server,
                                 const struct daemon_options *options,
                                 const struct loader_path *path)
{
    static const char *const fallback[] = {"default"};
    const struct km_option_list *list = &options->group;
    const char *const *items = list->count > 0 ? list->items : fallback;
    size_t count = list->count > 0 ? list->count : 1;
    kama_status status = KAMA_OK;
    for (size_t i = 0; i < count && status == KAMA_OK; i++) {
        struct group_spec spec;
        status = group_spec_init(&spec, items[i]);
        if (status == KAMA_OK) {
            status = add_group(server, &spec, path);
            group_spec_fini(&spec);
        }
    }
    return status;
}

static kama_status add_groups(struct server *server,
                              const struct daemon_options *options)
{
    struct loader_path path;
    kama_status status = loader_path_init(&path, options->loader_path);
    if (status != KAMA_OK) {
        return daemon_options_name(options, "loader_path", status);
    }
    status = add_groups_of(server, options, &path);
    loader_path_fini(&path);
    return status;
}

/* Makes the node with its groups, without starting it. */
static kama_status prepare(const struct daemon_options *options,
                           struct server *server)
{
    server->group_count = 0;
    kama_status status = make_node(options, server);
    if (status != KAMA_OK) {
        return daemon_options_explain(options, status);
    }
    status = admin_port_init(&server->admin, options);
    status = status == KAMA_OK ? add_groups(server, options)
                               : daemon_options_explain(options, status);
    if (status != KAMA_OK) {
        kama_node_free(server->node);
    }
    return status;
}

/* Returns whether a load of any group is still running. */
static bool has_running_loads(const struct server *server)
{
    for (size_t i = 0; i < server->group_count; i++) {
        kama_group_stats stats;
        kama_group_stats_get(server->groups[i], &stats);
        if (stats.loads_running > 0) {
            return true;
        }
    }
    return false;
}

/* Frees the node, unless a load is still running. A loader that hangs must not
 * hold the end of the process, and freeing its group would wait for it; the
 * process then exits and the kernel frees the rest. */
static void finish(struct server *server, int code)
{
    admin_port_close(&server->admin);
    if (code == EXIT_STOPPED && has_running_loads(server)) {
        KM_LOG(KM_LOG_WARN, COMPONENT,
               "loads that are still running are abandoned");
        km_log_stop();
        _exit(code);
    }
    kama_node_free(server->node);
}

/* -- serving ------------------------------------------------------------- */

static void log_ready(km_ns started_at)
{
    km_ns took = km_clock_mono(km_clock_system()) - started_at;
    KM_LOG(KM_LOG_INFO, COMPONENT, "ready",
           km_f_int("start_ms", (int64_t)(took / KM_NS_PER_MS)));
}

/* Drains the node. Calls that are not finished at the end of the drain timeout
 * are cut off. */
static void stop(kama_node *node, const struct daemon_options *options,
                 const char *signal_name)
{
    KM_LOG(KM_LOG_INFO, COMPONENT, "draining", km_f_str("signal", signal_name),
           km_f_int("timeout_ms", options->drain_timeout));
    notify_send("STOPPING=1");
    kama_status status = kama_node_stop(node);
    KM_LOG(KM_LOG_INFO, COMPONENT, "stopped",
           km_f_str("drain", status == KAMA_OK ? "complete" : "cut off"));
}

/* Logs a reason that says all there is. */
static void log_reason(kama_status status)
{
    KM_LOG(KM_LOG_ERROR, COMPONENT, "cannot start",
           km_f_str("reason", km_last_error()),
           km_f_str("status", kama_status_name(status)));
}

/* Logs why the node could not start, with a hint if there is one. */
static void log_failure(kama_status status)
{
    if (status != KAMA_ERR_ADDR_IN_USE) {
        log_reason(status);
        return;
    }
    KM_LOG(KM_LOG_ERROR, COMPONENT, "cannot start",
           km_f_str("reason", km_last_error()),
           km_f_str("hint", "choose another address with --listen or "
                            "KAMACACHE_LISTEN"));
}

/* The node whose start a signal can cancel; NULL: none, the process just ends. */
static _Atomic(kama_node *) starting_node;

/* How long a start that was cancelled may take to remove the record of the node. */
#define CANCEL_MS 1500

/* Ends the process. If two threads come here, the second one waits for the end. */
static _Noreturn void end_process(int code)
{
    static atomic_flag is_ending = ATOMIC_FLAG_INIT;
    while (atomic_flag_test_and_set(&is_ending)) {
        (void)pause();
    }
    km_log_stop();
    _exit(code);
}

/* Lets the main thread end the process when the start has been undone, and returns
 * if that takes too long. */
static void cancel_start(kama_node *node)
{
    const struct timespec limit = {CANCEL_MS / 1000,
                                   CANCEL_MS % 1000 * 1000000L};
    if (kama_node_stop(node) == KAMA_OK) {
        (void)nanosleep(&limit, NULL);
    }
}

/* Ends a start that takes too long or was interrupted. This runs on the thread
 * of the guard; the main thread hangs, or is about to be ready. */
static void end_start(const char *signal_name, int64_t timeout_ms)
{
    int code = signal_name != NULL ? EXIT_STOPPED : EXIT_NOT_STARTED;
    if (signal_name != NULL) {
        KM_LOG(KM_LOG_INFO, COMPONENT, "stopped before it was ready",
               km_f_str("signal", signal_name));
    } else {
        KM_LOG(KM_LOG_ERROR, COMPONENT, "cannot start",
               km_f_str("reason", "not ready within --start-timeout"),
               km_f_int("start_timeout_ms", timeout_ms));
    }
    kama_node *node = atomic_load(&starting_node);
    if (signal_name != NULL && node != NULL) {
        cancel_start(node);
    }
    end_process(code);
}

/* Does the same for --check-config, which writes no log. */
static void end_check(const char *signal_name, int64_t timeout_ms)
{
    if (signal_name == NULL) {
        fprintf(stderr,
                "kamacached: not ready within --start-timeout (%lld ms)\n",
                (long long)timeout_ms);
    }
    _exit(signal_name != NULL ? EXIT_STOPPED : EXIT_SETTINGS);
}

/* Starts the node, waits for a signal and stops the node. Returns the exit
 * code. */
static int run(struct server *server, const struct daemon_options *options,
               struct process_guard *guard, km_ns started_at)
{
    kama_node *node = server->node;
    kama_status status = admin_port_open(&server->admin, options, node);
    if (status != KAMA_OK) {
        process_guard_end(guard);
        log_reason(status);
        return EXIT_NOT_STARTED;
    }
    if (options->etcd != NULL && options->etcd[0] != '\0') {
        process_guard_take_signals_only(guard);
        atomic_store(&starting_node, node);
    }
    status = kama_node_start(node);
    if (status == KAMA_ERR_CANCELLED) {
        end_process(EXIT_STOPPED);
    }
    atomic_store(&starting_node, NULL);
    process_guard_end(guard);
    if (status != KAMA_OK) {
        log_failure(daemon_options_explain(options, status));
        return EXIT_NOT_STARTED;
    }
    log_ready(started_at);
    summary_log(node);
    notify_send("READY=1");
    stop(node, options, process_wait(log_hangup));
    return EXIT_STOPPED;
}

/* Serves while the log is running. Returns the exit code. */
static int serve_logged(const struct daemon_options *options, km_ns started_at)
{
    struct server server;
    struct process_guard guard;
    process_guard_start(&guard, options->start_timeout, end_start);
    KM_LOG(KM_LOG_INFO, COMPONENT, "starting",
           km_f_str("version", KM_BUILD_VERSION),
           km_f_str("revision", KM_BUILD_GIT_REV),
           km_f_str("build", KM_BUILD_TYPE), km_f_int("pid", getpid()));
    daemon_options_variables(options, log_variable);
    daemon_options_unknown(options, log_unknown, NULL);
    kama_status status = prepare(options, &server);
    if (status != KAMA_OK) {
        process_guard_end(&guard);
        KM_LOG(KM_LOG_ERROR, COMPONENT, "bad settings",
               km_f_str("reason", km_last_error()));
        return EXIT_SETTINGS;
    }
    int code = run(&server, options, &guard, started_at);
    finish(&server, code);
    return code;
}

int serve(const struct daemon_options *options, km_ns started_at)
{
    kama_status status =
        km_log_start(STDERR_FILENO, options->level, options->format);
    if (status != KAMA_OK) {
        fprintf(stderr, "kamacached: %s\n", km_last_error());
        return EXIT_NOT_STARTED;
    }
    int code = serve_logged(options, started_at);
    km_log_stop();
    return code;
}

int serve_check(const struct daemon_options *options)
{
    struct server server;
    struct process_guard guard;
    process_guard_start(&guard, options->start_timeout, end_check);
    kama_status status = prepare(options, &server);
    process_guard_end(&guard);
    if (status != KAMA_OK) {
        fprintf(stderr, "kamacached: %s\n", km_last_error());
        return EXIT_SETTINGS;
    }
    kama_node_free(server.node);
    puts("the settings are good");
    return EXIT_STOPPED;
}
