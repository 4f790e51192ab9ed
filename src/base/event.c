/* SPDX-License-Identifier: MIT */
/*
 * The condition is signalled while the lock is held. If the lock were released
 * first, the waiting thread could see that the event is set, return, and end the
 * event before the condition is signalled:
 *
 *     thread that sets              thread that waits
 *     is_set = true, unlocks
 *                                   locks, sees is_set, returns
 *                                   km_event_fini
 *     signals a condition that does not exist any more
 */
#include "base/event.h"

#include "base/assert.h"

bool km_event_init(struct km_event *event)
{
    event->is_set = false;
    return km_mutex_init_with(&event->lock, KM_RANK_WAITER, &event->cond);
}

void km_event_fini(struct km_event *event)
{
    km_cond_fini(&event->cond);
    km_mutex_fini(&event->lock);
}

void km_event_set(struct km_event *event)
{
    km_mutex_lock(&event->lock);
    KM_ASSERT(!event->is_set);
    event->is_set = true;
    km_cond_signal(&event->cond);
    km_mutex_unlock(&event->lock);
}

void km_event_clear(struct km_event *event)
{
    event->is_set = false;
}

bool km_event_wait(struct km_event *event, km_ns span_ns)
{
    km_ns until = KM_NS_NEVER;
    bool in_time = true;
    if (span_ns != KM_NS_NEVER) {
        km_ns now = km_clock_mono(km_clock_system());
        until = span_ns < KM_NS_NEVER - now ? now + span_ns : KM_NS_NEVER;
    }
    km_mutex_lock(&event->lock);
    while (!event->is_set && in_time) {
        in_time = km_cond_wait_until(&event->cond, &event->lock, until);
    }
    bool is_set = event->is_set;
    km_mutex_unlock(&event->lock);
    return is_set;
}
