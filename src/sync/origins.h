/* SPDX-License-Identifier: MIT */
/*
  * The clocks of each other node as they are known here, for any thread (rule R8).
 *
 *     K   clock of the newest mutation of the member that has reached this node by its
 *         stream, and `told`, that of the newest one whose answer has, because the member
 *         has carried it out for this node
 *     W   every mutation of the member up to this clock is applied here
 *
 *     requester                                 owner
 *     token (store/fill.h), then:
 *     needs = min(floor of the key's slot, K or told, of each member) --> W >= needs?
 *                                                                         else waits
 *     keeps an explicit value of member o only if its version <= K of o
 *
 * All of them only grow. The sync loop stores K before it applies a record and W behind it, with
 * release; others load with acquire. So a thread that sees W sees what was applied.
 *
 * The table of the members is a snapshot that the sync loop replaces when it adopts a
 * view; the numbers of a member stay in one structure as long as any table has it.
 *
 * Threads: new, free and the setters: the sync loop; the questions: any thread. Errors:
 * KAMA_ERR_NO_MEMORY. Ownership: the table owns references to its members. Cost: a
 * question is O(members).
 */
#pragma once

#include "base/snapshot.h"
#include "sync/log.h"
#include "sync/peer_state.h"
#include "view/view.h"

struct km_sync_origins;

/* The numbers of one member. They only grow, except that `stable` is of one view, and are
 * written by the sync loop, except for `told`. */
struct km_sync_origin {
    struct km_member_id id;
    uint64_t number;          /* the origin in the versions of the member */
    unsigned refs;            /* the sync loop's */
    _Atomic uint64_t known;   /* K */
    _Atomic uint64_t told;    /* by any thread */
    _Atomic uint64_t applied; /* W */
    _Atomic uint64_t
        stable; /* the member has of every member of that view all */
    _Atomic uint64_t
        stable_view; /* mutations up to this clock; 0: it is not known */
};

/* A clock that an answer must have reached of one member. */
struct km_sync_need {
    struct km_member_id id;
    uint64_t clock;
};

KAMA_NODISCARD kama_status km_sync_origins_new(const kama_allocator *mem,
                                               struct km_sync_log *log,
                                               struct km_sync_origins **ret);
void km_sync_origins_free(struct km_sync_origins *origins);

/* -- the sync loop --------------------------------------------------------- */

/* Returns the numbers of a member of whom nothing is known, with one reference, or NULL
 * without memory. */
struct km_sync_origin *km_sync_origin_new(const kama_allocator *mem,
                                          const struct km_member_id *id);
/* Gives a reference back. NULL does nothing. */
void km_sync_origin_unref(const kama_allocator *mem,
                          struct km_sync_origin *origin);
/* R4. Raise K before a mutation is applied, and W behind it. */
void km_sync_origin_reached(struct km_sync_origin *origin, uint64_t clock);
void km_sync_origin_applied(struct km_sync_origin *origin, uint64_t clock);
/* The member has said that it has all mutations of this view's members up to a clock. */
void km_sync_origin_set_stable(struct km_sync_origin *origin, uint64_t view_id,
                               uint64_t clock);

/* A member of the table. */
struct km_sync_origin_row {
    struct km_sync_origin *origin; /* borrowed; the table takes a reference */
    bool adopted; /* the adopted view has it, not only a noticed one */
};
/* Replaces the table. `self` is this node, which has no row; rows that the older table
 * has and the new one lacks are gone from now on. */
KAMA_NODISCARD kama_status km_sync_origins_replace(
    struct km_sync_origins *origins, const struct km_member_id *self,
    uint64_t view_id, const struct km_sync_origin_row *rows, size_t count);
/* A view was noticed. It counts as passed over when a later one is adopted. */
void km_sync_origins_notice(struct km_sync_origins *origins, uint64_t view_id);
/* Returns the clock up to which this node has the mutations of all members of the adopted
 * view, for its heartbeats. */
uint64_t km_sync_origins_stable(struct km_sync_origins *origins);

/* Returns the number by which a member orders its versions. */
uint64_t km_sync_origin_number(const struct km_member_id *id);

/* -- any thread ------------------------------------------------------------- */

/* R8, requester. Calls cb for each need of a fill whose key's slot has the floor, that
 * the member `to` may not fulfil yet as far as this node knows (its `stable`). */
void km_sync_needs(struct km_sync_origins *origins, uint64_t floor,
                   const struct km_member_id *to,
                   void (*cb)(void *arg, const struct km_sync_need *need),
                   void *arg);
/* R8, requester. The member that has this origin has carried a mutation out for this node.
 * Fills that begin afterwards need it, although its record may still be on its way:
 *
 *     this node                    A                       B, owner of another key
 *     "clear the group" ---------> begins it: version 7
 *     is told "7"  <-------------
 *     answers its caller
 *     get: a fill of that key -------------------------> answers what it had before 7
 *
 * An origin that is in no view here is left out: if this node lacks mutations of a member
 * that has left, their groups were invalidated. */
void km_sync_told(struct km_sync_origins *origins, struct km_version version);
/* R8, answering node. Returns whether W has reached the need. A member that is in no
 * view here any more counts as reached: if this node lacks mutations of it, their groups were
 * invalidated. One
 * that this node has not heard of yet does not. */
bool km_sync_has(struct km_sync_origins *origins,
                 const struct km_sync_need *need);
/* R8, answering node. Returns whether it has adopted the view, now or lately, or has passed
 * over it. */
bool km_sync_knows_view(struct km_sync_origins *origins, uint64_t view_id);
/* R8, requester: struct km_group_sync_ops.may_keep. */
bool km_sync_may_keep(struct km_sync_origins *origins,
                      struct km_version version, uint64_t view_id);

/* A group whose strategy is another one on a member (strategies.h). */
struct km_sync_difference {
    const char *group; /* of this node */
    const char *here;
    char there[KM_SYNC_STRATEGY_BYTES];
};

/* The streams from and to one member, for people. */
struct km_sync_member_info {
    struct km_member_id id;
    const char *address;
    enum km_sync_peer_state state;
    bool up;          /* mutations of this node flow to it */
    uint64_t applied; /* of its mutations, here */
    uint64_t acked;   /* of the mutations of this node, there */
    uint64_t queue;   /* mutations of this node that it has not acknowledged */
    km_ns lag;        /* how old the oldest of them is; 0: there is none */
    uint64_t sent, received, duplicates, gaps_sent, gaps_received;
    bool
        is_known; /* its stream has told its first mutation, a Gap, or that there is
                    * nothing to tell */
    km_ns gap_age; /* of the newest gap that was received; 0: there was none */
    bool unsynced; /* it has not acknowledged for longer than sync_timeout */
    bool
        quarantined; /* its mutations are refused, because its clock is ahead */
    uint64_t bytes_sent, bytes_received; /* of the messages of both streams */
    /* Groups whose strategy is another one there; borrowed until the callback returns. */
    const struct km_sync_difference *differences;
    uint32_t difference_count;
};
