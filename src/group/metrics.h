/* SPDX-License-Identifier: MIT */
/*
 * The figures of groups as metrics (base/metric_text.h), and the public call that
 * writes them.
 *
 *     km_metric_text_init(&text, &buf, KM_METRIC_PROMETHEUS);
 *     km_group_metrics_write_all(&text, &registry);
 *     status = km_metric_text_end(&text);
 *
 * The families are made from the table of counters (counters.h), whose column
 * `metric` names them: a new row is shown without another line of code. A family
 * that several rows share has its sentence in metrics.c. The histogram of the times
 * of loads comes behind them.
 *
 * Each sample has the label `group`. The number of its values is bounded, because
 * each of them is a series of its own in Prometheus: the first KM_METRIC_GROUPS_MAX
 * groups have their names, and the others are summed into the group "other". A group
 * of that name is one of the others if there are any.
 *
 * A node begins with a struct km_metrics_source, so that kama_metrics_write can ask
 * it although this folder does not know nodes.
 *
 * Threads: any thread. The figures are read one after the other while the groups
 * work. Cost: O(groups), 0.4 KiB of memory for each group that has its name. Errors:
 * KAMA_ERR_NO_MEMORY, which the text keeps. Ownership: everything is borrowed until
 * the call returns.
 */
#pragma once

#include "base/metric_text.h"

#include <kamacache/kamacache.h>

struct km_registry;

/* The prefix of all families of this project. */
#define KM_METRIC_PREFIX "kamacache_"

/* The first member of a kama_node. */
struct km_metrics_source {
    const kama_allocator *mem;
    /* Appends the families of the node and of its groups. */
    void (*write)(kama_node *node, struct km_metric_text *text);
};

/* Append the families of one group, or of all groups of a registry. */
void km_group_metrics_write(struct km_metric_text *text, kama_group *group);
void km_group_metrics_write_all(struct km_metric_text *text,
                                const struct km_registry *registry);
