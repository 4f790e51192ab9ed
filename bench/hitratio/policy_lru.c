/* SPDX-License-Identifier: MIT */
/* FIFO and LRU: one queue, which a hit leaves alone or renews. */
#include "base/mem.h"
#include "queue.h"
#include "trace.h"

struct lru {
    struct hr_queue queue;
    bool *is_in;
    uint64_t capacity;
    bool renews;
};

struct settings {
    bool renews;
};

static void init(void *cache, const struct hr_shape *shape,
                 const void *settings)
{
    struct lru *lru = cache;
    hr_queue_init(&lru->queue, shape);
    lru->is_in = hr_array(shape->keys, sizeof(bool));
    lru->capacity = shape->capacity;
    lru->renews = ((const struct settings *)settings)->renews;
}

static void fini(void *cache)
{
    struct lru *lru = cache;
    hr_queue_fini(&lru->queue);
    km_mem_free(km_mem_default(), lru->is_in);
}

static bool get(void *cache, uint32_t key)
{
    struct lru *lru = cache;
    if (lru->is_in[key]) {
        if (lru->renews) {
            hr_queue_renew(&lru->queue, key);
        }
        return true;
    }
    while (lru->queue.bytes + lru->queue.sizes[key] > lru->capacity) {
        lru->is_in[hr_queue_pop(&lru->queue)] = false;
    }
    hr_queue_push(&lru->queue, key);
    lru->is_in[key] = true;
    return false;
}

static const struct settings fifo_settings = {.renews = false};
static const struct settings lru_settings = {.renews = true};

const struct hr_policy hr_policy_fifo = {
    .name = "fifo",
    .about = "the oldest leaves",
    .bytes = sizeof(struct lru),
    .settings = &fifo_settings,
    .init = init,
    .get = get,
    .fini = fini,
};

const struct hr_policy hr_policy_lru = {
    .name = "lru",
    .about = "the least recently used leaves",
    .bytes = sizeof(struct lru),
    .settings = &lru_settings,
    .init = init,
    .get = get,
    .fini = fini,
};
