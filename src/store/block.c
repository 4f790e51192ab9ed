/* SPDX-License-Identifier: MIT */
#include "store/block.h"

static size_t run_bytes(size_t len)
{
    return sizeof(struct km_block) + len;
}

struct km_block *km_block_new(struct km_account *account, uint32_t len)
{
    struct km_block *block = km_pages_alloc(&account->blocks, run_bytes(len));
    if (block == NULL) {
        return NULL;
    }
    block->account = account;
    atomic_init(&block->refs, 1);
    atomic_init(&block->held, 0);
    block->len = len;
    km_account_count_block(account, (int64_t)km_block_charge(account, len));
    return block;
}

uint64_t km_block_charge(const struct km_account *account, size_t len)
{
    return km_pages_bytes(&account->blocks, run_bytes(len));
}

uint64_t km_block_sole_charge(const struct km_block *block)
{
    return atomic_load_explicit(&block->refs, memory_order_relaxed) == 1
               ? km_block_charge(block->account, block->len)
               : 0;
}

void km_block_ref(struct km_block *block)
{
    atomic_fetch_add_explicit(&block->refs, 1, memory_order_relaxed);
}

/* Returns whether that was the last reference; then the block is not counted any more. The
 * release orders the reads of this thread before the free of another one. */
static bool give_back(struct km_block *block)
{
    if (atomic_fetch_sub_explicit(&block->refs, 1, memory_order_acq_rel) != 1) {
        return false;
    }
    km_account_count_block(
        block->account, -(int64_t)km_block_charge(block->account, block->len));
    return true;
}

void km_block_unref(struct km_block *block)
{
    if (give_back(block)) {
        km_pages_free(&block->account->blocks, block, run_bytes(block->len));
    }
}

void km_block_unref_slowly(struct km_block *block)
{
    if (give_back(block)) {
        km_pages_free_slowly(&block->account->blocks, block,
                             run_bytes(block->len));
    }
}

void km_block_hold(struct km_block *block)
{
    km_block_ref(block);
    if (atomic_fetch_add_explicit(&block->held, 1, memory_order_relaxed) == 0) {
        km_account_hold_block(block->account, (int64_t)km_block_charge(
                                                  block->account, block->len));
    }
}

void km_block_let_go(struct km_block *block)
{
    if (atomic_fetch_sub_explicit(&block->held, 1, memory_order_relaxed) == 1) {
        km_account_hold_block(block->account, -(int64_t)km_block_charge(
                                                  block->account, block->len));
    }
    km_block_unref(block);
}
