/* SPDX-License-Identifier: MIT */
/*
 * 95 gets and 5 sets of a hundred, on two threads: beside the sequence-checked
 * limit loop, and beside the cache that programs write for themselves, with one
 * mutex and with 64 of them.
 */
#include "lru.h"
#include "rows.h"
#include "twins.h"

#include <string.h>

#define ITEMS 1000000u
#define VALUE_BYTES 100u
#define SHARDS 64u

struct mixed {
    const struct bench_run *run;
    struct bench_twins_shape shape;
};

/* The sides. Ours is the first one. */
enum { OURS, CHECKED, ONE_MUTEX, SHARDED, SIDE_COUNT };

struct other {
    const char *name;
    struct bench_bar bar;
    bool
        inverse; /* the ratio says how many times as long the other side takes */
};

static const struct other others[SIDE_COUNT] = {
    [CHECKED] = {"sequence-checked limit loop", {BENCH_AT_MOST, 2, 0}, false},
    [ONE_MUTEX] = {"hash table + LRU, one mutex", {BENCH_AT_LEAST, 3, 0}, true},
    [SHARDED] = {"hash table + LRU, 64 shards", {BENCH_AT_LEAST, 1.5, 0}, true},
};

static void report_other(const struct mixed *mixed,
                         const struct bench_turns *turns, unsigned side)
{
    const struct other *other = &others[side];
    const double *ours = turns->wall[OURS], *theirs = turns->wall[side];
    struct bench_line line = {.unit = "ns/op",
                              .name = "kama_get_copy, kama_set",
                              .judged = BENCH_BY_RATIO,
                              .bar = other->bar};
    (void)snprintf(line.what, sizeof line.what,
                   "95/5, two threads, %u items of %u+%u B, %s%s",
                   mixed->shape.items, BENCH_KEY_BYTES, VALUE_BYTES,
                   bench_order_name(mixed->shape.order),
                   other->inverse ? ", how many times faster" : "");
    (void)snprintf(line.beside, sizeof line.beside, "%s", other->name);
    line.ratio = other->inverse
                     ? bench_spread_ratio(theirs, ours, turns->rounds)
                     : bench_spread_ratio(ours, theirs, turns->rounds);
    line.value = bench_spread_of(ours, turns->rounds);
    line.other = bench_spread_of(theirs, turns->rounds);
    bench_report_add(mixed->run->report, &line);
}

static struct bench_lru *open_lru(const struct bench_twins_shape *shape,
                                  unsigned shards)
{
    uint8_t key[BENCH_KEY_BYTES], value[VALUE_BYTES];
    struct bench_lru *lru = bench_lru_new(shape->items, VALUE_BYTES, shards);
    for (unsigned i = 0; i < shape->items; i++) {
        memset(value, (int)(i & 0xff), sizeof value);
        bench_key(key, i);
        bench_lru_set(lru, key, value);
    }
    return lru;
}

static void run_mixed(void *arg)
{
    struct mixed *mixed = arg;
    struct bench_twins twins;
    bench_twins_init(&twins, &mixed->shape);
    struct bench_lru_side one = {open_lru(&mixed->shape, 1), &twins.lookups};
    struct bench_lru_side many = {open_lru(&mixed->shape, SHARDS),
                                  &twins.lookups};
    const struct bench_side sides[SIDE_COUNT] = {
        [OURS] = {"ours", bench_group_mixed, &twins.ours},
        [CHECKED] = {"checked", bench_limit_mixed, &twins.theirs},
        [ONE_MUTEX] = {"one mutex", bench_lru_mixed, &one},
        [SHARDED] = {"sharded", bench_lru_mixed, &many},
    };
    struct bench_turns turns = {.sides = sides,
                                .side_count = SIDE_COUNT,
                                .threads = 2,
                                .rounds = mixed->run->pairs};
    bench_turns_run(&turns);
    for (unsigned side = CHECKED; side < SIDE_COUNT; side++) {
        report_other(mixed, &turns, side);
    }
    bench_turns_fini(&turns);
    bench_lru_free(one.lru);
    bench_lru_free(many.lru);
    bench_twins_fini(&twins);
}

void bench_row_mixed(const struct bench_run *run)
{
    for (enum bench_order order = BENCH_ZIPF; order <= BENCH_UNIFORM; order++) {
        struct mixed mixed = {.run = run,
                              .shape = {.items = bench_items(run, ITEMS),
                                        .value_bytes = VALUE_BYTES,
                                        .order = order,
                                        .pages = BENCH_PAGES_SMALL}};
        bench_case(run, "95/5, two threads", run_mixed, &mixed);
    }
}
