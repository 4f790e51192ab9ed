/* SPDX-License-Identifier: MIT */
/*
 * A whole group, through the public API: with shards, locks, expiry, two queues and the
 * account of everything that a caller can hold. It shows what the product adds to its
 * model, which is the log.
 */
#include "base/assert.h"
#include "shape.h"
#include "store/group.h"

#include <stdlib.h>
#include <string.h>

#define OUT_BYTES 256u
/* Keys of the room that is taken have this number and larger ones. */
#define TAKEN_KEYS 4000000000u

struct whole {
    kama_group *group;
    void *room;
    size_t room_bytes;
    unsigned taken_count;
};

static void *whole_open(const struct shape_options *options)
{
    struct whole *whole = calloc(1, sizeof *whole);
    KM_ASSERT(whole != NULL);
    whole->group = bench_group_new(&(struct bench_group_shape){
        .max_bytes = options->max_bytes, .pages = BENCH_PAGES_SMALL});
    return whole;
}

static void whole_close(void *shape)
{
    struct whole *whole = shape;
    kama_group_free(whole->group);
    free(whole->room);
    free(whole);
}

static size_t whole_get(void *shape, const uint8_t *key, uint8_t *out)
{
    struct whole *whole = shape;
    size_t len = 0;
    kama_status status =
        kama_get_copy(whole->group, KAMA_BYTES(key, BENCH_KEY_BYTES), NULL, out,
                      OUT_BYTES, &len);
    return status == KAMA_OK ? len : 0;
}

static void whole_set(void *shape, const struct shape_item *item)
{
    struct whole *whole = shape;
    kama_status status =
        kama_set(whole->group, KAMA_BYTES(item->key, BENCH_KEY_BYTES),
                 KAMA_BYTES(item->value, item->value_bytes), NULL);
    KM_ASSERT(status == KAMA_OK);
}

/* The value that is copied there is made by the first call. */
static void whole_take(void *shape, size_t bytes)
{
    struct whole *whole = shape;
    if (whole->room_bytes != bytes) {
        free(whole->room);
        whole->room = malloc(bytes);
        KM_ASSERT(whole->room != NULL);
        memset(whole->room, 1, bytes);
        whole->room_bytes = bytes;
    }
    bench_group_set(whole->group, TAKEN_KEYS + whole->taken_count++,
                    whole->room, bytes);
}

static void whole_count(void *shape, struct shape_counts *ret)
{
    struct whole *whole = shape;
    kama_group_stats stats;
    kama_group_stats_get(whole->group, &stats);
    *ret = (struct shape_counts){.entries = stats.entries,
                                 .payload = stats.value_bytes,
                                 .used = stats.bytes};
}

const struct shape_ops shape_group = {.name = "group",
                                      .open = whole_open,
                                      .close = whole_close,
                                      .get = whole_get,
                                      .set = whole_set,
                                      .take = whole_take,
                                      .count = whole_count};
