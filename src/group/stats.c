/* SPDX-License-Identifier: MIT */
/*
 * The figures of a group, gathered from its store and its counters.
 *
 * The table of counters (counters.h) says where each figure comes from, and the
 * functions below are made from it: a new counter needs no line here.
 */
#include "group/counters.h"

#include "group/group_internal.h"

/* Each member of kama_group_stats behind `reserved` has exactly one row: this
 * struct has one member for each row, so that a row that stands twice does not
 * compile, and a member without a row makes the sizes differ. */
struct all_counters {
#define COUNTER_MEMBER(member, source, kind, unit, metric, sentence)           \
    uint64_t member;
    KM_GROUP_COUNTER_MAP(COUNTER_MEMBER, COUNTER_MEMBER, COUNTER_MEMBER)
#undef COUNTER_MEMBER
};
_Static_assert(sizeof(struct all_counters) ==
                   sizeof(kama_group_stats) - offsetof(kama_group_stats, gets),
               "each member of kama_group_stats needs a row in counters.h");

#define COUNTER_WIDTH(member, source, kind, unit, metric, sentence)            \
    _Static_assert(sizeof(((kama_group_stats *)0)->member) ==                  \
                       sizeof(uint64_t),                                       \
                   #member " is not a uint64_t");
KM_GROUP_COUNTER_MAP(COUNTER_WIDTH, COUNTER_WIDTH, COUNTER_WIDTH)
#undef COUNTER_WIDTH

static uint64_t sum_misses(const kama_group_stats *stats)
{
    return stats->misses_absent + stats->misses_expired +
           stats->misses_evicted + stats->misses_deleted;
}

static uint64_t sum_gets(const kama_group_stats *stats)
{
    return stats->hits + stats->negative_hits + sum_misses(stats);
}

/* The parts are read one after the other, so that they may be more than the sum
 * for a moment. */
static uint64_t sum_overhead(const kama_group_stats *stats)
{
    uint64_t others = stats->value_bytes + stats->pinned_bytes;
    return stats->bytes > others ? stats->bytes - others : 0;
}

/* Reads the rows STORE. */
static void read_store(kama_group *group, kama_group_stats *stats)
{
    struct km_store_stats store;
    km_store_stats_get(group->store, &store);
#define READ_STORE(member, source, kind, unit, metric, sentence)               \
    stats->member = store.source;
    KM_GROUP_COUNTER_MAP(KM_GROUP_COUNTER_SKIP, READ_STORE,
                         KM_GROUP_COUNTER_SKIP)
#undef READ_STORE
}

/* Reads the rows METRIC. */
static void read_metrics(kama_group *group, kama_group_stats *stats)
{
#define READ_METRIC(member, source, kind, unit, metric, sentence)              \
    stats->member = km_metric_read(group->metrics, source);
    KM_GROUP_COUNTER_MAP(READ_METRIC, KM_GROUP_COUNTER_SKIP,
                         KM_GROUP_COUNTER_SKIP)
#undef READ_METRIC
}

/* Computes the rows SUM from the others. */
static void sum_up(kama_group_stats *stats)
{
#define SUM_UP(member, source, kind, unit, metric, sentence)                   \
    stats->member = source(stats);
    KM_GROUP_COUNTER_MAP(KM_GROUP_COUNTER_SKIP, KM_GROUP_COUNTER_SKIP, SUM_UP)
#undef SUM_UP
}

void kama_group_stats_get_sized(kama_group *group, kama_group_stats *stats,
                                size_t struct_size)
{
    kama_group_stats own;
    memset(&own, 0, sizeof own);
    read_store(group, &own);
    read_metrics(group, &own);
    sum_up(&own);
    own.struct_size = (uint32_t)struct_size;
    memset(stats, 0, struct_size);
    memcpy(stats, &own, struct_size < sizeof own ? struct_size : sizeof own);
}
