/* SPDX-License-Identifier: MIT */
/*
 * One thread sleeps until the earliest timer is due.
 *
 * The function of a timer runs without the lock, because it takes locks of its
 * own. Meanwhile `firing` names the timer, and a caller that disarms it waits
 * until `firing` has changed:
 *
 *     deadline thread               a caller
 *     pops t, firing = t
 *     unlocks, calls t->fire
 *                                   disarm(t): t is not in the heap, but it is
 *                                   firing, so the caller waits for `fired`
 *     locks, firing = NULL
 *     broadcasts `fired`
 *                                   returns, and may free t
 */
#include "base/deadline.h"

#include "base/assert.h"
#include "base/status.h"
#include "base/thread.h"

bool km_deadlines_init(struct km_deadlines *d, const struct km_clock *clock,
                       const char *name, const void *inside_of)
{
    memset(d, 0, sizeof *d);
    d->clock = clock;
    d->name = name;
    d->inside_of = inside_of;
    if (!km_mutex_init(&d->lock, KM_RANK_TIMER)) {
        return false;
    }
    if (!km_cond_init(&d->wake)) {
        goto fail_wake;
    }
    if (!km_cond_init(&d->fired)) {
        goto fail_fired;
    }
    return true;
fail_fired:
    km_cond_fini(&d->wake);
fail_wake:
    km_mutex_fini(&d->lock);
    return false;
}

void km_deadlines_fini(struct km_deadlines *d)
{
    KM_ASSERT(d->closed && d->state == KM_DEADLINES_ABSENT);
    km_cond_fini(&d->fired);
    km_cond_fini(&d->wake);
    km_mutex_fini(&d->lock);
}

/* Calls timer->fire without the lock, and takes the lock again. */
static void fire_locked(struct km_deadlines *d, struct km_timer *timer)
{
    KM_ASSERT_HELD(&d->lock);
    d->firing = timer;
    km_mutex_unlock(&d->lock);
    timer->fire(timer); /* the timer's memory may be gone after this */
    km_mutex_lock(&d->lock);
    d->firing = NULL;
    if (d->disarming > 0) {
        km_cond_broadcast(&d->fired);
    }
}

/* Sleeps for the given span, which is measured on the machine's clock,
 * whichever clock the timers use. Returns false when the span has passed. */
static bool sleep_locked(struct km_deadlines *d, km_ns until, km_ns span)
{
    KM_ASSERT_HELD(&d->lock);
    km_ns now = km_clock_mono(km_clock_system());
    d->wake_at = until;
    bool woken = km_cond_wait_until(&d->wake, &d->lock, now + span);
    d->wake_at = 0;
    return woken;
}

/* Sleeps until a timer may be due. Returns false when the thread has had no
 * timer for idle_ns and shall leave. */
static bool rest_locked(struct km_deadlines *d, km_ns now)
{
    KM_ASSERT_HELD(&d->lock);
    km_ns next = km_timer_heap_next(&d->timers);
    if (next != KM_NS_NEVER) {
        (void)sleep_locked(d, next, next > now ? next - now : 0);
        return true;
    }
    return sleep_locked(d, KM_NS_NEVER, d->idle_ns) ||
           km_timer_heap_next(&d->timers) != KM_NS_NEVER;
}

static void *run_deadlines(void *arg)
{
    struct km_deadlines *d = arg;
    bool stays = true;
    struct km_thread_frame frame;
    km_thread_enter(&frame, d->inside_of);
    km_mutex_lock(&d->lock);
    while (stays && !d->closed) {
        km_ns now = km_clock_mono(d->clock);
        struct km_timer *timer = km_timer_heap_pop(&d->timers, now);
        if (timer != NULL) {
            fire_locked(d, timer);
        } else {
            stays = rest_locked(d, now);
        }
    }
    d->state = KM_DEADLINES_LEFT;
    km_mutex_unlock(&d->lock);
    km_thread_leave(&frame);
    return NULL;
}

/* Sees to it that the thread runs. Returns false if it cannot be started. A
 * thread that has left takes the lock no more, so that joining it while the
 * lock is held does not wait. */
static bool start_locked(struct km_deadlines *d)
{
    KM_ASSERT_HELD(&d->lock);
    if (d->state == KM_DEADLINES_RUNNING) {
        return true;
    }
    if (d->state == KM_DEADLINES_LEFT) {
        km_thread_join(d->thread);
    }
    bool started = km_thread_start(&d->thread, d->name, run_deadlines, d);
    d->state = started ? KM_DEADLINES_RUNNING : KM_DEADLINES_ABSENT;
    return started;
}

static kama_status arm_locked(struct km_deadlines *d, struct km_timer *timer,
                              km_ns at)
{
    KM_ASSERT_HELD(&d->lock);
    if (d->closed) {
        return km_fail(KAMA_ERR_CLOSED, "the pool is closed");
    }
    if (!start_locked(d)) {
        return km_fail(KAMA_ERR_THREADS, "cannot start the deadline thread");
    }
    km_timer_heap_remove(&d->timers, timer);
    km_timer_heap_add(&d->timers, timer, at);
    if (at < d->wake_at) {
        km_cond_signal(&d->wake);
    }
    return KAMA_OK;
}

kama_status km_deadlines_arm(struct km_deadlines *d, struct km_timer *timer,
                             km_ns at)
{
    km_mutex_lock(&d->lock);
    kama_status status = arm_locked(d, timer, at);
    km_mutex_unlock(&d->lock);
    return status;
}

void km_deadlines_disarm(struct km_deadlines *d, struct km_timer *timer)
{
    km_mutex_lock(&d->lock);
    km_timer_heap_remove(&d->timers, timer);
    while (d->firing == timer) {
        KM_ASSERT(!pthread_equal(d->thread, pthread_self()));
        d->disarming++;
        km_cond_wait(&d->fired, &d->lock);
        d->disarming--;
        /* fire may have armed it again */
        km_timer_heap_remove(&d->timers, timer);
    }
    km_mutex_unlock(&d->lock);
}

void km_deadlines_stop(struct km_deadlines *d)
{
    km_mutex_lock(&d->lock);
    d->closed = true;
    bool started = d->state != KM_DEADLINES_ABSENT;
    km_cond_signal(&d->wake);
    km_mutex_unlock(&d->lock);
    if (started) {
        km_thread_join(d->thread);
    }
    km_mutex_lock(&d->lock);
    d->state = KM_DEADLINES_ABSENT;
    km_mutex_unlock(&d->lock);
}

size_t km_deadlines_check(struct km_deadlines *d)
{
    km_mutex_lock(&d->lock);
    size_t armed = km_timer_heap_check(&d->timers);
    bool running = d->state == KM_DEADLINES_RUNNING;
    KM_ASSERT(running || (d->firing == NULL && d->wake_at == 0));
    KM_ASSERT(armed == 0 || running || d->closed);
    KM_ASSERT(d->wake_at == 0 || d->firing == NULL);
    km_mutex_unlock(&d->lock);
    return armed;
}

unsigned km_deadlines_threads(struct km_deadlines *d)
{
    km_mutex_lock(&d->lock);
    unsigned threads = d->state == KM_DEADLINES_RUNNING ? 1 : 0;
    km_mutex_unlock(&d->lock);
    return threads;
}
