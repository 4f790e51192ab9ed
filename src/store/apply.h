/* SPDX-License-Identifier: MIT */
/*
 * Mutations of a synchronized group: each node applies the mutations of all nodes, in any
 * order, and all end with the same explicit value of a key, or with none.
 *
 *     a mutation of another node             its version came with it:
 *         struct km_operation set = {.kind = KM_APPLY_SET, .hash = hash,
 *                                    .key = key, .item = item};
 *         struct km_stamp stamp = {.version = version};
 *         km_store_apply(store, &set, &stamp);
 *
 *     a mutation that begins here            it is asked for its version:
 *         struct km_stamp stamp = {.ask = next_version, .arg = log};
 *         status = km_store_apply(store, &set, &stamp);
 *
 * R1. The version of a mutation that begins here is asked for under the lock of the shard,
 * when the condition is fulfilled and the memory is there. So the versions of a key are
 * given in the order in which they act, whoever holds the lock sees no version without
 * its effect, and nothing that has a version fails:
 *
 *     lock -> condition -> memory -> ask: hlc + 1, append to the log -> act -> unlock
 *
 * R4. The effect of a version v on the entry of its key:
 *
 *     there is      SET               DROP, DELETE   EXPIRE from version `base`
 *     nothing       kept if v is      -              as DROP
 *                   above the floor
 *     filled        gone, then as     gone           as DROP
 *                   nothing
 *     explicit      the larger        gone if older  if it is `base`: v and the new
 *                   version stays     than v         expiry; else as DROP
 *     the floor     -                 at least v     -
 *
 * Each of them overtakes the fills of its key. A mutation that is applied twice changes
 * nothing the second time. DROP is a set whose value does not come along; it does the
 * same as DELETE, and the two differ in their counts and their names. A SET for whose value
 * there is no memory is applied as DROP, because the old value must not stay.
 *
 * An entry that has expired, or is hidden, is forgotten first (R5) and then absent.
 *
 * If everything was invalidated between the question for the version and the act, a SET
 * acts on an empty store, and is kept if it is still above the floor.
 *
 * The store must keep floors (struct km_store_options).
 *
 * Threads: any. `ask` runs under the lock of a shard: it may take locks of a higher rank
 * and must not call the store. Errors: a mutation with a version does not fail. One that
 * begins here fails before it is given one: KAMA_ERR_TRY_AGAIN as km_store_put,
 * KAMA_ERR_EXISTS and KAMA_MISS as km_store_put_if, KAMA_ERR_NO_MEMORY.
 * Ownership: the item is taken. Cost: as a put or a del.
 */
#pragma once

#include "store/store.h"

enum km_operation_kind {
    KM_APPLY_SET,
    KM_APPLY_DROP,
    KM_APPLY_DELETE,
    KM_APPLY_EXPIRE
};

struct km_operation {
    enum km_operation_kind kind;
    uint64_t hash;
    kama_bytes key;         /* borrowed; that of the item if there is one */
    kama_value *item;       /* of a SET; its only reference is taken */
    km_ns expires_at;       /* of an EXPIRE; 0: never */
    struct km_version base; /* of an EXPIRE of another node */
    /* ---- for a mutation that begins here ---- */
    const struct km_put_condition *condition; /* of a SET; NULL: always */
    uint64_t adoption;                        /* by which this node may do it */
};

/* The operation that is about to act, and needs a version. An EXPIRE of a filled value is
 * a SET of the same value with another expiry, because other nodes may not have that
 * value. */
struct km_asking {
    enum km_operation_kind kind;
    struct km_version base; /* of an EXPIRE: the version of the entry */
    km_ns expires_at;       /* of an EXPIRE; 0: never */
    kama_bytes key;
};

/* Where the version of a mutation comes from. */
struct km_stamp {
    struct km_version version; /* of a mutation of another node */
    /* Returns the version of a mutation that begins here, which must be larger than
     * every version that was applied before; NULL for that of another node. */
    struct km_version (*ask)(void *arg, const struct km_asking *asking);
    void *arg;
};

/* Applies a mutation. Returns KAMA_OK if it has changed the entry of the key, and for
 * every SET that begins here and is given a version; KAMA_MISS if there was nothing to
 * change. A DELETE or a DROP that begins here is given a version in both cases; it
 * returns KAMA_OK if it has removed a live value. Errors: as above. */
KAMA_NODISCARD kama_status km_store_apply(struct km_store *store,
                                          const struct km_operation *operation,
                                          const struct km_stamp *stamp);

/* Returns the floor of the slot of a hash, which any thread may ask for without a lock; 0
 * in a store that keeps none. */
uint64_t km_store_floor(const struct km_store *store, uint64_t hash);
