/* SPDX-License-Identifier: MIT */
/*
 * Waiting until other nodes have a mutation that has begun on this one (sync_ack).
 *
 *     if (km_mutate_is_witnessed(op)) {
 *         status = km_mutate_reserve(op);      before it acts; else nothing is done
 *     }
 *     status = km_mutate_here(op, adoption);
 *     km_mutate_await(op, status, on_acked);   the last step: on_acked may free the op
 *     ...
 *     on_acked: status = km_mutate_acked(op, unsynced);
 *
 * A mutation that has acted stays true, whatever the other nodes say: if they are late, it
 * is KAMA_UNSYNCED in place of KAMA_OK, and the list of the op has them.
 *
 * Threads: that of the op. Errors: none. Ownership: the op has the list. Cost: no
 * allocation.
 */
#pragma once

#include "group/mutate_op.h"

typedef void (*km_mutate_acked_fn)(struct km_sync_wait *wait,
                                   struct km_unsynced *unsynced);

/* Returns whether the group wants acknowledgements and there is a node to give one. */
bool km_mutate_is_witnessed(const struct km_mutate_op *op);

/* Waits for them until sync_timeout from now on, and until op->answer_by. status: what
 * the mutation has found. */
void km_mutate_await(struct km_mutate_op *op, kama_status status,
                     km_mutate_acked_fn acked);

/* Returns the answer. unsynced: the reference is taken. */
kama_status km_mutate_acked(struct km_mutate_op *op,
                            struct km_unsynced *unsynced);
