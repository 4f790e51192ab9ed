/* SPDX-License-Identifier: MIT */
/*
 * Ghosts: the keys that were evicted a short time ago. If such a key comes
 * back, its eviction was a mistake, and the policy s3fifo then keeps it longer.
 *
 *     km_ghost_add(&ghost, hash, window);      when an item is evicted
 *     if (km_ghost_take(&ghost, hash)) ...     when a key is added
 *
 * A ghost is 16 bits of the hash and a stamp of 16 bits, which tells its age.
 * The table consists of cache lines of 16 ghosts, and a hash belongs to one
 * line:
 *
 *     line    | stamp:hash | stamp:hash | ... 16 slots of 4 bytes |
 *
 * A ghost is remembered until about `window` younger ones were added. It may be
 * forgotten earlier, if its line is full of younger ones, and rarely another
 * key is taken for it, because only 16 bits are compared. Both cost no more
 * than one wrong decision of the policy.
 *
 * When the window grows, a second, larger table is begun. The first one is
 * still asked until its ghosts are too old, so that nothing is moved and there
 * is no pause.
 *
 * Cost: one cache line per call. Memory: 5 to 10 bytes per ghost, and none
 * before the first. Threads: the lock of the shard.
 * Errors: none; without memory, ghosts are forgotten.
 * Ownership: the tables are charged to the account of the store.
 */
#pragma once

#include "store/account.h"

struct km_ghost_table {
    uint32_t *slots; /* stamp << 16 | hash bits; 0 if the slot is free */
    uint32_t line_count;
};

struct km_ghost {
    struct km_account *account;
    struct km_ghost_table now;
    struct km_ghost_table before; /* the table before the window has grown */
    uint32_t window;              /* the window that `now` was made for */
    uint32_t until_tick;          /* additions until the stamp moves on */
    uint16_t stamp;               /* of the ghosts that are added now */
    uint16_t before_stamp;        /* the stamp when `before` was left */
};

/* Makes an empty memory of ghosts, which takes no memory yet. */
void km_ghost_init(struct km_ghost *ghost, struct km_account *account);
/* Frees the tables. */
void km_ghost_fini(struct km_ghost *ghost);

/* Remembers hash among the last `window` ones; window is at least 1. */
void km_ghost_add(struct km_ghost *ghost, uint64_t hash, uint64_t window);

/* Returns whether hash is remembered, and forgets it. */
bool km_ghost_take(struct km_ghost *ghost, uint64_t hash);

/* Asserts that the tables, the stamps and the window agree. For tests:
 * O(slots).
 * */
void km_ghost_check(const struct km_ghost *ghost);
