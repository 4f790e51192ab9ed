/* SPDX-License-Identifier: MIT */
/*
 * Single flight: of all callers that want the same key at the same time, one
 * leads and the others wait for its result. This one engine is behind the loads
 * of groups and behind kamacache/flight.h.
 *
 * A call is a member of whatever its user knows of the work, and a waiter is a
 * list node with a wake function. So a waiter may be a blocked thread
 * or a request that is parked as data. The engine knows neither
 * keys nor results: its user's functions (struct km_flight_ops) compare the keys,
 * and its user writes the result before the waiters are woken.
 *
 *     role = km_flight_join(flight, hash, key, &waiter, &call, &status);
 *     LEADS:  do the work; km_flight_end(flight, &call, settle, arg, &woken);
 *             km_flight_wake(flight, &call, &woken);
 *     PARKED: the waiter's wake function runs, unless km_flight_leave was first
 *     ANSWER: neither; the status is the answer
 *
 * The states of a call, all of them changed under the lock of its shard:
 *
 *     NEW --join leads--> LINKED --not joinable any more--> UNLINKED
 *                           |                                  |
 *                           +------------> ENDED <-------------+
 *
 *     LINKED    callers of the key find it and wait for it
 *     UNLINKED  it goes on for those that wait; the next caller of the key leads
 *               a call of its own
 *     ENDED     the result is settled; this happens exactly once
 *
 * Threads: any; init and fini are setup. There is one lock per shard: the ops run
 * under it, and must not join a flight; wake functions run without it. Cost: one
 * lock to join and one to end. Errors: KAMA_ERR_BUSY (KM_FLIGHT_WAITERS_MAX
 * wait already), KAMA_ERR_REENTRANT (the calling thread leads the call),
 * KAMA_ERR_WOULD_DEADLOCK (the caller has no waiter and would have to wait).
 * Ownership: calls and waiters are the caller's memory. A call lives until it was
 * ended and its waiters were woken, a waiter until it was woken or has left.
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

/* Whether the leader of a call is parked on it like those that join. */
enum km_flight_leader {
    KM_FLIGHT_LEADER_RETURNS, /* it gets the result in its own way */
    KM_FLIGHT_LEADER_PARKS    /* its waiter is woken with the others */
};

/* One piece of work. Its user sets the members before the line before it joins. */
struct km_flight_call {
    uint64_t hash;
    km_ns deadline; /* copied to waiters; 0: none */
    enum km_flight_leader leader;
    /* The thread that must not wait for the call, 0: none. Only that thread
     * compares it with itself, so that any order of memory will do. */
    _Atomic uintptr_t thread;
    /* ---- the engine's ---- */
    _Atomic enum km_flight_state state;
    bool shared;        /* a caller other than the leader has waited */
    km_ns wanted_until; /* the latest deadline of the waiters so far */
    uint32_t waiter_count;
    struct km_flight_waiter *leading; /* the leader's, while it is parked */
    struct km_list waiters;
    struct km_list in_open; /* the calls of its shard that have not ended */
    struct km_flight_call *next;
};

/* A caller that waits. Its user sets wake and deadline before it joins. */
struct km_flight_waiter {
    /* The call has ended. Runs without a lock, on the thread that has ended the
     * call. The waiter's memory may be given up from here on. */
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

/* Two cache lines. */
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

/* The waiters that km_flight_end has taken out of the call. */
struct km_flight_woken {
    unsigned count;
    struct km_flight_waiter *waiters[KM_FLIGHT_WAKE_BATCH];
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
static inline uintptr_t km_flight_self(void)
{
    return (uintptr_t)pthread_self();
}

/* Joins who works on key, or makes fresh (may be NULL) lead. waiter may be
 * NULL for a caller that cannot wait. *ret_status is written for ANSWER. */
enum km_flight_role km_flight_join(struct km_flight *flight, uint64_t hash,
                                   const void *key,
                                   struct km_flight_waiter *waiter,
                                   struct km_flight_call *fresh,
                                   kama_status *ret_status);

/* Ends the call. Returns true to the one caller that does; that caller goes on
 * with km_flight_wake. settle, which may be NULL, writes the result under the
 * lock, before anybody can find the key free. */
bool km_flight_end(struct km_flight *flight, struct km_flight_call *call,
                   void (*settle)(struct km_flight_call *call, void *arg),
                   void *arg, struct km_flight_woken *ret_woken);

/* As km_flight_end, but only if nobody wants the result at the time now: no
 * waiter is parked, or the deadlines of all of them have passed. */
bool km_flight_end_unwanted(struct km_flight *flight,
                            struct km_flight_call *call, km_ns now,
                            void (*settle)(struct km_flight_call *call,
                                           void *arg),
                            void *arg, struct km_flight_woken *ret_woken);

/* Wakes the waiters of an ended call: those that km_flight_end has taken out,
 * and then the rest. */
void km_flight_wake(struct km_flight *flight, struct km_flight_call *call,
                    struct km_flight_woken *woken);

/* Returns whether the call has ended. Takes no lock. */
static inline bool km_flight_ended(const struct km_flight_call *call)
{
    return atomic_load(&call->state) == KM_FLIGHT_ENDED;
}

/* Returns the oldest call of a shard (0..KM_FLIGHT_SHARDS-1) that has not ended,
 * with a reference (ops->ref), when its deadline is at or before now; else NULL.
 * The calls of one flight have the same time each, so that the oldest one is the
 * first to be late. */
struct km_flight_call *km_flight_oldest(struct km_flight *flight,
                                        unsigned shard, km_ns now);

/* Returns whether km_flight_oldest may find a call. Takes no lock. */
static inline bool km_flight_is_late(const struct km_flight *flight,
                                     unsigned shard, km_ns now)
{
    return now >= atomic_load_explicit(&flight->shards[shard].oldest_at,
                                       memory_order_relaxed);
}

/* The earliest deadline of the calls that have not ended; KM_NS_NEVER when there
 * is none. Takes no lock. */
km_ns km_flight_next_deadline(const struct km_flight *flight);

/* The shard of a hash. */
static inline unsigned km_flight_shard_of(uint64_t hash)
{
    return (unsigned)(hash >> 8) % KM_FLIGHT_SHARDS;
}

/* Calls visit for each call that has not ended, under the lock of its shard. */
void km_flight_visit(struct km_flight *flight,
                     void (*visit)(struct km_flight_call *call, void *arg),
                     void *arg);

/* Asserts the invariants of the table: every linked call is in the chain of its
 * hash and has not ended, and waiters are counted. For tests. */
void km_flight_check(struct km_flight *flight);

/* Takes the waiter out. false: it was woken, or is about to be. */
bool km_flight_leave(struct km_flight *flight, struct km_flight_waiter *waiter);

/* Takes the leader's waiter out of a call that the caller holds, and returns it;
 * NULL when it was woken, is about to be, or has left. For a leader that cannot
 * touch its waiter any more, because the waiter may have been answered. */
struct km_flight_waiter *km_flight_leave_leader(struct km_flight *flight,
                                                struct km_flight_call *call);

/* A reference (ops->ref) to the call that the waiter waits for; NULL when it
 * does not wait any more. */
struct km_flight_call *km_flight_call_of(struct km_flight *flight,
                                         struct km_flight_waiter *waiter);
