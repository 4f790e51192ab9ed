/* SPDX-License-Identifier: MIT */
/*
 * Single flight: of all who want the same key at the same time one leads, the
 * others wait for its result. The one engine behind groups and behind
 * kamacache/flight.h.
 *
 * A call is embedded in what its user knows of the work; a waiter is a list
 * node with a wake function, so that who waits may be a blocked thread
 * (struct km_flight_sync) or a parked request. The engine knows neither keys
 * nor results: the ops compare keys, and what the result is the call's user
 * writes before the waiters are woken.
 *
 * Life of a call: join links it under its key; end takes it out and settles
 * the result, exactly once; wake wakes the waiters. A call that ops->joinable
 * refuses is taken out earlier: it goes on for its waiters, the next caller
 * starts its own.
 *
 * Thread-safety: any thread; init and fini: setup. One lock per shard; ops run
 * under it (so they must not join), wake functions do not.
 * Errors: KAMA_ERR_BUSY (KM_FLIGHT_WAITERS_MAX wait), KAMA_ERR_REENTRANT,
 * KAMA_ERR_WOULD_DEADLOCK (no waiter given, and it would wait).
 * Ownership: calls and waiters are the caller's memory; a call lives until it
 * was ended and its waiters woken, a waiter until woken or until it has left.
 */
#pragma once

#include "base/list.h"
#include "base/mem.h"
#include "base/sync.h"

#define KM_FLIGHT_SHARDS 8u
#define KM_FLIGHT_CHAINS 32u /* per shard */

/* One piece of work. The fields before the line are set by its user before
 * join. */
struct km_flight_call {
    uint64_t hash;
    km_ns deadline;    /* copied to waiters; 0: none */
    uintptr_t leader;  /* thread that must not wait for it; 0: none */
    bool leader_parks; /* the waiter given with it is parked, too */
    /* ---- the engine's ---- */
    bool linked;
    bool ended;
    bool shared;        /* somebody else has waited */
    km_ns wanted_until; /* the latest deadline of the waiters so far */
    uint32_t waiter_count;
    struct km_list waiters;
    struct km_flight_call *next;
};

/* One who waits. wake and deadline are set before join. */
struct km_flight_waiter {
    /* The call has ended; runs without a lock, on the thread that ended it.
     * The waiter's memory may go from here on. */
    void (*wake)(struct km_flight_waiter *waiter, struct km_flight_call *call);
    km_ns deadline; /* when its caller gives up; 0: never */
    /* ---- the engine's ---- */
    struct km_list node;
    struct km_flight_call *call; /* NULL: not parked */
    uint64_t hash;
    km_ns call_deadline;
};

/* What the engine must know. Optional ones may be NULL. All run under the
 * lock of the shard. */
struct km_flight_ops {
    bool (*equal)(const struct km_flight_call *call, const void *key);
    /* May callers join it (still)? NULL: always. */
    bool (*joinable)(const struct km_flight_call *call, const void *key);
    /* The call is about to lead. Not KAMA_OK, or *ret_go false: it does not;
     * the status is the answer. NULL: it leads. */
    kama_status (*begin)(struct km_flight_call *call, bool *ret_go);
    /* The waiter is about to be parked; an error is the answer. NULL: fine. */
    kama_status (*park)(struct km_flight_call *call,
                        struct km_flight_waiter *waiter);
    /* Takes a reference of the call. NULL: not counted. */
    void (*ref)(struct km_flight_call *call);
};

struct km_flight_shard {
    struct km_mutex lock;
    struct km_flight_call *chains[KM_FLIGHT_CHAINS];
};

struct km_flight {
    const struct km_flight_ops *ops;
    struct km_flight_shard shards[KM_FLIGHT_SHARDS];
};

/* What became of a join. */
enum km_flight_role {
    KM_FLIGHT_NOBODY, /* nobody works on the key, and no call was given */
    KM_FLIGHT_LEADS,  /* the given call is the one that works now */
    KM_FLIGHT_PARKED, /* the waiter waits for another's call */
    KM_FLIGHT_ANSWER  /* neither: the status says why */
};

/* KAMA_ERR_NO_MEMORY: no resources. */
KAMA_NODISCARD kama_status km_flight_init(struct km_flight *flight,
                                          const struct km_flight_ops *ops);

/* No call is linked. */
void km_flight_fini(struct km_flight *flight);

/* The thread's name in km_flight_call.leader. */
uintptr_t km_flight_self(void);

/* Joins who works on key, or makes fresh (may be NULL) lead. waiter may be
 * NULL for a caller that cannot wait. *ret_status is written for ANSWER. */
enum km_flight_role km_flight_join(struct km_flight *flight, uint64_t hash,
                                   const void *key,
                                   struct km_flight_waiter *waiter,
                                   struct km_flight_call *fresh,
                                   kama_status *ret_status);

/* Parks waiter on a call that the caller holds. false: it has ended. */
bool km_flight_attach(struct km_flight *flight, struct km_flight_call *call,
                      struct km_flight_waiter *waiter);

/* Changes the thread that leads the call; 0: none. */
void km_flight_lead(struct km_flight *flight, struct km_flight_call *call,
                    uintptr_t leader);

/* Ends the call: true for the one caller that does. settle, which may be NULL,
 * writes the result under the lock, before anybody can find the key free. */
bool km_flight_end(struct km_flight *flight, struct km_flight_call *call,
                   void (*settle)(struct km_flight_call *call, void *arg),
                   void *arg);

/* As km_flight_end, but only if nobody wants the result at the time now: no
 * waiter is parked, or the deadlines of all of them have passed. */
bool km_flight_end_unwanted(
    struct km_flight *flight, struct km_flight_call *call, km_ns now,
    void (*settle)(struct km_flight_call *call, void *arg), void *arg);

/* Wakes the waiters of an ended call. */
void km_flight_wake(struct km_flight *flight, struct km_flight_call *call);

/* Has the call been ended? */
bool km_flight_ended(struct km_flight *flight, struct km_flight_call *call);

/* Takes the waiter out. false: it was woken, or is about to be. */
bool km_flight_leave(struct km_flight *flight, struct km_flight_waiter *waiter);

/* As km_flight_leave, for a waiter whose memory may be gone already: it is
 * looked for among those of call, which the caller holds. O(waiters). */
bool km_flight_leave_call(struct km_flight *flight, struct km_flight_call *call,
                          struct km_flight_waiter *waiter);

/* A reference (ops->ref) to the call that the waiter waits for; NULL when it
 * does not wait any more. */
struct km_flight_call *km_flight_call_of(struct km_flight *flight,
                                         struct km_flight_waiter *waiter);

/* A thread that waits. */
struct km_flight_sync {
    struct km_flight_waiter waiter;
    struct km_mutex lock;
    struct km_cond cond;
    bool done;
};

/* false: no resources. wake must call km_flight_sync_done as its last act. */
bool km_flight_sync_init(struct km_flight_sync *sync,
                         void (*wake)(struct km_flight_waiter *waiter,
                                      struct km_flight_call *call));
void km_flight_sync_fini(struct km_flight_sync *sync);
void km_flight_sync_done(struct km_flight_sync *sync);

/* Waits until woken; false when span_ns (KM_NS_NEVER: for ever) has passed. */
bool km_flight_sync_wait(struct km_flight_sync *sync, km_ns span_ns);

/* As kama_flight_engine_new, with memory from mem (borrowed). */
struct kama_flight_type;
struct kama_flight_engine;
KAMA_NODISCARD kama_status km_flight_engine_new(
    const struct kama_flight_type *type, const kama_allocator *mem,
    struct kama_flight_engine **ret_engine);
