/* SPDX-License-Identifier: MIT */
/*
 * A load fetches the value of one key with the group's loader. It has four parts:
 * the call of the flight that other callers join, the fill that a mutation can
 * overtake, the slot that it needs to run, and the sink for the loader's answer.
 *
 *     load = km_load_new(...);            the runner's reference
 *     km_flight_join(..., &load->call)    it leads
 *     km_load_start_here or km_load_start_on_pool   (group/load/run.h)
 *       a slot, then the loader           (group/load/slot.h, run.c)
 *       what the loader said              (group/load/sink.c, answer.c)
 *     km_load_end                         exactly once
 *
 * A load ends with the loader's result, or earlier with an error, because its
 * deadline has passed or the group is freed. An answer that comes later is
 * dropped. The end is one step under the lock of the flight's shard: the value is
 * stored, the next get of the key may start a load, and the waiters are taken out.
 *
 * The stages of a load, as its slot sees them (the transitions are in slot.c):
 *
 *     NEW <-> QUEUED --> ADMITTED --> RUNNING --> PENDING
 *      |        |           |           |            |
 *      +--------+-----------+-----+-----+------------+
 *                                 v
 *                               OVER
 *
 *     NEW       it has not asked for a slot, or has given up waiting for one
 *     QUEUED    it waits for a slot
 *     ADMITTED  it has a slot, and its thread is about to call the loader
 *     RUNNING   the loader runs; the load may have ended already
 *     PENDING   the loader has returned KAMA_DEFERRED
 *     OVER      no loader runs, and the slot has been given back
 *
 * The states of its timer (load.c), which ends the load at its deadline:
 *
 *     NONE --> ARMING --> ARMED --> NONE     the load ended first
 *                 |         |
 *                 +--> FIRED <-+             the deadline passed first
 *
 * Ownership: a load is counted. The thread that runs it has one reference, from
 * km_load_new until the loader has returned or the load has left the queue. A
 * deferred answer, the armed timer, and a thread that ends the load from outside
 * have one each, and the last one frees the load. All of them are inside the
 * group's gate, except the owner of a deferred answer, which has a reference to
 * the group.
 *
 * Threads: any thread. Errors: as each function says. Cost: one allocation, and
 * one lock of the flight to start and one to end.
 */
#pragma once

#include "base/container.h"
#include "base/limits.h"
#include "group/group_internal.h"

struct km_load;

enum km_load_stage {
    KM_LOAD_NEW,
    KM_LOAD_QUEUED,
    KM_LOAD_ADMITTED,
    KM_LOAD_RUNNING,
    KM_LOAD_PENDING,
    KM_LOAD_OVER
};

enum km_load_timer {
    KM_LOAD_TIMER_NONE,
    KM_LOAD_TIMER_ARMING,
    KM_LOAD_TIMER_ARMED,
    KM_LOAD_TIMER_FIRED
};

/* Where the value comes from: the thread that runs the loader (group/load/run.h),
 * or another node (group/load/at_peer.h), which is the owner of the key, or was that
 * until a moment ago. */
enum km_load_place {
    KM_LOAD_ON_CALLER,
    KM_LOAD_ON_POOL,
    KM_LOAD_AT_PEER,
    KM_LOAD_AT_EARLIER
};

/* Returns whether a load asks another node before it calls its loader. */
static inline bool km_load_asks_first(enum km_load_place place)
{
    return place == KM_LOAD_AT_PEER || place == KM_LOAD_AT_EARLIER;
}

/* The event for which a load waits. A load ON_CALLER or ON_POOL waits for its loader
 * from the beginning:
 *
 *     ASKS_PEER --the owner has answered---------------------> the load ends
 *         |
 *         +--the owner cannot answer--> ASKS_AFTER_PEER --> the load ends
 *
 *     ASKS_EARLIER --the owner before has the value-----> the load ends
 *         |
 *         +--it has not, or does not say so--> ASKS_LOADER --> the load ends
 */
