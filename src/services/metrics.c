/* SPDX-License-Identifier: MIT */
/* A family is written at once, so that the calls of all methods are read twice: for
 * their codes and for their times. */
#include "services/metrics.h"

#include "base/bytes.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "group/metrics.h"
#include "kamacache_build.h"
#include "rpc/server.h"
#include "rpc/server_figures.h"
#include "rpc/server_method.h"
#include "services/cluster.h"
#include "services/env.h"
#include "services/metrics_members.h"
#include "services/metrics_sync.h"
#include "services/process.h"

#include <stdio.h>

/* -- tables --------------------------------------------------------------- */

/* Begins the family of a row by another name, which gets the prefix and the unit
 * of the row. */
static void begin_named(struct km_metric_text *text, const char *name,
                        const struct km_metric *row)
{
    char full[KM_METRIC_NAME_BYTES_MAX];
    (void)km_text_printf(full, sizeof full, KM_METRIC_PREFIX "%s%s%s", name,
                         row->unit[0] != '\0' ? "_" : "", row->unit);
    km_metric_text_family(text, full, row->kind, row->help);
}

/* -- the server ----------------------------------------------------------- */

enum { LABEL_TYPE, LABEL_SERVICE, LABEL_METHOD, LABEL_CODE, LABEL_COUNT };

static const char *type_of(const struct km_server_method *method)
{
    switch (method->kind) {
    case KM_RPC_UNARY:
        break;
    case KM_RPC_SERVER_STREAM:
        return "server_stream";
    case KM_RPC_BIDI_STREAM:
        return "bidi_stream";
    }
    return "unary";
}

/* Writes the labels of a method. A path is "/service/method"; a call without a
 * method could have any, so that its path is no label. */
static void label_method(const struct km_server_method *method,
                         struct km_metric_label labels[LABEL_COUNT])
{
    kama_bytes service = KM_LIT("unknown");
    kama_bytes name = KM_LIT("unknown");
    kama_bytes type = KM_LIT("unary");
    if (method != NULL) {
        const char *slash = strrchr(method->path, '/');
        service = kama_bytes_make(method->path + 1,
                                  (size_t)(slash - method->path) - 1);
        name = kama_bytes_str(slash + 1);
        type = kama_bytes_str(type_of(method));
    }
    labels[LABEL_TYPE] = (struct km_metric_label){"grpc_type", type};
    labels[LABEL_SERVICE] = (struct km_metric_label){"grpc_service", service};
    labels[LABEL_METHOD] = (struct km_metric_label){"grpc_method", name};
}

static void write_codes(struct km_metric_text *text,
                        const struct km_server_figures_sum *figures)
{
    struct km_metric_label labels[LABEL_COUNT];
    label_method(figures->method, labels);
    for (unsigned code = 0; code < KM_STATUS_GRPC_CODES; code++) {
        labels[LABEL_CODE] = (struct km_metric_label){
            "grpc_code", kama_bytes_str(km_status_grpc_name(code))};
        if (figures->codes[code] > 0) {
            km_metric_text_count(text, labels, LABEL_COUNT,
                                 figures->codes[code]);
        }
    }
}

static void write_calls(struct km_metric_text *text,
                        const struct km_server *server)
{
    struct km_server_figures_sum figures;
    struct km_metric_label labels[LABEL_COUNT];
    size_t rows = km_server_figures_rows(server);
    km_metric_text_family(text, "grpc_server_handled", KM_METRIC_COUNTER,
                          "Calls that have ended, by method and code.");
    for (size_t row = 0; row < rows; row++) {
        if (km_server_figures_read(server, row, &figures)) {
            write_codes(text, &figures);
        }
    }
    km_metric_text_family(text, "grpc_server_handling_seconds",
                          KM_METRIC_HISTOGRAM,
                          "How long calls took, from their first header until "
                          "they were answered.");
    for (size_t row = 0; row < rows; row++) {
        if (km_server_figures_read(server, row, &figures)) {
            label_method(figures.method, labels);
            km_metric_text_histogram(text, labels, LABEL_CODE, &figures.times);
        }
    }
}

/* Writes the samples of KM_SERVER_M_ABUSE_CLOSED. */
static void write_abuses(struct km_metric_text *text,
                         const struct km_server *server)
{
    struct km_server_abuse abuse;
    for (unsigned i = 0; km_server_abuse(server, i, &abuse); i++) {
        const struct km_metric_label label = {"reason",
                                              kama_bytes_str(abuse.reason)};
        km_metric_text_count(text, &label, 1, abuse.closed);
    }
}

void km_service_metrics_server(struct km_metric_text *text,
                               struct km_server *server)
{
    const struct km_metric_set *set = km_server_metrics(server);
    for (unsigned i = 0; i < KM_SERVER_M_COUNT; i++) {
        begin_named(text, km_server_metric_rows[i].name,
                    &km_server_metric_rows[i]);
        if (i == KM_SERVER_M_ABUSE_CLOSED) {
            write_abuses(text, server);
        } else {
            km_metric_text_count(text, NULL, 0, km_metric_read(set, i));
        }
    }
    write_calls(text, server);
}

/* -- the node in its cluster ---------------------------------------------- */

static void write_ready(void *arg, const struct km_cluster_node *node)
{
    km_metric_text_one(
        arg, KM_METRIC_PREFIX "ready", KM_METRIC_GAUGE,
        "1 if no step to readiness is missing and the node does not drain.",
        node->ready);
}

