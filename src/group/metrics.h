/* SPDX-License-Identifier: MIT */
/*
 * The counters of a group that are not counted by its store. One row makes
 * the index, the name and the help.
 */
#pragma once

/* X(row, kind, name, unit, help) */
#define KM_GROUP_METRIC_MAP(X)                                                 \
    X(MISSES, COUNTER, "misses", "", "gets that memory could not answer")      \
    X(LOADS, COUNTER, "loads", "", "calls of the loader")                      \
    X(LOADS_RUNNING, GAUGE, "loads_running", "",                               \
      "loads whose loader has begun and that have not come to an end")         \
    X(COALESCED, COUNTER, "loads_coalesced", "",                               \
      "gets that waited for another's load")                                   \
    X(LOADS_MISSED, COUNTER, "loads_missed", "",                               \
      "loads that ended with a miss")                                          \
    X(LOADS_FAILED, COUNTER, "loads_failed", "",                               \
      "loads that ended with an error")                                        \
    X(OVERTAKEN, COUNTER, "loads_overtaken", "",                               \
      "loaded and not kept: a mutation won")                                   \
    X(LOAD_NS, COUNTER, "load_ns", "ns", "time spent in loads")                \
    X(SETS, COUNTER, "sets", "", "values set")                                 \
    X(DELS, COUNTER, "dels", "", "deletes")                                    \
    X(CLEARS, COUNTER, "clears", "", "clears of the whole group")

enum km_group_metric {
#define KM_GROUP_METRIC_ENUM(row, kind, name, unit, help) KM_GROUP_##row,
    KM_GROUP_METRIC_MAP(KM_GROUP_METRIC_ENUM)
#undef KM_GROUP_METRIC_ENUM
        KM_GROUP_METRIC_COUNT
};
