/* SPDX-License-Identifier: MIT */
/* A family is written at once, so that the members are walked once for each. */
#include "services/metrics_members.h"

#include "base/bytes.h"
#include "base/metric_text.h"
#include "base/status.h"
#include "group/metrics.h"
#include "services/metrics_peers.h"

#include <stdio.h>

static void write_states(struct km_metric_text *text,
                         const struct km_cluster_view *view)
{
    static const enum km_cluster_reach states[] = {
        KM_CLUSTER_REACH_UP, KM_CLUSTER_REACH_UNREACHABLE,
        KM_CLUSTER_REACH_REFUSED, KM_CLUSTER_REACH_UNKNOWN};
    km_metric_text_family(text, KM_METRIC_PREFIX "peers", KM_METRIC_GAUGE,
                          "Other members of the view, by state: up, "
                          "unreachable, refused (it says that this node is no "
                          "member), unknown (it was not asked yet).");
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        const struct km_metric_label label = {
            "state", kama_bytes_str(km_cluster_reach_name(states[i]))};
        const struct km_cluster_member *member;
        size_t at = 0;
        uint64_t count = 0;
        while ((member = km_metrics_peers_next(view, &at)) != NULL) {
            count += member->reach == states[i];
        }
        km_metric_text_count(text, &label, 1, count);
    }
}

/* Writes the samples of a member and a method, of the codes that have occurred. */
static void write_method(struct km_metric_text *text, const char *address,
                         kama_bytes method,
                         const uint64_t codes[KM_STATUS_GRPC_CODES])
{
    struct km_metric_label labels[] = {{"peer", kama_bytes_str(address)},
                                       {"method", method},
                                       {"code", kama_bytes_str("")}};
    for (unsigned code = 0; code < KM_STATUS_GRPC_CODES; code++) {
        labels[2].value = kama_bytes_str(km_status_grpc_name(code));
        if (codes[code] > 0) {
            km_metric_text_count(text, labels, 3, codes[code]);
        }
    }
}

/* The requests to a member, or to all of those without a name. */
struct requests {
    uint64_t fills[KM_STATUS_GRPC_CODES];
    uint64_t mutations[KM_STATUS_GRPC_CODES];
    struct km_histogram times;
};

struct requests_table {
    const struct km_metrics_peers *peers;
    struct requests *rows; /* in the order of km_metrics_peers_shown */
};

static void add_codes(uint64_t sum[KM_STATUS_GRPC_CODES],
                      const _Atomic uint64_t *more)
{
    for (unsigned code = 0; code < KM_STATUS_GRPC_CODES; code++) {
        sum[code] += atomic_load_explicit(&more[code], memory_order_relaxed);
    }
}

/* Returns the row of an address, or NULL: the view has changed meanwhile, so that a
 * member of it may be none of the text. */
static struct requests *find_row(const struct requests_table *table,
                                 const char *address)
{
    const struct km_cluster_member *member;
    size_t i = 0;
    size_t n = 0;
    while ((member = km_metrics_peers_shown(table->peers, &i, &n)) != NULL) {
        if (strcmp(member->address, address) == 0 ||
            member == &table->peers->others) {
            return &table->rows[n - 1];
        }
    }
    return NULL;
}

static void read_requests(void *arg, const struct km_cluster_requests *from)
{
    struct requests *row = find_row(arg, from->address);
    if (row != NULL) {
        add_codes(row->fills, from->fill_codes);
        add_codes(row->mutations, from->mutation_codes);
        km_histogram_add(&row->times, from->times);
    }
}

static void write_table(struct km_metric_text *text,
                        const struct requests_table *table)
{
    const struct km_cluster_member *member;
    size_t i = 0;
    size_t n = 0;
    km_metric_text_family(text, KM_METRIC_PREFIX "peer_requests",
                          KM_METRIC_COUNTER,
                          "Keys that were asked of a member or sent to it, by "
                          "method (fill, mutate) and code of gRPC.");
    while ((member = km_metrics_peers_shown(table->peers, &i, &n)) != NULL) {
        const struct requests *row = &table->rows[n - 1];
        write_method(text, member->address, KM_LIT("fill"), row->fills);
        write_method(text, member->address, KM_LIT("mutate"), row->mutations);
    }
    km_metric_text_family(text,
                          KM_METRIC_PREFIX "peer_request_duration_seconds",
                          KM_METRIC_HISTOGRAM,
                          "How long the calls with these keys took, until they "
                          "were answered or had failed.");
    for (i = 0, n = 0;
         (member = km_metrics_peers_shown(table->peers, &i, &n)) != NULL;) {
        const struct km_metric_label label = {"peer",
                                              kama_bytes_str(member->address)};
        km_metric_text_histogram(text, &label, 1, &table->rows[n - 1].times);
    }
}

