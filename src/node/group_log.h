/* SPDX-License-Identifier: MIT */
/*
 * What a node says about one of its groups: a warning when a load has failed,
 * and at the level debug each step of each get. It is the observer that the
 * group is made with (group/observer.h), and speaks through the node's event
 * function.
 *
 * Warnings are limited per group, so that an origin that is down does not fill
 * the log: a few at once, then one a second, and each says how many were held
 * back since the last. Debug events are not limited: half of the steps of a get
 * would be of no use.
 *
 * Thread-safety: any thread; new and free: setup. Errors: KAMA_ERR_NO_MEMORY.
 * Ownership: a log outlives its group and the node's pool.
 */
#pragma once

#include "base/list.h"
#include "group/observer.h"
#include "node/node.h"

struct km_group_log {
    struct km_list in_node; /* node->group_logs */
    const kama_node *node;
    struct km_group_observer observer;
    _Atomic km_ns used_up_at; /* when the limit will have recovered */
    _Atomic uint64_t suppressed;
};

/* A log for one group of the node; NULL without memory. */
struct km_group_log *km_group_log_new(const kama_node *node);
/* NULL is a no-op. */
void km_group_log_free(struct km_group_log *log);
