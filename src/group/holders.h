/* SPDX-License-Identifier: MIT */
/*
 * The rules of a synchronized group that follow from its strategy (R17): where a
 * mutation begins, which fills are kept, and whose value is replaced.
 *
 *     strategy     SET begins          EXPIRE begins    fills are kept by
 *     broadcast    here                here             every node
 *     invalidate   here                at the owner     every node
 *     peers:...    here, if this node  as SET           every node
 *                  holds the key;
 *                  else at the owner
 *     shard:R      as peers            as SET           those that hold the key
 *
 * A DELETE and a CLEAR begin on this node in any case, and a mutation with a condition at the owner,
 * which also keeps what begins there. With `invalidate` the writer keeps its own copy: it
 * hears of every later change.
 *
 * Threads: any; no lock. Errors: none. Ownership: everything is borrowed. Cost: nothing
 * for broadcast; else a hash of the key and a question to the node.
 */
#pragma once

#include "group/owner.h"
#include "group/strategy.h"

/* Returns the strategy of the group; valid as long as the group. */
const struct km_strategy *km_group_strategy(const kama_group *group);

/* Returns the slot of a key. */
uint32_t km_group_slot(const kama_group *group, kama_bytes key);

/* Returns whether this node holds the value of a key, by the view that it has adopted. */
bool km_group_holds(const kama_group *group, kama_bytes key);

/* Returns whether an unconditional mutation of a caller begins on this node, as far as
 * the strategy is concerned. */
bool km_group_begins(const kama_group *group, enum km_mutation_kind kind,
                     kama_bytes key);

/* Returns whether this node may keep what is loaded or fetched. */
bool km_group_keeps_fills(const kama_group *group, kama_bytes key);

/* Returns whether nodes that do not hold a key any more forget it after a while. */
bool km_group_forgets(const kama_group *group);

/* R10, R5. Forgets the entries of slots, which this node has not held for a while:
 * some of them, as long as they are due (store/store_hide.h). sweep: zeroed before the first
 * call. Returns whether there is more to do. One thread at a time. */
struct km_group_sweep;
struct km_forgetting;
bool km_group_forget_slots(kama_group *group,
                           const struct km_forgetting *forgetting,
                           struct km_group_sweep *sweep);