static void write_requests(struct km_metric_text *text,
                           const struct km_metrics_peers *peers,
                           const struct km_cluster_source *source)
{
    struct requests_table table = {.peers = peers};
    table.rows =
        km_mem_zalloc(text->out->mem, peers->named + 1, sizeof *table.rows);
    if (table.rows == NULL) {
        km_metric_text_fail(text, KAMA_ERR_NO_MEMORY);
        return;
    }
    source->ops->requests(source->arg, read_requests, &table);
    write_table(text, &table);
    km_mem_free(text->out->mem, table.rows);
}

static void write_served(struct km_metric_text *text,
                         const struct km_metrics_peers *peers)
{
    const struct km_cluster_member *member;
    size_t i = 0;
    size_t n = 0;
    km_metric_text_family(
        text, KM_METRIC_PREFIX "peer_served", KM_METRIC_COUNTER,
        "Calls of a member that this node has answered; one call may ask "
        "for many keys.");
    while ((member = km_metrics_peers_shown(peers, &i, &n)) != NULL) {
        const struct km_metric_label label = {"peer",
                                              kama_bytes_str(member->address)};
        km_metric_text_count(text, &label, 1, member->served);
    }
}

/* Only members with their own address are up, or have a latency. */
static void write_reach(struct km_metric_text *text,
                        const struct km_metrics_peers *peers)
{
    size_t at = 0;
    km_metric_text_family(text, KM_METRIC_PREFIX "peer_up", KM_METRIC_GAUGE,
                          "1 if the member answers.");
    for (size_t n = 0; n < peers->named; n++) {
        const struct km_cluster_member *member =
            km_metrics_peers_next(peers->view, &at);
        const struct km_metric_label label = {"peer",
                                              kama_bytes_str(member->address)};
        km_metric_text_count(text, &label, 1,
                             member->reach == KM_CLUSTER_REACH_UP);
    }
    at = 0;
    km_metric_text_family(text, KM_METRIC_PREFIX "peer_latency_seconds",
                          KM_METRIC_GAUGE,
                          "How long the last answer of the member took.");
    for (size_t n = 0; n < peers->named; n++) {
        const struct km_cluster_member *member =
            km_metrics_peers_next(peers->view, &at);
        const struct km_metric_label label = {"peer",
                                              kama_bytes_str(member->address)};
        if (member->latency_ns > 0) {
            km_metric_text_ns(text, &label, 1, member->latency_ns);
        }
    }
}

struct view_text {
    struct km_metric_text *text;
    const struct km_cluster_source *source;
};

static void write_view(void *arg, const struct km_cluster_view *view)
{
    const struct view_text *to = arg;
    struct km_metric_text *text = to->text;
    struct km_metrics_peers peers;
    char id[20];
    (void)snprintf(id, sizeof id, "%016llx", (unsigned long long)view->view_id);
    const struct km_metric_label label = {"view_id", kama_bytes_str(id)};
    km_metric_text_family(text, KM_METRIC_PREFIX "view", KM_METRIC_INFO,
                          "The view that the node has adopted.");
    km_metric_text_count(text, &label, 1, 1);
    km_metric_text_one(text, KM_METRIC_PREFIX "ring_members", KM_METRIC_GAUGE,
                       "Members of the view, this node included.", view->count);
    km_metrics_peers_read(&peers, view);
    write_states(text, view);
    write_reach(text, &peers);
    write_requests(text, &peers, to->source);
    write_served(text, &peers);
}

void km_service_metrics_members(struct km_metric_text *text,
                                struct km_service_env *env,
                                const struct km_cluster_source *source)
{
    struct view_text to = {text, source};
    km_cluster_view(env, write_view, &to);
}
