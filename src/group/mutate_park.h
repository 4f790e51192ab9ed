/* SPDX-License-Identifier: MIT */
/*
 * Making a mutation independent of its caller, so that it may wait for another view or for
 * other nodes, or travel to the owner of its key.
 *
 *     status = km_mutate_park(op);      its memory counts for the group from here on
 *     ... another thread answers it ...
 *     km_mutate_unpark(op);
 *
 * Threads: that of the op. Errors: as said below. Ownership: the copy of the key is the
 * op's. Cost: one allocation for a mutation without a value.
 */
#pragma once

#include "group/mutate_op.h"

/* Counts an op for the group, unless it counts already. Its key is still its caller's.
 * Nothing was done if it fails: KAMA_WOULD_LOAD if it is only tried,
 * KAMA_ERR_WOULD_DEADLOCK on a thread that must not wait, KAMA_ERR_OVERLOADED if too much
 * waits already. */
KAMA_NODISCARD kama_status km_mutate_reserve(struct km_mutate_op *op);

/* Parks an op that may be parked already. Errors: those of km_mutate_reserve, and
 * KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status km_mutate_park(struct km_mutate_op *op);

/* The op has acted, and needs neither its key nor its value any more: they count no
 * longer. */
void km_mutate_trim(struct km_mutate_op *op);

/* Gives back what parking has taken; nothing if the op is not parked. */
void km_mutate_unpark(struct km_mutate_op *op);
