/* SPDX-License-Identifier: MIT */
/*
 * One load: the flight that others join, the fill that mutations overtake, the
 * slot it waits for, and what the loader says.
 *
 *   new -> join leads -> start (or wait for a slot) -> run -> complete -> end
 *
 * It ends exactly once: with the loader's result, or earlier with an error
 * (timeout, group freed). What comes later is dropped.
 *
 * References: the one who runs it (from new until the loader has returned, or
 * until it was taken out of the queue), a deferred result, the armed timer,
 * and who ends it from outside. The last one frees it.
 * Slots: at most loader_concurrency loaders run at a time, the other loads
 * queue. A load holds its slot until its loader has returned, even when all its
 * callers have been told KAMA_ERR_TIMEOUT long before: the origin is still busy
 * with it. A deferred load, whose loader has returned, gives the slot back when
 * it is finished or its time is over.
 *
 * Stages of a load, as the queue sees them (all under the group's lock):
 *
 *   NEW <-> QUEUED --> ADMITTED --> RUNNING --> PENDING --> OVER
 *    |                  ^   |        |                       ^
 *    +------------------+   +--------+-----------------------+
 *
 *   NEW       it has not asked for a slot, or has given up waiting for one
 *   QUEUED    it waits for a slot
 *   ADMITTED  it has a slot, and its thread is about to call the loader
 *   RUNNING   the loader is on a thread; the load may have ended already
 *   PENDING   the loader has returned KAMA_DEFERRED
 *   OVER      no loader runs, and the slot has been given back
 *
 * A load that ends while it is QUEUED, ADMITTED or PENDING is OVER at once.
 * Thread-safety: any thread.
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

/* How long the group may keep an answer. */
struct km_load_keep {
    uint32_t flags;        /* KAMA_NO_STORE */
    int64_t absent_ttl_ms; /* of a miss; 0: the group's */
};

struct kama_sink {
    struct km_load *load;
    kama_value *item;   /* what was set last, with a reference; pinned */
    kama_status failed; /* why the last set failed */
    struct km_load_keep keep;
    char sentence[KM_ERROR_BYTES_MAX];
};

struct kama_deferred {
    struct km_load *load;
    char sentence[KM_ERROR_BYTES_MAX]; /* of the thread that finishes it */
};

/*
 * Whose failure the failure of a load is. A caller that leads a load on its own
 * thread gives it no more time than it has itself. When such a load fails after
 * that time, only the leader has failed: a waiter with more time loads anew.
 */
enum km_load_verdict {
    KM_LOAD_FOR_ALL,     /* the outcome is every caller's answer */
    KM_LOAD_LEADER_LATE, /* it is the leader's; the waiters load anew */
    KM_LOAD_UNWANTED     /* there is no caller any more */
};

/* What a load ended with. value: a reference. */
struct km_load_result {
    kama_status status;
    enum km_load_verdict verdict;
    kama_value *value;
};

/* How a load ends. Everything is borrowed. */
struct km_load_outcome {
    kama_status status;
    enum km_load_verdict verdict;
    kama_value *value;  /* the answer; NULL unless status is KAMA_OK */
    kama_value *stored; /* what the store is to keep; NULL: nothing */
    const char *sentence;
};

struct km_load {
    struct km_flight_call call;
    kama_group *group;
    atomic_uint refs;
    _Atomic km_ns started_at; /* 0: the loader was not called */
    km_ns loader_deadline;    /* what the loader is told; <= call.deadline */
    struct km_fill fill;
    struct kama_sink sink;
    struct kama_deferred deferred;
    kama_load request;
    bool was_deferred; /* kama_load_defer was called; the loader's thread */
    atomic_bool timer_armed;
    struct km_timer timer;
    struct km_job job;

    struct km_load_result result; /* once it has ended */
    char sentence[KM_ERROR_BYTES_MAX];

    bool on_pool;  /* it runs there; constant */
    bool is_again; /* its first caller was counted as a miss; constant */

    enum km_load_stage stage; /* this and below: the group's lock */
    struct km_list in_loads;
    struct km_list in_queue;
    struct km_list in_runners;
    struct km_cond *turn; /* of a caller that waits for a slot; else NULL */
    bool has_slot;        /* false for a load from inside a loader */
    uintptr_t runner;     /* the thread of the loader, while it is RUNNING */

    size_t key_len;
    uint8_t key[];
};

/* What a joiner asks for. */
struct km_load_key {
    kama_bytes key;
    km_ns now;
};

extern const struct km_flight_ops km_load_flight_ops;

/* A load of key with the one reference of who runs it; NULL without memory.
 * With a pool it is to run there. */
struct km_load *km_load_new(kama_group *group, kama_bytes key, uint64_t hash,
                            km_ns now, bool on_pool);
void km_load_ref(struct km_load *load);
void km_load_unref(struct km_load *load);

/* The key, valid as long as the load. */
static inline kama_bytes km_load_key_bytes(const struct km_load *load)
{
    return kama_bytes_make(load->key, load->key_len);
}

