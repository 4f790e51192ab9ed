/* SPDX-License-Identifier: MIT */
/*
 * The table of the counters of a group.
 *
 * One row makes: the counter's place among the counters that the group counts
 * itself (enum km_group_metric), its line in kama_group_stats_get (stats.c), its
 * field in the answer of Stats (services/stats.c), and its line in the table and
 * in the JSON of `kamacache-cli stats`. The public struct kama_group_stats, the
 * message GroupStats in proto/kama/v2/cache.proto and its table in wire/msg/msg.h
 * are written by hand. A row without its member or field does not compile, and
 * neither does a member without its row; tests/group/counters_test.c compares
 * the sentences.
 *
 * A row says where the value comes from, by one of three macros that the user of
 * the table passes. All of them have the same six columns:
 *
 *     METRIC(member, KM_GROUP_..., kind, unit, metric, sentence)
 *         counted in the cells of km_group_count
 *     STORE(member, store_member, kind, unit, metric, sentence)
 *         read from struct km_store_stats
 *     SUM(member, function, kind, unit, metric, sentence)
 *         computed from the other rows
 *
 * `metric` says how the counter is shown to Prometheus (group/metrics.h): the name
 * of a family, without the prefix `kamacache_` and without `_total`, and perhaps a
 * label. A counter that is a part of two families has two such names, with a blank
 * between them. It is "" for a counter that is the sum of others which are shown.
 *
 *     "loads_running"   "gets{source=peer}"   "group_hits gets{source=local}"
 *
 * For example, this lists the names of all counters:
 *
 *     #define NAME(member, source, kind, unit, metric, sentence) #member,
 *     static const char *const names[] = {KM_GROUP_COUNTER_MAP(NAME, NAME, NAME)};
 *
 * The rows follow the way of a request, and this is the order in which people
 * see them. The members of the public struct may stand in another order, because
 * a new one is always its last.
 *
 * Threads, cost, errors: there is no code here.
 */
#pragma once

#include "base/metric.h"

