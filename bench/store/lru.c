/* SPDX-License-Identifier: MIT */
#include "lru.h"

#include "base/assert.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct item {
    struct item *chain;
    struct item *older, *newer;
    uint8_t key[BENCH_KEY_BYTES];
    uint8_t value[];
};

struct shard {
    pthread_mutex_t lock;
    struct item **heads;
    uint64_t mask;
    struct item *newest, *oldest;
    unsigned count, room;
} __attribute__((aligned(64)));

struct bench_lru {
    size_t value_bytes;
    unsigned shard_count;
    struct shard shards[];
};

static void shard_init(struct shard *shard, unsigned room)
{
    uint64_t heads = 1;
    while (heads < room) {
        heads *= 2;
    }
    shard->mask = heads - 1;
    shard->room = room;
    shard->heads = calloc(heads, sizeof *shard->heads);
    KM_ASSERT(shard->heads != NULL);
    (void)pthread_mutex_init(&shard->lock, NULL);
}

struct bench_lru *bench_lru_new(unsigned items, size_t value_bytes,
                                unsigned shards)
{
    size_t bytes = sizeof(struct bench_lru) + shards * sizeof(struct shard);
    struct bench_lru *lru = aligned_alloc(64, (bytes + 63) / 64 * 64);
    KM_ASSERT(lru != NULL);
    memset(lru, 0, bytes);
    lru->value_bytes = value_bytes;
    lru->shard_count = shards;
    for (unsigned i = 0; i < shards; i++) {
        /* Hashes do not fill all shards alike. */
        unsigned room = items / shards;
        shard_init(&lru->shards[i], shards == 1 ? room : room + room / 8 + 8);
    }
    return lru;
}

void bench_lru_free(struct bench_lru *lru)
{
    for (unsigned i = 0; i < lru->shard_count; i++) {
        struct shard *shard = &lru->shards[i];
        while (shard->newest != NULL) {
            struct item *item = shard->newest;
            shard->newest = item->older;
            free(item);
        }
        free(shard->heads);
        (void)pthread_mutex_destroy(&shard->lock);
    }
    free(lru);
}

/* -- under the lock ------------------------------------------------------------ */

static void list_remove(struct shard *shard, struct item *item)
{
    *(item->newer != NULL ? &item->newer->older : &shard->newest) = item->older;
    *(item->older != NULL ? &item->older->newer : &shard->oldest) = item->newer;
}

static void list_push(struct shard *shard, struct item *item)
{
    item->newer = NULL;
    item->older = shard->newest;
    *(item->older != NULL ? &item->older->newer : &shard->oldest) = item;
    shard->newest = item;
}

/* Returns the item of the key as the newest one, or NULL. */
static struct item *use(struct shard *shard, uint64_t hash, const uint8_t *key)
{
    struct item *item = shard->heads[hash & shard->mask];
    while (item != NULL && memcmp(item->key, key, BENCH_KEY_BYTES) != 0) {
        item = item->chain;
    }
    if (item != NULL && item != shard->newest) {
        list_remove(shard, item);
        list_push(shard, item);
    }
    return item;
}

/* Takes the item out of its chain and of the list. */
static void unlink_item(struct shard *shard, uint64_t hash, struct item *item)
{
    struct item **at = &shard->heads[hash & shard->mask];
    while (*at != item) {
        at = &(*at)->chain;
    }
    *at = item->chain;
    list_remove(shard, item);
    shard->count--;
}

static uint64_t hash_of(const uint8_t *key)
{
    return XXH3_64bits_withSeed(key, BENCH_KEY_BYTES, 1);
}

static void link_item(struct shard *shard, uint64_t hash, struct item *item)
{
    item->chain = shard->heads[hash & shard->mask];
    shard->heads[hash & shard->mask] = item;
    list_push(shard, item);
    shard->count++;
}

/* Puts the item in the place of the one with its key, or of the oldest one if
 * the shard is full. Returns the item that was taken out, or NULL. */
static struct item *put(struct shard *shard, uint64_t hash, struct item *item)
{
    struct item *old = use(shard, hash, item->key);
    if (old == NULL && shard->count == shard->room) {
        old = shard->oldest;
    }
    if (old != NULL) {
        unlink_item(shard, hash_of(old->key), old);
    }
    link_item(shard, hash, item);
    return old;
}

/* -- any thread ---------------------------------------------------------------- */

static struct shard *shard_of(struct bench_lru *lru, uint64_t hash)
{
    return &lru->shards[hash >> 40 & (lru->shard_count - 1)];
}

size_t bench_lru_get(struct bench_lru *lru, const uint8_t *key, uint8_t *out)
{
    uint64_t hash = hash_of(key);
    struct shard *shard = shard_of(lru, hash);
    (void)pthread_mutex_lock(&shard->lock);
    const struct item *item = use(shard, hash, key);
    if (item != NULL) {
        memcpy(out, item->value, lru->value_bytes);
    }
    (void)pthread_mutex_unlock(&shard->lock);
    return item != NULL ? lru->value_bytes : 0;
}

void bench_lru_set(struct bench_lru *lru, const uint8_t *key,
                   const uint8_t *value)
{
    uint64_t hash = hash_of(key);
    struct shard *shard = shard_of(lru, hash);
    struct item *item = malloc(sizeof *item + lru->value_bytes);
    KM_ASSERT(item != NULL);
    memcpy(item->key, key, BENCH_KEY_BYTES);
    memcpy(item->value, value, lru->value_bytes);
    (void)pthread_mutex_lock(&shard->lock);
    struct item *old = put(shard, hash, item);
    (void)pthread_mutex_unlock(&shard->lock);
    free(old);
}

uint64_t bench_lru_mixed(void *arg, const struct bench_turn *turn)
{
    const struct bench_lru_side *side = arg;
    size_t middle = side->lru->value_bytes / 2;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < turn->count; i++) {
        const uint8_t *key = bench_lookups_at(side->lookups, turn->from + i);
        if (i % BENCH_WRITE_EVERY == 0) {
            bench_lru_set(side->lru, key, turn->out);
        } else {
            sum += bench_lru_get(side->lru, key, turn->out);
            sum += turn->out[middle];
        }
    }
    return sum;
}
