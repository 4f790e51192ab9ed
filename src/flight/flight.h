/* SPDX-License-Identifier: MIT */
/*
 * Single flight: if several callers want the same key at the same time, one of
 * them leads the work and the others wait for its result. Groups use this engine
 * for their loads, and kamacache/flight.h offers it to applications.
 *
 * The engine only decides who leads and who waits. It knows neither keys nor
 * results. Its user embeds a call in a structure of its own, compares the keys in
 * `equal` (struct km_flight_ops), and writes the result before the waiters are
 * woken. A waiter is a list node with a function: it can be a blocked thread or a
 * request that is parked as data.
 *
 *     role = km_flight_join(flight, hash, key, &waiter, &call, &status);
 *     LEADS:  do the work; km_flight_end(flight, &call, settle, arg, &woken);
 *             km_flight_wake(flight, &call, &woken);
 *     PARKED: the waiter's wake function runs, unless km_flight_leave was first
 *     ANSWER: neither of the two; the status is the caller's answer
 *
 * The states of a call, all of which change under the lock of its shard:
 *
 *     NEW --join leads--> LINKED --not joinable any more--> UNLINKED
 *                           |                                  |
 *                           +------------> ENDED <-------------+
 *
 *     LINKED    callers of the key find the call and wait for it
 *     UNLINKED  the call goes on for the callers that wait already; the next
 *               caller of the key leads a call of its own
 *     ENDED     the result is settled; this happens exactly once
 *
 * Cost: one lock to join and one to end. Threads: any thread may call any
 * function, but init and fini are setup. There is one lock per shard. The
 * functions of the ops run under it, and must not join a flight; wake functions
 * run without it.
 *
 * Errors: KAMA_ERR_BUSY if KM_FLIGHT_WAITERS_MAX callers already wait for the key,
 * KAMA_ERR_REENTRANT if the calling thread leads the call itself, and
 * KAMA_ERR_WOULD_DEADLOCK if the caller gave no waiter and would have to wait.
 *
 * Ownership: calls and waiters are the caller's memory. A call must stay valid
 * until it was ended and its waiters were woken, and a waiter until it was woken
 * or has left.
 */
#pragma once

#include "base/list.h"
#include "base/mem.h"
#include "base/sync.h"

#include <stdalign.h>
#include <stdatomic.h>

#define KM_FLIGHT_SHARDS 32u
#define KM_FLIGHT_CHAINS 7u /* per shard: one cache line with oldest_at */
#define KM_FLIGHT_WAKE_BATCH 32u

enum km_flight_state {
    KM_FLIGHT_NEW,
    KM_FLIGHT_LINKED,
    KM_FLIGHT_UNLINKED,
    KM_FLIGHT_ENDED
};

/* Says whether the leader of a call is parked on it, like the callers that join. */
enum km_flight_leader {
    KM_FLIGHT_LEADER_RETURNS, /* it does the work and needs no waiter */
    KM_FLIGHT_LEADER_PARKS    /* its waiter is woken with the others */
};

/* One piece of work. The user sets the members above the line before the join. */
struct km_flight_call {
    uint64_t hash;
    km_ns deadline; /* copied to waiters; 0: none */
    enum km_flight_leader leader;
    /* The thread that does the work and must not wait for it (km_flight_self), or
     * 0. Each thread looks only for its own number, which it has written itself,
     * so that a relaxed memory order is enough. */
    _Atomic uintptr_t thread;
    /* ---- the members below belong to the engine ---- */
    _Atomic enum km_flight_state state;
    bool shared;        /* a caller other than the leader has waited */
    km_ns wanted_until; /* the latest deadline of the waiters so far */
    uint32_t waiter_count;
    struct km_flight_waiter *leading; /* the parked leader's waiter, or NULL */
    struct km_list waiters;
    struct km_list in_open;      /* node in km_flight_shard.open */
    struct km_flight_call *next; /* in its chain */
};

