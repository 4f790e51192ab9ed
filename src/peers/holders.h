/* SPDX-License-Identifier: MIT */
/*
 * Which members hold the values of a slot, by the strategy of the group (R17) and the
 * view that this node has adopted.
 *
 *     if (km_peers_holds(peers, strategy, slot, &member->id)) { ... a Set ... }
 *     else                                                    { ... a Drop ... }
 *
 *     broadcast    every member
 *     invalidate   the owner
 *     shard:R      the owner, and the next ones in its rank, R together
 *     peers:...    the members that are named, and the owner
 *     owner        the owner
 *
 * As long as no member is active, there is no owner, and every member holds everything.
 * Two nodes with different views may say different things. That is no harm: a member
 * that is sent a Drop forgets its copy, and one that is sent a Set has one more.
 *
 * Threads: any. Errors: none. Ownership: everything is borrowed. Cost: a snapshot, a
 * look into the table of the slots, and for shard:R with R > 1 the place of the member in
 * the rank of the slot, which is O(virtual ids).
 */
#pragma once

#include "group/strategy.h"
#include "peers/peers.h"
#include "store/slot_map.h"

/* Returns whether a member holds the values of a slot. id: NULL for this node. A node
 * that is not in the view holds nothing. */
bool km_peers_holds(struct km_peers *peers, const struct km_strategy *strategy,
                    uint32_t slot, const struct km_member_id *id);

/* The ranks of some slots, for one thread that asks about each member in turn: then the rank
 * of a slot is found out once, and not for each of them. Zeroed before the first question,
 * and used with one struct km_peers. */
#define KM_HOLDERS_LINES 256
struct km_holders_cache {
    uint64_t adoption; /* of all lines */
    struct km_holders_line {
        uint32_t slot;
        uint32_t
            copies; /* of which members has the places; 0: the line is empty */
        uint16_t members[KM_STRATEGY_COPIES_MAX];
    } lines[KM_HOLDERS_LINES];
};

/* Does what km_peers_holds does, with a cache of the calling thread. */
bool km_peers_holds_cached(struct km_peers *peers,
                           const struct km_strategy *strategy, uint32_t slot,
                           const struct km_member_id *id,
                           struct km_holders_cache *cache);

/* Adds the slots whose values this node does not hold, and has held in none of the views
 * of the last minute (struct km_earlier). That is true as long as km_peers_adoption returns
 * *ret_adoption. Returns false, and adds nothing, if this node is in no view, or there was
 * no view without it. O(slots). */
bool km_peers_find_unheld(struct km_peers *peers,
                          const struct km_strategy *strategy,
                          struct km_slot_map *ret_unheld,
                          uint64_t *ret_adoption);

/* Returns the number of the adoption by which km_peers_holds answers. */
uint64_t km_peers_adoption(struct km_peers *peers);
