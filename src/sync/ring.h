/* SPDX-License-Identifier: MIT */
/*
 * The ring of a log: the newest records, numbered without a hole, in one block of memory
 * that is never enlarged.
 *
 *     bytes   | 19 key | 20 key | 21 | (free)      | 17 key | 18 key | pad |
 *                                    ^ head        ^ tail
 *     marks   the position of each 64th record, so that a record is found in a few steps
 *
 * Positions count on for ever, and a position modulo the size is a place in the block. A
 * record lies in one piece; the rest at the end of the block is a pad, which begins
 * with a clock of 0.
 *
 *     while (!km_sync_ring_push(&ring, &record, key)) {
 *         km_sync_ring_pop(&ring);               the oldest record leaves
 *     }
 *
 * Cost: 48 bytes for each record, and its key, rounded up to 8. Push and pop are O(1),
 * and finding a record walks over at most 63 others. Threads: the owner's lock. Errors:
 * KAMA_ERR_NO_MEMORY from init; nothing else fails. Ownership: the ring owns its memory;
 * returned records are valid until the next push or pop.
 */
#pragma once

#include "base/clock.h"
#include "base/mem.h"
#include "base/version.h"

struct km_sync_record {
    uint64_t hlc; /* never 0 */
    uint64_t view_id;
    struct km_version base;
    km_ns expires_at;
    uint32_t time_ms; /* when it was pushed; the lower half of the clock */
    uint16_t key_len;
    uint16_t number : 12;
    uint16_t kind : 4;
    /* the key */
};

struct km_sync_ring {
    const kama_allocator *mem;
    uint8_t *bytes;
    size_t size;    /* of bytes, a multiple of 8 */
    uint64_t head;  /* the position behind the newest record */
    uint64_t tail;  /* that of the oldest one */
    uint64_t first; /* the number of the oldest record */
    uint64_t next;  /* the number that the next one will have */
    uint64_t
        *marks; /* the position of record n is in marks[n / 64 % mark_count],
                      * if 64 divides n */
    size_t mark_count;
};

/* A record of the ring, to walk to newer ones. */
struct km_sync_cursor {
    uint64_t number;
    uint64_t position;
};

KAMA_NODISCARD kama_status km_sync_ring_init(struct km_sync_ring *ring,
                                             const kama_allocator *mem,
                                             size_t size);
void km_sync_ring_fini(struct km_sync_ring *ring);
/* Empties the ring; the next record has this number. */
void km_sync_ring_clear(struct km_sync_ring *ring, uint64_t next);

/* Appends a copy of a record with its key, whose length the record says. Returns false
 * if there is no room. An empty ring has no room for a record that is larger than
 * itself. */
bool km_sync_ring_push(struct km_sync_ring *ring,
                       const struct km_sync_record *record, kama_bytes key);
/* Counts a record for which there is no room in the empty ring. */
void km_sync_ring_skip(struct km_sync_ring *ring);
/* Removes the oldest record. The ring must have one. */
void km_sync_ring_pop(struct km_sync_ring *ring);
/* Asks for the memory that the next push and the next pop will need. A ring is larger than
 * the caches that are near. */
void km_sync_ring_prefetch(const struct km_sync_ring *ring);

/* Returns the oldest record, or NULL. */
const struct km_sync_record *km_sync_ring_oldest(
    const struct km_sync_ring *ring);
/* Finds the record of this number. Returns false if it is not there. */
bool km_sync_ring_find(const struct km_sync_ring *ring, uint64_t number,
                       struct km_sync_cursor *ret_cursor);
/* Returns the record at a cursor with its key, and moves the cursor on; NULL: it is
 * behind the newest record. */
const struct km_sync_record *km_sync_ring_next(const struct km_sync_ring *ring,
                                               struct km_sync_cursor *cursor,
                                               kama_bytes *ret_key);

/* Asserts that the records lie one behind the other, and that the marks point to them.
 * For tests. */
void km_sync_ring_check(const struct km_sync_ring *ring);
