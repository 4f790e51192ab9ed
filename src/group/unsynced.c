/* SPDX-License-Identifier: MIT */
/* The pointers and the texts are behind the head, in one allocation. */
#include "group/unsynced.h"

#include "base/text.h"

#include <stdatomic.h>
#include <string.h>

struct km_unsynced {
    const kama_allocator *mem;
    atomic_uint refs;
    size_t count;
    const char *addresses[];
};

static bool has(const char *const *addresses, size_t count, const char *address)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(addresses[i], address) == 0) {
            return true;
        }
    }
    return false;
}

struct km_unsynced *km_unsynced_new(const kama_allocator *mem,
                                    const char *const *addresses, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += strlen(addresses[i]) + 1;
    }
    size_t head = sizeof(struct km_unsynced) + count * sizeof addresses[0];
    struct km_unsynced *list =
        count > 0 ? km_mem_alloc(mem, head + bytes) : NULL;
    if (list == NULL) {
        return NULL;
    }
    char *text = (char *)list + head;
    list->mem = mem;
    atomic_init(&list->refs, 1);
    list->count = count;
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(addresses[i]) + 1;
        memcpy(text, addresses[i], len);
        list->addresses[i] = text;
        text += len;
    }
    return list;
}

struct km_unsynced *km_unsynced_merge(const kama_allocator *mem,
                                      const struct km_unsynced *a,
                                      const struct km_unsynced *b)
{
    size_t count = km_unsynced_count(a);
    size_t cap = count + km_unsynced_count(b);
    const char **all = cap > 0 ? km_mem_zalloc(mem, cap, sizeof *all) : NULL;
    if (all == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        all[i] = km_unsynced_at(a, i);
    }
    for (size_t i = 0; i < km_unsynced_count(b); i++) {
        if (!has(all, count, km_unsynced_at(b, i))) {
            all[count++] = km_unsynced_at(b, i);
        }
    }
    struct km_unsynced *list = km_unsynced_new(mem, all, count);
    km_mem_free(mem, all);
    return list;
}

static bool has_all(const struct km_unsynced *list,
                    const struct km_unsynced *others)
{
    bool all = true;
    for (size_t i = 0; i < km_unsynced_count(others) && all; i++) {
        all = has(list->addresses, list->count, others->addresses[i]);
    }
    return all;
}

/* Hardly ever allocates: the mutations of one call are late for the same members. */
void km_unsynced_add(const kama_allocator *mem, struct km_unsynced **list,
                     struct km_unsynced *more)
{
    if (*list == NULL) {
        *list = more;
        return;
    }
    struct km_unsynced *both =
        has_all(*list, more) ? NULL : km_unsynced_merge(mem, *list, more);
    if (both != NULL) {
        km_unsynced_unref(*list);
        *list = both;
    }
    km_unsynced_unref(more);
}

struct km_unsynced *km_unsynced_ref(struct km_unsynced *list)
{
    if (list != NULL) {
        (void)atomic_fetch_add_explicit(&list->refs, 1, memory_order_relaxed);
    }
    return list;
}

/* The last one to give a reference back has to see what the others have read. */
void km_unsynced_unref(struct km_unsynced *list)
{
    if (list != NULL &&
        atomic_fetch_sub_explicit(&list->refs, 1, memory_order_acq_rel) == 1) {
        km_mem_free(list->mem, list);
    }
}

size_t km_unsynced_count(const struct km_unsynced *list)
{
    return list != NULL ? list->count : 0;
}

const char *km_unsynced_at(const struct km_unsynced *list, size_t i)
{
    return list->addresses[i];
}

const char *const *km_unsynced_addresses(const struct km_unsynced *list)
{
    return list != NULL ? list->addresses : NULL;
}

void km_unsynced_write(const char *const *addresses, size_t count,
                       kama_unsynced *ret_list)
{
    ret_list->count = (uint32_t)count;
    for (size_t i = 0; i < count && i < ret_list->capacity; i++) {
        (void)km_text_printf(ret_list->addresses[i], KAMA_ADDRESS_BYTES, "%s",
                             addresses[i]);
    }
}

void km_unsynced_tell(const struct km_unsynced *list, kama_unsynced *ret_list)
{
    km_unsynced_write(km_unsynced_addresses(list), km_unsynced_count(list),
                      ret_list);
}
