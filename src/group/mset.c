/* SPDX-License-Identifier: MIT */
/*
 * kama_mset and kama_mdel. Every item is checked before the first one is changed,
 * so that a call that returns an error has changed nothing. After that, each item
 * has a status of its own, because one value may find no memory while the others
 * are stored.
 */
#include "base/limits.h"
#include "base/status.h"
#include "group/group_internal.h"

/* Puts "mset: item 3: " before the sentence of the last error. */
static kama_status fail_item(const char *call, size_t i, kama_status status)
{
    return km_fail(status, "%s: item %zu: %s", call, i, km_last_error());
}

static kama_status check_count(const kama_group *group, const char *call,
                               size_t n, const void *items, const kama_ctx *ctx)
{
    struct km_call_limits ignored;
    if (n > KM_MGET_KEYS_MAX) {
        return km_fail(KAMA_ERR_TOO_LARGE, "%s: %zu items, at most %d", call, n,
                       KM_MGET_KEYS_MAX);
    }
    if (n > 0 && items == NULL) {
        return km_fail(KAMA_ERR_INVALID, "%s: items are NULL", call);
    }
    return km_call_limits_init(group, ctx, &ignored);
}

static kama_status set_item(kama_group *group, const kama_set_item *item)
{
    kama_set_options options;
    kama_set_options_init(&options);
    options.ttl_ms = item->ttl_ms;
    return kama_set(group, item->key, item->value, &options);
}

kama_status kama_mset(kama_group *group, const kama_set_item *items, size_t n,
                      const kama_ctx *ctx, kama_status *ret_statuses)
{
    kama_status st = check_count(group, "mset", n, items, ctx);
    if (st == KAMA_OK && n > 0 && ret_statuses == NULL) {
        st = km_fail(KAMA_ERR_INVALID, "mset: ret_statuses is NULL");
    }
    for (size_t i = 0; i < n && st == KAMA_OK; i++) {
        st = km_group_check_item(group, &items[i]);
        st = st == KAMA_OK ? st : fail_item("mset", i, st);
    }
    for (size_t i = 0; i < n && st == KAMA_OK; i++) {
        ret_statuses[i] = set_item(group, &items[i]);
    }
    return st;
}

kama_status kama_mdel(kama_group *group, const kama_bytes *keys, size_t n,
                      const kama_ctx *ctx, kama_status *ret_statuses)
{
    kama_status st = check_count(group, "mdel", n, keys, ctx);
    for (size_t i = 0; i < n && st == KAMA_OK; i++) {
        st = km_group_check_key(keys[i]);
        st = st == KAMA_OK ? st : fail_item("mdel", i, st);
    }
    for (size_t i = 0; i < n && st == KAMA_OK; i++) {
        kama_status removed = kama_del(group, keys[i], ctx);
        if (ret_statuses != NULL) {
            ret_statuses[i] = removed;
        }
    }
    return st;
}
