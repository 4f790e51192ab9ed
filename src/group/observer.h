/* SPDX-License-Identifier: MIT */
/*
 * The observer of a group hears of its events. A group returns errors and logs
 * nothing; its node observes it, and logs.
 *
 * There are two functions. `failed` is called for every load that has failed for
 * its callers. `trace` is called for each step of each get, so that somebody can
 * follow one key. It is NULL unless somebody does, and then a get costs one test
 * of a pointer more.
 *
 *     get  key "tom"   not in memory: starts a load
 *     load key "tom"   the loader is called
 *     load key "tom"   the load ended with KAMA_OK after 12 ms
 *     get  key "tom"   answered with KAMA_OK after 12 ms
 *
 * Threads: the functions run on any thread, without a lock held, and must not call
 * the group. Errors: none. Ownership: the group borrows the observer, which must
 * live as long as the group's pool; an event is borrowed until the function
 * returns.
 */
#pragma once

#include "base/clock.h"

#include <kamacache/kamacache.h>

/* One event. All members are borrowed until the function returns. */
struct km_group_event {
    const char *name;    /* "get", "load", "load_failed"; static */
    const char *message; /* one sentence with group and key, NUL-terminated */
    const char *group;
    kama_bytes key;
    kama_status status; /* of "load_failed", and of a get or load that ended */
    km_ns took_ns;      /* the duration of a get or load that ended, or 0 */
};

/* The functions of an observer. Only trace may be NULL. */

struct km_group_observer {
    void (*failed)(void *arg, const struct km_group_event *event);
    void (*trace)(void *arg, const struct km_group_event *event);
    void *arg;
};
