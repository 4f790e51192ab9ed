/* SPDX-License-Identifier: MIT */
/*
 * The parts of struct km_peers, for the files of this folder.
 *
 *     peers.c    life, and the questions that others ask
 *     build.c    the placement of a noticed view is built
 *     table.c    a view with its placement and its peers
 *     adopt.c    a built view becomes the adopted one; settled
 *     earlier.c  the tables before it, for a minute
 *     holders.c  which members hold the values of a slot
 *     behind.c   others know more; what has failed is tried again
 *     peer.c     one other member, with its links on all lanes
 *     hello.c    Hello to the others
 *     answer.c   Hello of the others, and whether a sender is admitted
 *     ask.c      who owns a slot; waits
 *     calls.c    fills, mutations and peeks on a lane
 *     request.c  what requests of all kinds have, and how each of them ends
 *     message.c  what is put into the messages of calls
 *     reply.c    what comes back
 *     lacking.c  the need that a peer has named when it was behind
 *     clear.c    a Clear for all members
 *     probe.c    who answers at an address
 *
 *     lane 0 writes       any thread reads
 *     table  ----\
 *     turn   -----+-----> state, in a snapshot
 *     hidden ----/
 *
 * Threads: members that say "lane 0" are touched there only. Ownership: a state
 * holds a table, which holds its view, its placement and its peers.
 */
#pragma once

#include "base/buf.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/snapshot.h"
#include "base/sync.h"
#include "peers/earlier.h"
#include "peers/peer.h"
#include "peers/peers.h"

/* A view with its placement, which do not change while the view is adopted. */
struct km_peers_table {
    atomic_uint refs;
    struct km_peers *peers;
    struct km_view *view;           /* NULL: none */
    struct km_placement *placement; /* NULL: no member is active */
    struct km_slot_map *mine;       /* the slots of this node; NULL: none */
    struct km_peer **members; /* in the order of the view; this node: NULL */
    struct km_peer **owners;  /* in the order of the placement; borrowed */
};

/* The snapshot that `ask` and the services read. */
struct km_peers_state {
    struct km_peers_table *table;
    uint64_t adoption;
    uint64_t change;
    enum km_standing standing;
    /* What this node announces: `standing`, or that it is still turning. Lane 0
     * changes it without memory, so that it is never older than the turn. */
    _Atomic(enum km_standing) announced;
    bool settled;
    struct km_member_id self;
    struct km_slot_map *unsettled; /* NULL: none; owned */
    struct km_earlier earlier;
};

/* The state of the building of placements, on lane 0:
 *
 *     IDLE --a view waits--> RESTING --the time has come--> BUILDING --> IDLE
 */
enum km_peers_build_stage {
    KM_PEERS_IDLE,
    KM_PEERS_RESTING, /* the timer is armed */
    KM_PEERS_BUILDING /* a job runs on a thread that may take its time */
};

struct km_peers_build {
    enum km_peers_build_stage stage;
    struct km_timer timer;
    struct km_lane_job job;
    struct km_lane_job then;
    km_ns started_at;
    km_ns rest_until;
    struct km_view *view; /* that is being built; owned */
    struct km_member_id self;
    struct km_placement *placement; /* the results */
    struct km_slot_map *mine;
    kama_status status;
};

/* A thing that is posted to a lane at most once at a time. */
struct km_peers_poke {
    struct km_lane_job job;
    atomic_bool posted;
    struct km_peers *peers;
};

/* The requests that wait for a lane to take them. */
struct km_peers_lane {
    struct km_peers *peers;
    unsigned index;
    struct km_mutex lock;
    struct km_list fills; /* under the lock */
    struct km_list mutations;
    struct km_list peeks;
    bool posted;
    struct km_lane_job job;
    struct km_list open; /* calls that still take requests; of the lane */
    struct km_buf head;  /* the message that is being written */
};

struct km_peers {
    const kama_allocator *mem;
    struct km_transport transport;
    const struct km_peers_events *events;
    void *owner;
    const struct km_peers_fence_ops *fence;
    void *fence_arg;
    char *cluster;
    char *service;
    struct km_member_id nonce;

    struct km_snapshot snapshot; /* of struct km_peers_state */
    atomic_int refusal;          /* the error of mutations; KAMA_OK: none */
    atomic_bool nobody; /* this node is behind; the state may not say it yet */
    atomic_ullong live; /* peers and jobs that use this structure */
    atomic_bool closing;

