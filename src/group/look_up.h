/* SPDX-License-Identifier: MIT */
/*
 * The look into memory with which a get begins. It never loads and never waits.
 *
 *     status = km_group_look_up(group, key, &limits, &missed, &value);
 *     if (status == KAMA_DEFERRED) { ... the key has to be loaded ... }
 *
 * Cost: the lock of one shard of the store. Threads: any thread. Errors: those of
 * km_group_check_key. Ownership: the caller gets a reference to the value.
 */
#pragma once

#include "store/departed.h"

#include <kamacache/kamacache.h>
#include <stdbool.h>

struct km_call_limits;

/* A key that was not in memory. */
struct km_missed {
    uint64_t hash;
    enum km_miss why;
};

/* Looks the key up. Returns KAMA_DEFERRED and writes *ret_missed if the key is not in
 * memory and has to be loaded. Any other status is the answer of the get, which
 * has been counted. */
KAMA_NODISCARD kama_status km_group_look_up(kama_group *group, kama_bytes key,
                                            const struct km_call_limits *limits,
                                            struct km_missed *ret_missed,
                                            kama_value **ret_value);

/* Does the same with a key that was checked, and whose hash is known. */
KAMA_NODISCARD kama_status
km_group_look_up_hashed(kama_group *group, kama_bytes key, uint64_t hash,
                        const struct km_call_limits *limits,
                        struct km_missed *ret_missed, kama_value **ret_value);

/* Returns whether a key that is not in memory is looked for elsewhere: with the
 * loader, or at its owner. */
bool km_group_looks_further(const kama_group *group,
                            const struct km_call_limits *limits);

/* Counts a miss, and its end, of a key that is not in memory and shall not be loaded. Returns the
 * answer: KAMA_MISS if no loader and no other node can have it, and
 * KAMA_WOULD_LOAD otherwise. */
kama_status km_group_absent(kama_group *group, enum km_miss why);
