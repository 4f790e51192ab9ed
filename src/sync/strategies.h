/* SPDX-License-Identifier: MIT */
/*
 * The strategies of the groups (R3, R17). Every Hello, and every answer to one, has a
 * digest of the strategy of each group, so that two nodes learn at once that a group is
 * not kept in the same way on both.
 *
 *     Hello   --> the groups of the caller     --> km_sync_strategies_learn
 *     Welcome <-- the groups of the called one <-- likewise
 *
 *                  learn: it differs
 *     group: same -------------------> differs      a line in the log each way
 *              ^                          |
 *              +-- learn: same, or gone --+
 *
 * While a group differs, its sets travel between the two as Drops: neither knows what the
 * other one keeps, and a Drop is right for every strategy. Both still hear of every
 * mutation, so that neither shows an older value.
 *
 * A group that only one of the two has is not compared, and neither is anything of a node
 * of an earlier version, which sends no digests.
 *
 * Threads: the sync loop. Errors: KAMA_ERR_NO_MEMORY. Ownership: the list of differences
 * belongs to the member. Cost: some 20 bytes on the wire for each group and the text of its
 * strategy, as long as half of the message has room for texts; O(groups) if both nodes have
 * them in one order.
 */
#pragma once

#include "sync/sync_internal.h"

/* Appends a Hello or a Welcome, with the strategies of the groups of this node, to
 * sync->head as the field `field`. */
KAMA_NODISCARD kama_status
km_sync_strategies_put(struct km_sync *sync, uint32_t field,
                       const struct km_pb_message *table, const void *message);

/* Compares the strategies that a member has sent with those of this node, unless it has told
 * of more groups before. */
KAMA_NODISCARD kama_status km_sync_strategies_learn(
    struct km_sync_member *member, struct km_pb_list strategies);
/* The member is gone: the log is told of each difference that ends with that. */
void km_sync_strategies_part(const struct km_sync_member *member);

/* Returns whether the strategy of a group, by its number in the log, differs. */
bool km_sync_strategies_differ(const struct km_sync_member *member,
                               uint32_t number);
