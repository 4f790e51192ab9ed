/* SPDX-License-Identifier: MIT */
/*
 * The network as peers/ sees it: lanes on which things run, links to addresses
 * and calls on them. On a node a lane is an event loop and a link is a gRPC
 * channel (node/transport.c); in the simulator both are virtual (tests/sim/).
 *
 *     lane 0            the control loop: Hello and everything that decides
 *     lanes 1..count-1  fills, mutations and peeks, with links of their own
 *
 * A link belongs to its lane. It connects by itself, with backoff, when a call
 * wants it; a call fails at once between two failed attempts. A call is never
 * sent twice, and only the end LOST, LATE or CANCELLED leaves it open whether
 * the peer has carried it out.
 *
 * Threads: `post`, `pick` and `now` are for any thread; everything else runs on
 * the lane. Callbacks run on the lane, never from inside a function of this
 * table. Ownership: calls and timers are the caller's memory until on_end, or
 * until they were fired or disarmed. Errors: how a call ends.
 */
#pragma once

#include "base/clock.h"
#include "base/timer.h"

#include <kamacache/kamacache.h>
#include <stdbool.h>

struct km_link;

/* Work for a lane; embedded in a structure of its owner. */
struct km_lane_job {
    void *use[2]; /* of the transport */
    void (*run)(struct km_lane_job *job);
};

enum km_link_end {
    KM_LINK_ANSWERED,    /* the peer has ended the call: status is its own */
    KM_LINK_UNREACHABLE, /* nothing was sent: the peer cannot be reached, or the
                          * call was cancelled or late before it was sent */
    KM_LINK_LOST,        /* the connection was lost after the call was sent */
    KM_LINK_LATE,        /* the deadline has passed after the call was sent */
    KM_LINK_CANCELLED    /* by `cancel` or `close`, after the call was sent */
};

struct km_link_call {
    const char *path;
    km_ns deadline;
    kama_bytes head;         /* the message: head, then the bytes of body */
    kama_value *body;        /* NULL: none; borrowed until on_end */
    const char *traceparent; /* NULL: none */
    /* A message of the answer, borrowed until return. */
    void (*on_message)(struct km_link_call *call, kama_bytes message);
    /* The call has ended, and its memory is the caller's again. */
    void (*on_end)(struct km_link_call *call, enum km_link_end end,
                   kama_status status, const char *text);
    void *use[4]; /* of the transport */
};

struct km_transport_ops {
    unsigned (*lane_count)(void *arg);
    /* The lane for a request of the calling thread: its own if it is one,
     * otherwise one that is chosen by turns. Never lane 0. */
    unsigned (*pick)(void *arg);
    void (*post)(void *arg, unsigned lane, struct km_lane_job *job);
    /* Runs job on a thread that may take its time, then `then` on lane 0. */
    void (*compute)(void *arg, struct km_lane_job *job,
                    struct km_lane_job *then);
    km_ns (*now)(void *arg);
    uint64_t (*wall_ms)(void *arg);
    void (*arm)(void *arg, unsigned lane, struct km_timer *timer, km_ns at);
    void (*disarm)(void *arg, unsigned lane, struct km_timer *timer);
    /* Makes a link that is not connected yet. Errors: KAMA_ERR_NO_MEMORY,
     * KAMA_ERR_INVALID. */
    kama_status (*open)(void *arg, unsigned lane, const char *address,
                        struct km_link **ret_link);
    /* Cancels all calls, and frees the link when they have ended. May be called
     * by a callback of the link. */
    void (*close)(struct km_link *link);
    /* Starts a call. The head is copied. A call for which there is no memory
     * ends with KM_LINK_UNREACHABLE and KAMA_ERR_NO_MEMORY. */
    void (*call)(struct km_link *link, struct km_link_call *call);
    /* Cancels a call whose on_end has not run yet. on_end follows. Doing so
     * again does nothing. */
    void (*cancel)(struct km_link_call *call);
};

struct km_transport {
    const struct km_transport_ops *ops;
    void *arg;
};
