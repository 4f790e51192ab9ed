/* SPDX-License-Identifier: MIT */
/*
 * Mutex and condition on the monotonic clock. Locks have a rank: a thread
 * takes them in rising rank only; debug builds (KAMA_DEBUG) assert it. No lock
 * is held across a callback of the user.
 */
#pragma once

#include "base/assert.h"
#include "base/clock.h"

#include <pthread.h>
#include <stdbool.h>

/* The order in which locks nest. */
enum km_lock_rank {
    KM_RANK_NODE = 1, /* node's registry of groups */
    KM_RANK_GROUP,    /* the making of a group's pool */
    KM_RANK_SLOTS,    /* the loads of a group that wait for a slot */
    KM_RANK_GATE,     /* leaving a gate that is closed */
    KM_RANK_FLIGHT,   /* one shard of a flight table */
    KM_RANK_STORE,    /* one shard of a store */
    KM_RANK_WAITER,   /* one blocked caller */
    KM_RANK_POOL,     /* pool queue */
    KM_RANK_TIMER,    /* deadlines */
    KM_RANK_MAILBOX,  /* loop mailbox */
    KM_RANK_METRIC,   /* registry of cells */
    KM_RANK_LOG,      /* log ring */
    KM_RANK_COUNT
};

struct km_mutex {
    pthread_mutex_t native;
    enum km_lock_rank rank;
};

struct km_cond {
    pthread_cond_t native;
};

/* false: the system has no resources for it. */
bool km_mutex_init(struct km_mutex *mutex, enum km_lock_rank rank);
/* The mutex is not locked. */
void km_mutex_fini(struct km_mutex *mutex);

#ifdef KAMA_DEBUG
void km_mutex_lock(struct km_mutex *mutex);
void km_mutex_unlock(struct km_mutex *mutex);
/* Returns whether the calling thread holds the mutex. */
bool km_mutex_is_held(const struct km_mutex *mutex);
#define KM_ASSERT_HELD(mutex) KM_ASSERT(km_mutex_is_held(mutex))
#else
#define KM_ASSERT_HELD(mutex) ((void)sizeof(mutex))
static inline void km_mutex_lock(struct km_mutex *mutex)
{
    (void)pthread_mutex_lock(&mutex->native);
}
static inline void km_mutex_unlock(struct km_mutex *mutex)
{
    (void)pthread_mutex_unlock(&mutex->native);
}
#endif

/* On CLOCK_MONOTONIC; false: the system has no resources for it. */
bool km_cond_init(struct km_cond *cond);
/* Nobody waits. */
void km_cond_fini(struct km_cond *cond);
/* Releases mutex, waits, takes it again; may return for no reason. No thread is
 * cancelled in here: it would leave with the mutex locked, and be waited for. */
void km_cond_wait(struct km_cond *cond, struct km_mutex *mutex);
/* false when deadline (CLOCK_MONOTONIC, KM_NS_NEVER: none) has passed. */
bool km_cond_wait_until(struct km_cond *cond, struct km_mutex *mutex,
                        km_ns deadline);
/* Wakes one that waits. */
void km_cond_signal(struct km_cond *cond);
/* Wakes all that wait. */
void km_cond_broadcast(struct km_cond *cond);

/* Puts off the cancellation of the calling thread (pthread_cancel), for a part
 * that it must not be stopped in: the thread ends at its first cancellation
 * point after km_cancel_allow, which gets what km_cancel_defer returned. */
int km_cancel_defer(void);
void km_cancel_allow(int before);

/* Starts a joinable thread with every signal blocked and a stack of 512 KiB;
 * name is cut at 15 bytes. false: the system has no resources for it. */
bool km_thread_start(pthread_t *ret_thread, const char *name,
                     void *(*run)(void *), void *arg);

/* pthread_join that is no cancellation point. */
void km_thread_join(pthread_t thread);
