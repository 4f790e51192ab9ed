/* SPDX-License-Identifier: MIT */
/*
 * What a mutation does on the node that carries it out: it changes the store, counts,
 * and notes how the new value is named.
 *
 *     status = km_mutate_here(op, owner.adoption);
 *
 * In a synchronized group it originates there (R1): it is given a version, and is in the
 * log of the node. op->role says whether this node may do that; if not, nothing has
 * changed, and the status means nothing.
 *
 * Threads: that of the op. Errors: those of the store; KAMA_ERR_TRY_AGAIN if the
 * node has adopted another view since it was asked, and then nothing has changed.
 * Ownership: a set gives its item to the store, and keeps it if the store has refused
 * it. Cost: one call of the store.
 */
#pragma once

#include "group/mutate_op.h"

/* The adoption of a mutation that does not depend on who owns its key. */
#define KM_ANY_ADOPTION UINT64_MAX

/* Carries the mutation out. */
KAMA_NODISCARD kama_status km_mutate_here(struct km_mutate_op *op,
                                          uint64_t adoption);

/* A set was carried out, by this node or another one, with that key of etags
 * (km_item_etag). Tells its caller the etag. The op still has its item. */
void km_mutate_name(struct km_mutate_op *op, uint64_t etag_key);

/* The owner on another node has answered, or may have carried the mutation out: what
 * this node has of the key must not be seen any more after the caller is answered. */
void km_mutate_elsewhere(const struct km_mutate_op *op,
                         const struct km_owner_reply *reply);
