/* SPDX-License-Identifier: MIT */
/*
 * The turn of a view: whether this node is settled (docs/CLUSTER.md 5). A pure
 * state machine; what it is told comes from peers/hello.c or a test.
 *
 *     km_turn_adopt(&turn, view, gained)   a view was adopted
 *     km_turn_pass(&turn, view)            a view was noticed, and passed over
 *     km_turn_heard(&turn, id, view_id, standing)   a member has announced
 *     km_turn_silent(&turn, id)            a member's connection is silent
 *     km_turn_settled(&turn)
 *
 * It waits for the members of the adopted view, and of each view that was
 * adopted since it was last settled, except this node itself. Waiting for the
 * members of the last two views is not enough: a member that two quick changes
 * have removed may still act on the first of the three views.
 *
 * A member that is new does not know who was in the views before it. Therefore a
 * node that still waits for a member which is not in its view any more announces
 * TURNING, also when it is behind, and this counts as no announcement:
 *
 *     view 1: A B    view 2: B    view 3: B C     A lives on in view 1
 *     B adopts view 3 and waits for A
 *     C adopts view 3, hears it from B, is settled, loads and keeps the old value
 *     the database is written, and A, which has view 1, acknowledges the Delete
 *
 * For the same reason "behind" does not count while the node is new, that is,
 * until it has been settled once since it has registered: a member that is behind does
 * not know which ones were removed.
 *
 * TURNING ends when the removed members have been told, or are silent. No circle
 * of nodes can wait for each other by it, because each waits for a member whose
 * part in the views has ended before its own.
 *
 * For each member that has a part in the turn:
 *
 *     WAITED ---- announces the adopted view, or that it is behind ---> ANNOUNCED
 *       |  ^                                                               ^
 *     silent  heard with another view                                      |
 *       v  |                                                               |
 *     SILENT ---- announces the adopted view, or that it is behind --------+
 *
 * The node is settled when none is WAITED. With a new view each begins again: as
 * ANNOUNCED if its last announcement was this view, or that it is behind, and as
 * SILENT if its connection has not answered since it was last silent.
 *
 * Threads: one loop. Errors: KAMA_ERR_NO_MEMORY from new, and from adopt, which
 * has changed nothing then; the node must be behind. Ownership: ids and slots are
 * copied. Cost: adopt is O(members^2), the rest O(members).
 */
#pragma once

#include "group/adopt.h"
#include "view/view.h"

/* How a node stands to its view: the numbers of kama.peer.v1.Standing. */
enum km_standing {
    KM_STANDING_NONE = 0, /* not heard yet */
    KM_STANDING_MEMBER = 1,
    KM_STANDING_BEHIND = 2,
    KM_STANDING_TURNING = 3 /* either of them, and it still waits for members
                             * that are not in its view any more */
};

struct km_turn;

/* Makes a turn that has no view and waits for nobody. */
KAMA_NODISCARD kama_status km_turn_new(const kama_allocator *mem,
                                       struct km_turn **ret_turn);
/* Frees a turn. NULL does nothing. */
void km_turn_free(struct km_turn *turn);

/* Adopts a view. gained: the slots that this node owns now and did not own
 * before; NULL: none. self: the node's own id; an earlier id of the same node
 * is not waited for. Slots that were gained since the node was last settled are
 * added up. All arguments are borrowed. */
KAMA_NODISCARD kama_status km_turn_adopt(struct km_turn *turn,
                                         const struct km_view *view,
                                         const struct km_member_id *self,
                                         const struct km_slot_map *gained);
/* A view was noticed, and will not be adopted because a newer one was noticed
 * before that could be. From the next adoption on its members are waited for as
 * those of an adopted view are, because they may act by it. view: borrowed.
 * Errors: KAMA_ERR_NO_MEMORY, and nothing has changed then. */
KAMA_NODISCARD kama_status km_turn_pass(struct km_turn *turn,
                                        const struct km_view *view);
/* Returns what this node announces if it stands like `own`, MEMBER or BEHIND:
 * TURNING while it waits for a member that is not in the view any more, else
 * `own`. When this changes, it is announced to all at once. */
enum km_standing km_turn_standing(const struct km_turn *turn,
                                  enum km_standing own);
/* A member has announced the view that it has adopted, or that it is behind.
 * An id that is not waited for is ignored: whoever adopts a view says Hello to
 * its members, and hears from them then. */
void km_turn_heard(struct km_turn *turn, const struct km_member_id *id,
                   uint64_t view_id, enum km_standing standing);
/* The connection to a member does not answer, or its address is answered by a
 * member with another id: it is not waited for, until it is heard again. If it
 * is then still in another view, the node is not settled any more. */
void km_turn_silent(struct km_turn *turn, const struct km_member_id *id);

/* Returns whether the node waits for a member, or will from the next adoption
 * on. */
bool km_turn_waits_for(const struct km_turn *turn,
                       const struct km_member_id *id);
/* Returns whether everybody has been heard. */
bool km_turn_settled(const struct km_turn *turn);
/* Returns the slots that were gained since the node was last settled, or NULL
 * if there are none. Valid until the next call of adopt. */
const struct km_slot_map *km_turn_gained(const struct km_turn *turn);
/* Returns how many members the node waits for. */
size_t km_turn_waiting(const struct km_turn *turn);
/* Asserts the invariants. For tests. */
void km_turn_check(const struct km_turn *turn);
