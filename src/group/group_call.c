/* SPDX-License-Identifier: MIT */
/* What every call of a group checks: key, value, time to live, context. */
#include "base/limits.h"
#include "base/status.h"
#include "group/group_internal.h"
#include "group/trace.h"

#include <inttypes.h>

kama_status km_group_check_key(kama_bytes key)
{
    if (key.len < KM_KEY_BYTES_MIN) {
        return km_fail(KAMA_ERR_INVALID, "key: 0 bytes, at least %d",
                       KM_KEY_BYTES_MIN);
    }
    if (key.data == NULL) {
        return km_fail(KAMA_ERR_INVALID, "key: %zu bytes at NULL", key.len);
    }
    if (key.len > KM_KEY_BYTES_MAX) {
        return km_fail(KAMA_ERR_TOO_LARGE, "key: %zu bytes, at most %d",
                       key.len, KM_KEY_BYTES_MAX);
    }
    return KAMA_OK;
}

kama_status km_group_check_value(const kama_group *group, kama_bytes value)
{
    if (value.len > group->config.max_value_bytes) {
        return km_fail(KAMA_ERR_TOO_LARGE,
                       "value: %zu bytes, max_value_bytes is %" PRIu64,
                       value.len, group->config.max_value_bytes);
    }
    if (value.len > 0 && value.data == NULL) {
        return km_fail(KAMA_ERR_INVALID, "value: %zu bytes at NULL", value.len);
    }
    return KAMA_OK;
}

/* Spreads entries that were stored together: up to ttl_jitter percent off. */
static int64_t jittered(const kama_group *group, int64_t ttl_ms, uint64_t hash,
                        km_ns now)
{
    uint64_t percent = group->config.ttl_jitter;
    uint64_t span = (uint64_t)ttl_ms / 100 * percent +
                    (uint64_t)ttl_ms % 100 * percent / 100;
    uint64_t random = km_permute(&group->permute, hash ^ now);
    return ttl_ms - (int64_t)(span == 0 ? 0 : random % (span + 1));
}

kama_status km_group_expiry(const kama_group *group, int64_t ttl_ms,
                            uint64_t hash, km_ns *ret_expires_at)
{
    if (ttl_ms == 0) {
        ttl_ms = group->config.ttl_ms;
    }
    if (ttl_ms == KAMA_TTL_FOREVER || ttl_ms > KM_TTL_MS_MAX) {
        *ret_expires_at = 0;
        return KAMA_OK;
    }
    if (ttl_ms < 0) {
        return km_fail(KAMA_ERR_INVALID,
                       "ttl_ms: %" PRId64 " is neither > 0, 0 nor -1", ttl_ms);
    }
    km_ns now = km_group_now(group);
    *ret_expires_at = km_ns_after_ms(now, jittered(group, ttl_ms, hash, now));
    return KAMA_OK;
}

kama_status km_call_limits_init(const kama_group *group, const kama_ctx *ctx,
                                struct km_call_limits *ret_call)
{
    kama_ctx own;
    kama_ctx_init(&own);
    kama_status st =
        ctx == NULL ? KAMA_OK : km_struct_read(&own, sizeof own, ctx, "ctx");
    if (st != KAMA_OK) {
        return st;
    }
    if ((own.flags & ~(KAMA_NO_LOAD | KAMA_LOCAL_ONLY)) != 0 ||
        own.origin > KAMA_ORIGIN_PEER || own.deadline_ms < 0) {
        return km_fail(KAMA_ERR_INVALID,
                       "ctx: flags %u, origin %u, deadline_ms %" PRId64
                       ": one is not known",
                       own.flags, own.origin, own.deadline_ms);
    }
    ret_call->flags = own.flags;
    ret_call->deadline_ms = own.deadline_ms != 0
                                ? own.deadline_ms
                                : group->config.loader_timeout_ms;
    return KAMA_OK;
}

void km_call_limits_begin(const kama_group *group, struct km_call_limits *call)
{
    call->deadline = km_ns_after_ms(km_group_now(group), call->deadline_ms);
}

kama_status km_group_look_up(kama_group *group, kama_bytes key,
                             const struct km_call_limits *call,
                             uint64_t *ret_hash, kama_value **ret_value)
{
    kama_status st = km_group_check_key(key);
    if (st != KAMA_OK) {
        return st;
    }
    uint64_t hash = km_store_hash(group->store, key);
    st = km_store_get(group->store, hash, key, ret_value);
    if (st != KAMA_WOULD_LOAD) {
        km_trace_memory(group, st, key);
        return st;
    }
    if (group->config.loader == NULL || (call->flags & KAMA_NO_LOAD) != 0) {
        km_trace_get(group, KM_GET_ABSENT, key);
        return km_group_absent(group);
    }
    *ret_hash = hash;
    return KAMA_DEFERRED;
}

kama_status km_group_absent(kama_group *group)
{
    km_group_count(group, KM_GROUP_MISSES);
    return group->config.loader == NULL ? KAMA_MISS : KAMA_WOULD_LOAD;
}
