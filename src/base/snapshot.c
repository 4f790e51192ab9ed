/* SPDX-License-Identifier: MIT */
/* The writer's half of a snapshot. The writer waits by giving the processor away,
 * because sections are shorter than it takes to fall asleep and to be woken. */
#include "base/snapshot.h"

#include <sched.h>
#include <stddef.h>

void km_snapshot_init(struct km_snapshot *snapshot, void *object)
{
    atomic_init(&snapshot->object, object);
    atomic_init(&snapshot->phase, 0);
    for (unsigned i = 0; i < KM_THREAD_CELLS; i++) {
        atomic_init(&snapshot->cells[i].readers[0], 0);
        atomic_init(&snapshot->cells[i].readers[1], 0);
    }
}

void *km_snapshot_own(const struct km_snapshot *snapshot)
{
    return atomic_load_explicit(&snapshot->object, memory_order_relaxed);
}

/* Sends new readers to the other counts, and waits until each count of this phase
 * has been seen at 0. */
static void wait_for_phase(struct km_snapshot *snapshot, unsigned phase)
{
    atomic_store_explicit(&snapshot->phase, 1 - phase, memory_order_relaxed);
    for (unsigned i = 0; i < KM_THREAD_CELLS; i++) {
        while (atomic_load_explicit(&snapshot->cells[i].readers[phase],
                                    memory_order_seq_cst) != 0) {
            (void)sched_yield();
        }
    }
}

void *km_snapshot_replace(struct km_snapshot *snapshot, void *object)
{
    void *old = atomic_exchange_explicit(&snapshot->object, object,
                                         memory_order_seq_cst);
    wait_for_phase(snapshot, 0);
    wait_for_phase(snapshot, 1);
    return old;
}

/* Returns how many readers have added themselves to both counts of a cell. */
static int64_t count_readers(const struct km_snapshot_cell *cell)
{
    int64_t even =
        atomic_load_explicit(&cell->readers[0], memory_order_acquire);
    int64_t odd = atomic_load_explicit(&cell->readers[1], memory_order_acquire);
    KM_ASSERT(even >= 0 && odd >= 0);
    return even + odd;
}

void *km_snapshot_fini(struct km_snapshot *snapshot)
{
    for (unsigned i = 0; i < KM_THREAD_CELLS; i++) {
        KM_ASSERT(count_readers(&snapshot->cells[i]) == 0);
    }
    void *object = km_snapshot_own(snapshot);
    atomic_store_explicit(&snapshot->object, NULL, memory_order_relaxed);
    return object;
}

void km_snapshot_check(const struct km_snapshot *snapshot)
{
    for (unsigned i = 0; i < KM_THREAD_CELLS; i++) {
        (void)count_readers(&snapshot->cells[i]);
    }
}
