/* SPDX-License-Identifier: MIT */
/*
 * The feed of a node (sync/feed.h), between the loop that applies mutations and the
 * services that send them to watchers (services/feed_source.h).
 *
 *     sync loop --own, applied, missed--> node->sync_feed --ops--> services/watch_group.h
 *                                              |
 *                                              +-- grew --> km_service_watches_notify
 *
 * Threads: new is setup; the ops: any thread. Errors: KAMA_ERR_NO_MEMORY from new.
 * Ownership: the node owns the feed, which is freed before the log. Cost: see
 * sync/feed.h.
 */
#pragma once

#include "services/feed_source.h"

/* Makes the feed of a node that has a log. */
KAMA_NODISCARD kama_status km_node_sync_feed_new(kama_node *node);

/* The functions; their `feed` is a kama_node. */
extern const struct km_service_feed_ops km_node_feed_ops;
