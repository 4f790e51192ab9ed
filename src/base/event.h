/* SPDX-License-Identifier: MIT */
/*
 * An event that happens once: one thread waits for it and another one sets it.
 *
 *     struct km_event event;                another thread:
 *     km_event_init(&event)
 *     km_event_wait(&event, span_ns)        km_event_set(&event);
 *     km_event_fini(&event);
 *
 * The thread that waits may give the event up as soon as km_event_wait has
 * returned true: the one that sets it has nothing left to do with it then.
 * Cost: a mutex and a condition. Errors: none, besides a lack of resources at the
 * start.
 */
#pragma once

#include "base/sync.h"

struct km_event {
    struct km_mutex lock;
    struct km_cond cond;
    bool is_set;
};

/* Returns false when the system has no resources for it. */
bool km_event_init(struct km_event *event);
void km_event_fini(struct km_event *event);

void km_event_set(struct km_event *event);

/* Waits until the event is set; false when span_ns (KM_NS_NEVER: for ever) has
 * passed before. */
bool km_event_wait(struct km_event *event, km_ns span_ns);
