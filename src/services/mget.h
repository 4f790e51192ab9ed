/* SPDX-License-Identifier: MIT */
/*
 * kama.v2.Cache/MGet: gets of many keys with one answer; and MGetStream, which
 * sends each answer as a message of its own, as soon as it is there.
 *
 * Keys that are in memory are answered at once, KM_MGET_KEYS_PER_TURN of them
 * in a turn of the loop. A key that needs a load is parked in a slot of its
 * own. At most KM_MGET_PARALLEL keys are parked at a time, in a group of a cluster
 * KM_MGET_PARALLEL_OWNERS, and each answer that arrives makes room for the next key. A key that is equal to one which was
 * parked before takes no slot: it follows that key and gets the same answer.
 *
 *     keys      a b c b d ...        a and d are in memory
 *     answers   a . . . .
 *     slots     b c                  the second b follows the first
 *
 * What lies in the request is copied when it is needed later (mget_keys.h).
 *
 *                  others must have their turn
 *     ASKING ---------------------------------> TURN_POSTED
 *      | | ^ <-------- the mail runs ----------------+
 *      | | |
 *      | | +---------- an answer arrives ------ WAITS_FOR_LOADS
 *      | +---- no key is left, or enough of them wait ---^
 *      |
 *      +--- every key has its answer -------> WAITS_FOR_ROOM --writable--> over
 *
 * An MGetStream goes the same way, but sends what is answered in each step. While
 * there is no room it asks for no further key, so that a client that does not
 * read holds at most the values of one turn and of its parked keys. It waits
 * for loads and for room at the same time. A key that is equal to one whose
 * answer was sent already is asked for again: that answer was forgotten.
 *
 * Keys that other nodes own are parked, too. Those that are asked for in one step
 * are one request for each owner, which is why a group of a cluster parks more of
 * them at a time: an MGet of up to 1024 keys is one request for each owner.
 *
 * A call that is cancelled calls off its parked gets. It is freed when no mail
 * is under way to it any more.
 *
 * Cost: 24 bytes per key, up to 64 more per parked key, and values by reference
 * up to the size of one answer (mget_answers.h).
 * Threads: loop thread; only the end of a load runs on a pool thread.
 * Errors: KAMA_ERR_MALFORMED, KAMA_ERR_NO_GROUP, KAMA_ERR_TOO_LARGE for more
 * than KM_MGET_KEYS_MAX keys, KAMA_ERR_OVERLOADED if all MGets of the node
 * together would ask for more than KM_MGET_KEYS_NODE keys, KAMA_ERR_NO_MEMORY.
 * An error of one key stands in the item of that key, and the call succeeds.
 */
#pragma once

#include <kamacache/kamacache.h>

struct km_server_call;
struct km_service_mget;

/* The state of a call. */
struct km_service_mget_state {
    struct km_service_mget *mget; /* NULL before the start and after the end */
};

/* on_message; message: borrowed until return. */
void km_service_v2_mget(struct km_server_call *call, kama_bytes message);
void km_service_v2_mget_stream(struct km_server_call *call, kama_bytes message);

/* on_writable: goes on with what there was no room for. */
void km_service_mget_writable(struct km_server_call *call);

/* on_cancel: leaves every get that is parked. */
void km_service_mget_cancelled(struct km_server_call *call, kama_status why);
