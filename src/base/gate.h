/* SPDX-License-Identifier: MIT */
/*
 * A gate counts the threads that are inside of something, so that it can be
 * closed and waited for: nobody enters a closed gate, and when all who were
 * inside have left, what they used may be freed.
 *
 *     if (!km_gate_enter(&gate)) {
 *         return KAMA_ERR_CLOSED;
 *     }
 *     ...                                 km_gate_close(&gate);
 *     km_gate_leave(&gate);               km_gate_wait(&gate);   then free
 *
 * The count is divided into cells, one cache line each, and a thread uses the
 * cell of its own (base/thread.h): threads that enter and leave do not wait for
 * each other's lines. It may leave in another thread than it has entered; then
 * one cell goes below zero, and only the sum has a meaning:
 *
 *     cell  | 63 ................ 1 |    0     |
 *           |  count, signed        |  closed  |
 *
 * Why no wake-up is lost: "closed" is a bit of the same word as the count. Either
 * km_gate_leave takes its count off before the bit is set, and then the sum of
 * km_gate_wait has it; or it sees the bit, and then it leaves under the lock
 * under which km_gate_wait sums and sleeps. Why the sum is not zero too early:
 * after all bits are set no count goes up, so each cell that is read has at
 * least what it will have.
 *
 * Cost: one atomic addition to enter and one to leave. Threads: any; init, close,
 * wait and fini belong to the owner. Memory: 1 KiB.
 */
#pragma once

#include "base/sync.h"
#include "base/thread.h"

#include <stdatomic.h>

/* As long as a cache line, so that no two words are on one; the gate itself is
 * wherever its owner's memory is. */
struct km_gate_cell {
    _Atomic uint64_t word;
    char unused[56];
};

struct km_gate {
    struct km_gate_cell cells[KM_THREAD_CELLS];
    struct km_mutex lock;
    struct km_cond left; /* somebody has left a closed gate */
};

/* Opens the gate. Returns false when the system has no resources for it. */
bool km_gate_init(struct km_gate *gate);

/* Nobody is inside. */
void km_gate_fini(struct km_gate *gate);

/* The two bits of meaning in a word. */
#define KM_GATE_CLOSED UINT64_C(1)
#define KM_GATE_ONE UINT64_C(2)

/* Leaves a gate that is closed, or that has just been found closed. */
void km_gate_leave_closed(struct km_gate *gate);

static inline _Atomic uint64_t *km_gate_word(struct km_gate *gate)
{
    return &gate->cells[km_thread_cell()].word;
}

/* Returns false when the gate is closed; then there is nothing to leave. */
static inline bool km_gate_enter(struct km_gate *gate)
{
    uint64_t before = atomic_fetch_add_explicit(km_gate_word(gate), KM_GATE_ONE,
                                                memory_order_acquire);
    if (KM_LIKELY((before & KM_GATE_CLOSED) == 0)) {
        return true;
    }
    km_gate_leave_closed(gate);
    return false;
}

/* The gate, and what it guards, may be gone when this returns. */
static inline void km_gate_leave(struct km_gate *gate)
{
    _Atomic uint64_t *word = km_gate_word(gate);
    uint64_t seen = atomic_load_explicit(word, memory_order_relaxed);
    while (KM_LIKELY((seen & KM_GATE_CLOSED) == 0)) {
        if (atomic_compare_exchange_weak_explicit(
                word, &seen, seen - KM_GATE_ONE, memory_order_release,
                memory_order_relaxed)) {
            return;
        }
    }
    km_gate_leave_closed(gate);
}

/* Lets nobody enter from now on. */
void km_gate_close(struct km_gate *gate);

static inline bool km_gate_is_closed(const struct km_gate *gate)
{
    uint64_t word = atomic_load_explicit(&gate->cells[km_thread_cell()].word,
                                         memory_order_acquire);
    return (word & KM_GATE_CLOSED) != 0;
}

/* Waits until everybody has left a closed gate. */
void km_gate_wait(struct km_gate *gate);

/* How many are inside; exact when nobody enters or leaves at the same time. */
int64_t km_gate_count(const struct km_gate *gate);
