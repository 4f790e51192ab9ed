/* SPDX-License-Identifier: MIT */
/*
 * The checks with which every call of a group begins: the key, the value, the time
 * to live and the context.
 *
 *     struct km_call_limits limits;
 *     status = km_call_limits_init(group, ctx, &limits);
 *     ...                          a hit does not need the clock
 *     km_call_limits_begin(group, &limits);
 *
 * Cost: no allocation and no lock. Threads: any thread. Errors: each check returns
 * KAMA_OK, or an error with a sentence that names the limit and the bad number.
 * Ownership: everything is borrowed until the call returns.
 */
#pragma once

#include "base/clock.h"
#include "base/limits.h"

#include <kamacache/kamacache.h>
#include <stdbool.h>

/* Returns whether km_group_check_key accepts a key. */
static inline bool km_group_key_is_good(kama_bytes key)
{
    return key.data != NULL && key.len >= KM_KEY_BYTES_MIN &&
           key.len <= KM_KEY_BYTES_MAX;
}

/* Checks that the key is within the limits. Errors: KAMA_ERR_INVALID,
 * KAMA_ERR_TOO_LARGE. */
KAMA_NODISCARD kama_status km_group_check_key(kama_bytes key);

/* Checks that kama_mset would accept the item. Errors: KAMA_ERR_INVALID,
 * KAMA_ERR_TOO_LARGE. */
KAMA_NODISCARD kama_status km_group_check_item(const kama_group *group,
                                               const kama_set_item *item);

/* The context of a call, checked and with its defaults. */
struct km_call_limits {
    uint32_t flags;      /* KAMA_NO_LOAD, KAMA_LOCAL_ONLY */
    uint32_t origin;     /* KAMA_ORIGIN_CLIENT or KAMA_ORIGIN_PEER */
    bool has_deadline;   /* the caller has given one of its own */
    int64_t deadline_ms; /* > 0 */
    void *user;
    const char *traceparent;     /* of the caller; NULL: none */
    kama_unsynced *ret_unsynced; /* of the caller; NULL: none */
    km_ns begin;    /* when the get began; set by km_call_limits_begin, */
    km_ns deadline; /* and this as well */
};

/* Reads the context of a call, which may be NULL and of an older or newer size.
 * Errors: KAMA_ERR_INVALID. */
KAMA_NODISCARD kama_status
km_call_limits_init(const kama_group *group, const kama_ctx *ctx,
                    struct km_call_limits *ret_limits);

/* Turns the relative deadline of the call into a time, once for the whole call. */
void km_call_limits_begin(const kama_group *group,
                          struct km_call_limits *limits);

/* Writes the time at which an entry expires that is stored now, or 0 if it never
 * expires. ttl_ms is that of kama_set_options, and ttl_jitter is subtracted by
 * hash. Errors: KAMA_ERR_INVALID. */
KAMA_NODISCARD kama_status km_group_expiry(const kama_group *group,
                                           int64_t ttl_ms, uint64_t hash,
                                           km_ns *ret_expires_at);

/* Checks that the value is within the limit of the group. Errors:
 * KAMA_ERR_TOO_LARGE, and KAMA_ERR_INVALID for bytes at NULL. */
KAMA_NODISCARD kama_status km_group_check_value(const kama_group *group,
                                                kama_bytes value);
