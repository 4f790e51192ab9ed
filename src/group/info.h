/* SPDX-License-Identifier: MIT */
/*
 * The configuration of a group, for services and commands that show it.
 *
 *     struct km_group_info info;
 *     km_group_info_get(group, &info);
 *
 * Cost: a copy of a few numbers. Threads: any thread. max_bytes is the only
 * member that changes during the life of a group (resize.h). Errors: none. Ownership: the
 * names of the policy and of sync_ack are static, and `sync` lives as long as the group.
 */
#pragma once

#include <kamacache/kamacache.h>
#include <stdbool.h>

/* The options of the group, checked and with their defaults. */
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
    /* The strategy by which nodes keep the values (option `sync`), in the same words on
     * all nodes that have the same one. */
    const char *sync;
    const char *sync_ack; /* static */
    int64_t sync_timeout_ms;
    int64_t fence_wait_ms;
};

/* An option as text, in the form that a flag takes. */
struct km_group_info_option {
    const char *name; /* static */
    char value[24];
};

#define KM_GROUP_INFO_OPTIONS_MAX 4

/* Writes the configuration of the group. */
void km_group_info_get(const kama_group *group, struct km_group_info *ret_info);

/* Writes the options, of those that are shown as a list, which differ from their defaults,
 * and returns how many there are. They are in the same order on all nodes. */
unsigned km_group_info_options(
    const struct km_group_info *info,
    struct km_group_info_option ret_options[KM_GROUP_INFO_OPTIONS_MAX]);
