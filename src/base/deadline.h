/* SPDX-License-Identifier: MIT */
/*
 * The deadline thread of a pool: it exists while a timer is armed, and for a
 * while after the last one.
 * Thread-safety: any thread; init, stop and fini: setup. Errors:
 * KAMA_ERR_THREADS, KAMA_ERR_CLOSED. Ownership: as km_pool_arm.
 */
#pragma once

#include "base/pool.h"

/*
 * The thread of the deadlines:
 *
 *     ABSENT --arm--> RUNNING --idle, or stop--> LEFT
 *       ^                ^                        | |
 *       |                +---------arm------------+ |
 *       +------------------------stop---------------+
 *
 * A thread that has LEFT does nothing more under the lock. It is joined before
 * another one is started, and by stop.
 */
enum km_deadlines_thread {
    KM_DEADLINES_ABSENT,
    KM_DEADLINES_RUNNING,
    KM_DEADLINES_LEFT
};

struct km_deadlines {
    const struct km_clock *clock;
    const char *name;      /* borrowed */
    const void *inside_of; /* what the thread works for, base/thread.h */
    km_ns idle_ns;         /* without a timer, then the thread leaves */
    struct km_mutex lock;
    struct km_cond wake;         /* an earlier timer, or closing */
    struct km_cond fired;        /* firing has changed, for disarm */
    struct km_timer_heap timers; /* this and below: under lock */
    struct km_timer *firing;     /* fire is running */
    unsigned disarming;          /* callers that wait for fired */
    km_ns wake_at;               /* what the thread sleeps until; 0: awake */
    enum km_deadlines_thread state;
    pthread_t thread; /* unless the state is ABSENT */
    bool closed;
};

/* false: the system has no resources for it. */
bool km_deadlines_init(struct km_deadlines *d, const struct km_clock *clock,
                       const char *name, const void *inside_of);

/* No timer fires from now on; joins the thread. */
void km_deadlines_stop(struct km_deadlines *d);

/* After km_deadlines_stop. */
void km_deadlines_fini(struct km_deadlines *d);

/* As km_pool_arm and km_pool_disarm. */
KAMA_NODISCARD kama_status km_deadlines_arm(struct km_deadlines *d,
                                            struct km_timer *timer, km_ns at);
void km_deadlines_disarm(struct km_deadlines *d, struct km_timer *timer);

/* Asserts that the heap, the thread and the timer that fires agree. Returns the
 * number of armed timers. For tests: O(timers), under the lock. */
size_t km_deadlines_check(struct km_deadlines *d);

/* Threads alive: 0 or 1. */
unsigned km_deadlines_threads(struct km_deadlines *d);