/* A caller that waits. The user sets wake and deadline before the join. */
struct km_flight_waiter {
    /* Called when the call has ended, without a lock, on the thread that has ended
     * it. The engine does not touch the waiter afterwards. */
    void (*wake)(struct km_flight_waiter *waiter, struct km_flight_call *call);
    km_ns deadline; /* the time when its caller gives up; 0: never */
    /* ---- the members below belong to the engine ---- */
    struct km_list node;
    struct km_flight_call *call; /* NULL: not parked */
    uint64_t hash;
    km_ns call_deadline;
};

/* The functions of the engine's user. All but `equal` may be NULL, and all run
 * under the lock of the shard. */
struct km_flight_ops {
    /* Returns whether the call works on `key`. */
    bool (*equal)(const struct km_flight_call *call, const void *key);
    /* Returns whether callers may still join the call. NULL: always. */
    bool (*joinable)(const struct km_flight_call *call, const void *key);
    /* Called when the call is about to lead. If it returns an error or writes
     * false to *ret_go, the call does not lead, and the returned status is the
     * caller's answer. NULL: the call leads. */
    kama_status (*begin)(struct km_flight_call *call, bool *ret_go);
    /* Called when the waiter is about to be parked. An error is the caller's
     * answer, and the waiter is not parked then. NULL: it is parked. */
    kama_status (*park)(struct km_flight_call *call,
                        struct km_flight_waiter *waiter);
    /* Takes a reference to the call. NULL: calls are not counted. */
    void (*ref)(struct km_flight_call *call);
};

/* One part of the table, with a lock of its own. It has two cache lines:
 *
 *     chains  [0] -> call -> call      the LINKED calls, by their hash
 *             [1]
 *             ...
 *     open    call <-> call <-> call   the calls that have not ended, by age
 */
struct km_flight_shard {
    alignas(64) struct km_mutex lock;
    struct km_list open;     /* calls that have not ended, the oldest first */
    _Atomic km_ns oldest_at; /* the deadline of the first of `open`; or NEVER */
    struct km_flight_call *chains[KM_FLIGHT_CHAINS];
};

struct km_flight {
    const struct km_flight_ops *ops;
    struct km_flight_shard shards[KM_FLIGHT_SHARDS];
};

/* The waiters that km_flight_end has taken out of a call, to be woken without the
 * lock. */
struct km_flight_woken {
    unsigned count;
    struct km_flight_waiter *waiters[KM_FLIGHT_WAKE_BATCH];
};

/* The outcome of a join. */
enum km_flight_role {
    KM_FLIGHT_NOBODY, /* no call works on the key, and none was given */
    KM_FLIGHT_LEADS,  /* the given call works on the key now */
    KM_FLIGHT_PARKED, /* the waiter waits for the call of another caller */
    KM_FLIGHT_ANSWER  /* neither; the status is the caller's answer */
};

/* Makes an empty table. ops is borrowed until fini. Errors: KAMA_ERR_NO_MEMORY if
 * the system has no resources for its locks. Setup. */
KAMA_NODISCARD kama_status km_flight_init(struct km_flight *flight,
                                          const struct km_flight_ops *ops);

/* Ends the table, in which every call must have ended. Setup. */
void km_flight_fini(struct km_flight *flight);

/* Returns the number of the calling thread for km_flight_call.thread. */
static inline uintptr_t km_flight_self(void)
{
    return (uintptr_t)pthread_self();
}

/* Joins the call that works on `key`, or makes `fresh` lead if there is none. fresh
 * may be NULL, to find out whether there is one. waiter may be NULL for a caller
 * that cannot wait. *ret_status is written only with KM_FLIGHT_ANSWER. Once the
 * waiter is parked, another thread may wake it before this returns. */
enum km_flight_role km_flight_join(struct km_flight *flight, uint64_t hash,
                                   const void *key,
                                   struct km_flight_waiter *waiter,
                                   struct km_flight_call *fresh,
                                   kama_status *ret_status);

