/* SPDX-License-Identifier: MIT */
/*
 * The consequences of the answer to "who owns the key" (group/owner.h) for a get:
 * where its load runs, whether the store keeps the value, and how it ends without a
 * loader.
 *
 *     the key's owner    the load              kept   without a loader
 *     this node          the loader            yes    KAMA_MISS
 *     this, unsettled    the loader            no     KAMA_MISS
 *     another node       at the owner          no     at the owner
 *       LOCAL_ONLY       the loader            no     KAMA_WOULD_LOAD
 *       for a peer       the loader            no     KAMA_ERR_PEER
 *     unknown            the loader            no     KAMA_ERR_PEER
 *
 *     this node, since a
 *     moment ago       the owner before,   yes    the owner before, or KAMA_MISS
 *                      then the loader
 *     this node        the next node       yes    the next node, or KAMA_MISS
 *
 * The last two rows are those of a synchronized group.
 *
 * In a synchronized group every load is kept, unless the strategy has others keep it
 * (group/holders.h): the mutations of other nodes overtake it (R7, R8). The answer of an owner is kept if group/load/at_peer.h finds it current.
 *
 * Cost: no lock and no allocation. Threads: any thread. Errors: none but the answers.
 * Ownership: the answer is borrowed, except where a function says so.
 */
#pragma once

#include "group/get_op.h"
#include "group/holders.h"
#include "group/load/load.h"
#include "group/sync_apply.h"

/* R9. If this node owns the key since a moment ago, fills in the peer that has owned it
 * before: then the load of the get asks that one first. Without a loader the peer is the
 * node that ranks next, if there is no owner before. Only in a synchronized group, where
 * each node keeps what it has had. */
void km_get_find_earlier(const struct km_get_op *op, kama_bytes key,
                         struct km_owner_answer *owner);

/* Returns the node that ranks next for a key, of those that answer, except `but` (NULL: of
 * all others): a reference, or NULL. Only in a synchronized group. */
struct km_peer *km_get_find_next(const kama_group *group, kama_bytes key,
                                 const struct km_peer *but);

/* Returns where the load of a get runs. pool is NULL if a loader would run on the
 * calling thread. */
enum km_load_place km_get_place(const struct km_get_op *op,
                                const struct km_pool *pool,
                                const struct km_owner_answer *owner);

/* Returns whether the store keeps what is loaded for the get. */
static inline enum km_fill_purpose km_get_purpose(
    const kama_group *group, kama_bytes key,
    const struct km_owner_answer *owner)
{
    bool keeps = km_group_is_synced(group) ? km_group_keeps_fills(group, key)
                                           : owner->place == KM_OWNER_HERE;
    return keeps ? KM_FILL_TO_KEEP : KM_FILL_TO_SERVE;
}

/* Gives the load what was decided about its key. A load that asks a peer takes the
 * reference to it. */
void km_get_decide(struct km_load *load, const struct km_owner_answer *owner);

/* Returns the answer for a key that has no loader on this node and is not asked of
 * its owner. */
kama_status km_get_without_loader(const struct km_get_op *op, kama_bytes key,
                                  const struct km_owner_answer *owner);
