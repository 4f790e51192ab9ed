/* SPDX-License-Identifier: MIT */
/*
 * Mutexes, conditions and threads, each a thin cover of pthreads.
 *
 * The results of pthread calls that can only fail through an error of the
 * programmer are asserted in debug builds and ignored in release builds.
 */
#include "base/sync.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

/* Locks are held for less than a microsecond: a thread that finds one taken tries
 * a few times more before it sleeps, which would cost more than the wait. */
#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
#define MUTEX_TYPE PTHREAD_MUTEX_ADAPTIVE_NP
#else
#define MUTEX_TYPE PTHREAD_MUTEX_NORMAL
#endif

bool km_mutex_init(struct km_mutex *mutex, enum km_lock_rank rank)
{
    KM_ASSERT(rank > 0 && rank < KM_RANK_COUNT);
    mutex->rank = rank;
    pthread_mutexattr_t attr;
    if (pthread_mutexattr_init(&attr) != 0) {
        return false;
    }
    (void)pthread_mutexattr_settype(&attr, MUTEX_TYPE);
    bool is_made = pthread_mutex_init(&mutex->native, &attr) == 0;
    (void)pthread_mutexattr_destroy(&attr);
    return is_made;
}

void km_mutex_fini(struct km_mutex *mutex)
{
    int failed = pthread_mutex_destroy(&mutex->native);
    KM_ASSERT(!failed); /* it fails if a thread still holds the mutex */
}

#ifdef KAMA_DEBUG
/* The mutex of each rank that this thread holds, or NULL. A thread cannot hold
 * two mutexes of one rank, because ranks rise. */
static _Thread_local const struct km_mutex *held[KM_RANK_COUNT];

static bool holds_rank_from(enum km_lock_rank rank)
{
    for (unsigned r = rank; r < KM_RANK_COUNT; r++) {
        if (held[r] != NULL) {
            return true;
        }
    }
    return false;
}

bool km_mutex_is_held(const struct km_mutex *mutex)
{
    return held[mutex->rank] == mutex;
}

void km_mutex_lock(struct km_mutex *mutex)
{
    KM_ASSERT(!holds_rank_from(mutex->rank)); /* locks nest in rising ranks */
    int failed = pthread_mutex_lock(&mutex->native);
    KM_ASSERT(!failed);
    held[mutex->rank] = mutex;
}

void km_mutex_unlock(struct km_mutex *mutex)
{
    KM_ASSERT_HELD(mutex);
    held[mutex->rank] = NULL;
    int failed = pthread_mutex_unlock(&mutex->native);
    KM_ASSERT(!failed);
}
#endif

bool km_cond_init(struct km_cond *cond)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0) {
        return false;
    }
    bool done = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
                pthread_cond_init(&cond->native, &attr) == 0;
    (void)pthread_condattr_destroy(&attr);
    return done;
}

void km_cond_fini(struct km_cond *cond)
{
    (void)pthread_cond_destroy(&cond->native);
}

bool km_mutex_init_with(struct km_mutex *mutex, enum km_lock_rank rank,
                        struct km_cond *cond)
{
    if (!km_mutex_init(mutex, rank)) {
        return false;
    }
    if (!km_cond_init(cond)) {
        km_mutex_fini(mutex);
        return false;
    }
    return true;
}

void km_cond_wait(struct km_cond *cond, struct km_mutex *mutex)
{
    KM_ASSERT_HELD(mutex);
    int before = km_cancel_defer();
    (void)pthread_cond_wait(&cond->native, &mutex->native);
    km_cancel_allow(before);
}

bool km_cond_wait_until(struct km_cond *cond, struct km_mutex *mutex,
                        km_ns deadline)
{
    KM_ASSERT_HELD(mutex);
    if (deadline == KM_NS_NEVER) {
        km_cond_wait(cond, mutex);
        return true;
    }
    struct timespec at = {
        .tv_sec = (time_t)(deadline / KM_NS_PER_S),
        .tv_nsec = (long)(deadline % KM_NS_PER_S),
    };
    int before = km_cancel_defer();
    bool in_time =
        pthread_cond_timedwait(&cond->native, &mutex->native, &at) != ETIMEDOUT;
    km_cancel_allow(before);
    return in_time;
}

void km_cond_signal(struct km_cond *cond)
{
    (void)pthread_cond_signal(&cond->native);
}

void km_cond_broadcast(struct km_cond *cond)
{
    (void)pthread_cond_broadcast(&cond->native);
}

/* -- threads ------------------------------------------------------------- */

#define THREAD_STACK_BYTES (512u << 10) /* enough for sqlite and libcurl */

/* A thread inherits the signal mask of its creator, so that the mask is set
 * here for the time of the call. The signals that a fault of the thread itself
 * raises stay open: if they were blocked, the kernel would end the process
 * without running a handler that reports the fault. */
static bool create_masked(pthread_t *thread, const pthread_attr_t *attr,
                          void *(*run)(void *), void *arg)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)sigdelset(&all, SIGSEGV);
    (void)sigdelset(&all, SIGBUS);
    (void)sigdelset(&all, SIGFPE);
    (void)sigdelset(&all, SIGILL);
    (void)sigdelset(&all, SIGABRT);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    bool created = pthread_create(thread, attr, run, arg) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return created;
}

bool km_thread_start(pthread_t *ret_thread, const char *name,
                     void *(*run)(void *), void *arg)
{
    pthread_t thread;
    pthread_attr_t attr;
    if (pthread_attr_init(&attr) != 0) {
        return false;
    }
    bool created = pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES) == 0 &&
                   create_masked(&thread, &attr, run, arg);
    (void)pthread_attr_destroy(&attr);
    if (!created) {
        return false;
    }
    char short_name[16]; /* the kernel refuses a longer name */
    size_t len = strnlen(name, sizeof short_name - 1);
    memcpy(short_name, name, len);
    short_name[len] = '\0';
    (void)pthread_setname_np(thread, short_name);
    *ret_thread = thread;
    return true;
}

void km_thread_join(pthread_t thread)
{
    int before = km_cancel_defer();
    (void)pthread_join(thread, NULL);
    km_cancel_allow(before);
}
