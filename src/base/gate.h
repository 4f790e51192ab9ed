/* SPDX-License-Identifier: MIT */
/*
 * A gate counts the calls that are inside an object, so that the object can be
 * freed safely: its owner closes the gate, which nobody can enter any more, waits
 * until every call has left, and then frees the object.
 *
 *     if (!km_gate_enter(&gate)) {
 *         return KAMA_ERR_CLOSED;
 *     }
 *     ...                                 km_gate_close(&gate);
 *     km_gate_leave(&gate);               km_gate_wait(&gate);   then free
 *
 * The count is divided into cells of one cache line each, and a thread uses its own
 * cell (base/thread.h), so that threads do not wait for each other's lines. A call
 * may leave on another thread than the one on which it has entered. Then one cell
 * goes below zero, and only the sum of the cells has a meaning:
 *
 *     cell  | 63 ................ 1 |    0     |
 *           |  count, signed        |  closed  |
 *
 * No wake-up is lost, because "closed" is a bit of the same word as the count.
 * Either km_gate_leave takes its count off before the bit is set, and then the sum
 * of km_gate_wait includes that. Or it sees the bit, and then it leaves under the
 * lock under which km_gate_wait sums and sleeps. The sum is not zero too early
 * either: after all bits are set no cell goes up, so that each cell that is read
 * is at least as large as it will be later.
 *
 * Cost: one atomic addition to enter and one to leave. Threads: any thread; init,
 * close, wait and fini belong to the owner. Errors: only init can fail. Ownership:
 * the gate is the owner's memory, of about 1 KiB.
 */
#pragma once

#include "base/sync.h"
#include "base/thread.h"

#include <stdatomic.h>

/* A cell is as long as a cache line, so that no two words share one, wherever the
 * gate's memory begins. */
struct km_gate_cell {
    _Atomic uint64_t word;
    char unused[56];
};

struct km_gate {
    struct km_gate_cell cells[KM_THREAD_CELLS];
    struct km_mutex lock;
    struct km_cond left; /* a call has left a closed gate */
};

/* Makes an open gate. Returns false if the system has no resources for it. */
bool km_gate_init(struct km_gate *gate);

/* Ends a gate. No call may be inside. */
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

/* Enters the gate. Returns false if it is closed; the call must not leave then. */
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

/* Leaves the gate. When this returns, the owner may have freed the gate and the
 * object that it guards. */
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

/* Closes the gate for ever: no call can enter any more. */
void km_gate_close(struct km_gate *gate);

/* Returns whether the gate is closed. */
static inline bool km_gate_is_closed(const struct km_gate *gate)
{
    uint64_t word = atomic_load_explicit(&gate->cells[km_thread_cell()].word,
                                         memory_order_acquire);
    return (word & KM_GATE_CLOSED) != 0;
}

/* Waits until every call has left a closed gate. */
void km_gate_wait(struct km_gate *gate);

/* Returns how many calls are inside. The number is exact while none enters or
 * leaves; it is never less than zero then. */
int64_t km_gate_count(const struct km_gate *gate);
