/* SPDX-License-Identifier: MIT */
/*
 * Ghosts: the keys that were evicted a short time ago. If such a key comes
 * back, its eviction was a mistake, and the policy s3fifo then keeps it longer.
 *
 *     km_ghost_add(&ghost, hash, window);          when an entry is evicted
 *     age = km_ghost_take(&ghost, hash);           when a key is added
 *
 * A ghost is 16 bits of the hash. The table consists of cache lines of 32 ghosts, the
 * youngest first, and a hash belongs to one line; a new ghost pushes the oldest one of
 * its line out:
 *
 *     line    new -> | hash | hash | hash | ... 32 places of 2 bytes | -> forgotten
 *
 * So the place of a ghost in its line tells about how many ghosts were added since. A
 * ghost is remembered for about `window` additions. It may be forgotten earlier or
 * later, and rarely another key is taken for it, because only 16 bits are compared.
 * Both cost no more than one wrong decision of the policy.
 *
 * When the window has changed by more than a quarter, another table is begun. The first
 * one is still asked until its ghosts are too old, so that nothing is moved and there
 * is no pause.
 *
 * Cost: one cache line per call. Memory: 2 bytes for each addition of the window, and
 * none before the first. Threads: the lock of the shard.
 * Errors: none; without memory, ghosts are forgotten.
 * Ownership: the tables are charged to the account of the store.
 */
#pragma once

#include "store/account.h"

struct km_ghost_table {
    uint16_t *prints; /* 0: no ghost */
    uint32_t line_count;
    uint64_t additions;
};

struct km_ghost {
    struct km_account *account;
    struct km_ghost_table now;
    struct km_ghost_table before; /* the table before the window has changed */
};

#define KM_GHOST_NONE UINT64_MAX

/* Makes an empty memory of ghosts, which takes no memory yet. */
void km_ghost_init(struct km_ghost *ghost, struct km_account *account);
/* Frees the tables. */
void km_ghost_fini(struct km_ghost *ghost);

/* Remembers hash for about `window` additions. */
void km_ghost_add(struct km_ghost *ghost, uint64_t hash, uint64_t window);

/* Forgets hash. Returns about how many ghosts were added since it was, at least 1, or
 * KM_GHOST_NONE. */
uint64_t km_ghost_take(struct km_ghost *ghost, uint64_t hash);

/* Returns about how many ghosts were added since hash was, at least 1, or
 * KM_GHOST_NONE. */
uint64_t km_ghost_find(const struct km_ghost *ghost, uint64_t hash);

/* Asks for the line of a hash that km_ghost_find will need. */
void km_ghost_prefetch(const struct km_ghost *ghost, uint64_t hash);

/* Returns how many bytes are charged for the tables. */
uint64_t km_ghost_bytes(const struct km_ghost *ghost);

/* Asserts that the tables agree with themselves. For tests: O(ghosts). */
void km_ghost_check(const struct km_ghost *ghost);
