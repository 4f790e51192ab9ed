/* SPDX-License-Identifier: MIT */
/*
 * The options of a group after they were checked: every zero has become the
 * default, and every number is within its limits. A group keeps them as they are
 * for its whole life.
 *
 * Threads: any. Errors: KAMA_ERR_INVALID and KAMA_ERR_TOO_LARGE, with a sentence
 * that names the option.
 */
#pragma once

#include "base/mem.h"
#include "group/strategy.h"
#include "group/sync.h"
#include "store/pages.h"

#include <kamacache/kamacache.h>

struct km_policy_ops;

/* What a group was told, checked and completed. */
struct km_group_config {
    uint64_t max_bytes; /* in the beginning; then km_store_max_bytes */
    uint64_t max_value_bytes;
    int64_t ttl_ms;          /* KAMA_TTL_FOREVER or > 0 */
    int64_t negative_ttl_ms; /* INT64_MAX: never forgotten */
    uint32_t ttl_jitter;
    kama_loader_fn loader;
    void *loader_arg;
    void (*loader_free)(void *arg);
    int64_t loader_timeout_ms;
    uint32_t loader_concurrency;
    uint32_t async_threads;
    const struct km_policy_ops *policy;
    struct km_strategy strategy;
    int64_t sync_timeout_ms;
    int64_t fence_wait_ms;
    enum km_sync_ack sync_ack;
    enum km_huge_pages huge_pages;
};

/* Returns the value of the option sync_ack: static. */
const char *km_group_ack_name(enum km_sync_ack ack);

/* Whether a group can ask other nodes at all. */
enum km_group_company { KM_GROUP_ALONE, KM_GROUP_CLUSTERED };

/* Checks options, which may be of an older or newer size. name is borrowed
 * from them. A value may have value_bytes_max bytes, and not more than
 * KM_VALUE_BYTES_CLUSTER_MAX if it has to travel between nodes. The addresses of the
 * strategy stay as they are written (km_strategy_complete). Errors: KAMA_ERR_INVALID,
 * KAMA_ERR_TOO_LARGE. */
KAMA_NODISCARD kama_status km_group_config_init(
    const kama_group_options *options, enum km_group_company company,
    uint64_t value_bytes_max, struct km_group_config *ret,
    const char **ret_name, const kama_allocator **ret_mem);