static inline struct km_load *km_load_of(const struct km_flight_call *call)
{
    return KM_CONTAINER_OF(call, struct km_load, call);
}

/* Starts a leading load on the pool, or queues it for that. Takes the
 * runner's reference, success or failure; on failure the flight has not
 * ended yet. */
KAMA_NODISCARD kama_status km_load_start(struct km_load *load,
                                         struct km_pool *pool);

/* Runs a leading load on the calling thread, whose own time ends at deadline:
 * waits for a slot until then, does not call the loader later, and tells the
 * loader the smaller of its time and the caller's. Takes the runner's
 * reference. The load has ended afterwards, unless it was deferred. */
void km_load_run_here(struct km_load *load, km_ns deadline);

/* Ends the load, if it has not ended, and wakes the callers that wait. Returns
 * whether it is this call that has ended it. */
bool km_load_end(struct km_load *load, struct km_load_outcome *outcome);

/* Ends the load because its time is over, if it has not ended. */
void km_load_time_out(struct km_load *load);

/* Ends a load on the pool that has not begun, with KAMA_ERR_TIMEOUT, if no
 * caller waits for it any more. */
void km_load_drop_unwanted(struct km_load *load);

/* Ends the load with an error, if it has not ended; wakes who waits. */
void km_load_fail(struct km_load *load, kama_status status,
                  const char *sentence);

/* Ends the loads of the group that are overdue; a group without a pool has
 * no timer for those that nobody waits for. */
void km_load_fail_overdue(kama_group *group, km_ns now);

/* Ends every load of the group with KAMA_ERR_CANCELLED. */
void km_load_cancel_all(kama_group *group);

/* -- load_answer.c -- */

/* What a loader said. */
struct km_load_answer {
    kama_status status;
    kama_value *item;     /* with KAMA_OK: a pinned reference; else NULL */
    const char *sentence; /* borrowed; may be empty */
    struct km_load_keep keep;
};

/* Ends the load with what the loader said. Takes the item. */
void km_load_complete(struct km_load *load,
                      const struct km_load_answer *answer);

/* Writes the sentence of a load whose time is over. */
void km_load_describe_timeout(const struct km_load *load,
                              char ret_sentence[KM_ERROR_BYTES_MAX]);

/* Writes the sentence of a load whose loader gave a value or options that were
 * refused just now; why is the thread's last error. */
void km_load_describe_refusal(const struct km_load *load,
                              char ret_sentence[KM_ERROR_BYTES_MAX]);

/* -- load_queue.c: slots; these take the group's lock -- */

/* Registers a load that leads and takes a slot for it, or queues it. turn:
 * signalled when a queued load got its slot; NULL: it is submitted to the
 * pool then. A load from inside a loader on the calling thread shares that
 * one's slot. If the group has a pool, its timer is armed. Errors: CLOSED, OVERLOADED,
 * TIMEOUT (it has ended already), and those of the pool. */
KAMA_NODISCARD kama_status km_load_take_slot(struct km_load *load,
                                             struct km_cond *turn,
                                             bool *ret_queued);

/* Waits for the slot of a queued load until deadline: KAMA_OK, TIMEOUT (it has
 * left the queue), CANCELLED (it has ended). Its condition is not used any more
 * afterwards. The slot of a load that is then not run is given back by ending
 * the load. */
KAMA_NODISCARD kama_status km_load_await_slot(struct km_load *load,
                                              km_ns deadline);

/* Does the calling thread run a loader of the group? */
bool km_load_is_nested(kama_group *group);

/* Arms the load's timer on the pool; it holds a reference. Under the group's
 * lock, before the load is registered, or while it is: whoever ends it takes
 * that lock before it looks at the timer. */
KAMA_NODISCARD kama_status km_load_arm(struct km_load *load,
                                       struct km_pool *pool);

/* The group is about to get its pool: arms the timers of the loads that run on
 * their callers already. Under the group's lock. On failure none is armed. */
KAMA_NODISCARD kama_status km_load_arm_all_locked(kama_group *group,
                                                  struct km_pool *pool);

/* The calling thread is about to call the loader: the load is RUNNING. false:
 * it has ended meanwhile, and the loader must not be called. */
KAMA_NODISCARD bool km_load_begin(struct km_load *load);

/* The loader has returned. The slot goes to the load that is next, unless this
 * one was deferred and has not ended. */
void km_load_returned(struct km_load *load);

/* Takes a load that has ended out of the lists, and gives its slot back unless
 * its loader is running. */
void km_load_forget(struct km_load *load);

/* Submits a load that has a slot to the pool. */
KAMA_NODISCARD kama_status km_load_submit(struct km_load *load,
                                          struct km_pool *pool);

/* -- get_op.c -- */

/* A waiter is parked on load: a parked op arms its timer when its own deadline
 * is earlier than the load's. Under the flight's lock. */
KAMA_NODISCARD kama_status km_get_op_park(struct km_load *load,
                                          struct km_flight_waiter *waiter);
