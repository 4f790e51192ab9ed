/* SPDX-License-Identifier: MIT */
/*
 * The acknowledgements of a node's own mutations (R1, R10): a caller that wants to know
 * that one other member has its mutation, or that all have, is a wait in one of two lists.
 *
 *     seq     | 41 | 42 | 43 | 44 | 45 |
 *     member a: confirmed ^                      has said to have applied up to 42
 *     member b:                ^                 up to 43
 *     one:  acknowledged up to 43                 the largest of them
 *     all:  acknowledged up to 42                 the smallest of them
 *
 * Only members of the noticed view count. If it has none besides this node, then everything
 * is acknowledged. A member for which there was no memory yet has confirmed nothing.
 *
 * A seq is of one life of the node. When a life is over, no member will confirm its
 * mutations any more, and their waits end with all members listed.
 *
 * Threads: the sync loop; `done` of a wait runs on it, and may call nothing of the machine.
 * Errors: a wait ends with a list of one member "unknown" if there is no memory for the list. Ownership: a wait is its
 * caller's, who limits how many there are. Cost: O(members) for an acknowledgement while
 * anything waits, and nothing otherwise.
 */
#pragma once

#include "sync/sync_internal.h"

/* Returns false without memory. */
bool km_sync_acks_init(struct km_sync *sync);
/* Nothing waits any more. Does nothing for acks that were not made. */
void km_sync_acks_fini(struct km_sync *sync);

/* A member has confirmed more, or the noticed view is another one: ends the waits of
 * mutations that are acknowledged by now. */
void km_sync_acks_look(struct km_sync *sync);
/* A life has begun, with that origin: ends the waits of the one before. */
void km_sync_acks_renew(struct km_sync *sync, uint64_t life);
/* Ends all waits. */
void km_sync_acks_end(struct km_sync *sync);

/* Asserts the order of the lists. */
void km_sync_acks_check(const struct km_sync *sync);