    struct km_mutex lock; /* of the members below, until `lanes` */
    uint64_t views[KM_PEERS_VIEWS_KEPT];
    uint64_t view_count;    /* that were noticed; the last ones are kept */
    uint64_t adopted_count; /* of them, up to the one that was adopted last */
    struct km_member_id gone[KM_PEERS_GONE_KEPT];
    uint64_t gone_count;
    char *address;             /* the node's own, "" before it is known */
    uint64_t stranger_view_id; /* that a node named which is in no view here */
    bool stranger_heard;

    /* Lane 0. */
    struct km_member_id self;
    bool was_given_up; /* until the node has a new id, or the registry was read
                        * and has this one */
    km_ns given_up_at;
    struct km_view *waiting;
    struct km_view
        *passed[KM_PEERS_PASSED_MAX]; /* that the turn has to learn */
    unsigned passed_count;
    struct km_peers_build build;
    struct km_turn *turn;
    struct km_slot_map *hidden; /* slots that are not swept yet; NULL: none */
    struct km_earlier earlier;
    bool needs_publishing; /* there was no memory for it */
    bool needs_behind;
    bool needs_adopting;
    bool behind_by_views; /* members name views that this node cannot learn */
    uint64_t behind_view_id;     /* one of these views; 0: of no member */
    km_ns behind_at;             /* it is behind by views since then */
    struct km_peers_state *last; /* that is there after `close` */
    uint64_t stranger_unknown;   /* a view that no member has named */
    km_ns stranger_since;        /* it is unknown since; 0: it is not */
    km_ns stranger_at;           /* it was named last then */
    km_ns adopted_at;            /* the last adoption */
    km_ns asked_at;              /* unknown_view ran then; 0: never */
    km_ns read_at;               /* the last read of the registry began then */
    struct km_timer tick;
    struct km_list parting; /* members that were removed; referenced */
    struct km_list waits;

    struct km_peers_poke read_poke; /* the registry must be read */
    struct km_peers_poke wait_poke; /* there are new waits */
    struct km_lane_job closed_job;
    struct km_mutex wait_lock;
    struct km_list new_waits;

    unsigned lane_count;
    struct km_peers_lane lanes[];
};

/* -- peers.c --------------------------------------------------------------- */

/* Count the peers, jobs and calls that use the structure. The last one of them
 * that ends after km_peers_close lets `closed` run. */
void km_peers_hold(struct km_peers *peers);
void km_peers_release(struct km_peers *peers);

/* Posts the poke to lane 0, unless it is under way. Any thread. */
void km_peers_poke(struct km_peers_poke *poke);

static inline km_ns km_peers_now(const struct km_peers *peers)
{
    return peers->transport.ops->now(peers->transport.arg);
}
static inline void km_peers_arm(struct km_peers *peers, unsigned lane,
                                struct km_timer *timer, km_ns at)
{
    peers->transport.ops->arm(peers->transport.arg, lane, timer, at);
}
static inline void km_peers_disarm(struct km_peers *peers, unsigned lane,
                                   struct km_timer *timer)
{
    peers->transport.ops->disarm(peers->transport.arg, lane, timer);
}
static inline void km_peers_post(struct km_peers *peers, unsigned lane,
                                 struct km_lane_job *job)
{
    peers->transport.ops->post(peers->transport.arg, lane, job);
}

/* Begin and end to read the state; nothing may block between them. */
static inline const struct km_peers_state *km_peers_enter(
    struct km_peers *peers, struct km_snapshot_reader *reader)
{
    return km_snapshot_enter(&peers->snapshot, reader);
}
static inline void km_peers_leave(struct km_snapshot_reader *reader)
{
    km_snapshot_leave(reader);
}
/* Returns the state, for lane 0. */
static inline const struct km_peers_state *km_peers_own(
    const struct km_peers *peers)
{
    return km_snapshot_own(&peers->snapshot);
}

/* -- adopt.c (lane 0) ------------------------------------------------------ */

/* Adopt a view: with a placement (NULL: no member is active) and what this node
 * owns, which is taken; or with the placement that is adopted now. Errors:
 * KAMA_ERR_NO_MEMORY, and the view is not adopted then. */
KAMA_NODISCARD kama_status km_peers_adopt_view(struct km_peers *peers,
                                               struct km_view *view,
                                               struct km_placement *placement,
                                               struct km_slot_map *mine);
KAMA_NODISCARD kama_status km_peers_adopt_with(struct km_peers *peers,
                                               struct km_view *view);
/* Until the next view is adopted, nobody but the registry knows what this node
 * owns. */
void km_peers_become_behind(struct km_peers *peers);

/* -- build.c (lane 0) ------------------------------------------------------ */

