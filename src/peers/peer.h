/* SPDX-License-Identifier: MIT */
/*
 * A peer: one other member of the adopted view, with a link to it on each lane.
 *
 *     lane 0                                 lane 1, 2, ...
 *     Hello decides the state   --kick-->    ends its calls, or closes its link
 *     the view drops the peer   --kick-->
 *
 *     UNKNOWN ---> UP <---> UNREACHABLE          each state can also become
 *        |         ^             |               REFUSED, and REFUSED each state
 *        +---------+-------------+
 *
 * The state is atomic, because every lane looks at it before a call begins. It
 * is written before a lane is kicked, and a call begins and is listed in one
 * job of its lane; so a call either sees the new state, or the kick sees the
 * call.
 *
 * Threads: as each function says. Ownership: counted; the tables of views, the
 * calls and the answers of `ask` hold references. Links are closed before the
 * last reference goes, because a kick holds one. Cost: 6 KiB, of which 5 are the
 * histogram of times, and the links.
 */
#pragma once

#include "base/histogram.h"
#include "base/list.h"
#include "base/status.h"
#include "peers/lacking.h"
#include "peers/peers.h"

struct km_peers;

/* A Hello that is under way. */
struct km_peer_hello {
    struct km_link_call link;
    struct km_peer *peer;
    km_ns sent_at;            /* 0: this one is not under way */
    struct km_member_id self; /* who this node was then */
    bool answered;
};

/* A peer on one lane. */
struct km_peer_lane {
    struct km_peer *peer;
    unsigned index;
    struct km_link *link; /* NULL until it is used */
    struct km_list calls; /* that have begun, or wait for their second try */
    struct km_peers_call *open; /* a call that still takes requests, or NULL */
    struct km_lane_job job;
    atomic_bool kicked;
};

/* Where a peer stands to the adopted view. A member that was removed may still
 * act by the older view, so Hellos go on until it says that it does not, or does
 * not answer, or nobody waits for it:
 *
 *     OUT ---adopted---> IN ---removed---> PARTING ---> OUT
 *     (new) --of a view that was passed over--^
 */
enum km_peer_place { KM_PEER_OUT, KM_PEER_IN, KM_PEER_PARTING };

struct km_peer {
    atomic_uint refs;
    struct km_peers *peers;
    struct km_member_id id;
    char *address;
    _Atomic(enum km_peer_state) state;
    atomic_bool has_left;      /* it is in no adopted view any more */
    atomic_bool clock_differs; /* as of its last answer */
    _Atomic km_ns since;
    _Atomic km_ns latency;
    /* Keys by the code of gRPC with which they have ended. */
    _Atomic uint64_t fill_codes[KM_STATUS_GRPC_CODES];
    _Atomic uint64_t mutation_codes[KM_STATUS_GRPC_CODES];
    atomic_ullong fills_failed, mutations_failed, served;
    struct km_histogram times; /* of fills and mutations, one for each call */
    struct km_lacking lacking; /* with peers->lock */

    /* Lane 0. */
    enum km_peer_place place;
    struct km_list node;   /* in peers->parting */
    struct km_timer timer; /* the next Hello */
    struct km_peer_hello hellos[2];
    bool hello_again;  /* when one of the two has ended */
    bool was_lost;     /* the connection, under the Hello before */
    bool had_no_id;    /* it has answered as no member */
    km_ns answered_at; /* the Hello that was answered last was sent then */
    km_ns
        unknown_since; /* it names a view that is unknown here; 0: it does not */
    uint64_t unknown_view_id;

    /* The last announcement of the peer; under peers->lock. */
    uint64_t heard_view_id;
    enum km_standing heard_standing;
    bool heard_posted;
    struct km_lane_job heard_job;
    struct km_lane_job suspect_job;
    atomic_bool suspected;

    struct km_peer_lane lanes[];
};

/* Makes a peer with one reference. */
KAMA_NODISCARD kama_status km_peer_new(struct km_peers *peers,
                                       const struct km_member *member,
                                       struct km_peer **ret_peer);
/* Any thread. */
struct km_peer *km_peer_ref(struct km_peer *peer);
void km_peer_unref(struct km_peer *peer);

/* Returns whether a call may begin. Any thread. */
static inline bool km_peer_is_open(const struct km_peer *peer)
{
    enum km_peer_state state = atomic_load(&peer->state);
    return !atomic_load(&peer->has_left) && state != KM_PEER_UNREACHABLE &&
           state != KM_PEER_REFUSED;
}

/* Lane 0. Changes the state, tells the node, and ends the calls that wait for a
 * peer that does not answer. */
void km_peer_set_state(struct km_peer *peer, enum km_peer_state state,
                       const char *text);
/* Lane 0. The peer has left the view: its links for requests are closed. */
void km_peer_leave(struct km_peer *peer);
/* Lane 0. Says Hello to a member of a view that was passed over, as to one that
 * has left. */
KAMA_NODISCARD kama_status km_peer_pass(struct km_peers *peers,
                                        const struct km_member *member);
/* Lane 0. Says no more Hellos to a peer that has left. */
void km_peer_part(struct km_peer *peer);

/* Any thread. Something looks as if the peer did not answer: says Hello now. */
void km_peer_suspect(struct km_peer *peer);

/* -- hello.c (lane 0) ------------------------------------------------------ */

/* Says Hello now, and from now on every second. */
void km_peer_hello(struct km_peer *peer);
/* Says no Hello any more. */
void km_peer_hello_end(struct km_peer *peer);

/* -- calls.c (the lane) ---------------------------------------------------- */

/* Ends the calls of a peer that does not answer. */
void km_peer_lane_end_calls(struct km_peer_lane *lane);
