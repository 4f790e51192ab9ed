/* SPDX-License-Identifier: MIT */
/* Copies the members of the configuration, of which only max_bytes changes after
 * km_group_new. A negative time to live without a limit is shown as
 * KAMA_TTL_FOREVER. */
#include "group/info.h"

#include "base/limits.h"
#include "base/option_text.h"
#include "group/group_internal.h"
#include "store/policy.h"

#include <string.h>

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
        .sync_ack = km_group_ack_name(config->sync_ack),
        .sync_timeout_ms = config->sync_timeout_ms,
        .fence_wait_ms = config->fence_wait_ms,
    };
}

unsigned km_group_info_options(
    const struct km_group_info *info,
    struct km_group_info_option ret_options[KM_GROUP_INFO_OPTIONS_MAX])
{
    struct km_group_info_option *o = ret_options;
    if (info->ttl_jitter != 0) {
        o->name = "ttl_jitter";
        km_option_format_number(KM_OPTION_UINT, info->ttl_jitter, o++->value);
    }
    if (strcmp(info->sync_ack, km_group_ack_name(KM_SYNC_ACK_ASYNC)) != 0) {
        o->name = "sync_ack";
        (void)km_text_printf(o->value, sizeof o->value, "%s", info->sync_ack);
        o++;
    }
    if (info->sync_timeout_ms != KM_UNSYNCED_MS_DEFAULT) {
        o->name = "sync_timeout";
        km_option_format_number(KM_OPTION_DURATION,
                                (uint64_t)info->sync_timeout_ms, o++->value);
    }
    if (info->fence_wait_ms != KM_FENCE_WAIT_MS) {
        o->name = "fence_wait";
        km_option_format_number(KM_OPTION_DURATION,
                                (uint64_t)info->fence_wait_ms, o++->value);
    }
    return (unsigned)(o - ret_options);
}
