/* SPDX-License-Identifier: MIT */
/*
 * The look into memory with which every get begins. It never loads and never
 * waits.
 *
 *     status = km_group_look_up(group, key, &limits, &hash, &value);
 *     if (status == KAMA_DEFERRED) { ... the key has to be loaded ... }
 *
 * Threads: any. Errors: those of km_group_check_key. Cost: one lock of a shard of
 * the store.
 */
#pragma once

#include <kamacache/kamacache.h>

struct km_call_limits;

/* KAMA_DEFERRED: the key is not there and is to be loaded; anything else is the
 * answer, and has been counted. *ret_hash is written with KAMA_DEFERRED. */
KAMA_NODISCARD kama_status km_group_look_up(kama_group *group, kama_bytes key,
                                            const struct km_call_limits *limits,
                                            uint64_t *ret_hash,
                                            kama_value **ret_value);

/* The answer for a key that is not in memory and is not to be loaded; counts the
 * miss. */
kama_status km_group_absent(kama_group *group);
