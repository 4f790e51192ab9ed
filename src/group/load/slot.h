/* SPDX-License-Identifier: MIT */
/*
 * Slots: at most loader_concurrency loaders of a group run at a time, and the
 * other loads wait in a queue, first in, first out.
 *
 * A load holds its slot until its loader has returned, even when all its callers
 * have been told KAMA_ERR_TIMEOUT long before: the origin is still busy with it.
 * A deferred load, whose loader has returned, gives the slot back when it is
 * finished or its time is over. A load from inside a loader on the same thread
 * needs no slot when all are taken, because its thread holds one already.
 *
 *     km_load_take_slot ----> ADMITTED --> km_load_begin --> RUNNING
 *            | NONE              |                              |
 *     km_load_queue, QUEUED -----+                       km_load_returned
 *                                                               |
 *     km_load_release, OVER <---- the load ends ------------ or PENDING
 *
 * The free slots are spread over cells, one for each cell of threads
 * (base/thread.h): a thread takes one from its own cell if it can, and gives it
 * back there. Only when all are taken is there a lock, and a queue.
 *
 * Threads: any. Errors: as each function says.
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
    atomic_uint queued; /* written under the lock */
    struct km_list queue;
};

/* Returns false when the system has no resources for them. */
bool km_slots_init(struct km_slots *slots, unsigned count);
/* No load has one. */
void km_slots_fini(struct km_slots *slots);

/* Takes n slots away, as soon as they are free. */
void km_slots_lower(struct km_slots *slots, unsigned n);

/* How many are free; exact while nobody takes one or gives one back. */
unsigned km_slots_free(const struct km_slots *slots);

/* Asserts that the queue has as many loads as are counted, all QUEUED. */
void km_slots_check(struct km_slots *slots);

/* What became of a load that wants a slot. */
enum km_slot_place {
    KM_SLOT_TAKEN,  /* it is ADMITTED */
    KM_SLOT_QUEUED, /* it waits in the queue */
    KM_SLOT_NONE    /* all are taken, and the load is still NEW */
};

/* Takes a free slot for a load that leads. Errors: CLOSED, TIMEOUT (it has
 * ended already). */
KAMA_NODISCARD kama_status km_load_take_slot(struct km_load *load,
                                             enum km_slot_place *ret_place);

/* The same for a load inside a loader of the same group, on the same thread: it
 * needs no slot. */
KAMA_NODISCARD kama_status km_load_share_slot(struct km_load *load);

/* Queues the load, or takes a slot that has become free. cond is signalled when a
 * queued load gets its slot; when it is NULL, the load is submitted to the pool
 * then. Errors: OVERLOADED, TIMEOUT (it has ended already). */
KAMA_NODISCARD kama_status km_load_queue(struct km_load *load,
                                         struct km_cond *cond,
                                         enum km_slot_place *ret_place);

/* Waits for the slot of a queued load until deadline: KAMA_OK, TIMEOUT (it has
 * left the queue), CANCELLED (it has ended). Its condition is not used any more
 * afterwards. The slot of a load that is then not run is given back when the
 * load ends. */
KAMA_NODISCARD kama_status km_load_await_slot(struct km_load *load,
                                              km_ns deadline);

/* The calling thread is about to call the loader: the load is RUNNING. Returns
 * false when it has ended meanwhile, and the loader must not be called. */
KAMA_NODISCARD bool km_load_begin(struct km_load *load);

/* The loader has returned. The slot goes to the load that is next, unless this
 * one was deferred and has not ended. */
void km_load_returned(struct km_load *load);

/* Takes a load that has ended out of the queue, and gives its slot back unless
 * its loader is running. */
void km_load_release(struct km_load *load);
