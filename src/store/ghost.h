/* SPDX-License-Identifier: MIT */
/*
 * Ghosts: which keys were evicted not long ago, as 16 bits of the hash and a
 * 16-bit stamp each, in cache lines of 16. A ghost is remembered until about
 * `window` younger ones were added. It may be forgotten earlier when its line
 * is full of younger ones, and rarely a stranger is taken for it.
 *
 * Memory: 4 B per slot, 1.25 to 2.5 slots per ghost; none before the first.
 * Growing starts a second, larger table; the first is asked until its ghosts
 * are too old. There is no pause.
 * Thread-safety: the lock of the shard. Errors: without memory ghosts are
 * forgotten.
 */
#pragma once

#include "store/account.h"

struct km_ghost_table {
    uint32_t *slots; /* stamp << 16 | fingerprint; 0: free */
    uint32_t line_count;
};

struct km_ghost {
    struct km_account *account;
    struct km_ghost_table now;
    struct km_ghost_table before;
    uint32_t window;
    uint32_t until_tick; /* additions until the stamp moves on */
    uint16_t stamp;
    uint16_t before_stamp; /* when `before` was left */
};

/* Empty, without memory. */
void km_ghost_init(struct km_ghost *ghost, struct km_account *account);
/* Frees the tables. */
void km_ghost_fini(struct km_ghost *ghost);

/* Remembers hash among the last `window` (>= 1) ones. */
void km_ghost_add(struct km_ghost *ghost, uint64_t hash, uint64_t window);

/* Was hash among them? Forgets it then. */
bool km_ghost_take(struct km_ghost *ghost, uint64_t hash);

/* Asserts that the tables, the stamps and the window agree. For tests: O(slots).
 */
void km_ghost_check(const struct km_ghost *ghost);
