/* SPDX-License-Identifier: MIT */
/*
 * How gets are counted that memory cannot answer at once (group/get_op.h).
 *
 * A get is counted as a miss once, and once as coalesced, however often it is
 * started again:
 *
 *     NONE --leads, waits or fails--> MISS --waits for another's load--> COALESCED
 *
 * Its end is counted once, too, by whom it was answered:
 *
 *     PEER_HITS      the owner of the key, on another node
 *     GETS_LOADED    a load of this node
 *     GETS_ABSENT    it was not to be loaded (or look_up.h counts it)
 *     GETS_FAILED    nobody: its time was over, it was cancelled or refused
 *
 * So the misses are the sum of the four when no get waits. A get that has asked the
 * owner (PEER_GETS) is one of PEER_HITS or one of PEER_ERRORS.
 *
 * Equal keys of one mget (*twins*) share one get, and each of them is counted as if
 * it were one that waits.
 *
 * Cost: an addition for each counter. Threads: the thread that starts or ends the
 * get. Errors: none. Ownership: everything is borrowed.
 */
#pragma once

#include "group/get_op.h"

/* Counts a key that was not in memory, in the row of the reason. */
void km_get_count_miss(kama_group *group, enum km_miss why);

/* Counts a get that an earlier owner of the key has answered (R9) as one that has asked
 * the owner. */
void km_get_count_earlier(struct km_get_op *op);

/* Counts a get after its join. why: it is a miss. before says what it had been counted as when it
 * joined: once it is parked, it may be answered and freed by another thread. */
void km_get_count_join(kama_group *group, enum km_get_count before,
                       enum km_miss why, enum km_flight_role role);

/* Notes that the get has asked the owner, if the load does that, and counts one that
 * waits for another get's question. A leader is counted when it asks, because its
 * load may not begin. */
void km_get_count_asked(struct km_get_op *op, const struct km_load *load);

/* Counts the end of a get that was a miss, in the row that says how it ended. */
void km_get_count_end(struct km_get_op *op, enum km_group_metric ended_as);

/* Counts a twin, whose key has this hash: as a miss, and as coalesced. */
void km_get_count_twin(kama_group *group, uint64_t hash);

/* Counts the end of a twin in the same way as that of the get that it shares, which
 * has been answered or cancelled. */
void km_get_count_twin_end(struct km_get_op *op);

/* Counts the end of a twin whose answer was there already, by where it had come
 * from. */
void km_get_count_twin_answered(kama_group *group, enum km_get_source source);
