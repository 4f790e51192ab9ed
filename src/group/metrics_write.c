/* SPDX-License-Identifier: MIT */
/* The public call that writes metrics. A node is asked through its first member,
 * because nodes are of a higher level, and the core has none. */
#include "group/metrics.h"

#include "base/status.h"
#include "group/group_internal.h"

static kama_status check_write(const kama_node *node, const kama_group *group,
                               uint32_t format, kama_write_fn write)
{
    if ((node == NULL) == (group == NULL)) {
        return km_fail(KAMA_ERR_INVALID,
                       "metrics: give a node or a group, and NULL for the "
                       "other one");
    }
    if (write == NULL) {
        return km_fail(KAMA_ERR_INVALID, "metrics: write is NULL");
    }
    if (format > KAMA_METRICS_OPENMETRICS) {
        return km_fail(KAMA_ERR_INVALID,
                       "metrics: the format %u is neither "
                       "KAMA_METRICS_PROMETHEUS nor KAMA_METRICS_OPENMETRICS",
                       format);
    }
    return KAMA_OK;
}

/* The numbers of the public formats are those of enum km_metric_format. */
_Static_assert(KAMA_METRICS_PROMETHEUS == (int)KM_METRIC_PROMETHEUS &&
                   KAMA_METRICS_OPENMETRICS == (int)KM_METRIC_OPENMETRICS,
               "the formats have the same numbers");

kama_status kama_metrics_write(kama_node *node, kama_group *group,
                               uint32_t format, kama_write_fn write, void *arg)
{
    kama_status st = check_write(node, group, format, write);
    if (st != KAMA_OK) {
        return st;
    }
    const struct km_metrics_source *source = (const void *)node;
    struct km_metric_text text;
    struct km_buf buf;
    km_buf_init(&buf, node != NULL ? source->mem : &group->mem, SIZE_MAX);
    km_metric_text_init(&text, &buf, (enum km_metric_format)format);
    if (node != NULL) {
        source->write(node, &text);
    } else {
        km_group_metrics_write(&text, group);
    }
    st = km_metric_text_end(&text);
    st = st == KAMA_OK ? write(arg, buf.data, buf.len)
                       : km_fail(st, "no memory for the text of the metrics");
    km_buf_fini(&buf);
    return st;
}