static void write_ready_and_lease(void *arg, const struct km_cluster_node *node)
{
    write_ready(arg, node);
    km_metric_text_one(
        arg, KM_METRIC_PREFIX "lease_held", KM_METRIC_GAUGE,
        "1 if the node has a lease that cannot have expired yet.",
        node->lease_held);
    km_metric_text_one(
        arg, KM_METRIC_PREFIX "degraded", KM_METRIC_GAUGE,
        "1 if its lease may have expired, or the cluster has given it up.",
        node->degraded[0] != '\0');
}

/* The rest of the lease, of which the age is that of the request that has
 * prolonged it last. */
static void write_left(struct km_metric_text *text,
                       const struct km_cluster_source *source)
{
    struct km_cluster_registry registry;
    source->ops->registry(source->arg, &registry);
    uint64_t left_ms = registry.lease_ttl_ms > registry.lease_age_ms
                           ? registry.lease_ttl_ms - registry.lease_age_ms
                           : 0;
    km_metric_text_family(text, KM_METRIC_PREFIX "etcd_lease_ttl_seconds",
                          KM_METRIC_GAUGE,
                          "The time until the lease in etcd ends if nothing "
                          "prolongs it; 0 without a lease.");
    km_metric_text_ns(text, NULL, 0, left_ms * KM_NS_PER_MS);
}

/* The names of the rows of the cluster. Those without a name are in the families
 * of the view: `peers` and `ring_members`. */
static const char *const cluster_names[KM_CLUSTER_M_COUNT] = {
    [KM_CLUSTER_M_SETTLED] = "cluster_view_settled",
    [KM_CLUSTER_M_REGISTRY_UP] = "etcd_up",
    [KM_CLUSTER_M_HELD_ADDRESSES] = "cluster_held_addresses",
    [KM_CLUSTER_M_VIEWS_ADOPTED] = "ring_changes",
    [KM_CLUSTER_M_REGISTRATIONS] = "cluster_registrations",
    [KM_CLUSTER_M_REGISTRY_READS] = "cluster_registry_reads",
    [KM_CLUSTER_M_REGISTRY_WATCHES] = "cluster_registry_watches",
    [KM_CLUSTER_M_JUNK_RECORDS] = "cluster_junk_records",
    [KM_CLUSTER_M_FOREIGN_RECORDS] = "cluster_foreign_records",
};

static void write_cluster_rows(struct km_metric_text *text,
                               const struct km_cluster_source *source)
{
    uint64_t values[KM_CLUSTER_M_COUNT];
    source->ops->counters(source->arg, values);
    for (unsigned i = 0; i < KM_CLUSTER_M_COUNT; i++) {
        if (cluster_names[i] != NULL) {
            begin_named(text, cluster_names[i], &km_cluster_metric_rows[i]);
            km_metric_text_count(text, NULL, 0, values[i]);
        }
    }
}

void km_service_metrics_cluster(struct km_metric_text *text,
                                struct km_service_env *env)
{
    struct km_cluster_source source = km_service_env_cluster(env);
    if (source.ops == NULL) {
        km_cluster_node(env, write_ready, text);
    } else {
        km_cluster_node(env, write_ready_and_lease, text);
        write_left(text, &source);
        write_cluster_rows(text, &source);
        km_service_metrics_members(text, env, &source);
        km_service_metrics_sync(text, env);
    }
}

/* -- the process ---------------------------------------------------------- */

static void write_build(struct km_metric_text *text)
{
    const struct km_metric_label labels[] = {
        {"version", kama_bytes_str(kama_version())},
        {"revision", KM_LIT(KM_BUILD_GIT_REV)}};
    km_metric_text_family(text, KM_METRIC_PREFIX "build", KM_METRIC_INFO,
                          "The version of the library, and the commit that it "
                          "was built from.");
    km_metric_text_count(text, labels, 2, 1);
}

static void write_times(struct km_metric_text *text,
                        const struct km_process *process, uint64_t started_ns)
{
    km_metric_text_family(text, "process_cpu_seconds", KM_METRIC_COUNTER,
                          "Processor time of the process, in user and in "
                          "system mode.");
    km_metric_text_ns(text, NULL, 0, process->cpu_ns);
    km_metric_text_family(text, "process_start_time_seconds", KM_METRIC_GAUGE,
                          "When the process was started, since 1970.");
    km_metric_text_ns(text, NULL, 0, started_ns);
}

void km_service_metrics_process(struct km_metric_text *text,
                                const struct km_service_env *env)
{
    struct km_process process;
    km_process_read(&process);
    write_build(text);
    km_metric_text_one(
        text, KM_METRIC_PREFIX "log_dropped", KM_METRIC_COUNTER,
        "Lines of the log that were dropped, because it was full.",
        km_log_dropped());
    write_times(text, &process, env->process_started_ns);
    km_metric_text_one(text, "process_resident_memory_bytes", KM_METRIC_GAUGE,
                       "Resident memory of the process, with shared pages.",
                       process.resident_bytes);
    km_metric_text_one(text, "process_virtual_memory_bytes", KM_METRIC_GAUGE,
                       "Virtual memory of the process.", process.virtual_bytes);
    km_metric_text_one(text, "process_open_fds", KM_METRIC_GAUGE,
                       "Open descriptors of the process.", process.open_fds);
    km_metric_text_one(text, "process_max_fds", KM_METRIC_GAUGE,
                       "The most descriptors that the process may open.",
                       process.max_fds);
    km_metric_text_one(text, "process_threads", KM_METRIC_GAUGE,
                       "Threads of the process.", process.threads);
}
