/* SPDX-License-Identifier: MIT */
/*
 * The options of a group, checked and completed.
 *
 * The table of options checks the range of each number (options.c). This file
 * checks what a range cannot say: the name, the policy, and that max_bytes has
 * room for four values. An error names the member and its limit.
 */
#include "group/config.h"

#include "base/bytes.h"
#include "base/limits.h"
#include "base/status.h"
#include "base/struct.h"
#include "group/group_internal.h"
#include "group/options.h"
#include "store/policy.h"

#include <inttypes.h>

static kama_status check_name(const char *name)
{
    size_t len = name == NULL ? 0 : strlen(name);
    if (len == 0) {
        return km_fail(KAMA_ERR_INVALID, "name: is empty");
    }
    if (len > KM_GROUP_NAME_BYTES_MAX) {
        return km_fail(KAMA_ERR_TOO_LARGE, "name: %zu bytes, at most %d", len,
                       KM_GROUP_NAME_BYTES_MAX);
    }
    if (!km_bytes_is_utf8(kama_bytes_str(name))) {
        char shown[80];
        return km_fail(
            KAMA_ERR_INVALID, "name: \"%s\" is not UTF-8",
            km_bytes_quote(kama_bytes_str(name), shown, sizeof shown));
    }
    return KAMA_OK;
}

/* Completes the sizes: finds out what max_value_bytes is, and whether max_bytes
 * has room for four such values. */
static kama_status complete_sizes(const kama_group_options *o,
                                  uint64_t value_bytes_max,
                                  struct km_group_config *config)
{
    uint64_t value = o->max_value_bytes;
    uint64_t quarter = o->max_bytes / KM_GROUP_VALUES_MIN;
    if (value == 0) {
        value =
            quarter < KM_VALUE_BYTES_DEFAULT ? quarter : KM_VALUE_BYTES_DEFAULT;
        value = value < value_bytes_max ? value : value_bytes_max;
    }
    if (value > value_bytes_max) {
        return km_fail(KAMA_ERR_TOO_LARGE,
                       "max_value_bytes: %" PRIu64 " is outside 1..%" PRIu64,
                       value, value_bytes_max);
    }
    if (value > quarter) {
        return km_fail(KAMA_ERR_INVALID,
                       "max_value_bytes: %" PRIu64 " needs max_bytes of %d "
                       "times that, which is %" PRIu64,
                       value, KM_GROUP_VALUES_MIN, o->max_bytes);
    }
    config->max_bytes = o->max_bytes;
    config->max_value_bytes = value;
    return KAMA_OK;
}

/* Completes the times: 0 and KAMA_TTL_FOREVER become one value each. */
static void complete_times(const kama_group_options *o,
                           struct km_group_config *config)
{
    config->ttl_ms = o->ttl_ms == 0 ? KAMA_TTL_FOREVER : o->ttl_ms;
    config->negative_ttl_ms =
        o->negative_ttl_ms == KAMA_TTL_FOREVER ? INT64_MAX : o->negative_ttl_ms;
    config->ttl_jitter = o->ttl_jitter;
    config->loader_timeout_ms = o->loader_timeout_ms;
    config->sync_timeout_ms = o->sync_timeout_ms;
    config->fence_wait_ms = o->fence_wait_ms;
}

static kama_status find_policy(const kama_group_options *o,
                               struct km_group_config *config)
{
    const char *policy = o->policy != NULL ? o->policy : "";
    config->policy = km_policy_find(policy);
    if (config->policy == NULL) {
        char shown[64];
        return km_fail(
            KAMA_ERR_INVALID,
            "policy: \"%s\" is none of s3fifo+, s3fifo and lru",
            km_bytes_quote(kama_bytes_str(policy), shown, sizeof shown));
    }
    return KAMA_OK;
}

static kama_status find_strategy(const kama_group_options *o,
                                 struct km_group_config *config)
{
    return km_strategy_parse(o->sync != NULL ? o->sync : "", &config->strategy);
}

/* Writes the position of a name. Returns false if it is not there. */
static bool find_name(const char *const *names, unsigned count,
                      const char *name, unsigned *ret_index)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(name, names[i]) == 0) {
            *ret_index = i;
            return true;
        }
    }
    return false;
}

