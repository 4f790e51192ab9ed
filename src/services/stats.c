/* SPDX-License-Identifier: MIT */
/*
 * A message with a list is not built as a structure: each element is appended
 * to the buffer as soon as it is encoded, and the other fields after the last
 * one.
 *
 * The figures of one answer are read one after the other while the node works,
 * so that sums of them may differ by the calls that ended meanwhile.
 */
#include "services/stats.h"

#include "base/assert.h"
#include "group/counters.h"
#include "group/info.h"
#include "rpc/server.h"
#include "services/process.h"
#include "services/service.h"
#include "wire/msg/msg.h"

#include <stdio.h>

/* -- Stats --------------------------------------------------------------- */

/* A histogram without samples has no quantiles: the message stays empty. */
static void read_latency(const struct km_histogram *h,
                         struct km_msg_latency *latency)
{
    latency->count = km_histogram_count(h);
    if (latency->count == 0) {
        return;
    }
    latency->sum_ns = km_histogram_sum_ns(h);
    latency->p50_ns = km_histogram_quantile(h, 0.5);
    latency->p90_ns = km_histogram_quantile(h, 0.9);
    latency->p99_ns = km_histogram_quantile(h, 0.99);
    latency->p999_ns = km_histogram_quantile(h, 0.999);
    latency->max_ns = km_histogram_quantile(h, 1.0);
}

/* The message has a field for each counter of a group, and no other number. */
#define ONE_MORE(member, source, kind, unit, metric, sentence) +1
_Static_assert(sizeof(struct km_msg_group_stats) ==
                   sizeof(kama_bytes) + sizeof(struct km_msg_latency) +
                       sizeof(uint64_t) *
                           (0 KM_GROUP_COUNTER_MAP(ONE_MORE, ONE_MORE,
                                                   ONE_MORE)),
               "each counter of GroupStats needs a row in group/counters.h");
#undef ONE_MORE

/* The table of counters makes the copies: a row without a field in GroupStats
 * does not compile. */
static kama_status append_group_stats(struct km_buf *buf, kama_group *group)
{
    kama_group_stats stats;
    kama_group_stats_get(group, &stats);
    struct km_msg_group_stats message = {
        .name = KAMA_STR(kama_group_name(group)),
#define COPY_COUNTER(member, source, kind, unit, metric, sentence)             \
    .member = stats.member,
        KM_GROUP_COUNTER_MAP(COPY_COUNTER, COPY_COUNTER, COPY_COUNTER)
#undef COPY_COUNTER
    };
    struct km_histogram times;
    km_group_load_times(group, &times);
    read_latency(&times, &message.load_latency);
    return km_pb_append_element(buf, KM_MSG_STATS_GROUPS,
                                &km_msg_group_stats_pb, &message);
}

static kama_status append_metric(struct km_buf *buf,
                                 const struct km_metric *row, uint64_t value)
{
    const struct km_msg_metric message = {
        .name = KAMA_STR(row->name),
        .gauge = row->kind == KM_METRIC_GAUGE,
        .unit = KAMA_STR(row->unit),
        .value = value,
    };
    return km_pb_append_element(buf, KM_MSG_STATS_NODE, &km_msg_metric_pb,
                                &message);
}

/* A new counter of the server appears here without a change: the message has a
 * name, a unit and a value for each row of the server's table. */
static kama_status append_server_metrics(struct km_buf *buf,
                                         struct km_server *server)
{
    const struct km_metric_set *set = km_server_metrics(server);
    kama_status st = KAMA_OK;
    for (unsigned i = 0; i < KM_SERVER_M_COUNT && st == KAMA_OK; i++) {
        st = append_metric(buf, &km_server_metric_rows[i],
                           km_metric_read(set, i));
    }
    return st;
}

/* Likewise for the counters of the cluster, if the node has one. */
static kama_status append_cluster_metrics(struct km_buf *buf,
                                          struct km_cluster_source from)
{
    uint64_t values[KM_CLUSTER_M_COUNT];
    kama_status st = KAMA_OK;
    if (from.ops == NULL) {
        return KAMA_OK;
    }
    from.ops->counters(from.arg, values);
    for (unsigned i = 0; i < KM_CLUSTER_M_COUNT && st == KAMA_OK; i++) {
        st = append_metric(buf, &km_cluster_metric_rows[i], values[i]);
    }
    return st;
}

/* Appends the fields that describe the process. */
static kama_status append_process(struct km_buf *buf,
                                  struct km_service_env *env)
{
    const struct km_msg_stats_response message = {
        .version = KAMA_STR(kama_version()),
        .uptime_ms = km_service_env_uptime_ms(env),
        .rss_bytes = km_process_resident_bytes(),
    };
    return km_pb_append(buf, &km_msg_stats_response_pb, &message);
}

/* Appends the figures of every group, of the server and of the process. */
static kama_status append_all_stats(struct km_buf *buf,
                                    struct km_service_env *env)
{
    unsigned count = km_registry_count(env->registry);
    for (unsigned i = 0; i < count; i++) {
        kama_status st =
            append_group_stats(buf, km_registry_at(env->registry, i));
        if (st != KAMA_OK) {
            return st;
        }
    }
    KM_ASSERT(env->server != NULL); /* it has given us the call */
    kama_status st = append_server_metrics(buf, env->server);
    if (st == KAMA_OK) {
        st = append_cluster_metrics(buf, km_service_env_cluster(env));
    }
    return st == KAMA_OK ? append_process(buf, env) : st;
}

