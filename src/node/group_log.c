/* SPDX-License-Identifier: MIT */
/* The limit of warnings is one number that all threads move with a compare and
 * swap: no lock is needed where loads end. */
#include "node/group_log.h"

#include "base/assert.h"
#include "base/limits.h"
#include "node/node_event.h"

#include <inttypes.h>
#include <stdio.h>

#define INTERVAL_NS KM_NS_PER_S

/*
 * Returns whether one more warning may be told now. next_at moves on by an
 * interval with each warning. While it lies in the past, the group was quiet:
 * the whole burst is free again.
 *
 *              now                  now + burst
 *     ----------|----x----x----x----x----|------> time
 *                                   ^ next_at: one more warning fits
 */
static bool may_warn(struct km_group_log *log, km_ns now)
{
    km_ns at = atomic_load(&log->next_at);
    km_ns from;
    do {
        from = at > now ? at : now;
        if (from - now > (KM_LOAD_WARNINGS_BURST - 1) * INTERVAL_NS) {
            return false;
        }
    } while (
        !atomic_compare_exchange_weak(&log->next_at, &at, from + INTERVAL_NS));
    return true;
}

static kama_node_event make_event(const struct km_group_event *event, int level)
{
    return (kama_node_event){
        .struct_size = sizeof(kama_node_event),
        .level = level,
        .name = event->name,
        .message = event->message,
        .group = event->group,
        .key = event->key,
        .status = event->status,
        .duration_ns = event->took_ns,
    };
}

/* A load has failed for its callers. */
static void on_failed(void *arg, const struct km_group_event *event)
{
    struct km_group_log *log = arg;
    char message[KM_EVENT_BYTES_MAX + 64];
    if (!may_warn(log, km_clock_mono(log->node->clock))) {
        atomic_fetch_add(&log->suppressed, 1);
        return;
    }
    kama_node_event told = make_event(event, KM_NODE_WARN);
    told.suppressed = atomic_exchange(&log->suppressed, 0);
    if (told.suppressed > 0) {
        (void)snprintf(message, sizeof message,
                       "%s; %" PRIu64 " more failures since the last warning",
                       event->message, told.suppressed);
        told.message = message;
    }
    km_node_tell(log->node, &told);
}

/* A get or a load has made a step. */
static void on_trace(void *arg, const struct km_group_event *event)
{
    const struct km_group_log *log = arg;
    kama_node_event told = make_event(event, KM_NODE_DEBUG);
    km_node_tell(log->node, &told);
}

struct km_group_log *km_group_log_new(const kama_node *node)
{
    struct km_group_log *log = km_mem_zalloc(&node->mem, 1, sizeof *log);
    if (log == NULL) {
        return NULL;
    }
    KM_ASSERT(node->config.event != NULL);
    km_list_init(&log->in_node);
    log->node = node;
    log->observer.failed = on_failed;
    log->observer.arg = log;
    if (node->config.event_level <= KM_NODE_DEBUG) {
        log->observer.trace = on_trace;
    }
    return log;
}

void km_group_log_free(struct km_group_log *log)
{
    if (log != NULL) {
        km_list_remove(&log->in_node);
        km_mem_free(&log->node->mem, log);
    }
}
