/* SPDX-License-Identifier: MIT */
/* The writer's half of a snapshot. The writer waits by giving the processor away,
 * because sections are shorter than it takes to fall asleep and to be woken. */
#include "base/snapshot.h"

#include <sched.h>
#include <stddef.h>

void km_snapshot_init(struct km_snapshot *snapshot, void *object)
{
    atomic_init(&snapshot->object, object);
    for (unsigned i = 0; i < KM_THREAD_CELLS; i++) {
        atomic_init(&snapshot->cells[i].readers, 0);
    }
}

void *km_snapshot_own(const struct km_snapshot *snapshot)
{
    return atomic_load_explicit(&snapshot->object, memory_order_relaxed);
}

/* Waits until each cell has been seen without a reader once. */
static void wait_for_readers(const struct km_snapshot *snapshot)
{
    for (unsigned i = 0; i < KM_THREAD_CELLS; i++) {
        while (atomic_load_explicit(&snapshot->cells[i].readers,
                                    memory_order_seq_cst) != 0) {
            (void)sched_yield();
        }
    }
}

void *km_snapshot_replace(struct km_snapshot *snapshot, void *object)
{
    void *old = atomic_exchange_explicit(&snapshot->object, object,
                                         memory_order_seq_cst);
    wait_for_readers(snapshot);
    return old;
}

void *km_snapshot_fini(struct km_snapshot *snapshot)
{
    for (unsigned i = 0; i < KM_THREAD_CELLS; i++) {
        KM_ASSERT(atomic_load_explicit(&snapshot->cells[i].readers,
                                       memory_order_acquire) == 0);
    }
    void *object = km_snapshot_own(snapshot);
    atomic_store_explicit(&snapshot->object, NULL, memory_order_relaxed);
    return object;
}

void km_snapshot_check(const struct km_snapshot *snapshot)
{
    for (unsigned i = 0; i < KM_THREAD_CELLS; i++) {
        KM_ASSERT(atomic_load_explicit(&snapshot->cells[i].readers,
                                       memory_order_relaxed) >= 0);
    }
}
