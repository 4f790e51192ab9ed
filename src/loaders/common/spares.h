/* SPDX-License-Identifier: MIT */
/*
 * Idle handles of a loader (connections, transfers): a load takes one, uses it
 * alone and gives it back. The last one given back is taken first, so that
 * few stay warm. There are never more handles than loads at a time.
 *
 * Threads: km_spares_take and km_spares_give any thread; the rest setup.
 * Cost: one mutex, O(1).
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct km_spares {
    pthread_mutex_t mutex;
    void **items;
    size_t count;
    size_t cap;
};

/* Room for cap idle handles. False: no memory. */
bool km_spares_init(struct km_spares *spares, size_t cap);

/* Closes what is idle and frees the room. Nothing may be taken any more. */
void km_spares_fini(struct km_spares *spares, void (*close)(void *item));

/* An idle handle, now the caller's; NULL: there is none, make one. */
void *km_spares_take(struct km_spares *spares);

/* Takes item. False: there is no room, the caller closes it. */
bool km_spares_give(struct km_spares *spares, void *item);
