/* SPDX-License-Identifier: MIT */
/* The entries are pointers, so that keeping their order moves little. */
#include "group/largest.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "base/status.h"
#include "group/group_internal.h"
#include "group/scan.h"

kama_status km_largest_init(struct km_largest *l, const kama_allocator *mem,
                            size_t limit)
{
    KM_ASSERT(limit > 0);
    *l = (struct km_largest){.mem = mem, .limit = limit};
    l->entries = km_mem_zalloc(mem, limit, sizeof(kama_entry *));
    return l->entries != NULL ? KAMA_OK
                              : km_fail(KAMA_ERR_NO_MEMORY,
                                        "no memory for the largest entries");
}

void km_largest_fini(struct km_largest *l)
{
    for (size_t i = 0; i < l->count; i++) {
        km_mem_free(l->mem, l->entries[i]);
    }
    km_mem_free(l->mem, l->entries);
    *l = (struct km_largest){.mem = l->mem};
}

/* Takes out the entry of that key, because a scan may visit it again. */
static void forget(struct km_largest *l, kama_bytes key)
{
    for (size_t i = 0; i < l->count; i++) {
        if (km_bytes_eq(l->entries[i]->key, key)) {
            km_mem_free(l->mem, l->entries[i]);
            l->count--;
            memmove(&l->entries[i], &l->entries[i + 1],
                    (l->count - i) * sizeof(kama_entry *));
            return;
        }
    }
}

static kama_entry *copy_entry(const struct km_largest *l,
                              const kama_entry *entry)
{
    kama_entry *copy = km_mem_alloc(l->mem, sizeof *copy + entry->key.len);
    if (copy != NULL) {
        *copy = *entry;
        memcpy(copy + 1, entry->key.data, entry->key.len);
        copy->key.data = copy + 1;
    }
    return copy;
}

/* Puts an entry in its place, behind those of the same size. */
static void insert(struct km_largest *l, kama_entry *entry)
{
    size_t at = l->count++;
    while (at > 0 && l->entries[at - 1]->value_bytes < entry->value_bytes) {
        l->entries[at] = l->entries[at - 1];
        at--;
    }
    l->entries[at] = entry;
}

kama_status km_largest_offer(struct km_largest *l, const kama_entry *entry)
{
    if (l->count == l->limit &&
        entry->value_bytes <= l->entries[l->limit - 1]->value_bytes) {
        return KAMA_OK;
    }
    kama_entry *copy = copy_entry(l, entry);
    if (copy == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for the largest entries");
    }
    forget(l, entry->key);
    if (l->count == l->limit) {
        km_mem_free(l->mem, l->entries[--l->count]);
    }
    insert(l, copy);
    return KAMA_OK;
}

static int on_entry(void *arg, const kama_entry *entry)
{
    struct km_largest *l = arg;
    l->status = km_largest_offer(l, entry);
    return l->status != KAMA_OK;
}

bool km_largest_step(struct km_largest *l, kama_group *group,
                     kama_status *ret_status)
{
    kama_status st =
        kama_scan(group, &l->cursor, kama_bytes_make(NULL, 0), on_entry, l);
    *ret_status = st == KAMA_OK ? l->status : st;
    return *ret_status == KAMA_OK && l->cursor != 0;
}

/* -- the public function ---------------------------------------------------- */

kama_status kama_group_largest(kama_group *group, size_t n, kama_scan_cb fn,
                               void *arg)
{
    struct km_largest l;
    if (n == 0 || fn == NULL) {
        return km_fail(KAMA_ERR_INVALID, "%s",
                       fn == NULL ? "fn: is NULL" : "n: 0 is less than 1");
    }
    size_t limit = n < KM_HOT_KEYS_SHOWN_MAX ? n : KM_HOT_KEYS_SHOWN_MAX;
    kama_status st = km_largest_init(&l, &group->mem, limit);
    while (st == KAMA_OK && km_largest_step(&l, group, &st)) {
    }
    for (size_t i = 0; st == KAMA_OK && i < l.count; i++) {
        if (km_scan_show(group, "the callback of kama_group_largest",
                         l.entries[i], fn, arg)) {
            break;
        }
    }
    km_largest_fini(&l);
    return st;
}
