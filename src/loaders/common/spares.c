/* SPDX-License-Identifier: MIT */
/* A stack of idle handles under a mutex. Its oldest handle can be taken as
 * well. */
#include "spares.h"

#include "call.h"

#include <stdlib.h>
#include <string.h>

bool km_spares_init(struct km_spares *spares, size_t cap)
{
    struct km_spare *items = calloc(cap > 0 ? cap : 1, sizeof *items);
    if (items == NULL) {
        return false;
    }
    if (pthread_mutex_init(&spares->lock, NULL) != 0) {
        free(items);
        return false;
    }
    spares->items = items;
    spares->count = 0;
    spares->cap = cap;
    return true;
}

/* No load is running, so that the lock is not necessary. */
void km_spares_fini(struct km_spares *spares, void (*close)(void *item))
{
    while (spares->count > 0) {
        close(spares->items[--spares->count].item);
    }
    free(spares->items);
    spares->items = NULL;
    pthread_mutex_destroy(&spares->lock);
}

/* The handle that was given back last is the one whose connection is most
 * likely still open. */
void *km_spares_take(struct km_spares *spares)
{
    void *item = NULL;
    pthread_mutex_lock(&spares->lock);
    if (spares->count > 0) {
        item = spares->items[--spares->count].item;
    }
    pthread_mutex_unlock(&spares->lock);
    return item;
}

bool km_spares_give(struct km_spares *spares, void *item)
{
    bool room = false;
    struct km_spare spare = {.item = item, .since_ms = km_load_call_now_ms()};
    pthread_mutex_lock(&spares->lock);
    if (spares->count < spares->cap) {
        spares->items[spares->count++] = spare;
        room = true;
    }
    pthread_mutex_unlock(&spares->lock);
    return room;
}

/* The first handle has been idle the longest. The others move down, of which
 * there are few. */
void *km_spares_take_idle(struct km_spares *spares, int64_t before_ms)
{
    void *item = NULL;
    pthread_mutex_lock(&spares->lock);
    if (spares->count > 0 && spares->items[0].since_ms < before_ms) {
        item = spares->items[0].item;
        spares->count--;
        memmove(spares->items, spares->items + 1,
                spares->count * sizeof *spares->items);
    }
    pthread_mutex_unlock(&spares->lock);
    return item;
}
