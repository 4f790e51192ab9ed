/* SPDX-License-Identifier: MIT */
#include "twins.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

/* More than any store needs for an item beside its payload, so that nothing is
 * evicted. */
#define ITEM_ROOM 300u
#define GROUP_ROOM (64u << 20)

static void fill(struct bench_twins *twins,
                 const struct bench_twins_shape *shape)
{
    uint8_t key[BENCH_KEY_BYTES];
    uint8_t *value = malloc(shape->value_bytes);
    KM_ASSERT(value != NULL);
    for (unsigned i = 0; i < shape->items; i++) {
        memset(value, (int)(i & 0xff), shape->value_bytes);
        bench_key(key, i);
        bench_limit_add(&twins->limit, key, value);
        bench_group_set(twins->ours.group, i, value, shape->value_bytes);
    }
    free(value);
}

void bench_twins_init(struct bench_twins *twins,
                      const struct bench_twins_shape *shape)
{
    uint64_t item_bytes = shape->value_bytes + ITEM_ROOM;
    bench_lookups_init(&twins->lookups, shape->items, shape->order);
    bench_limit_init(&twins->limit, &(struct bench_limit_shape){
                                        .items = shape->items,
                                        .value_bytes = shape->value_bytes,
                                        .pages = shape->pages});
    twins->ours = (struct bench_group_side){
        .group = bench_group_new(&(struct bench_group_shape){
            .max_bytes = shape->items * item_bytes + GROUP_ROOM,
            .ttl_ms = shape->ttl_ms,
            .pages = shape->pages}),
        .lookups = &twins->lookups,
        .value_bytes = shape->value_bytes};
    twins->theirs = (struct bench_limit_side){.limit = &twins->limit,
                                              .lookups = &twins->lookups};
    fill(twins, shape);
}

void bench_twins_fini(struct bench_twins *twins)
{
    kama_group_free(twins->ours.group);
    bench_limit_fini(&twins->limit);
    bench_lookups_fini(&twins->lookups);
}
