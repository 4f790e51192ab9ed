/* SPDX-License-Identifier: MIT */
/*
 * Mutexes, conditions and threads: a thin cover of pthreads that uses the
 * monotonic clock and checks the order of locks.
 *
 *     struct km_mutex lock;
 *     km_mutex_init(&lock, KM_RANK_STORE);
 *     km_mutex_lock(&lock);
 *     while (!is_ready && km_cond_wait_until(&cond, &lock, deadline)) {
 *     }
 *     km_mutex_unlock(&lock);
 *
 * Every mutex has a rank, and a thread that holds one mutex may only take a
 * mutex of a higher rank. All threads then take locks in the same order, and no
 * two of them can wait for each other:
 *
 *     NODE < GROUP < FLIGHT < STORE < WAITER < POOL < TIMER < ... < LOG
 *
 * Debug builds (KAMA_DEBUG) remember which mutex of each rank a thread holds.
 * They end the process when a lock is taken out of order, when a mutex is
 * unlocked by a thread that does not hold it, and when KM_ASSERT_HELD fails.
 * Release builds check none of this and call pthreads directly.
 *
 * No lock is held while a function of the application runs, because that may
 * call the library again.
 *
 * Threads: any thread; init and fini belong to the owner. Cost: that of the
 * pthread function. Errors: only init and km_thread_start can fail, when the
 * system has no resources left. Ownership: the structures are the caller's
 * memory, and must not move between init and fini.
 */
#pragma once

#include "base/assert.h"
#include "base/clock.h"

#include <pthread.h>
#include <stdbool.h>

/* The ranks name the things that locks protect, in the order in which locks nest. */
enum km_lock_rank {
    KM_RANK_NODE = 1, /* a node's registry of groups */
    KM_RANK_CLUSTER,  /* what is shown of a node's cluster */
    KM_RANK_GROUP,    /* the making of a group's pool */
    KM_RANK_SLOTS,    /* the loads of a group that wait for a slot */
    KM_RANK_GATE,     /* leaving a gate that is closed */
    KM_RANK_FLIGHT,   /* one shard of a flight table */
    KM_RANK_STORE,    /* one shard of a store */
    KM_RANK_SYNC_LOG, /* the mutations of a node, and its clock */
    KM_RANK_PAGES,    /* the memory of a store */
    KM_RANK_WAITER,   /* one caller that waits for a result */
    KM_RANK_POOL,     /* the jobs of a pool */
    KM_RANK_TIMER,    /* the deadlines of a pool */
    KM_RANK_PULSE,    /* the loops whose turns are watched */
    KM_RANK_MAILBOX,  /* the mail of an event loop */
    KM_RANK_METRIC,   /* the registry of metric cells */
    KM_RANK_LOG,      /* the ring of log lines */
    KM_RANK_COUNT
};

struct km_mutex {
    pthread_mutex_t native;
    enum km_lock_rank rank;
};

struct km_cond {
    pthread_cond_t native;
};

/* Makes an unlocked mutex. Returns false if the system has no resources. */
bool km_mutex_init(struct km_mutex *mutex, enum km_lock_rank rank);
/* Ends a mutex, which no thread may hold. */
void km_mutex_fini(struct km_mutex *mutex);

#ifdef KAMA_DEBUG
void km_mutex_lock(struct km_mutex *mutex);
void km_mutex_unlock(struct km_mutex *mutex);
/* Returns whether the calling thread holds the mutex. Only debug builds
 * know. */
bool km_mutex_is_held(const struct km_mutex *mutex);
/* Stands at the beginning of each function whose name ends in _locked: its
 * caller must hold the mutex. */
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

/* Makes a condition on CLOCK_MONOTONIC. Returns false if the system has no
 * resources. */
bool km_cond_init(struct km_cond *cond);
/* Ends a condition, for which no thread may be waiting. */
void km_cond_fini(struct km_cond *cond);

/* Makes a lock with a condition of what it guards, or neither. Returns false if the
 * system has no resources. */
bool km_mutex_init_with(struct km_mutex *mutex, enum km_lock_rank rank,
                        struct km_cond *cond);

/* Releases the mutex, waits for a signal and takes the mutex again. It may
 * return without a signal, so the caller looks at its state again. The thread
 * is not cancelled in here, because it would end with the mutex locked. */
void km_cond_wait(struct km_cond *cond, struct km_mutex *mutex);

/* Does the same, but only until deadline (CLOCK_MONOTONIC; KM_NS_NEVER sets no
 * limit). Returns false when the deadline has passed. */
bool km_cond_wait_until(struct km_cond *cond, struct km_mutex *mutex,
                        km_ns deadline);
/* Wakes one thread that waits for the condition. */
void km_cond_signal(struct km_cond *cond);
/* Wakes all threads that wait for the condition. */
void km_cond_broadcast(struct km_cond *cond);

/* Postpones the cancellation (pthread_cancel) of the calling thread over a part
 * of the code in which it must not be stopped. Afterwards, km_cancel_allow
 * takes the value that km_cancel_defer returned, and a thread that was
 * cancelled meanwhile ends at its next cancellation point. */
static inline int km_cancel_defer(void)
{
    int before = PTHREAD_CANCEL_ENABLE;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}
static inline void km_cancel_allow(int before)
{
    int disabled;
    (void)pthread_setcancelstate(before, &disabled);
}

/* Starts a joinable thread that has all signals blocked and a stack of 512 KiB.
 * A name longer than 15 bytes is cut. Returns false if the system has no
 * resources. */
bool km_thread_start(pthread_t *ret_thread, const char *name,
                     void *(*run)(void *), void *arg);

/* Waits until the thread has ended. Unlike pthread_join, this is no
 * cancellation point, so that the thread is always joined. */
void km_thread_join(pthread_t thread);
