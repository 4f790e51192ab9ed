/* SPDX-License-Identifier: MIT */
/*
 * The log of one group on a node: a warning when a load has failed and, at the
 * level debug, each step of each get. A group itself returns errors and logs
 * nothing; it is made with an observer (group/observer.h), and this is the
 * observer that a node gives to its groups. Each of its calls becomes an event
 * of the node (node_event.h).
 *
 *     log = km_group_log_new(node);
 *     env.observer = &log->observer;
 *     km_group_new(options, &env, &group);
 *
 * Warnings are limited per group, so that an origin that is down does not fill
 * the log: KM_LOAD_WARNINGS_BURST at once, then one a second, and each says how
 * many were not reported since the last. Debug events are not limited, because
 * half of the steps of a get would be of no use.
 *
 * Cost: one clock reading per failed load; nothing for a hit unless the level
 * is debug.
 * Threads: the observer: any thread, without a lock. new and free: setup.
 * Errors: KAMA_ERR_NO_MEMORY.
 * Ownership: a log must live longer than its group and the pool of the node.
 */
#pragma once

#include "base/list.h"
#include "group/observer.h"
#include "node/node.h"

struct km_group_log {
    struct km_list in_node; /* in node->group_logs */
    const kama_node *node;
    struct km_group_observer observer;
    _Atomic km_ns next_at; /* when the next warning would be due if all came
                            * one a second; ahead of now by a burst at most */
    _Atomic uint64_t suppressed; /* warnings since the last that was told */
};

/* Returns a log for one group of the node, owned by the caller until it is
 * added to node->group_logs, or NULL if there is no memory. */
struct km_group_log *km_group_log_new(const kama_node *node);
/* Frees the log, and removes it from the list of its node if it is in there.
 * NULL is a no-op. */
void km_group_log_free(struct km_group_log *log);
