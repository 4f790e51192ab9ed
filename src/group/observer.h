/* SPDX-License-Identifier: MIT */
/*
 * What a group tells about itself: how its node logs, because a group returns
 * errors and logs nothing.
 *
 * There are two channels. `failed` hears of every load that has failed for its
 * callers. `trace` hears of each step of each get, so that somebody can follow
 * one: it is NULL unless somebody does, and costs one test of a pointer per get
 * then.
 *
 *     get  key "tom"   not in memory: starts a load
 *     load key "tom"   the loader is called
 *     load key "tom"   the load ended with KAMA_OK after 12 ms
 *     get  key "tom"   answered with KAMA_OK after 12 ms
 *
 * Thread-safety: the functions run on any thread, without a lock held, and must
 * not call the group. Ownership: the observer is borrowed by the group, and lives
 * as long as its pool; an event is borrowed until the function returns.
 */
#pragma once

#include "base/clock.h"

#include <kamacache/kamacache.h>

struct km_group_event {
    const char *name;    /* "get", "load", "load_failed"; static */
    const char *message; /* one sentence with group and key, NUL-terminated */
    const char *group;
    kama_bytes key;
    kama_status status; /* of "load_failed", and where something has ended */
    km_ns took_ns;      /* 0: nothing has ended */
};

struct km_group_observer {
    void (*failed)(void *arg, const struct km_group_event *event);
    void (*trace)(void *arg, const struct km_group_event *event); /* or NULL */
    void *arg;
};
