/* SPDX-License-Identifier: MIT */
/*
 * The idle handles of a loader, such as connections. A load takes one, uses it
 * alone and gives it back.
 *
 *     struct conn *conn = km_spares_take(&spares);
 *     if (conn == NULL) {
 *         conn = conn_new();
 *     }
 *     ...
 *     if (!km_spares_give(&spares, conn)) {
 *         conn_free(conn);
 *     }
 *
 *     items   | longest idle | ... | given back last |      take and give work
 *               ^ take_idle                       ^ take    at the right end
 *
 * The handle that was given back last is taken first, so that a few handles
 * stay in use and the others can be closed after a while. There are never more
 * handles than loads at a time.
 *
 * Cost: one mutex and O(1); km_spares_take_idle moves the other handles.
 * Threads: any; init and fini belong to the owner of the loader.
 * Errors: as results. Ownership: an idle handle belongs to the spares, and a
 * handle that was taken to its load.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct km_spare {
    void *item;
    int64_t since_ms; /* when it was given back (km_load_call_now_ms) */
};

struct km_spares {
    pthread_mutex_t lock;
    struct km_spare *items; /* the longest idle first */
    size_t count;
    size_t cap;
};

/* Makes room for cap idle handles. Returns false without memory. */
bool km_spares_init(struct km_spares *spares, size_t cap);

/* Closes the idle handles and frees the room. All handles must have been given
 * back. */
void km_spares_fini(struct km_spares *spares, void (*close)(void *item));

/* Returns an idle handle, which is the caller's now. Returns NULL if there is
 * none; the caller then makes one. */
void *km_spares_take(struct km_spares *spares);

/* Gives a handle back. Returns false if there is no room; the handle is still
 * the caller's then, who closes it. */
bool km_spares_give(struct km_spares *spares, void *item);

/* Returns the handle that has been idle the longest, which is the caller's now,
 * if it was given back before before_ms. Returns NULL otherwise. */
void *km_spares_take_idle(struct km_spares *spares, int64_t before_ms);
