/* SPDX-License-Identifier: MIT */
#include "admin/group.h"

#include "admin/json.h"
#include "admin/query.h"
#include "base/limits.h"
#include "base/status.h"
#include "group/counters.h"
#include "group/group.h"
#include "group/info.h"
#include "group/registry.h"

#include <stdio.h>

kama_status km_admin_group_of(const struct km_admin_context *context,
                              enum km_admin_presence presence,
                              kama_group **ret_group)
{
    char name[KM_GROUP_NAME_BYTES_MAX];
    char shown[80];
    kama_bytes value;
    kama_status status =
        km_admin_query_get(context->query, "group", name, sizeof name, &value);
    if (status == KAMA_MISS) {
        *ret_group = NULL;
        return presence == KM_ADMIN_OPTIONAL
                   ? KAMA_OK
                   : km_fail(KAMA_ERR_INVALID,
                             "group: the parameter is missing; ?group=NAME, "
                             "and /api/v1/groups lists the groups");
    }
    if (status != KAMA_OK) {
        return status;
    }
    *ret_group = km_registry_find(context->source->registry, value);
    return *ret_group != NULL
               ? KAMA_OK
               : km_fail(KAMA_ERR_NO_GROUP,
                         "there is no group \"%s\" on this node; "
                         "/api/v1/groups lists them",
                         km_bytes_quote(value, shown, sizeof shown));
}

/* -- counters ------------------------------------------------------------------ */

static json_t *latency_json(const kama_group *group)
{
    struct km_histogram times;
    struct km_admin_json json;
    km_group_load_times(group, &times);
    uint64_t count = km_histogram_count(&times);
    km_admin_json_begin(&json);
    km_admin_json_uint(&json, "count", count);
    km_admin_json_uint(&json, "sum", km_histogram_sum_ns(&times));
    static const struct {
        const char *name;
        double of;
    } quantiles[] = {
        {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1}};
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
        km_admin_json_uint(
            &json, quantiles[i].name,
            count > 0 ? km_histogram_quantile(&times, quantiles[i].of) : 0);
    }
    return km_admin_json_end(&json);
}

static double hit_ratio(const kama_group_stats *stats)
{
    double hits = (double)stats->hits + (double)stats->negative_hits;
    return stats->gets == 0 ? 0 : hits / (double)stats->gets;
}

/* A row of the table of counters is a member here without a change. */
static json_t *stats_json(kama_group *group, const kama_group_stats *stats)
{
    struct km_admin_json json;
    km_admin_json_begin(&json);
#define SET_COUNTER(member, source, kind, unit, metric, sentence)              \
    km_admin_json_uint(&json, #member, stats->member);
    KM_GROUP_COUNTER_MAP(SET_COUNTER, SET_COUNTER, SET_COUNTER)
#undef SET_COUNTER
    km_admin_json_set(&json, "hit_ratio", json_real(hit_ratio(stats)));
    km_admin_json_set(&json, "load_latency_ns", latency_json(group));
    return km_admin_json_end(&json);
}

/* -- options ------------------------------------------------------------------- */

/* The options that have no member of their own, if they are set. */
static json_t *options_json(const struct km_group_info *info)
{
    struct km_group_info_option list[KM_GROUP_INFO_OPTIONS_MAX];
    struct km_admin_json json;
    unsigned count = km_group_info_options(info, list);
    km_admin_json_begin(&json);
    for (unsigned i = 0; i < count; i++) {
        km_admin_json_text(&json, list[i].name, list[i].value);
    }
    return km_admin_json_end(&json);
}

static json_t *group_json(kama_group *group)
{
    struct km_group_info info;
    struct km_admin_json json;
    kama_group_stats stats;
    km_group_info_get(group, &info);
    kama_group_stats_get(group, &stats);
    km_admin_json_begin(&json);
    km_admin_json_text(&json, "name", kama_group_name(group));
    km_admin_json_uint(&json, "max_bytes", info.max_bytes);
    km_admin_json_uint(&json, "max_value_bytes", info.max_value_bytes);
    km_admin_json_int(&json, "ttl_ms", info.ttl_ms);
    km_admin_json_int(&json, "negative_ttl_ms", info.negative_ttl_ms);
    km_admin_json_bool(&json, "has_loader", info.has_loader);
    km_admin_json_int(&json, "loader_timeout_ms", info.loader_timeout_ms);
    km_admin_json_uint(&json, "loader_concurrency", info.loader_concurrency);
    km_admin_json_text(&json, "policy", info.policy);
    km_admin_json_text(&json, "sync", info.sync);
    km_admin_json_uint(&json, "entries", stats.entries);
    km_admin_json_uint(&json, "bytes", stats.bytes);
    km_admin_json_set(&json, "options", options_json(&info));
    km_admin_json_set(&json, "stats", stats_json(group, &stats));
    return km_admin_json_end(&json);
}

void km_admin_groups(const struct km_admin_context *context,
                     struct km_admin_reply *reply)
{
    const struct km_registry *registry = context->source->registry;
    struct km_admin_json json;
    json_t *groups = json_array();
    unsigned count = km_registry_count(registry);
    km_admin_json_begin(&json);
    for (unsigned i = 0; i < count; i++) {
        if (json_array_append_new(
                groups, group_json(km_registry_at(registry, i))) != 0) {
            json.failed = true;
        }
    }
    km_admin_json_set(&json, "groups", groups);
    km_admin_reply_json(reply, km_admin_json_end(&json));
}
