/* SPDX-License-Identifier: MIT */
/*
 * A block: the bytes of one large value, in pages of their own. The record of the
 * store and the values that callers hold share it, by counted references.
 *
 *     record ---+
 *               v
 *             | refs | held | len | account | bytes ... |
 *               ^
 *     kama_value+      held: how many values outside of the store refer to it
 *
 * While at least one value refers to the block, its pages count as held.
 *
 * Threads: any thread that has a reference. Errors: NULL without memory.
 * Ownership: the last reference frees the pages. Cost: one atomic per reference.
 */
#pragma once

#include "store/account.h"

struct km_block {
    struct km_account *account;
    _Atomic uint32_t refs;
    _Atomic uint32_t held;
    uint32_t len;
    uint8_t bytes[];
};

/* Returns a block for len bytes, which the caller writes, with one reference. NULL
 * without memory. */
struct km_block *km_block_new(struct km_account *account, uint32_t len);

/* Returns how many bytes are charged for a block of that length. */
uint64_t km_block_charge(const struct km_account *account, size_t len);

/* Returns how many bytes the last reference gives back if this is the last one, and 0
 * otherwise. */
uint64_t km_block_sole_charge(const struct km_block *block);

/* Takes one more reference. */
void km_block_ref(struct km_block *block);
/* Gives a reference back. */
void km_block_unref(struct km_block *block);
/* The same, but it frees a large block in parts (km_pages_free_slowly). */
void km_block_unref_slowly(struct km_block *block);

/* Takes a reference for a value outside of the store. */
void km_block_hold(struct km_block *block);
/* Gives the reference of a value outside of the store back. */
void km_block_let_go(struct km_block *block);