void km_service_stats_writable(struct km_server_call *call)
{
    struct km_service_stats *state = km_server_call_state(call);
    struct km_service_env *env = km_service_env_of(call);
    if (!state->asked || !km_server_call_writable(call)) {
        return;
    }
    struct km_buf buf;
    km_buf_init(&buf, env->mem, SIZE_MAX);
    kama_status st = state->group != NULL
                         ? append_group_stats(&buf, state->group)
                         : append_all_stats(&buf, env);
    km_service_reply_buf(call, &buf, st);
}

void km_service_v2_stats(struct km_server_call *call, kama_bytes message)
{
    struct km_service_stats *state = km_server_call_state(call);
    struct km_msg_stats_request request;
    if (!km_service_decode(call, &km_msg_stats_request_pb, message, &request)) {
        return;
    }
    if (request.all && request.group.len > 0) {
        km_server_call_finish(
            call, KAMA_ERR_INVALID,
            "group, all: name one group or ask for all, not both");
        return;
    }
    if (!request.all) {
        state->group = km_service_find_group(call, request.group);
        if (state->group == NULL) {
            return;
        }
    }
    state->asked = true;
    km_service_stats_writable(call);
}

/* -- Groups -------------------------------------------------------------- */

/* Appends the options that have no field of their own in GroupInfo, if they are
 * set, as pairs of name and value. */
static kama_status append_options(struct km_buf *options,
                                  const struct km_group_info *info)
{
    struct km_group_info_option list[KM_GROUP_INFO_OPTIONS_MAX];
    unsigned count = km_group_info_options(info, list);
    kama_status st = KAMA_OK;
    for (unsigned i = 0; i < count && st == KAMA_OK; i++) {
        struct km_msg_group_option option = {.name = KAMA_STR(list[i].name),
                                             .value = KAMA_STR(list[i].value)};
        st = km_pb_append_element(options, KM_MSG_GROUP_OPTIONS,
                                  &km_msg_group_option_pb, &option);
    }
    return st;
}

/* Appends the GroupInfo. Its list of options is written from the encoded
 * elements in `options`. */
static kama_status append_info(struct km_buf *buf, uint32_t number,
                               kama_group *group,
                               const struct km_group_info *info,
                               const struct km_buf *options)
{
    kama_group_stats stats;
    kama_group_stats_get(group, &stats);
    struct km_msg_group_info message = {
        .name = KAMA_STR(kama_group_name(group)),
        .max_bytes = info->max_bytes,
        .max_value_bytes = info->max_value_bytes,
        .ttl_ms = info->ttl_ms,
        .negative_ttl_ms = info->negative_ttl_ms,
        .has_loader = info->has_loader,
        .loader_timeout_ms = info->loader_timeout_ms,
        .loader_concurrency = info->loader_concurrency,
        .policy = KAMA_STR(info->policy),
        .sync = KAMA_STR(info->sync),
        .entries = stats.entries,
        .bytes = stats.bytes,
    };
    if (options->len > 0) {
        message.options = (struct km_pb_list){
            .at = options->data,
            .end = options->data + options->len,
            .number = KM_MSG_GROUP_OPTIONS,
        };
    }
    return km_pb_append_element(buf, number, &km_msg_group_info_pb, &message);
}

static kama_status append_group(struct km_buf *buf, uint32_t number,
                                kama_group *group)
{
    struct km_group_info info;
    struct km_buf options;
    km_group_info_get(group, &info);
    km_buf_init(&options, buf->mem, SIZE_MAX);
    kama_status st = append_options(&options, &info);
    if (st == KAMA_OK) {
        st = append_info(buf, number, group, &info, &options);
    }
    km_buf_fini(&options);
    return st;
}

kama_status km_stats_append_groups(struct km_buf *buf, uint32_t number,
                                   const struct km_registry *groups)
{
    kama_status st = KAMA_OK;
    unsigned count = km_registry_count(groups);
    for (unsigned i = 0; i < count && st == KAMA_OK; i++) {
        st = append_group(buf, number, km_registry_at(groups, i));
    }
    return st;
}

void km_service_groups_writable(struct km_server_call *call)
{
    const struct km_service_stats *state = km_server_call_state(call);
    const struct km_service_env *env = km_service_env_of(call);
    if (!state->asked || !km_server_call_writable(call)) {
        return;
    }
    struct km_buf buf;
    km_buf_init(&buf, env->mem, SIZE_MAX);
    kama_status st =
        km_stats_append_groups(&buf, KM_MSG_GROUPS_GROUPS, env->registry);
    km_service_reply_buf(call, &buf, st);
}

void km_service_v2_groups(struct km_server_call *call, kama_bytes message)
{
    struct km_service_stats *state = km_server_call_state(call);
    char nothing; /* a request without fields is decoded into nothing */
    if (!km_service_decode(call, &km_msg_empty_pb, message, &nothing)) {
        return;
    }
    state->asked = true;
    km_service_groups_writable(call);
}
