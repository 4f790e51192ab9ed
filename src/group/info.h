/* SPDX-License-Identifier: MIT */
/*
 * How a group is configured, for those who show it.
 * Thread-safety: any thread. Errors: none.
 */
#pragma once

#include <kamacache/kamacache.h>
#include <stdbool.h>

/* What the group was told, checked and completed. */
struct km_group_info {
    uint64_t max_bytes;
    uint64_t max_value_bytes;
    int64_t ttl_ms;          /* KAMA_TTL_FOREVER or > 0 */
    int64_t negative_ttl_ms; /* KAMA_TTL_FOREVER, 0 or > 0 */
    uint32_t ttl_jitter;     /* percent */
    bool has_loader;
    int64_t loader_timeout_ms;
    uint32_t loader_concurrency;
    const char *policy; /* static */
};

void km_group_info_get(const kama_group *group, struct km_group_info *ret_info);
