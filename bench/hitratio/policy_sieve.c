/* SPDX-License-Identifier: MIT */
/*
 * SIEVE (Zhang et al., NSDI 2024): one queue in the order of arrival. A hand
 * walks from the oldest towards the youngest. It clears the mark of keys that
 * were used, which stay where they are, and the first key without a mark
 * leaves.
 */
#include "base/mem.h"
#include "queue.h"
#include "trace.h"

struct sieve {
    struct hr_queue queue;
    bool *is_in;
    bool *is_marked;
    uint32_t hand; /* a key, or the head */
    uint64_t capacity;
};

static void init(void *cache, const struct hr_shape *shape,
                 const void *settings)
{
    struct sieve *sieve = cache;
    (void)settings;
    hr_queue_init(&sieve->queue, shape);
    sieve->is_in = hr_array(shape->keys, sizeof(bool));
    sieve->is_marked = hr_array(shape->keys, sizeof(bool));
    sieve->hand = sieve->queue.head;
    sieve->capacity = shape->capacity;
}

static void fini(void *cache)
{
    struct sieve *sieve = cache;
    hr_queue_fini(&sieve->queue);
    km_mem_free(km_mem_default(), sieve->is_in);
    km_mem_free(km_mem_default(), sieve->is_marked);
}

/* Returns the key at the hand. From the youngest it goes on to the oldest. */
static uint32_t at_hand(const struct sieve *sieve, uint32_t hand)
{
    return hand == sieve->queue.head ? hr_queue_oldest(&sieve->queue) : hand;
}

static void evict(struct sieve *sieve)
{
    uint32_t key = at_hand(sieve, sieve->hand);
    while (sieve->is_marked[key]) {
        sieve->is_marked[key] = false;
        key = at_hand(sieve, sieve->queue.next[key]);
    }
    sieve->hand = sieve->queue.next[key];
    hr_queue_remove(&sieve->queue, key);
    sieve->is_in[key] = false;
}

static bool get(void *cache, uint32_t key)
{
    struct sieve *sieve = cache;
    if (sieve->is_in[key]) {
        sieve->is_marked[key] = true;
        return true;
    }
    while (sieve->queue.bytes + sieve->queue.sizes[key] > sieve->capacity) {
        evict(sieve);
    }
    hr_queue_push(&sieve->queue, key);
    sieve->is_in[key] = true;
    sieve->is_marked[key] = false;
    return false;
}

const struct hr_policy hr_policy_sieve = {
    .name = "sieve",
    .about = "a hand passes over used keys, which stay in place",
    .bytes = sizeof(struct sieve),
    .init = init,
    .get = get,
    .fini = fini,
};