/* Goes on with the view that waits, if there is one. */
void km_peers_build_next(struct km_peers *peers);
/* Forgets the views that wait. */
void km_peers_drop_waiting(struct km_peers *peers);

/* -- table.c --------------------------------------------------------------- */

/* Makes a table. view (may be NULL), placement: referenced. Members that are in
 * the old table keep their peers. Returns NULL without memory. Lane 0. */
struct km_peers_table *km_peers_table_new(struct km_peers *peers,
                                          struct km_view *view,
                                          struct km_placement *placement,
                                          const struct km_peers_table *old);
/* Returns the peer of a member in a table, borrowed, or NULL. */
struct km_peer *km_peers_table_find(const struct km_peers_table *table,
                                    const struct km_member *member);
bool km_peers_is_member(const struct km_view *view,
                        const struct km_member_id *id);
/* Writes the slots of a node in *ret_mine, owned, or NULL if there are none.
 * Without an active member a node that is leaving owns all keys, and one that is
 * joining owns none. */
KAMA_NODISCARD kama_status km_peers_make_mine(
    const struct km_peers *peers, const struct km_view *view,
    const struct km_placement *placement, const struct km_member_id *self,
    struct km_slot_map **ret_mine);
/* Does the same for a view with the placement of an older table: mostly a copy.
 * Lane 0. */
KAMA_NODISCARD kama_status km_peers_make_mine_again(
    const struct km_peers_table *old, const struct km_view *view,
    struct km_slot_map **ret_mine);
/* Any thread. */
struct km_peers_table *km_peers_table_ref(struct km_peers_table *table);
void km_peers_table_unref(struct km_peers_table *table);

/* Makes the first state, without a view. */
KAMA_NODISCARD kama_status km_peers_state_init(struct km_peers *peers,
                                               uint64_t adoption);
/* Lets all peers leave, and publishes a state without a view. */
void km_peers_state_close(struct km_peers *peers);
/* Frees the state, and the view that waits to be built. */
void km_peers_state_fini(struct km_peers *peers);
/* Adopts the current view again, because the meaning of it has changed. */
void km_peers_adopt_again(struct km_peers *peers);
/* Publishes the same view with the slots that are settled now, and the id that
 * this node has now. */
void km_peers_publish_again(struct km_peers *peers);
/* Remembers a view that was noticed, and adopts it as soon as it can. */
void km_peers_take_view(struct km_peers *peers, struct km_view *view);
/* Says that the members' announcements have changed: publishes whether this node
 * is settled now. */
void km_peers_look_again(struct km_peers *peers);
/* Tries the steps again that have failed for lack of memory. */
void km_peers_try_again(struct km_peers *peers);
/* Takes the announcement of a node that is in no view here. */
void km_peers_take_stranger(struct km_peers *peers);
/* Is behind if a member has been ahead for too long. */
void km_peers_check_unknown(struct km_peers *peers);

/* A read of the registry may say that this node is a member nevertheless. */
void km_peers_check_given_up(struct km_peers *peers);
/* A member does not know this node any more. */
void km_peers_given_up(struct km_peers *peers, const char *address);

/* -- hello.c (lane 0) ------------------------------------------------------ */

/* Returns the standing that a number of the protocol means, or NONE. Any
 * thread. */
enum km_standing km_peers_standing_of(int32_t number);

/* Takes the announcement of a member. */
void km_peer_heard(struct km_peer *peer, uint64_t view_id,
                   enum km_standing standing);

/* -- ask.c (lane 0) -------------------------------------------------------- */

/* Ends the waits for an older state than the current one, or all of them. */
void km_peers_wake(struct km_peers *peers);
void km_peers_end_waits(struct km_peers *peers);
/* Takes the waits that other threads have begun. */
void km_peers_take_waits(struct km_lane_job *job);

/* -- calls.c --------------------------------------------------------------- */

/* The job of a lane: takes the requests that other threads have begun. */
void km_peers_lane_run(struct km_lane_job *job);

/* -- answer.c -------------------------------------------------------------- */

/* Remember that a view was noticed, that it was adopted, or that a member has
 * gone. Any thread. */
void km_peers_remember_view(struct km_peers *peers, uint64_t view_id);
void km_peers_remember_adopted(struct km_peers *peers, uint64_t view_id);
void km_peers_remember_gone(struct km_peers *peers,
                            const struct km_member_id *id);
/* Fills in the sender of a request of this node. The texts are borrowed from the
 * table of the state, or from peers. */
struct km_msg_peer_sender;
void km_peers_fill_sender(struct km_peers *peers,
                          const struct km_peers_state *state,
                          struct km_msg_peer_sender *ret_sender);
