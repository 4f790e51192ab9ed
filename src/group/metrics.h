/* SPDX-License-Identifier: MIT */
/*
 * The counters of a group that are not counted by its store. One row makes
 * the index, the name and the help.
 */
#pragma once

/* X(row, name, unit, help) */
#define KM_GROUP_METRIC_MAP(X)                                                 \
    X(MISSES, "misses", "", "gets that memory could not answer")               \
    X(LOADS, "loads", "", "calls of the loader")                               \
    X(COALESCED, "loads_coalesced", "", "gets that waited for another's load") \
    X(LOADS_MISSED, "loads_missed", "", "loads that ended with a miss")        \
    X(LOADS_FAILED, "loads_failed", "", "loads that ended with an error")      \
    X(OVERTAKEN, "loads_overtaken", "", "loaded and not kept: a mutation won") \
    X(LOAD_NS, "load_ns", "ns", "time spent in loads")                         \
    X(SETS, "sets", "", "values set")                                          \
    X(DELS, "dels", "", "deletes")                                             \
    X(CLEARS, "clears", "", "clears of the whole group")

enum km_group_metric {
#define KM_GROUP_METRIC_ENUM(row, name, unit, help) KM_GROUP_##row,
    KM_GROUP_METRIC_MAP(KM_GROUP_METRIC_ENUM)
#undef KM_GROUP_METRIC_ENUM
        KM_GROUP_METRIC_COUNT
};
