/* SPDX-License-Identifier: MIT */
/*
 * Idle handles of a loader (connections, transfers): a load takes one, uses it
 * alone and gives it back. The last one given back is taken first, so that
 * few stay warm, and the others can be closed after a while. There are never
 * more handles than loads at a time.
 *
 * Threads: km_spares_init and km_spares_fini setup; the rest any thread.
 * Cost: one mutex, O(1); km_spares_take_idle moves the others when it takes one.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct km_spare {
    void *item;
    int64_t since_ms; /* when it was given back, by km_load_call_now_ms */
};

struct km_spares {
    pthread_mutex_t lock;
    struct km_spare *items; /* the longest idle first */
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

/* The handle that has been idle the longest, now the caller's, if it was given
 * back before before_ms; else NULL. */
void *km_spares_take_idle(struct km_spares *spares, int64_t before_ms);
