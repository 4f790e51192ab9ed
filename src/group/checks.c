/* SPDX-License-Identifier: MIT */
/*
 * Each check fails with a sentence that names the limit and the number that is
 * beyond it. The checks use neither the store nor a lock, so that a wrong call
 * costs the group nothing.
 */
#include "group/checks.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/status.h"
#include "base/struct.h"
#include "group/group_internal.h"

#include <inttypes.h>

kama_status km_group_check_key(kama_bytes key)
{
    if (km_group_key_is_good(key)) {
        return KAMA_OK;
    }
    if (key.len < KM_KEY_BYTES_MIN) {
        return km_fail(KAMA_ERR_INVALID, "key: 0 bytes, at least %d",
                       KM_KEY_BYTES_MIN);
    }
    if (key.data == NULL) {
        return km_fail(KAMA_ERR_INVALID, "key: %zu bytes at NULL", key.len);
    }
    return km_fail(KAMA_ERR_TOO_LARGE, "key: %zu bytes, at most %d", key.len,
                   KM_KEY_BYTES_MAX);
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

/* Shortens a time to live by up to ttl_jitter percent, so that entries that were
 * stored together do not expire, and load, all at the same time. */
static int64_t jittered(const kama_group *group, int64_t ttl_ms, uint64_t hash,
                        km_ns now)
{
    uint64_t percent = group->config.ttl_jitter;
    uint64_t span = (uint64_t)ttl_ms / 100 * percent +
                    (uint64_t)ttl_ms % 100 * percent / 100;
    KM_ASSERT(ttl_ms > 0 && percent <= 100);
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

/* The hash of the key does not matter here, because only the error is wanted. */
kama_status km_group_check_item(const kama_group *group,
                                const kama_set_item *item)
{
    km_ns expires_at;
    kama_status st = km_group_check_key(item->key);
    if (st == KAMA_OK) {
        st = km_group_check_value(group, item->value);
    }
    if (st == KAMA_OK) {
        st = km_group_expiry(group, item->ttl_ms, 0, &expires_at);
    }
    return st;
}

/* Reads a context and checks its flags, its origin and its deadline. */
static kama_status read_ctx(const kama_ctx *ctx, kama_ctx *ret_ctx)
{
    kama_ctx_init(ret_ctx);
    kama_status st = km_struct_read(ret_ctx, sizeof *ret_ctx, ctx, "ctx");
    if (st != KAMA_OK) {
        return st;
    }
    if ((ret_ctx->flags & ~(KAMA_NO_LOAD | KAMA_LOCAL_ONLY)) != 0 ||
        ret_ctx->origin > KAMA_ORIGIN_PEER || ret_ctx->deadline_ms < 0) {
        return km_fail(KAMA_ERR_INVALID,
                       "ctx: flags %u, origin %u, deadline_ms %" PRId64
                       ": one is not known",
                       ret_ctx->flags, ret_ctx->origin, ret_ctx->deadline_ms);
    }
    if (ret_ctx->traceparent != NULL &&
        strnlen(ret_ctx->traceparent, KM_TRACEPARENT_BYTES) >=
            KM_TRACEPARENT_BYTES) {
        return km_fail(KAMA_ERR_INVALID,
                       "ctx: traceparent has more than %d bytes",
                       KM_TRACEPARENT_BYTES - 1);
    }
    return KAMA_OK;
}

static kama_status check_list(const kama_unsynced *list)
{
    if (list == NULL || (list->struct_size >= sizeof *list &&
                         (list->capacity == 0 || list->addresses != NULL))) {
        return KAMA_OK;
    }
    return km_fail(KAMA_ERR_INVALID,
                   "ctx: ret_unsynced: struct_size is %u, and %u addresses "
                   "have %s; use kama_unsynced_init",
                   list->struct_size, list->capacity,
                   list->addresses == NULL ? "no room" : "room");
}

/* Without a deadline of its own, a call has as much time as a load. */
kama_status km_call_limits_init(const kama_group *group, const kama_ctx *ctx,
                                struct km_call_limits *ret_limits)
{
    kama_ctx own;
    *ret_limits =
        (struct km_call_limits){.deadline_ms = group->config.loader_timeout_ms};
    if (ctx == NULL) {
        return KAMA_OK;
    }
    kama_status st = read_ctx(ctx, &own);
    if (st == KAMA_OK) {
        st = check_list(own.ret_unsynced);
    }
    if (st == KAMA_OK) {
        ret_limits->flags = own.flags;
        ret_limits->origin = own.origin;
        ret_limits->user = own.user;
        ret_limits->traceparent = own.traceparent;
        ret_limits->ret_unsynced = own.ret_unsynced;
        ret_limits->has_deadline = own.deadline_ms != 0;
        if (own.deadline_ms != 0) {
            ret_limits->deadline_ms = own.deadline_ms;
        }
    }
    return st;
}

void km_call_limits_begin(const kama_group *group,
                          struct km_call_limits *limits)
{
    KM_ASSERT(limits->deadline_ms > 0);
    limits->begin = km_group_now(group);
    limits->deadline = km_ns_after_ms(limits->begin, limits->deadline_ms);
}
