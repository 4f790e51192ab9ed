/* SPDX-License-Identifier: MIT */
/*
 * The deadline thread of a pool. It sleeps until the earliest timer is due and
 * then calls its `fire`. It exists while a timer is armed, and for a while
 * after the last one.
 *
 *     struct km_deadlines d;
 *     km_deadlines_init(&d, km_clock_system(), "kama-deadlines");
 *     d.idle_ns = 10 * KM_NS_PER_S;
 *     km_deadlines_arm(&d, &call->timer, deadline);
 *     km_deadlines_disarm(&d, &call->timer);
 *     km_deadlines_stop(&d);
 *     km_deadlines_fini(&d);
 *
 * Cost: arming and disarming take one lock and one step in a heap; the thread
 * is woken only if the new timer is due before the time it sleeps until.
 * Threads: any thread may arm and disarm; init, stop and fini belong to the
 * owner. `fire` runs on the deadline thread, without the lock.
 * Errors: KAMA_ERR_THREADS if the thread cannot be started, KAMA_ERR_CLOSED
 * after km_deadlines_stop.
 * Ownership: a timer is the caller's memory. It must stay valid until it has
 * fired or was disarmed.
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
    const struct km_clock *clock; /* borrowed; the timers use its time */
    const char *name;             /* of the thread; borrowed */
    const void *inside_of;        /* the pool that the thread works for */
    km_ns idle_ns; /* the thread leaves after this long without a timer */
    struct km_mutex lock;
    struct km_cond wake;  /* there is an earlier timer, or it is closed */
    struct km_cond fired; /* `firing` has changed */
    struct km_timer_heap timers; /* the lock protects this and the rest */
    struct km_timer *firing;     /* the timer whose fire is running, or NULL */
    unsigned disarming;          /* callers that wait for `fired` */
    km_ns wake_at; /* the thread sleeps until then; 0 when awake */
    enum km_deadlines_thread state;
    pthread_t thread; /* unless the state is ABSENT */
    bool closed;
};

/* Makes deadlines without a thread. Returns false if the system has no
 * resources. */
bool km_deadlines_init(struct km_deadlines *d, const struct km_clock *clock,
                       const char *name, const void *inside_of);

/* Closes the deadlines and joins the thread. Timers that are armed stay armed,
 * but they never fire. */
void km_deadlines_stop(struct km_deadlines *d);

/* Ends the lock and the conditions. km_deadlines_stop must have been called. */
void km_deadlines_fini(struct km_deadlines *d);

/* Arms timer for the monotonic time `at`, or moves it there if it is armed. Its
 * `fire` is not called earlier, and at most a few milliseconds later. */
KAMA_NODISCARD kama_status km_deadlines_arm(struct km_deadlines *d,
                                            struct km_timer *timer, km_ns at);

/* Disarms timer, which need not be armed. When this returns, `fire` is not
 * running and will not run, so the memory of the timer may be freed. It must
 * not be called from inside `fire`, nor while the caller holds a lock that
 * `fire` takes, because it may wait for `fire` to return. */
void km_deadlines_disarm(struct km_deadlines *d, struct km_timer *timer);

/* Asserts that the heap, the thread and the timer that fires agree. Returns the
 * number of armed timers. For tests: O(timers), under the lock. */
size_t km_deadlines_check(struct km_deadlines *d);

/* Returns the number of threads that are alive, which is 0 or 1. */
unsigned km_deadlines_threads(struct km_deadlines *d);
