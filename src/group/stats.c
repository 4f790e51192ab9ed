/* SPDX-License-Identifier: MIT */
/* The figures of a group, gathered from store, counters and queues. */
#include "group/group_internal.h"

static void read_store(kama_group *group, kama_group_stats *stats)
{
    struct km_store_stats store;
    km_store_stats_get(group->store, &store);
    stats->hits = store.hits;
    stats->negative_hits = store.negative_hits;
    stats->evictions = store.evictions;
    stats->expirations = store.expirations;
    stats->entries = store.entries;
    stats->negative_entries = store.negative_entries;
    stats->bytes = store.used_bytes;
    stats->value_bytes = store.payload_bytes;
    stats->pinned_bytes = store.pinned_bytes;
    stats->max_bytes = store.max_bytes;
}

static void read_counters(kama_group *group, kama_group_stats *stats)
{
    const struct km_metric_set *set = group->metrics;
    stats->misses = km_metric_read(set, KM_GROUP_MISSES);
    stats->loads = km_metric_read(set, KM_GROUP_LOADS);
    stats->loads_running = km_metric_read(set, KM_GROUP_LOADS_RUNNING);
    stats->loads_coalesced = km_metric_read(set, KM_GROUP_COALESCED);
    stats->loads_missed = km_metric_read(set, KM_GROUP_LOADS_MISSED);
    stats->loads_failed = km_metric_read(set, KM_GROUP_LOADS_FAILED);
    stats->loads_overtaken = km_metric_read(set, KM_GROUP_OVERTAKEN);
    stats->load_ns = km_metric_read(set, KM_GROUP_LOAD_NS);
    stats->sets = km_metric_read(set, KM_GROUP_SETS);
    stats->dels = km_metric_read(set, KM_GROUP_DELS);
    stats->clears = km_metric_read(set, KM_GROUP_CLEARS);
}

void kama_group_stats_get_sized(kama_group *group, kama_group_stats *stats,
                                size_t struct_size)
{
    kama_group_stats own;
    memset(&own, 0, sizeof own);
    read_store(group, &own);
    read_counters(group, &own);
    own.gets = own.hits + own.negative_hits + own.misses;
    own.struct_size = (uint32_t)struct_size;
    memset(stats, 0, struct_size);
    memcpy(stats, &own, struct_size < sizeof own ? struct_size : sizeof own);
}
