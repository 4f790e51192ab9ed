/* SPDX-License-Identifier: MIT */
/*
 * The third place of a load: the owner of the key, on another node. The load asks
 * it with a fill, and ends with its answer. If the owner cannot answer, the load goes on
 * with the loader of this node, on the pool, with a loader_timeout of its own. The store
 * of this node keeps either answer only if the group is synchronized.
 *
 *     ask the owner --ANSWERED--------------------------> value, miss or error
 *          |
 *          +--NOT_OWNER, BEHIND, UNREACHABLE, LOST--> loader on the pool
 *                    |
 *                    +--no loader--> ask the node that ranks next, as in R9
 *                                        |--it has the value--> the value
 *                                        +--it has not, ... --> KAMA_ERR_PEER
 *
 * The node that ranks next is asked in a synchronized group only, because in any other one
 * no node but the owner keeps a value.
 *
 *     km_load_start_at_peer(load, &fills);       for each key of an mget
 *     km_load_send_fills(group, &fills);         one request for each owner
 *
 * A synchronized group keeps the answer (R8) if no mutation of the key was applied here
 * since the load began, the owner says that it is current, and an explicit value is not
 * ahead of the stream of the node that has set it:
 *
 *     this node                     the owner
 *     the fill begins; floor
 *     needs = what this node has
 *     of others, up to the floor -> waits until it has that, too
 *                                   looks the key up, or loads it
 *     keeps it, if the fill was <-- value, current, version
 *     not overtaken
 *
 * In any other group the answer can be overtaken by a mutation between the owner and
 * this node, which does not hear of it. Callers join the load meanwhile:
 *
 *     this node                   the owner               another node
 *     get 1 leads; the fill ----> loads v1
 *                                 deletes the key <------ del, acknowledged
 *     get 2 joins
 *                         <------ v1
 *
 * Get 2 must not receive v1. So the owner says for how long its answer was current
 * after the fill had come, which is 0 for an overtaken load and for a value from
 * memory. That time, counted from when the fill was sent, ends before the answer was
 * overtaken; a get that began later asks anew. A second fill answers all of those
 * that join it, because it is sent after they have begun: no get asks a third time.
 * No second fill is needed if the callers began during the owner's load.
 *
 * R9: an owner that has the key since a moment ago asks the owner before in the same way,
 * but only for what that one has in memory, and for 0.1 s at most:
 *
 *     ask the owner before --it has the value------------> the value
 *          |
 *          +--it has not, does not answer in time, ...--> loader on the pool
 *                                                         no loader: KAMA_MISS
 *
 * Without a loader, an owner that has the key for long asks the node that ranks next. The
 * other node does not wait for anybody meanwhile, so that requests of peers may join such a
 * load.
 *
 * The load needs no timer while it asks: `done` of the fill runs exactly once, at
 * its deadline at the latest. The runner's reference and a place in the gate of
 * the group are held until then, so that km_group_free waits for it.
 *
 * Cost: no allocation. Threads: any thread, without a lock held. Errors:
 * KAMA_ERR_CLOSED. Ownership: takes the runner's reference to the load.
 */
#pragma once

#include "group/load/load.h"

/* Starts a load that was just made to lead: asks the other node, or puts the request
 * into fills, which must be sent afterwards. fills: NULL, or a list. Takes the
 * runner's reference. On an error the load has not ended, and the caller must end
 * it. */
KAMA_NODISCARD kama_status km_load_start_at_peer(struct km_load *load,
                                                 struct km_list *fills);

/* Sends the requests of a list, and empties it. */
void km_load_send_fills(kama_group *group, struct km_list *fills);
