/* SPDX-License-Identifier: MIT */
/* Copies the members of the configuration, of which only max_bytes changes after
 * km_group_new. A negative time to live without a limit is shown as
 * KAMA_TTL_FOREVER. */
#include "group/info.h"

#include "group/group_internal.h"
#include "store/policy.h"

void km_group_info_get(const kama_group *group, struct km_group_info *ret_info)
{
    const struct km_group_config *config = &group->config;
    *ret_info = (struct km_group_info){
        .max_bytes = km_store_max_bytes(group->store),
        .max_value_bytes = config->max_value_bytes,
        .ttl_ms = config->ttl_ms,
        .negative_ttl_ms = config->negative_ttl_ms < INT64_MAX
                               ? config->negative_ttl_ms
                               : KAMA_TTL_FOREVER,
        .ttl_jitter = config->ttl_jitter,
        .has_loader = config->loader != NULL,
        .loader_timeout_ms = config->loader_timeout_ms,
        .loader_concurrency = config->loader_concurrency,
        .policy = config->policy->name,
        .sync = group->strategy,
    };
}
