/* SPDX-License-Identifier: MIT */
/*
 * kama.v2.Cache/MSet, MDelete and Exists: many keys of one group, none of which
 * is loaded. One engine runs all three, with a table of functions for each.
 *
 * Every element is checked before the first one is carried out, and all memory
 * is allocated before that, too. So a call that is refused has changed nothing.
 * Then KM_MGET_KEYS_PER_TURN elements are carried out in a turn of the loop. In a
 * group of a cluster a turn has KM_MANY_PARALLEL elements, unless the group waits for
 * acknowledgements (sync_ack), which all elements of a turn do at the same time. Those that other nodes
 * own are started together, one request for each owner, and the next turn begins
 * when all of them have been answered: a key that is there twice has its last
 * value afterwards. When some are left, the rest of the request is copied, a mail
 * asks for another turn, and other calls of the loop have theirs before it:
 *
 *            other nodes have elements
 *     RUNNING --------------------> WAITS_FOR_OWNERS
 *      | | ^ <-- the mail runs, and elements are left --+ |
 *      | | |                                              | none is left
 *      | | +--------- the mail runs --------+             |
 *      | | elements are left                |             |
 *      | +------------------------> TURN_POSTED           |
 *      | all are carried out                              |
 *      +--------> room? <---------------------------------+
 *                  | |
 *                  | +--no--> WAITS_FOR_ROOM --writable--> over
 *                  +--yes-------------------------------> over
 *
 * A call that is cancelled frees its elements at once, unless a mail is under
 * way or will come: then that mail frees them. Elements that were not carried out
 * stay undone.
 *
 * Cost: three allocations per call, one more for a long request, 3 to 12 bytes
 * per element, and in a cluster a slot for each element of a turn.
 * Threads: loop thread.
 * Errors: KAMA_ERR_MALFORMED, KAMA_ERR_NO_GROUP, KAMA_ERR_TOO_LARGE,
 * KAMA_ERR_NO_MEMORY, and those of the first element that is not valid, with
 * its number. An Exists fails with KAMA_ERR_PEER if an owner cannot be asked.
 */
#pragma once

#include <kamacache/kamacache.h>

struct km_server_call;
struct km_service_many;

/* The state of a call. */
struct km_service_many_state {
    struct km_service_many *many; /* NULL before the start and after the end */
};

/* on_message of the three methods; message: borrowed until return. */
void km_service_v2_exists(struct km_server_call *call, kama_bytes message);
void km_service_v2_mset(struct km_server_call *call, kama_bytes message);
void km_service_v2_mdelete(struct km_server_call *call, kama_bytes message);

/* on_writable: replies, if every element was carried out. */
void km_service_many_writable(struct km_server_call *call);

/* on_cancel: the elements that are left are not carried out. */
void km_service_many_cancelled(struct km_server_call *call, kama_status why);
