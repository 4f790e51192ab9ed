/* SPDX-License-Identifier: MIT */
/*
 * Departed keys: which keys have left a shard lately, and why. So a miss can say why
 * the key is not there.
 *
 *     km_departed_note(&departed, hash, KM_MISS_DELETED);      when an entry leaves
 *     why = km_departed_why(&departed, hash);                  at a miss
 *
 * It is a table of ghosts (ghost.h), in which a key has another print for each reason,
 * in the same line. Nothing is taken out when a key comes back: if it leaves again,
 * the youngest print tells.
 *
 * A shard remembers a fixed number of departures. An older one is forgotten, and then
 * the key is as if it had never been there; about one key in 500 that was never there
 * is taken for one that has left, when the table is full.
 *
 * Cost: one cache line per call. Memory: 2 bytes for each departure that is remembered,
 * and none before the first one. Threads: the lock of the shard. Errors: none; without
 * memory, departures are forgotten. Ownership: the table is charged to the account.
 */
#pragma once

#include "store/ghost.h"

/* Why a look has found nothing. */
enum km_miss {
    KM_MISS_ABSENT,  /* the key was never there, or nobody remembers it */
    KM_MISS_EXPIRED, /* its time was over */
    KM_MISS_EVICTED, /* it had to make room */
    KM_MISS_DELETED, /* a caller has deleted it */
    KM_MISS_REASONS
};

struct km_departed {
    struct km_ghost ghosts;
    uint64_t window; /* departures that are remembered, about */
};

/* Makes an empty table, which takes no memory yet. shard_bytes: what the shard may
 * use, of which the table will be a small part. */
void km_departed_init(struct km_departed *departed, struct km_account *account,
                      uint64_t shard_bytes);

/* Forgets everything and frees the table. */
void km_departed_clear(struct km_departed *departed);

/* Notes that the key of a hash has left. why is not KM_MISS_ABSENT. */
void km_departed_note(struct km_departed *departed, uint64_t hash,
                      enum km_miss why);

/* Returns why the key of a hash has left. */
enum km_miss km_departed_why(const struct km_departed *departed, uint64_t hash);
