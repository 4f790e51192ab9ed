/* SPDX-License-Identifier: MIT */
/*
 * kama_scan: entries are referenced in small batches, and then shown to the
 * callback without any lock.
 *
 * The cursor is the place of the next entry, which is a function of its hash. Users
 * get it in permuted form: from one place and its key they could compute the seed
 * of the table, and with the seed they could choose 50,000 keys that all collide
 * and make each set take 88 us.
 */
#include "group/scan.h"

#include "base/boundary.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "base/status.h"
#include "group/group_internal.h"
#include "store/store_scan.h"

#define BATCH 64

/* One call of kama_scan. */
struct scan {
    kama_group *group;
    kama_bytes glob;
    kama_scan_cb cb;
    void *arg;
    uint64_t compared; /* upper bound of the glob's comparisons of bytes */
    bool stopped;      /* by the callback, or after too many comparisons */
};

/* At worst, a glob with a star is compared with every place of the key. A call that
 * has compared much stops early, because it would take seconds otherwise. */
static bool glob_match(struct scan *scan, kama_bytes key)
{
    scan->compared += (uint64_t)scan->glob.len * key.len;
    return scan->glob.len == 0 || km_bytes_glob(scan->glob, key);
}

KM_BOUNDARY_FUNCTION bool km_scan_show(const kama_group *group,
                                       const char *name,
                                       const kama_entry *entry, kama_scan_cb cb,
                                       void *arg)
{
    KM_BOUNDARY_BEGIN(name, group->name, entry->key);
    int cancel = km_cancel_defer();
    bool stops = cb(arg, entry) != 0;
    km_cancel_allow(cancel);
    KM_BOUNDARY_END();
    return stops;
}

static void show(struct scan *scan, const kama_value *item)
{
    kama_entry entry = {.struct_size = sizeof entry,
                        .key = km_item_key_bytes(item),
                        .value_bytes = item->value_len,
                        .version = kama_value_version(item),
                        .ttl_ms = kama_value_ttl_ms(item)};
    if (glob_match(scan, entry.key)) {
        scan->stopped = km_scan_show(scan->group, "the callback of kama_scan",
                                     &entry, scan->cb, scan->arg);
    }
    scan->stopped |= scan->compared >= KM_SCAN_COMPARED_PER_CALL;
}

/* Shows n entries, and gives their references back. If the scan stops before the
 * last one, *cursor becomes the place of the next entry. */
static void show_batch(struct scan *scan, kama_value **items, size_t n,
                       uint64_t *cursor)
{
    for (size_t i = 0; i < n; i++) {
        if (!scan->stopped) {
            show(scan, items[i]);
            if (scan->stopped && i + 1 < n) {
                *cursor = km_store_position(scan->group->store, items[i + 1]);
            }
        }
        kama_value_unref(items[i]);
    }
}

kama_status kama_scan(kama_group *group, uint64_t *cursor, kama_bytes glob,
                      kama_scan_cb cb, void *arg)
{
    struct scan scan = {.group = group, .glob = glob, .cb = cb, .arg = arg};
    kama_value *items[BATCH];
    kama_status st = KAMA_OK;
    uint64_t at = km_permute_inverse(&group->permute, *cursor);
    if (glob.len > KM_GLOB_BYTES_MAX) {
        return km_fail(KAMA_ERR_INVALID, "glob: %zu bytes, at most %d",
                       glob.len, KM_GLOB_BYTES_MAX);
    }
    for (size_t seen = 0; seen < KM_SCAN_ENTRIES_PER_CALL && !scan.stopped;) {
        size_t n = km_store_scan(group->store, &at, items, BATCH);
        if (n == KM_SCAN_NO_MEMORY) {
            st = km_fail(KAMA_ERR_NO_MEMORY, "no memory to show an entry");
            break;
        }
        show_batch(&scan, items, n, &at);
        seen += n;
        if (at == 0 || n < BATCH) {
            break;
        }
    }
    *cursor = km_permute(&group->permute, at);
    return st;
}
