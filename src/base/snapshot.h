/* SPDX-License-Identifier: MIT */
/*
 * A snapshot is a pointer to an immutable object that any thread may read at any
 * time, while another thread replaces the object by a newer one.
 *
 *     struct km_snapshot_reader reader;
 *     const struct km_view *view = km_snapshot_enter(&s, &reader);  any thread
 *     ... a few loads ...
 *     km_snapshot_leave(&reader);
 *
 *     old = km_snapshot_replace(&s, new);                    one thread at a time
 *     km_view_unref(old);
 *
 * Readers take no lock, never wait and never try twice. Each counts itself on a
 * cache line of its thread (base/thread.h), so that readers do not wait for each
 * other's lines either:
 *
 *     object | pointer | phase |
 *     cells  | even | odd | | even | odd | ...    a line each, KM_THREAD_CELLS
 *
 * The invariant: after the pointer was replaced, the old object is used by nobody
 * as soon as each count has been seen at 0 once. It need not be the same moment for
 * all counts, because a reader that enters later gets the new object. The phase
 * only sends readers that come later to the other count, so that the writer does
 * not wait for them too; a reader may well add itself to the wrong one.
 *
 * A reader adds itself and then loads the pointer; the writer replaces the
 * pointer and then loads the counts. These four are sequentially consistent,
 * because acquire and release would permit each side to miss the other:
 *
 *     reader                               writer
 *     adds 1 (still in its store buffer)
 *     loads the old pointer
 *                                          stores the new pointer
 *                                          loads 0 from the count, frees the old
 *     reads freed memory
 *
 * In one common order of all four, a reader that loads the old pointer comes before
 * the replacement, and so its addition comes before the writer's load. That load
 * then sees 0 only behind the subtraction of the reader, which releases to the
 * writer's acquiring load: all that the reader did happens before the object is
 * freed.
 *
 * A reader that keeps the object longer takes a reference inside the section.
 * Sections are short and do not block, because replace waits for them; they may
 * nest.
 *
 * Cost: one atomic addition to enter and one subtraction to leave; replace waits
 * for the longest running section. Threads: enter and leave any thread; init, replace and fini belong to the owner, who must not be inside.
 * Errors: none. Ownership: the snapshot is the owner's memory, of about 1 KiB; the
 * object belongs to the owner, who gets it back from replace and fini.
 */
#pragma once

#include "base/thread.h"

#include <stdatomic.h>
#include <stdint.h>

/* A cell is as long as a cache line, so that no two threads write the same. */
struct km_snapshot_cell {
    _Atomic int64_t readers[2]; /* by phase */
    char unused[48];
};

struct km_snapshot {
    _Atomic(void *) object;
    atomic_uint phase; /* 0 or 1 */
    char unused[52];
    struct km_snapshot_cell cells[KM_THREAD_CELLS];
};

/* A section of a reader, in the reader's memory. */
struct km_snapshot_reader {
    _Atomic int64_t *count; /* that it has added itself to */
};

/* Makes a snapshot of an object, which may be NULL. */
void km_snapshot_init(struct km_snapshot *snapshot, void *object);
/* Ends a snapshot, in which nobody reads. Returns the object. */
void *km_snapshot_fini(struct km_snapshot *snapshot);

/* Begins to read. Returns the object, which is valid until km_snapshot_leave. */
static inline const void *km_snapshot_enter(struct km_snapshot *snapshot,
                                            struct km_snapshot_reader *reader)
{
    struct km_snapshot_cell *cell = &snapshot->cells[km_thread_cell()];
    unsigned phase =
        atomic_load_explicit(&snapshot->phase, memory_order_relaxed);
    reader->count = &cell->readers[phase];
    atomic_fetch_add_explicit(reader->count, 1, memory_order_seq_cst);
    return atomic_load_explicit(&snapshot->object, memory_order_seq_cst);
}

/* Ends what km_snapshot_enter has begun. */
static inline void km_snapshot_leave(struct km_snapshot_reader *reader)
{
    atomic_fetch_sub_explicit(reader->count, 1, memory_order_release);
}

/* Replaces the object, and waits until nobody reads the old one. Returns the old
 * one, which the caller may free. */
void *km_snapshot_replace(struct km_snapshot *snapshot, void *object);

/* Returns the object for the owner, who is the only one that could replace it. */
void *km_snapshot_own(const struct km_snapshot *snapshot);

/* Asserts that no count is below zero. For tests. */
void km_snapshot_check(const struct km_snapshot *snapshot);
