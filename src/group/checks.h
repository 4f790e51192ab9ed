/* SPDX-License-Identifier: MIT */
/*
 * What every call of a group checks before it does anything: the key, the value,
 * the time to live and the context.
 *
 *     struct km_call_limits limits;
 *     status = km_call_limits_init(group, ctx, &limits);
 *     ...                          a hit needs no time
 *     km_call_limits_begin(group, &limits);
 *
 * Each check returns KAMA_OK, or an error with a sentence that names the limit.
 * Threads: any. Cost: no allocation and no lock.
 */
#pragma once

#include "base/clock.h"

#include <kamacache/kamacache.h>

/* Is the key within the limits? KAMA_ERR_INVALID, KAMA_ERR_TOO_LARGE. */
KAMA_NODISCARD kama_status km_group_check_key(kama_bytes key);

/* Would kama_mset accept the item? KAMA_OK, KAMA_ERR_INVALID, TOO_LARGE. */
KAMA_NODISCARD kama_status km_group_check_item(const kama_group *group,
                                               const kama_set_item *item);

/* A call's context, checked and completed. */
struct km_call_limits {
    uint32_t flags;
    int64_t deadline_ms; /* > 0 */
    km_ns begin;         /* when the get began; set by km_call_limits_begin, */
    km_ns deadline;      /* and this as well */
};

/* ctx may be NULL. Errors: KAMA_ERR_INVALID. */
KAMA_NODISCARD kama_status
km_call_limits_init(const kama_group *group, const kama_ctx *ctx,
                    struct km_call_limits *ret_limits);

/* Turns the relative deadline of the call into a time, once for the whole call. */
void km_call_limits_begin(const kama_group *group,
                          struct km_call_limits *limits);

/* The time at which an entry expires that is stored now: ttl_ms as in
 * kama_set_options, jittered by hash; 0: never. Errors: KAMA_ERR_INVALID. */
KAMA_NODISCARD kama_status km_group_expiry(const kama_group *group,
                                           int64_t ttl_ms, uint64_t hash,
                                           km_ns *ret_expires_at);

/* KAMA_ERR_TOO_LARGE when value is over the limit of the group, KAMA_ERR_INVALID
 * for bytes at NULL. */
KAMA_NODISCARD kama_status km_group_check_value(const kama_group *group,
                                                kama_bytes value);
