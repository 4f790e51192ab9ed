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
 *                 +---- not for this get ------+
 *
 * There are two kinds. A PARKED get is answered by a callback, and the pool keeps
 * its time. A BLOCKED get has a thread that waits for it and keeps its time
 * itself, so that a group without a pool needs no thread. When the outcome of the
 * load is not for this get (enum km_load_verdict), that thread starts the get again,
 * which keeps its deadline.
 *
 * In a group of a cluster, the get first asks who owns the key (group/owner.h):
 *
 *     this node, settled     the loader; the store keeps its value
 *     this node, unsettled   the loader; nothing is kept
 *     another node           a load that asks the owner (group/load/at_peer.h); for
 *                            KAMA_LOCAL_ONLY and a request of a peer the loader,
 *                            and nothing is kept
 *     unknown                the loader; nothing is kept
 *
 * A synchronized group keeps the value in each of these cases (group/get_place.h).
 *
 * If the node adopts another view between the answer and the begin of the load, the
 * store refuses to begin it, and the get asks again.
 *
 * Threads: any thread may call any function. done runs on a thread of the pool or
 * on the deadline thread (PARKED), or on the thread that has ended the load
 * (BLOCKED), and no lock is held. A PARKED get is never answered inside
 * km_get_op_start. Errors: those of kama_get. Ownership: the op is the caller's
 * memory. It must stay valid until done has run, or until the op was cancelled.
 * Keys are copied. Cost: one allocation for each load that is started.
 */
#pragma once

#include "base/clock.h"
#include "base/timer.h"
#include "flight/flight.h"
#include "group/counters.h"
#include "group/look_up.h"

#include <kamacache/kamacache.h>

struct km_call_limits;
struct km_load;

enum km_get_kind { KM_GET_PARKED, KM_GET_BLOCKED };

/* Where a get stands to the load of its key. */
enum km_get_stage {
    KM_GET_OP_STARTING, /* it is parked on no load */
    KM_GET_OP_LEADING,  /* it is parked on the load that it has brought along */
    KM_GET_OP_FOLLOWING /* it is parked on the load of another get */
};

/* The counters of the group in which a get has been counted (get_count.h). */
enum km_get_count {
    KM_GET_COUNT_NONE,
    KM_GET_COUNT_MISS,
    KM_GET_COUNT_COALESCED /* as a miss, too */
};

/* Whether a get is counted as one that has asked the owner of its key: once,
 * however often it is started again. */
enum km_get_asked { KM_GET_ASKED_NOBODY, KM_GET_ASKED_PEER };

/* The timer that ends a parked get after its caller's deadline. */
enum km_get_timekeeper {
    KM_GET_TIMED_ELSEWHERE, /* the timer of the load, or the blocked thread */
    KM_GET_TIMED_ITSELF     /* the timer of the get, which was armed */
};

/* Where the answer of a get came from. */
enum km_get_source {
    KM_GET_FROM_MEMORY, /* of this node */
    KM_GET_FROM_LOADER, /* of this node */
    KM_GET_FROM_PEER    /* the owner of the key, by its memory or its loader */
};

struct km_get_op {
    /* The answer; exactly once, unless km_get_op_cancel has returned true. value
     * is the callee's to unref, and NULL unless status is KAMA_OK. sentence is
     * borrowed; it is "" or says why. A BLOCKED get may be told KAMA_WOULD_LOAD:
     * the outcome of the load is not for this get, which is to start again. */
    void (*done)(struct km_get_op *op, kama_status status, kama_value *value,
                 const char *sentence);
    enum km_get_source source; /* of the answer; written before done runs */
    /* For so long after the get had begun, no mutation had overtaken the answer;
     * 0: not known. Written before done runs, and when the start returns. */
    km_ns current_ns;
    /* What a node that has asked this one for the key may keep (R8): whether it may keep
     * the answer, and for how long it may remember a miss; 0: not at all. Written like
     * current_ns, except for a miss that was known at the start (km_group_absent_ttl). */
    bool current;
    int64_t absent_ttl_ms;
    /* ---- the group's ---- */
    struct km_list *fills; /* the list for a request to the owner, while the get
                            * is started; NULL: it is sent at once */
    struct km_flight_waiter waiter;
    struct km_timer timer; /* armed if it is due before the load's timer */
    kama_group *group;
    km_ns started_at;
    int64_t deadline_ms; /* of the caller; waiter.deadline is the time */
    uint32_t origin;     /* of the caller, and the flags of its context */
    uint32_t flags;
    const char *traceparent; /* borrowed while the get is started, or NULL */
    void *user;              /* of the caller */
    enum km_get_kind kind;
    enum km_get_stage stage;
    enum km_get_count counted;
    enum km_miss why; /* the key was not in memory */
    enum km_get_asked asked;
    enum km_group_metric ended_as; /* the row that counts its end */
    enum km_get_timekeeper timekeeper;
};

/* Looks key up and parks a PARKED get if it has to be loaded. Returns
 * KAMA_DEFERRED in that case: op must stay valid until it is answered. A hit, a
 * key that is known not to exist, and an error are returned at once, and op is
 * not used then. The group must have a pool, which keeps ctx->deadline_ms. This
 * never blocks, and it never runs a loader on the calling thread. */
KAMA_NODISCARD kama_status km_get_op_start(kama_group *group,
                                           struct km_get_op *op, kama_bytes key,
                                           const kama_ctx *ctx,
                                           kama_value **ret_value);

/* Does the same for one of several keys. What has to be asked of other nodes is put
 * into fills, which the caller sends with km_load_send_fills when it has started
 * all keys. */
KAMA_NODISCARD kama_status km_get_op_start_of_many(
    kama_group *group, struct km_get_op *op, kama_bytes key,
    const kama_ctx *ctx, struct km_list *fills, kama_value **ret_value);

/* Does the same for a key that was not found in memory, with limits that have
 * begun; op->fills is a list, or NULL. The calling thread must be inside the group's gate. A BLOCKED get in a
 * group without a pool runs the loader on the calling thread, if it leads the
 * load: then it may have been answered already when this returns KAMA_DEFERRED. */
KAMA_NODISCARD kama_status km_get_op_miss(kama_group *group,
                                          struct km_get_op *op,
                                          enum km_get_kind kind, kama_bytes key,
                                          const struct km_missed *missed,
                                          const struct km_call_limits *limits,
                                          kama_value **ret_value);

/* Starts a get again that the outcome of its load was not for: a BLOCKED one whose
 * done was called with KAMA_WOULD_LOAD, or a PARKED one from the end of the load. */
KAMA_NODISCARD kama_status km_get_op_again(struct km_get_op *op, kama_bytes key,
                                           kama_value **ret_value);

/* Ends the wait of a BLOCKED get at the time now. If its caller's deadline has
 * passed, the get leaves the load and KAMA_ERR_TIMEOUT is returned. Otherwise
 * the load's deadline has passed, and the load is ended. KAMA_DEFERRED says that
 * done has run or is about to run. */
KAMA_NODISCARD kama_status km_get_op_time_out(struct km_get_op *op,
                                              kama_bytes key, km_ns now);

/* Returns true if the op has left its load: done will never run, and the op's
 * memory may be freed. Returns false if done has run or is about to run. */
bool km_get_op_cancel(struct km_get_op *op);

/* The function `park` of a group's flight (struct km_flight_ops), which runs under
 * the lock of the shard. It arms the timer of a PARKED get whose caller's deadline
 * is earlier than the load's. Errors: those of km_pool_arm. */
KAMA_NODISCARD kama_status km_get_op_park(struct km_flight_call *call,
                                          struct km_flight_waiter *waiter);
