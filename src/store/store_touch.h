/* SPDX-License-Identifier: MIT */
/*
 * Looking at a value without using it, and giving it a new time to live.
 *
 *     km_ns expires_at;
 *     if (km_store_peek(store, hash, key, &expires_at) == KAMA_OK) {
 *         status = km_store_touch(store, hash, key, later);
 *     }
 *
 * Neither function starts a load or counts a hit. A negative entry, which says
 * that a key does not exist, is no value for them.
 *
 * km_store_look is for people: it says what is there and changes nothing, not even
 * by taking out an entry that has expired.
 *
 * Threads: any thread. Cost: lookups under the lock of one shard; a touch of an
 * entry that had no time before copies a small value.
 * Errors: KAMA_MISS if there is no live value, and KAMA_ERR_TRY_AGAIN if the
 * store has seen a newer adoption (store_hide.h).
 */
#pragma once

#include "store/store.h"

/* Returns KAMA_OK if key has a live value, and KAMA_MISS otherwise.
 * *ret_expires_at is the time at which it expires, 0 if it never does. */
KAMA_NODISCARD kama_status km_store_peek(struct km_store *store,
                                         uint64_t adoption, uint64_t hash,
                                         kama_bytes key, km_ns *ret_expires_at);

/* Returns a reference to the explicit value of key if it has exactly this version and is
 * alive; NULL if not, and without memory. The entry does not count as used. */
kama_value *km_store_value_of(struct km_store *store, uint64_t hash,
                              kama_bytes key, struct km_version version);

/* Gives the value of key another time at which it expires (0 means never), and
 * counts it as used for the eviction. The fills of the key are overtaken,
 * because a load that ends later would bring a time of its own. References to
 * the value that was there keep the time that it had.
 * Errors: KAMA_MISS, and KAMA_ERR_NO_MEMORY as km_store_put. */
KAMA_NODISCARD kama_status km_store_touch(struct km_store *store,
                                          uint64_t adoption, uint64_t hash,
                                          kama_bytes key, km_ns expires_at);

/* The entry of a key. */
enum km_store_presence {
    KM_STORE_ABSENT,
    KM_STORE_EXPIRED, /* it counts as absent, and is still in memory */
    KM_STORE_NEGATIVE,
    KM_STORE_VALUE
};

struct km_store_look {
    enum km_store_presence presence;
    enum km_miss why;        /* of a key without an alive entry */
    km_ns expires_at;        /* 0: never, or there is no entry */
    uint64_t version;        /* of the loader */
    struct km_version stamp; /* of an explicit entry */
    uint32_t value_bytes;
};

/* Writes what is stored under key. An entry whose slot is hidden counts as
 * absent. */
void km_store_look(struct km_store *store, uint64_t hash, kama_bytes key,
                   struct km_store_look *ret_look);
