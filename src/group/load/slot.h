/* SPDX-License-Identifier: MIT */
/*
 * Slots bound how many loaders of a group run at a time (loader_concurrency). The
 * other loads wait in a queue, first in, first out.
 *
 * A load holds its slot until its loader has returned, even if all its callers got
 * KAMA_ERR_TIMEOUT long before, because the origin is still busy with it. A
 * deferred load, whose loader has returned, gives the slot back when it is
 * finished or its deadline has passed. A load that is started from inside a loader
 * on the same thread needs no slot if all are taken, because its thread holds one
 * already.
 *
 *     km_load_take_slot ----> ADMITTED --> km_load_begin --> RUNNING
 *            | NONE              |                              |
 *     km_load_queue, QUEUED -----+                       km_load_returned
 *                                                               |
 *     km_load_release, OVER <---- the load ends ------------ or PENDING
 *
 * The free slots are spread over cells, one for each cell of threads
 * (base/thread.h). A thread takes a slot from its own cell if there is one, and
 * gives it back there. The lock and the queue are used only if no slot is free:
 *
 *     cells   | 2 free | 0 free | 1 free | ...    one cache line each
 *     queue   load --> load --> load              empty while a slot is free
 *
 * Cost: one atomic step to take a slot and one to give it back, while slots are
 * free. Threads: any thread. Errors: as each function says. Ownership: the queue
 * has no reference to its loads; the one that runs a load keeps it alive.
 */
#pragma once

#include "base/list.h"
#include "base/sync.h"
#include "base/thread.h"

#include <kamacache/kamacache.h>
#include <stdatomic.h>

struct km_load;

struct km_slot_cell {
    _Atomic uint32_t free;
    char unused[60]; /* the next cell is on another cache line */
};

struct km_slots {
    struct km_slot_cell cells[KM_THREAD_CELLS];
    _Atomic uint32_t owed; /* slots that vanish when they are given back */
    struct km_mutex lock;
    atomic_uint queued; /* length of the queue; written under the lock */
    struct km_list queue;
};

/* Makes `count` free slots. Returns false if the system has no resources for
 * them. */
bool km_slots_init(struct km_slots *slots, unsigned count);

/* Ends the slots. No load may have one or wait for one. */
void km_slots_fini(struct km_slots *slots);

/* Takes n slots away for ever. A slot that is in use vanishes when it is given
 * back. */
void km_slots_lower(struct km_slots *slots, unsigned n);

/* Returns how many slots are free. The number is exact while no thread takes one
 * or gives one back. */
unsigned km_slots_free(const struct km_slots *slots);

/* Asserts that the queue has as many loads as are counted, and that each of them
 * is QUEUED and has no slot. For tests. */
void km_slots_check(struct km_slots *slots);

/* The outcome for a load that wants a slot. */
enum km_slot_place {
    KM_SLOT_TAKEN,  /* the load has a slot, and is ADMITTED */
    KM_SLOT_QUEUED, /* the load waits in the queue */
    KM_SLOT_NONE    /* no slot is free, and the load is still NEW */
};

/* Takes a free slot for a load that leads. Errors: KAMA_ERR_CLOSED, and
 * KAMA_ERR_TIMEOUT if the load has ended already. */
KAMA_NODISCARD kama_status km_load_take_slot(struct km_load *load,
                                             enum km_slot_place *ret_place);

/* Admits a load without a slot, because it is started from inside a loader of the
 * same group on the same thread. Errors: KAMA_ERR_TIMEOUT if it has ended. */
KAMA_NODISCARD kama_status km_load_share_slot(struct km_load *load);

/* Queues the load, or takes a slot that has become free meanwhile. When a queued
 * load gets its slot, cond is signalled; if cond is NULL, the load is submitted to
 * the pool instead. cond is borrowed until the load has left the queue. Errors:
 * KAMA_ERR_OVERLOADED if KM_LOADER_QUEUE_MAX loads wait already, and
 * KAMA_ERR_TIMEOUT if the load has ended. */
KAMA_NODISCARD kama_status km_load_queue(struct km_load *load,
                                         struct km_cond *cond,
                                         enum km_slot_place *ret_place);

/* Waits until a queued load has its slot. Returns KAMA_ERR_TIMEOUT if it has left
 * the queue because the deadline has passed, and KAMA_ERR_CANCELLED if it has
 * ended. The condition is not used afterwards. If the load is not run although it
 * has got a slot, the slot is given back when the load ends. */
KAMA_NODISCARD kama_status km_load_await_slot(struct km_load *load,
                                              km_ns deadline);

/* Makes the load RUNNING, just before the calling thread calls the loader. Returns
 * false if the load has ended meanwhile; the loader must not be called then. */
KAMA_NODISCARD bool km_load_begin(struct km_load *load);

/* Gives the slot to the next load after the loader has returned. A load that was
 * deferred and has not ended becomes PENDING and keeps its slot. */
void km_load_returned(struct km_load *load);

/* Takes a load that has ended out of the queue, and gives its slot back. If its
 * loader is running, km_load_returned gives the slot back instead. */
void km_load_release(struct km_load *load);
