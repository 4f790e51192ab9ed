/* SPDX-License-Identifier: MIT */
/*
 * An event that happens once: one thread waits for it and another one sets it.
 *
 *     struct km_event event;                another thread:
 *     km_event_init(&event);
 *     km_event_wait(&event, span_ns);       km_event_set(&event);
 *     km_event_fini(&event);
 *
 *     unset --km_event_set--> set --km_event_clear--> unset
 *
 * The event usually lives on the stack of the thread that waits. That thread may
 * end it as soon as km_event_wait has returned true, because the thread that has
 * set it does not touch it any more.
 *
 * Cost: a mutex and a condition. Threads: one thread waits and one thread sets;
 * init, clear and fini belong to the owner. Errors: only init can fail, when the
 * system has no resources. Ownership: the event is the caller's memory.
 */
#pragma once

#include "base/sync.h"

struct km_event {
    struct km_mutex lock;
    struct km_cond cond;
    bool is_set;
};

/* Makes an event that is not set. Returns false if the system has no resources
 * for it. */
bool km_event_init(struct km_event *event);

/* Ends an event that no thread waits for. */
void km_event_fini(struct km_event *event);

/* Sets the event, which is not set, and wakes the thread that waits for it. */
void km_event_set(struct km_event *event);

/* Makes the event usable again after it was set. No other thread may use it at
 * the same time. */
void km_event_clear(struct km_event *event);

/* Waits until the event is set and returns true, or returns false after span_ns.
 * KM_NS_NEVER sets no limit. */
bool km_event_wait(struct km_event *event, km_ns span_ns);
