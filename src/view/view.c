/* SPDX-License-Identifier: MIT */
/*
 * A view is one block:
 *
 *     | km_view | members, sorted | pointers to labels | texts |
 */
#include "view/view.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/status.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define HASH_ALIGNMENT alignof(XXH3_state_t)

static int compare_members(const void *a, const void *b)
{
    return strcmp(((const struct km_member *)a)->address,
                  ((const struct km_member *)b)->address);
}

/* -- the id -------------------------------------------------------------- */

static void put_le32(uint8_t *to, uint32_t number)
{
    for (int i = 0; i < 4; i++) {
        to[i] = (uint8_t)(number >> (8 * i));
    }
}

static void hash_member(XXH3_state_t *state, const struct km_member *m)
{
    uint8_t head[4];
    uint8_t tail[KM_MEMBER_ID_BYTES + 1 + 4];
    size_t len = strlen(m->address);
    put_le32(head, (uint32_t)len);
    memcpy(tail, m->id.bytes, KM_MEMBER_ID_BYTES);
    tail[KM_MEMBER_ID_BYTES] = (uint8_t)m->state;
    put_le32(tail + KM_MEMBER_ID_BYTES + 1, m->weight);
    (void)XXH3_64bits_update(state, head, sizeof head);
    (void)XXH3_64bits_update(state, m->address, len);
    (void)XXH3_64bits_update(state, tail, sizeof tail);
}

static void hash_joins(XXH3_state_t *state, uint64_t joins)
{
    uint8_t bytes[8];
    put_le32(bytes, (uint32_t)joins);
    put_le32(bytes + 4, (uint32_t)(joins >> 32));
    (void)XXH3_64bits_update(state, bytes, sizeof bytes);
}

/* Room for a state of XXH3, which must be aligned to more than what gcc's
 * AddressSanitizer gives to a variable in the frames that it allocates. */
struct hash_room {
    uint8_t bytes[sizeof(XXH3_state_t) + HASH_ALIGNMENT - 1];
};

static XXH3_state_t *state_in(struct hash_room *room)
{
    uintptr_t at = (uintptr_t)room->bytes;
    size_t skipped = (size_t)(-at % HASH_ALIGNMENT);
    XXH3_state_t *state = (XXH3_state_t *)(void *)(room->bytes + skipped);
    XXH3_INITSTATE(state);
    (void)XXH3_64bits_reset(state);
    return state;
}

uint64_t km_view_id(const struct km_member *members, size_t count,
                    uint64_t joins)
{
    struct hash_room room;
    if (count == 0) {
        return 0;
    }
    XXH3_state_t *state = state_in(&room);
    for (size_t i = 0; i < count; i++) {
        hash_member(state, &members[i]);
    }
    if (joins != 0) {
        hash_joins(state, joins);
    }
    uint64_t id = XXH3_64bits_digest(state);
    return id != 0 ? id : 1;
}

/* -- making -------------------------------------------------------------- */

static size_t view_bytes(const struct km_member *members, size_t count,
                         size_t *ret_labels)
{
    size_t texts = 0;
    size_t labels = 0;
    for (size_t i = 0; i < count; i++) {
        texts += km_member_texts_bytes(&members[i]);
        labels += members[i].label_count;
    }
    *ret_labels = labels;
    return sizeof(struct km_view) + count * sizeof *members +
           labels * sizeof(char *) + texts;
}

static kama_status check_addresses(const struct km_member *members,
                                   size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (strcmp(members[i - 1].address, members[i].address) == 0) {
            return km_fail(KAMA_ERR_INVALID,
                           "two members have the address \"%.100s\"",
                           members[i].address);
        }
    }
    return KAMA_OK;
}

kama_status km_view_new(const kama_allocator *mem,
                        const struct km_member *members, size_t count,
                        struct km_view **ret_view)
{
    return km_view_new_counted(mem, members, count, 0, ret_view);
}

kama_status km_view_new_counted(const kama_allocator *mem,
                                const struct km_member *members, size_t count,
                                uint64_t joins, struct km_view **ret_view)
{
    size_t label_count;
    struct km_view *view =
        km_mem_alloc(mem, view_bytes(members, count, &label_count));
    if (view == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY,
                       "no memory for a view of %zu members", count);
    }
    struct km_member *copies = (struct km_member *)(void *)(view + 1);
    const char **labels = (const char **)(void *)(copies + count);
    char *texts = (char *)(labels + label_count);
    for (size_t i = 0; i < count; i++) {
        km_member_put(&copies[i], &members[i], &labels, &texts);
    }
    qsort(copies, count, sizeof *copies, compare_members);
    kama_status status = check_addresses(copies, count);
    if (status != KAMA_OK) {
        km_mem_free(mem, view);
        return status;
    }
    *view = (struct km_view){
        .mem = mem, .count = count, .members = copies, .joins = joins};
    atomic_init(&view->refs, 1);
    view->id = km_view_id(copies, count, joins);
    *ret_view = view;
    return KAMA_OK;
}

struct km_view *km_view_ref(struct km_view *view)
{
    unsigned before =
        atomic_fetch_add_explicit(&view->refs, 1, memory_order_relaxed);
    KM_ASSERT(before > 0);
    return view;
}

void km_view_unref(struct km_view *view)
{
    if (view == NULL) {
        return;
    }
    unsigned before =
        atomic_fetch_sub_explicit(&view->refs, 1, memory_order_acq_rel);
    KM_ASSERT(before > 0);
    if (before == 1) {
        km_mem_free(view->mem, view);
    }
}

/* -- finding --------------------------------------------------------------- */

const struct km_member *km_view_find_id(const struct km_view *view,
                                        const struct km_member_id *id)
{
    for (size_t i = 0; i < view->count; i++) {
        if (km_member_id_equal(&view->members[i].id, id)) {
            return &view->members[i];
        }
    }
    return NULL;
}

const struct km_member *km_view_find_address(const struct km_view *view,
                                             kama_bytes address)
{
    size_t low = 0;
    size_t high = view->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order =
            km_bytes_cmp(KAMA_STR(view->members[middle].address), address);
        if (order == 0) {
            return &view->members[middle];
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return NULL;
}

size_t km_view_active_count(const struct km_view *view)
{
    size_t count = 0;
    for (size_t i = 0; i < view->count; i++) {
        count += view->members[i].state == KM_MEMBER_ACTIVE;
    }
    return count;
}

void km_view_check(const struct km_view *view)
{
    KM_ASSERT(atomic_load(&view->refs) > 0);
    KM_ASSERT((view->id == 0) == (view->count == 0));
    for (size_t i = 0; i < view->count; i++) {
        const struct km_member *m = &view->members[i];
        KM_ASSERT(i == 0 || compare_members(m - 1, m) < 0);
        KM_ASSERT(m->state >= KM_MEMBER_JOINING &&
                  m->state <= KM_MEMBER_LEAVING);
    }
    KM_ASSERT(view->id == km_view_id(view->members, view->count, view->joins));
}
