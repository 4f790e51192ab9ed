/* SPDX-License-Identifier: MIT */
/*
 * Memory orders: entering acquires and leaving releases, so that everything that a
 * thread did inside happens before the owner frees the object. The rest follows
 * from the single order in which all threads see the changes of one word.
 */
#include "base/gate.h"

#include "base/assert.h"

bool km_gate_init(struct km_gate *gate)
{
    for (unsigned i = 0; i < KM_THREAD_CELLS; i++) {
        atomic_init(&gate->cells[i].word, 0);
    }
    return km_mutex_init_with(&gate->lock, KM_RANK_GATE, &gate->left);
}

void km_gate_fini(struct km_gate *gate)
{
    KM_ASSERT(km_gate_count(gate) == 0);
    km_cond_fini(&gate->left);
    km_mutex_fini(&gate->lock);
}

/* Leaves a gate that is closed. Since this happens under the lock, the owner
 * cannot see the last call leave, and free the gate, before the signal was sent. */
void km_gate_leave_closed(struct km_gate *gate)
{
    km_mutex_lock(&gate->lock);
    atomic_fetch_sub_explicit(km_gate_word(gate), KM_GATE_ONE,
                              memory_order_release);
    km_cond_broadcast(&gate->left);
    km_mutex_unlock(&gate->lock);
}

void km_gate_close(struct km_gate *gate)
{
    for (unsigned i = 0; i < KM_THREAD_CELLS; i++) {
        atomic_fetch_or_explicit(&gate->cells[i].word, KM_GATE_CLOSED,
                                 memory_order_acq_rel);
    }
}

int64_t km_gate_count(const struct km_gate *gate)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < KM_THREAD_CELLS; i++) {
        uint64_t word =
            atomic_load_explicit(&gate->cells[i].word, memory_order_acquire);
        sum += (int64_t)(word & ~KM_GATE_CLOSED) / 2;
    }
    return sum;
}

void km_gate_wait(struct km_gate *gate)
{
    km_mutex_lock(&gate->lock);
    KM_ASSERT(km_gate_is_closed(gate));
    while (km_gate_count(gate) != 0) {
        km_cond_wait(&gate->left, &gate->lock);
    }
    km_mutex_unlock(&gate->lock);
}
