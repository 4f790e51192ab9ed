/* SPDX-License-Identifier: MIT */
/*
 * One get, from the miss to the answer. This is the only road for a miss:
 * kama_get, kama_get_copy, kama_mget and the services of a node are this, and a
 * wait, a copy, or a group of them.
 *
 * The get is data in the caller's memory (struct km_get_op), parked on the load of
 * its key; no thread belongs to it. It leaves the load exactly once: the load
 * ends, the get's own time is over, or it is cancelled. Whoever takes it out of
 * the flight (under the flight's lock) owns it from there on.
 *
 *     start --hit, or error--------------------------> the return value
 *       |
 *       +--> leads a load, or joins one --> parked --> done
 *                 ^                            |
 *                 +--- the leader was late ----+
 *
 * There are two kinds. A PARKED get is answered by a callback, and the pool keeps
 * its time. A BLOCKED one has a thread that waits for it and keeps its time
 * itself, so that a group without a pool needs no thread; when the leader was
 * late, that thread starts the get again.
 *
 * Threads: any. done runs on a thread of the pool or of the deadlines (PARKED), or
 * on whatever thread has ended the load (BLOCKED), without a lock held; a PARKED
 * get is never answered inside km_get_op_start. Errors: as kama_get. Ownership:
 * the op is the caller's until done has run or the op was cancelled; a key is
 * copied. Cost: one allocation for a load that is started.
 */
#pragma once

#include "base/clock.h"
#include "base/timer.h"
#include "flight/flight.h"

#include <kamacache/kamacache.h>

struct km_call_limits;
struct km_load;

enum km_get_kind { KM_GET_PARKED, KM_GET_BLOCKED };

struct km_get_op {
    /* The answer; exactly once, unless km_get_op_cancel has returned true. value
     * is the callee's to unref, and NULL unless status is KAMA_OK. sentence is
     * borrowed; it is "" or says why. A BLOCKED get may be told KAMA_WOULD_LOAD:
     * the caller that led the load was late, and the get is to start again. */
    void (*done)(struct km_get_op *op, kama_status status, kama_value *value,
                 const char *sentence);
    /* ---- the group's ---- */
    struct km_flight_waiter waiter;
    struct km_timer timer; /* armed when it is earlier than the load's */
    kama_group *group;
    km_ns started_at;
    int64_t deadline_ms; /* of the caller; waiter.deadline is the time */
    enum km_get_kind kind;
    bool is_timed;   /* timer was armed */
    bool is_leading; /* the load is its own */
    bool is_counted; /* as a miss */
    bool is_coalesced;
};

/* Looks key up; a hit, a miss that is remembered, or an error is the return value,
 * and op is not used then. KAMA_DEFERRED: the get is parked, and op must stay
 * valid. ctx->deadline_ms is kept by the group, which needs a pool. Never blocks,
 * and never runs a loader on the calling thread. */
KAMA_NODISCARD kama_status km_get_op_start(kama_group *group,
                                           struct km_get_op *op, kama_bytes key,
                                           const kama_ctx *ctx,
                                           kama_value **ret_value);

/* The same for a key that memory did not have, with limits that have begun. The
 * calling thread is inside the group's gate. A BLOCKED get in a group without a pool runs the loader on the calling thread, if
 * it leads; it may have been answered then when this returns KAMA_DEFERRED. */
KAMA_NODISCARD kama_status km_get_op_miss(kama_group *group,
                                          struct km_get_op *op,
                                          enum km_get_kind kind, kama_bytes key,
                                          uint64_t hash,
                                          const struct km_call_limits *limits,
                                          kama_value **ret_value);

/* Starts a BLOCKED get again that was told KAMA_WOULD_LOAD. */
KAMA_NODISCARD kama_status km_get_op_again(struct km_get_op *op, kama_bytes key,
                                           kama_value **ret_value);

/* Ends the wait of a BLOCKED get, at the time now: when its caller's time is over
 * it leaves, and KAMA_ERR_TIMEOUT is its answer; when the load's time is over,
 * the load ends. KAMA_DEFERRED: done has run or is about to run. */
KAMA_NODISCARD kama_status km_get_op_time_out(struct km_get_op *op,
                                              kama_bytes key, km_ns now);

/* Returns true when the op has left: done will never run, and its memory is the
 * caller's. false: done has run or is about to run. */
bool km_get_op_cancel(struct km_get_op *op);

/* The op `park` of a group's flight: a PARKED get whose own time ends first gets a
 * timer. Under the lock of the flight's shard. */
KAMA_NODISCARD kama_status km_get_op_park(struct km_flight_call *call,
                                          struct km_flight_waiter *waiter);