#define KM_GROUP_COUNTER_MAP(METRIC, STORE, SUM)                               \
    SUM(gets, sum_gets, KM_METRIC_COUNTER, "", "",                             \
        "Keys that were asked for.")                                           \
    STORE(hits, hits, KM_METRIC_COUNTER, "", "group_hits gets{source=local}",  \
          "Gets that memory answered with a value.")                           \
    STORE(negative_hits, negative_hits, KM_METRIC_COUNTER, "",                 \
          "gets{source=negative}",                                             \
          "Gets that memory answered with \"does not exist\".")                \
    SUM(misses, sum_misses, KM_METRIC_COUNTER, "", "group_misses",             \
        "Gets that memory could not answer.")                                  \
    METRIC(misses_absent, KM_GROUP_MISSES_ABSENT, KM_METRIC_COUNTER, "",       \
           "misses{reason=absent}",                                            \
           "Misses of keys that were never in memory, or whose leaving is "    \
           "not remembered any more.")                                         \
    METRIC(misses_expired, KM_GROUP_MISSES_EXPIRED, KM_METRIC_COUNTER, "",     \
           "misses{reason=expired}", "Misses of keys whose time was over.")    \
    METRIC(misses_evicted, KM_GROUP_MISSES_EVICTED, KM_METRIC_COUNTER, "",     \
           "misses{reason=evicted}",                                           \
           "Misses of keys that had made room for others.")                    \
    METRIC(misses_deleted, KM_GROUP_MISSES_DELETED, KM_METRIC_COUNTER, "",     \
           "misses{reason=deleted}", "Misses of keys that were deleted.")      \
    METRIC(gets_loaded, KM_GROUP_GETS_LOADED, KM_METRIC_COUNTER, "",           \
           "gets{source=loader}", "Gets that ended with a load of this node.") \
    METRIC(gets_absent, KM_GROUP_GETS_ABSENT, KM_METRIC_COUNTER, "",           \
           "gets{source=none}",                                                \
           "Gets of keys that were not in memory and were not to be loaded.")  \
    METRIC(gets_failed, KM_GROUP_GETS_FAILED, KM_METRIC_COUNTER, "",           \
           "gets{source=failed}",                                              \
           "Gets that ended before anybody had answered them.")                \
    METRIC(loads, KM_GROUP_LOADS, KM_METRIC_COUNTER, "", "",                   \
           "Calls of the loader.")                                             \
    METRIC(loads_coalesced, KM_GROUP_COALESCED, KM_METRIC_COUNTER, "",         \
           "loads_coalesced",                                                  \
           "Gets that waited for a load which another get had started.")       \
    METRIC(loads_found, KM_GROUP_LOADS_FOUND, KM_METRIC_COUNTER, "",           \
           "loads{result=found}", "Loads that found a value.")                 \
    METRIC(loads_missed, KM_GROUP_LOADS_MISSED, KM_METRIC_COUNTER, "",         \
           "loads{result=missed}", "Loads that found no such key.")            \
    METRIC(loads_failed, KM_GROUP_LOADS_FAILED, KM_METRIC_COUNTER, "",         \
           "loads{result=failed}", "Loads that ended with an error.")          \
    METRIC(loads_overtaken, KM_GROUP_OVERTAKEN, KM_METRIC_COUNTER, "",         \
           "loads_overtaken",                                                  \
           "Loads whose result was not kept because a mutation had "           \
           "overtaken them.")                                                  \
    METRIC(load_ns, KM_GROUP_LOAD_NS, KM_METRIC_COUNTER, "ns", "",             \
           "The time that loads took, in nanoseconds, summed.")                \
    METRIC(loads_running, KM_GROUP_LOADS_RUNNING, KM_METRIC_GAUGE, "",         \
           "loads_running",                                                    \
           "Loaders that run at this moment, including those whose load has "  \
           "timed out.")                                                       \
    METRIC(peer_gets, KM_GROUP_PEER_GETS, KM_METRIC_COUNTER, "", "peer_gets",  \
           "Gets that asked the owner of the key.")                            \
    METRIC(peer_hits, KM_GROUP_PEER_HITS, KM_METRIC_COUNTER, "",               \
           "gets{source=peer}",                                                \
           "Gets that ended with an answer of the owner.")                     \
    METRIC(peer_errors, KM_GROUP_PEER_ERRORS, KM_METRIC_COUNTER, "",           \
           "peer_errors",                                                      \
           "Gets that asked the owner and ended without its answer.")          \
    METRIC(fills_served, KM_GROUP_FILLS_SERVED, KM_METRIC_COUNTER, "",         \
           "fills_served",                                                     \
           "Gets of other nodes that this node answered as the owner.")        \
    METRIC(mutations_forwarded, KM_GROUP_MUTATIONS_FORWARDED,                  \
           KM_METRIC_COUNTER, "", "mutations_forwarded",                       \
           "Sets, deletes and touches that were sent to the owner of the "     \
           "key.")                                                             \
    METRIC(mutations_served, KM_GROUP_MUTATIONS_SERVED, KM_METRIC_COUNTER, "", \
           "mutations_served",                                                 \
           "Sets, deletes, touches and clears of other nodes that this node "  \
           "carried out as the owner.")                                        \
    METRIC(sync_originated, KM_GROUP_SYNC_ORIGINATED, KM_METRIC_COUNTER, "",   \
           "sync_originated",                                                  \
           "Mutations that began on this node and go to all the others.")      \
    METRIC(sync_applied, KM_GROUP_SYNC_APPLIED, KM_METRIC_COUNTER, "",         \
           "sync_applied",                                                     \
           "Mutations of other nodes that were applied here, whether they "    \
           "changed anything or not.")                                         \
    METRIC(fills_kept, KM_GROUP_FILLS_KEPT, KM_METRIC_COUNTER, "",             \
           "fills_kept", "Answers of owners that this node keeps.")            \
    METRIC(fills_not_kept, KM_GROUP_FILLS_NOT_KEPT, KM_METRIC_COUNTER, "",     \
           "fills_not_kept",                                                   \
           "Answers of owners that a mutation may have overtaken, so that "    \
           "only those that waited got them.")                                 \
    METRIC(fence_waits, KM_GROUP_FENCE_WAITS, KM_METRIC_COUNTER, "",           \
           "fence_waits",                                                      \
           "Calls of other nodes that waited here for mutations which the "    \
           "answer must include.")                                             \
    METRIC(sets, KM_GROUP_SETS, KM_METRIC_COUNTER, "",                         \
           "mutations{operation=set}", "Values that callers stored.")          \
    METRIC(dels, KM_GROUP_DELS, KM_METRIC_COUNTER, "",                         \
           "mutations{operation=delete}", "Deletes, one for each key.")        \
    METRIC(clears, KM_GROUP_CLEARS, KM_METRIC_COUNTER, "",                     \
           "mutations{operation=clear}",                                       \
           "Times that the whole group was emptied.")                          \
    STORE(evictions, evictions, KM_METRIC_COUNTER, "",                         \
          "evictions{reason=capacity}",                                        \
          "Entries that were removed to make room for others.")                \
    STORE(expirations, expirations, KM_METRIC_COUNTER, "",                     \
          "expirations evictions{reason=expired}",                             \
          "Entries that were removed because their time was over.")            \
    STORE(entries_deleted, deleted, KM_METRIC_COUNTER, "",                     \
          "evictions{reason=deleted}",                                         \
          "Entries that were removed by a delete of their key.")               \
    STORE(entries_replaced, replaced, KM_METRIC_COUNTER, "",                   \
          "evictions{reason=replaced}",                                        \
          "Entries that were replaced by another value of their key.")         \
    STORE(entries_cleared, cleared, KM_METRIC_COUNTER, "",                     \
          "evictions{reason=cleared}",                                         \
          "Entries that were removed because the whole group was emptied.")    \
    STORE(entries_moved, moved, KM_METRIC_COUNTER, "",                         \
          "evictions{reason=moved}",                                           \
          "Entries that were removed because another node owns their key.")    \
    STORE(entries, entries, KM_METRIC_GAUGE, "", "entries",                    \
          "Keys that have a value at this moment.")                            \
    STORE(negative_entries, negative_entries, KM_METRIC_GAUGE, "",             \
          "negative_entries",                                                  \
          "Keys that are remembered as \"does not exist\" at this moment.")    \
    STORE(bytes, used_bytes, KM_METRIC_GAUGE, "bytes", "bytes",                \
          "All the memory of the store at this moment.")                       \
    STORE(value_bytes, payload_bytes, KM_METRIC_GAUGE, "bytes",                \
          "memory_bytes{use=values}", "The memory of keys and values alone.")  \
    STORE(pinned_bytes, pinned_bytes, KM_METRIC_GAUGE, "bytes",                \
          "memory_bytes{use=pinned} store_bytes{use=held}",                    \
          "The memory of values that callers hold. A large one that is still " \
          "stored counts in value_bytes, too.")                                \
    SUM(overhead_bytes, sum_overhead, KM_METRIC_GAUGE, "bytes",                \
        "memory_bytes{use=overhead}",                                          \
        "The memory of the index, of bookkeeping and of what malloc adds.")    \
    STORE(live_bytes, usage.live, KM_METRIC_GAUGE, "bytes",                    \
          "store_bytes{use=live}",                                             \
          "The memory of entries, without large values.")                      \
    STORE(hole_bytes, usage.holes, KM_METRIC_GAUGE, "bytes",                   \
          "store_bytes{use=holes}",                                            \
          "The memory of entries that have left, between others.")             \
    STORE(free_bytes, usage.free, KM_METRIC_GAUGE, "bytes",                    \
          "store_bytes{use=free}",                                             \
          "The memory that is kept for the entries that come next.")           \
    STORE(block_bytes, usage.blocks, KM_METRIC_GAUGE, "bytes",                 \
          "store_bytes{use=blocks}",                                           \
          "The memory of large values that no caller holds.")                  \
    STORE(index_bytes, usage.index, KM_METRIC_GAUGE, "bytes",                  \
          "store_bytes{use=index}", "The memory of the index.")                \
    STORE(ghost_bytes, usage.ghosts, KM_METRIC_GAUGE, "bytes",                 \
          "store_bytes{use=ghosts}",                                           \
          "The memory that tells which keys have left lately.")                \
    STORE(fixed_bytes, usage.fixed, KM_METRIC_GAUGE, "bytes",                  \
          "store_bytes{use=fixed}",                                            \
          "The memory of tables and of the store itself.")                     \
    STORE(max_bytes, max_bytes, KM_METRIC_GAUGE, "bytes", "max_bytes",         \
          "The bound that the options of the group, or a resize, have set.")

/* A source that a user of the table leaves out. */
#define KM_GROUP_COUNTER_SKIP(member, source, kind, unit, metric, sentence)

/* The counters that km_group_count counts, one for each row METRIC. */
enum km_group_metric {
#define GROUP_METRIC_INDEX(member, source, kind, unit, metric, sentence) source,
    KM_GROUP_COUNTER_MAP(GROUP_METRIC_INDEX, KM_GROUP_COUNTER_SKIP,
                         KM_GROUP_COUNTER_SKIP)
#undef GROUP_METRIC_INDEX
        KM_GROUP_METRIC_COUNT
};
