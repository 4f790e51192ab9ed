/* SPDX-License-Identifier: MIT */
/*
 * The turn of a view: whether this node is settled (docs/CLUSTER.md 5). A pure
 * state machine; what it is told comes from peers/hello.c or a test.
 *
 *     km_turn_adopt(&turn, view, gained)   a view was adopted
 *     km_turn_heard(&turn, id, view_id, standing)   a member has announced
 *     km_turn_silent(&turn, id)            a member's connection is silent
 *     km_turn_settled(&turn)
 *
 * It waits for the members of the adopted view, and of each view that was
 * adopted since it was last settled, except this node itself. Waiting for the
 * members of the last two views is not enough: a member that two quick changes
 * have removed may still act on the first of the three views.
 *
 * Threads: one loop. Errors: KAMA_ERR_NO_MEMORY from adopt, after which the
 * node must be behind. Ownership: the turn has references to views. Cost:
 * O(members).
 */
#pragma once

#include "group/adopt.h"
#include "view/view.h"

/* How a node stands to its view: the numbers of kama.peer.v1.Standing. */
enum km_standing {
    KM_STANDING_NONE = 0, /* not heard yet */
    KM_STANDING_MEMBER = 1,
    KM_STANDING_BEHIND = 2
};

struct km_turn;

KAMA_NODISCARD kama_status km_turn_new(const kama_allocator *mem,
                                       struct km_turn **ret_turn);
void km_turn_free(struct km_turn *turn);

/* Adopts a view. gained: the slots that this node owns now and did not own
 * before; NULL: none. self: the node's own id. Slots that were gained since the
 * node was last settled are added up. */
KAMA_NODISCARD kama_status km_turn_adopt(struct km_turn *turn,
                                         struct km_view *view,
                                         const struct km_member_id *self,
                                         const struct km_slot_map *gained);
/* A member has announced the view that it has adopted, or that it is behind. */
void km_turn_heard(struct km_turn *turn, const struct km_member_id *id,
                   uint64_t view_id, enum km_standing standing);
/* The connection to a member does not answer: it is not waited for, until it
 * is heard again. */
void km_turn_silent(struct km_turn *turn, const struct km_member_id *id);

/* Returns whether everybody has been heard. */
bool km_turn_settled(const struct km_turn *turn);
/* Returns the slots that were gained since the node was last settled, or NULL
 * if there are none. Valid until the next call of adopt. */
const struct km_slot_map *km_turn_gained(const struct km_turn *turn);
/* Asserts the invariants. For tests. */
void km_turn_check(const struct km_turn *turn);
