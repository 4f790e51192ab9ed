/* SPDX-License-Identifier: MIT */
/*
 * What a mutation does on the node that owns its key: it changes the store, counts,
 * and notes how the new value is named.
 *
 *     status = km_mutate_here(op, owner.adoption);
 *
 * Threads: that of the op. Errors: those of the store; KAMA_ERR_TRY_AGAIN if the
 * node has adopted another view since it was asked, and then nothing has changed.
 * Ownership: a set gives its item to the store, and keeps it if the store has refused
 * it. Cost: one call of the store.
 */
#pragma once

#include "group/mutate_op.h"

/* Carries the mutation out. */
KAMA_NODISCARD kama_status km_mutate_here(struct km_mutate_op *op,
                                          uint64_t adoption);

/* A set was carried out, by this node or another one, with that key of etags
 * (km_item_etag). Tells its caller the etag. The op still has its item. */
void km_mutate_name(struct km_mutate_op *op, uint64_t etag_key);