enum km_load_asks {
    KM_LOAD_ASKS_LOADER,
    KM_LOAD_ASKS_PEER,       /* no request of another node may join it now */
    KM_LOAD_ASKS_AFTER_PEER, /* the loader, because the owner could not answer */
    KM_LOAD_ASKS_EARLIER /* everybody may join it: the other node waits for none */
};

/* Whether the get that starts a load has been counted before. */
enum km_load_attempt {
    KM_LOAD_FIRST, /* finding the key in memory after all is no hit */
    KM_LOAD_AGAIN  /* it led or joined a load before, and was a miss then */
};

/* How long the group may keep an answer. */
struct km_load_keep {
    uint32_t flags;        /* KAMA_NO_STORE */
    int64_t absent_ttl_ms; /* of a miss; 0: the group's */
};

struct kama_sink {
    struct km_load *load;
    kama_value *item;   /* the value that was set last: a reference */
    kama_status failed; /* the error of the last set, or KAMA_OK */
    struct km_load_keep keep;
    char sentence[KM_ERROR_BYTES_MAX];
};

struct kama_deferred {
    struct km_load *load;
    char sentence[KM_ERROR_BYTES_MAX]; /* of the thread that finishes it */
};

/*
 * Says which callers get the outcome of a load. The others load the key anew.
 *
 *                   the leader   began until current_at   began later
 *     FOR_ALL       gets it      gets it                  gets it
 *     FOR_EARLIER   gets it      gets it                  anew
 *     LEADER_LATE   gets it      anew                     anew
 *     UNWANTED      there is no caller any more
 *
 * LEADER_LATE: a caller that leads a load on its own thread gives the loader no
 * more time than it has itself. If the load fails after that time, only the leader
 * has failed, and a waiter with more time loads the key anew.
 *
 * FOR_EARLIER is for the answer of the owner, on another node, where a mutation may
 * have overtaken it before it arrives here (group/load/at_peer.h). In a synchronized
 * group the mutations of this node end the joining, and those of others may be seen
 * later, so that there it is FOR_ALL.
 */
enum km_load_verdict {
    KM_LOAD_FOR_ALL,
    KM_LOAD_FOR_EARLIER,
    KM_LOAD_LEADER_LATE,
    KM_LOAD_UNWANTED
};

/* The result of a load that has ended. value: a reference, or NULL. current_at: a
 * time at which no mutation had overtaken the load; 0: not known. A mutation that
 * was acknowledged before a get began which began until then is in the value. */
struct km_load_result {
    kama_status status;
    enum km_load_verdict verdict;
    kama_value *value;
    km_ns current_at;
    bool from_owner;       /* the owner on another node has answered */
    bool current;          /* another node that has asked may keep it (R8) */
    int64_t absent_ttl_ms; /* of a miss that is remembered; 0: it is not */
};

/* The way in which a load shall end. Everything is borrowed. */
struct km_load_outcome {
    kama_status status;
    enum km_load_verdict verdict;
    km_ns now;            /* 0: the clock is read */
    km_ns current_at;     /* if the verdict is FOR_EARLIER */
    bool from_owner;      /* the owner on another node has answered */
    kama_value *value;    /* the answer; NULL unless status is KAMA_OK */
    kama_value *stored;   /* the item that the store shall keep, or NULL */
    const char *sentence; /* about an error; "" says nothing */
};

struct km_load {
    struct km_flight_call call;
    kama_group *group;
    atomic_uint refs;
    enum km_load_place place;     /* constant */
    enum km_load_attempt attempt; /* of the get that leads; constant */
    _Atomic enum km_load_asks asks;
    struct km_peer *peer; /* a reference until the owner is asked, or NULL */
    _Atomic enum km_load_stage stage;
    _Atomic enum km_load_timer timer_state;
    _Atomic km_ns started_at; /* 0: the loader was not called */
    km_ns
        loader_deadline; /* the loader's own deadline; <= call.deadline. A load
                               * that asks first has it when its loader begins */
    struct km_fill fill;
    kama_load request;
    struct km_timer timer;
    struct km_job job;

