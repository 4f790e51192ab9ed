/* SPDX-License-Identifier: MIT */
#include "sync/ring.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/status.h"

#include <string.h>

enum { MARK_EVERY = 64, ALIGN = 8 };

_Static_assert(sizeof(struct km_sync_record) == 48,
               "a record costs what the header says");
_Static_assert(KM_GROUPS_MAX <= 1 << 12, "a record has room for the number");

static size_t size_of(size_t key_len)
{
    return (sizeof(struct km_sync_record) + key_len + ALIGN - 1) / ALIGN *
           ALIGN;
}

kama_status km_sync_ring_init(struct km_sync_ring *ring,
                              const kama_allocator *mem, size_t size)
{
    *ring = (struct km_sync_ring){.mem = mem, .size = size / ALIGN * ALIGN};
    ring->mark_count = size / size_of(0) / MARK_EVERY + 2;
    ring->bytes = km_mem_alloc(mem, ring->size + ALIGN);
    ring->marks = km_mem_zalloc(mem, ring->mark_count, sizeof *ring->marks);
    if (ring->bytes == NULL || ring->marks == NULL) {
        km_sync_ring_fini(ring);
        return km_fail(KAMA_ERR_NO_MEMORY,
                       "no memory for the record of mutations");
    }
    km_sync_ring_clear(ring, 1);
    return KAMA_OK;
}

void km_sync_ring_fini(struct km_sync_ring *ring)
{
    km_mem_free(ring->mem, ring->bytes);
    km_mem_free(ring->mem, ring->marks);
    *ring = (struct km_sync_ring){.mem = NULL};
}

void km_sync_ring_clear(struct km_sync_ring *ring, uint64_t next)
{
    ring->head = 0;
    ring->tail = 0;
    ring->first = next;
    ring->next = next;
}

/* -- places ---------------------------------------------------------------- */

static struct km_sync_record *record_at(const struct km_sync_ring *ring,
                                        uint64_t position)
{
    return (struct km_sync_record *)(void *)(ring->bytes +
                                             position % ring->size);
}

/* Returns the position, or that of the beginning of the block if there is a pad. */
static uint64_t skip_pad(const struct km_sync_ring *ring, uint64_t position)
{
    uint64_t clock;
    memcpy(&clock, ring->bytes + position % ring->size, sizeof clock);
    return clock != 0 ? position
                      : position + ring->size - position % ring->size;
}

/* Returns the place for a record of so many bytes behind the newest one, which may be
 * behind a pad. */
static uint64_t place_for(const struct km_sync_ring *ring, size_t bytes)
{
    size_t rest = ring->size - (size_t)(ring->head % ring->size);
    return rest >= bytes ? ring->head : ring->head + rest;
}

static void put_pad(struct km_sync_ring *ring)
{
    memset(ring->bytes + ring->head % ring->size, 0, sizeof(uint64_t));
}

/* -- writing ------------------------------------------------------------------ */

bool km_sync_ring_push(struct km_sync_ring *ring,
                       const struct km_sync_record *record, kama_bytes key)
{
    size_t bytes = size_of(key.len);
    KM_DEBUG_ASSERT(record->hlc != 0 && record->key_len == key.len);
    if (ring->first == ring->next) {
        ring->head = 0; /* without a pad, so that the whole block is free */
        ring->tail = 0;
    }
    uint64_t place = place_for(ring, bytes);
    if (bytes > ring->size || place + bytes - ring->tail > ring->size) {
        return false;
    }
    if (place != ring->head) {
        put_pad(ring);
    }
    struct km_sync_record *to = record_at(ring, place);
    *to = *record;
    if (key.len > 0) {
        memcpy(to + 1, key.data, key.len);
    }
    if (ring->next % MARK_EVERY == 0) {
        ring->marks[ring->next / MARK_EVERY % ring->mark_count] = place;
    }
    ring->head = place + bytes;
    ring->next++;
    return true;
}

void km_sync_ring_skip(struct km_sync_ring *ring)
{
    KM_ASSERT(ring->first == ring->next);
    km_sync_ring_clear(ring, ring->next + 1);
}

void km_sync_ring_pop(struct km_sync_ring *ring)
{
    KM_ASSERT(ring->first < ring->next);
    uint64_t place = skip_pad(ring, ring->tail);
    ring->tail = place + size_of(record_at(ring, place)->key_len);
    ring->first++;
}

static const uint8_t *line_at(const struct km_sync_ring *ring,
                              uint64_t position)
{
    return ring->bytes + position % ring->size;
}

/* The next record takes one line or two, and so does the oldest one behind the one that
 * leaves for it. */
void km_sync_ring_prefetch(const struct km_sync_ring *ring)
{
    __builtin_prefetch(line_at(ring, ring->head + 64), 1);
    __builtin_prefetch(line_at(ring, ring->head + 128), 1);
    __builtin_prefetch(line_at(ring, ring->tail + 64));
    __builtin_prefetch(line_at(ring, ring->tail + 128));
}

/* -- reading ------------------------------------------------------------------ */

const struct km_sync_record *km_sync_ring_oldest(
    const struct km_sync_ring *ring)
{
    return ring->first < ring->next
               ? record_at(ring, skip_pad(ring, ring->tail))
               : NULL;
}

const struct km_sync_record *km_sync_ring_next(const struct km_sync_ring *ring,
                                               struct km_sync_cursor *cursor,
                                               kama_bytes *ret_key)
{
    if (cursor->number >= ring->next) {
        return NULL;
    }
    uint64_t place = skip_pad(ring, cursor->position);
    const struct km_sync_record *record = record_at(ring, place);
    *ret_key = kama_bytes_make(record + 1, record->key_len);
    cursor->number++;
    cursor->position = place + size_of(record->key_len);
    return record;
}

bool km_sync_ring_find(const struct km_sync_ring *ring, uint64_t number,
                       struct km_sync_cursor *ret_cursor)
{
    if (number < ring->first || number >= ring->next) {
        return false;
    }
    kama_bytes key;
    uint64_t marked = number / MARK_EVERY * MARK_EVERY;
    struct km_sync_cursor at = {.number = ring->first, .position = ring->tail};
    if (marked >= ring->first) {
        at.number = marked;
        at.position = ring->marks[marked / MARK_EVERY % ring->mark_count];
    }
    while (at.number < number) {
        (void)km_sync_ring_next(ring, &at, &key);
    }
    *ret_cursor = at;
    return true;
}

void km_sync_ring_check(const struct km_sync_ring *ring)
{
    struct km_sync_cursor at = {.number = ring->first, .position = ring->tail};
    KM_ASSERT(ring->head - ring->tail <= ring->size);
    while (at.number < ring->next) {
        kama_bytes key;
        struct km_sync_cursor found;
        KM_ASSERT(km_sync_ring_find(ring, at.number, &found));
        KM_ASSERT(skip_pad(ring, found.position) ==
                  skip_pad(ring, at.position));
        KM_ASSERT(km_sync_ring_next(ring, &at, &key)->hlc != 0);
        KM_ASSERT(at.position <= ring->head);
    }
    KM_ASSERT(ring->first == ring->next || at.position == ring->head);
}