static const char *const ack_names[] = {[KM_SYNC_ACK_ASYNC] = "async",
                                        [KM_SYNC_ACK_ONE] = "one",
                                        [KM_SYNC_ACK_ALL] = "all"};

const char *km_group_ack_name(enum km_sync_ack ack)
{
    return ack_names[ack];
}

static kama_status find_ack(const kama_group_options *o,
                            struct km_group_config *config)
{
    char shown[64];
    const char *name = o->sync_ack != NULL ? o->sync_ack : "";
    unsigned index;
    if (find_name(ack_names, sizeof ack_names / sizeof ack_names[0], name,
                  &index)) {
        config->sync_ack = (enum km_sync_ack)index;
        return KAMA_OK;
    }
    return km_fail(KAMA_ERR_INVALID,
                   "sync_ack: \"%s\" is none of async, one and all",
                   km_bytes_quote(kama_bytes_str(name), shown, sizeof shown));
}

static kama_status find_huge_pages(const kama_group_options *o,
                                   struct km_group_config *config)
{
    static const char *const names[] = {[KM_HUGE_PAGES_AUTO] = "auto",
                                        [KM_HUGE_PAGES_ON] = "on",
                                        [KM_HUGE_PAGES_OFF] = "off"};
    char shown[64];
    const char *name = o->huge_pages != NULL ? o->huge_pages : "";
    unsigned index;
    if (find_name(names, sizeof names / sizeof names[0], name, &index)) {
        config->huge_pages = (enum km_huge_pages)index;
        return KAMA_OK;
    }
    return km_fail(KAMA_ERR_INVALID,
                   "huge_pages: \"%s\" is none of auto, on and off",
                   km_bytes_quote(kama_bytes_str(name), shown, sizeof shown));
}

/* Returns how large a value may be: less if it has to travel between nodes. */
static uint64_t value_limit(const struct km_group_config *config,
                            enum km_group_company company,
                            uint64_t value_bytes_max)
{
    bool travels = company == KM_GROUP_CLUSTERED &&
                   config->strategy.kind != KM_STRATEGY_LOCAL;
    return travels && value_bytes_max > KM_VALUE_BYTES_CLUSTER_MAX
               ? KM_VALUE_BYTES_CLUSTER_MAX
               : value_bytes_max;
}

/* Checks everything but the name. The ranges come first, so that the others
 * calculate with numbers within their limits. */
static kama_status check_fields(const kama_group_options *o,
                                enum km_group_company company,
                                uint64_t value_bytes_max,
                                struct km_group_config *config)
{
    kama_status st = km_group_options_check(o);
    if (st == KAMA_OK) {
        st = find_strategy(o, config);
    }
    if (st == KAMA_OK) {
        st = complete_sizes(o, value_limit(config, company, value_bytes_max),
                            config);
    }
    if (st == KAMA_OK) {
        st = find_policy(o, config);
    }
    if (st == KAMA_OK) {
        st = find_huge_pages(o, config);
    }
    if (st == KAMA_OK) {
        st = find_ack(o, config);
    }
    complete_times(o, config);
    config->loader = o->loader;
    config->loader_arg = o->loader_arg;
    config->loader_free = o->loader_free;
    config->loader_concurrency = o->loader_concurrency;
    config->async_threads = o->async_threads;
    return st;
}

kama_status km_group_config_init(const kama_group_options *options,
                                 enum km_group_company company,
                                 uint64_t value_bytes_max,
                                 struct km_group_config *ret,
                                 const char **ret_name,
                                 const kama_allocator **ret_mem)
{
    kama_group_options own;
    struct km_group_config config;
    kama_group_options_init(&own);
    memset(&config, 0, sizeof config);
    kama_status st = km_struct_read(&own, sizeof own, options, "group options");
    if (st == KAMA_OK) {
        st = check_name(own.name);
    }
    if (st != KAMA_OK) {
        return st;
    }
    st = check_fields(&own, company, value_bytes_max, &config);
    if (st != KAMA_OK) {
        return km_fail(st, "group %.*s: %s", KM_GROUP_SHOWN(own.name),
                       km_last_error());
    }
    *ret = config;
    *ret_name = own.name;
    *ret_mem = km_mem_or_default(own.allocator);
    return KAMA_OK;
}