    bool was_deferred; /* kama_load_defer was called, on the loader's thread */
    bool has_slot; /* valid once it is ADMITTED; false inside another loader */
    struct km_list in_queue;   /* while it is QUEUED: the lock of the slots */
    struct km_cond *slot_cond; /* of a caller that waits for the slot; NULL: the
                                * load goes to the pool when it gets one */

    struct km_load_result result; /* written when it ends, with the sentence */
    struct kama_sink sink;        /* this and below: without their sentences, */
    struct kama_deferred deferred; /* which are empty at first, not zeroed */
    char sentence[KM_ERROR_BYTES_MAX];
    char traceparent[KM_TRACEPARENT_BYTES];
    struct km_owner_fill owner_fill; /* of a load that asks first */
    km_ns sent_at; /* a time before the other node was asked */
    size_t key_len;
    uint8_t key[];
};

/* The key that a get asks for when it joins, the current time, and the
 * settings of its caller. */
struct km_load_key {
    kama_bytes key;
    km_ns now;
    uint32_t origin;         /* KAMA_ORIGIN_CLIENT or KAMA_ORIGIN_PEER */
    const char *traceparent; /* copied; NULL: none */
    void *user;
    enum km_fill_purpose purpose; /* of the load that the get would start */
};

/* Returns the time after which an answer of the loader counts as too late for
 * all callers. */
static inline km_ns km_load_late_at(const struct km_load *load)
{
    return load->place == KM_LOAD_ON_CALLER ? load->call.deadline
                                            : load->loader_deadline;
}

/* The functions with which a group's flight compares, starts and counts loads. */
extern const struct km_flight_ops km_load_flight_ops;

/* Makes a load of key, with one reference for the thread that will run it. The key
 * is copied. Returns NULL without memory. The calling thread must lead a load that
 * is made ON_CALLER. */
struct km_load *km_load_new(kama_group *group, const struct km_load_key *key,
                            uint64_t hash, enum km_load_place place,
                            enum km_load_attempt attempt);
void km_load_ref(struct km_load *load);
void km_load_unref(struct km_load *load);

/* Returns the key as a view that is valid as long as the load. */
static inline kama_bytes km_load_key_bytes(const struct km_load *load)
{
    return kama_bytes_make(load->key, load->key_len);
}

static inline struct km_load *km_load_of(const struct km_flight_call *call)
{
    return KM_CONTAINER_OF(call, struct km_load, call);
}

/* Arms the timer that ends the load at its deadline, which may be before this
 * returns. The caller has a reference and holds no lock. Does nothing if the timer
 * is armed already. Errors: those of km_pool_arm, and KAMA_ERR_CLOSED. */
KAMA_NODISCARD kama_status km_load_arm(struct km_load *load,
                                       struct km_pool *pool);

/* Arms the timers of all loads that run on their callers' threads when the group
 * gets its pool. Errors: those of km_load_arm. */
KAMA_NODISCARD kama_status km_load_arm_all(kama_group *group,
                                           struct km_pool *pool);

/* Ends the load, if it has not ended, and wakes the callers that wait for it.
 * Returns whether this call has ended it. */
bool km_load_end(struct km_load *load, struct km_load_outcome *outcome);

/* Ends the load with KAMA_ERR_TIMEOUT, if it has not ended. */
void km_load_time_out(struct km_load *load);

/* Ends a load on the pool that has not begun, with KAMA_ERR_TIMEOUT, if no
 * caller waits for it any more. */
void km_load_drop_unwanted(struct km_load *load);

/* Ends the load with an error, if it has not ended. The sentence is borrowed. */
void km_load_fail(struct km_load *load, kama_status status,
                  const char *sentence);

/* Ends the loads of the group whose deadline is at or before now: those in one
 * shard of the flight, or all of them. In a group without a pool no timer ends the
 * loads for which no caller waits. */
void km_load_fail_overdue_shard(kama_group *group, unsigned shard, km_ns now);
void km_load_fail_overdue(kama_group *group, km_ns now);

/* Ends every load of the group with KAMA_ERR_CANCELLED. */
void km_load_cancel_all(kama_group *group);