/* The work on a key at a moment. */
struct km_flight_look {
    bool works;    /* a call that callers of the key would find */
    bool joinable; /* and the next caller would join it */
    uint32_t waiters;
};

/* Describes the work on `key`, and changes nothing. */
void km_flight_look(struct km_flight *flight, uint64_t hash, const void *key,
                    struct km_flight_look *ret_look);

/* Ends the call. Returns true to the one caller that ends it, which must go on with
 * km_flight_wake, and false to every later caller. settle may be NULL; it writes
 * the result under the lock, so that no caller can find the key free before the
 * result is in place. */
bool km_flight_end(struct km_flight *flight, struct km_flight_call *call,
                   void (*settle)(struct km_flight_call *call, void *arg),
                   void *arg, struct km_flight_woken *ret_woken);

/* Ends the call as km_flight_end does, but only if no caller wants the result at
 * the time now: no waiter is parked, or the deadlines of all have passed. */
bool km_flight_end_unwanted(struct km_flight *flight,
                            struct km_flight_call *call, km_ns now,
                            void (*settle)(struct km_flight_call *call,
                                           void *arg),
                            void *arg, struct km_flight_woken *ret_woken);

/* Wakes the waiters of an ended call: those that km_flight_end has taken out, and
 * then the rest in batches. The call must stay valid until this returns. */
void km_flight_wake(struct km_flight *flight, struct km_flight_call *call,
                    struct km_flight_woken *woken);

/* Returns whether the call has ended. Takes no lock. */
static inline bool km_flight_ended(const struct km_flight_call *call)
{
    return atomic_load(&call->state) == KM_FLIGHT_ENDED;
}

/* Returns the oldest call of a shard (0..KM_FLIGHT_SHARDS-1) that has not ended,
 * with a reference (ops->ref), if its deadline is at or before now, and NULL
 * otherwise. All calls of one flight have equally much time, so that the oldest
 * call is the first one to be late. */
struct km_flight_call *km_flight_oldest(struct km_flight *flight,
                                        unsigned shard, km_ns now);

/* Returns whether km_flight_oldest may find a call. Takes no lock. */
static inline bool km_flight_is_late(const struct km_flight *flight,
                                     unsigned shard, km_ns now)
{
    return now >= atomic_load_explicit(&flight->shards[shard].oldest_at,
                                       memory_order_relaxed);
}

/* Returns the earliest deadline of the calls that have not ended, or KM_NS_NEVER
 * if there are none. Takes no lock. */
km_ns km_flight_next_deadline(const struct km_flight *flight);

/* Returns the number of the shard of a hash. */
static inline unsigned km_flight_shard_of(uint64_t hash)
{
    return (unsigned)(hash >> 8) % KM_FLIGHT_SHARDS;
}

/* Returns the number of the chain of a hash in its shard. */
unsigned km_flight_chain_of(uint64_t hash);

/* Calls visit for each call that has not ended, under the lock of its shard. */
void km_flight_visit(struct km_flight *flight,
                     void (*visit)(struct km_flight_call *call, void *arg),
                     void *arg);

/* Takes the waiter out of its call. Returns false if it was woken or is about to
 * be woken. */
bool km_flight_leave(struct km_flight *flight, struct km_flight_waiter *waiter);

/* Takes the leader's waiter out of a call to which the caller has a reference, and
 * returns it, or NULL if it was woken, is about to be woken, or has left. A leader
 * uses this when it must not touch its own waiter any more, because another thread
 * may have answered and freed it. */
struct km_flight_waiter *km_flight_leave_leader(struct km_flight *flight,
                                                struct km_flight_call *call);

/* Returns a reference (ops->ref) to the call that the waiter waits for, or NULL if
 * it does not wait any more. */
struct km_flight_call *km_flight_call_of(struct km_flight *flight,
                                         struct km_flight_waiter *waiter);
