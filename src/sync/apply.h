/* SPDX-License-Identifier: MIT */
/*
  * Carrying out the records of a stream on this node (R3, R4).
 *
 *     mutation   merge its clock, K, the store, W, applied     in this order
 *     chunk      the same with the last one
 *     gap        K, R6 of the groups that it names, W, applied
 *     heartbeat  W, and what the member has of all members
 *     view       the view that the member has noticed
 *     bye        nothing comes after it
 *
 * A record of a group that this node does not have counts as applied.
 *
 * Threads: the sync loop. Errors: a sentence for a message that is wrong. Ownership: the
 * message is borrowed. Cost: for a mutation that of a set or a delete.
 */
#pragma once

#include "sync/sync_internal.h"

enum km_sync_outcome {
    KM_SYNC_APPLIED,
    KM_SYNC_WRONG, /* the stream has to end */
    KM_SYNC_AHEAD, /* a clock is too far ahead */
    KM_SYNC_GOODBYE
};

/* Carries out a message of a live stream. *ret_wrong is set for KM_SYNC_WRONG. Records in
 * front of a wrong one are applied. */
enum km_sync_outcome km_sync_apply(struct km_sync_in *in,
                                   const struct km_msg_sync_request *request,
                                   const char **ret_wrong);
/* Forgets a value that has arrived in part. */
void km_sync_chunk_drop(struct km_sync_in *in);
