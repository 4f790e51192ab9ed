/* SPDX-License-Identifier: MIT */
/*
 * The keys of one MGet: those that were not asked for yet, and those that are
 * parked, so that an equal key which comes later can be told.
 *
 *     while (km_mget_keys_next(&keys, &index, &key)) {
 *         uint32_t first = km_mget_keys_find(&keys, group, key);
 *         if (first == KM_TWINS_NONE) {
 *             ... ask for it; if it has to wait ...
 *             status = km_mget_keys_park(&keys, group, key, index);
 *         }
 *     }
 *
 * The keys lie in the request, which is gone when the handler returns. As soon as
 * one key is parked while others follow, or when keys are left at the end of the
 * handler, the rest of the request is copied.
 *
 * All MGets of a node together have KM_MGET_KEYS_NODE keys at most.
 *
 * Cost: the bytes of the keys that are left, and up to 64 bytes per parked key.
 * Threads: loop thread. Errors: KAMA_ERR_NO_MEMORY. Ownership: the copy is owned.
 */
#pragma once

#include "group/group.h"
#include "group/twins.h"
#include "services/env.h"
#include "wire/msg/pb.h"

struct km_mget_keys {
    const kama_allocator *mem;
    struct km_pb_list list; /* those that were not asked for yet */
    uint32_t count;         /* of all keys */
    uint32_t next;          /* the index of the first one in the list */
    uint8_t *copy; /* the owned bytes of the list; NULL: it is in the request */
    struct km_twins twins; /* keys that were parked; they lie in the copy */
};

/* mem: borrowed until fini. list: borrowed until keep has been called, or the
 * handler returns. */
void km_mget_keys_init(struct km_mget_keys *keys, const kama_allocator *mem,
                       struct km_pb_list list);
void km_mget_keys_fini(struct km_mget_keys *keys);

/* Returns whether keys are left. */
static inline bool km_mget_keys_left(const struct km_mget_keys *keys)
{
    return keys->next < keys->count;
}

/* Takes the next key, of which at least one is left. Returns its index. */
uint32_t km_mget_keys_next(struct km_mget_keys *keys, kama_bytes *ret_key);

/* Notes that the key with that index, which was taken last, is parked. */
KAMA_NODISCARD kama_status km_mget_keys_park(struct km_mget_keys *keys,
                                             const kama_group *group,
                                             kama_bytes key, uint32_t index);

/* Returns the index of the first equal key that was parked, or KM_TWINS_NONE. */
uint32_t km_mget_keys_find(const struct km_mget_keys *keys,
                           const kama_group *group, kama_bytes key);

/* Makes the keys that are left independent of the request. */
KAMA_NODISCARD kama_status km_mget_keys_keep(struct km_mget_keys *keys);

/* Counts the keys of one more call of the node. An error counts nothing:
 * KAMA_ERR_TOO_LARGE for more than KM_MGET_KEYS_MAX keys, and KAMA_ERR_OVERLOADED
 * if all calls together would have too many then. */
KAMA_NODISCARD kama_status km_mget_keys_take(struct km_service_env *env,
                                             uint32_t count);
void km_mget_keys_give(struct km_service_env *env, uint32_t count);
