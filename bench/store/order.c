/* SPDX-License-Identifier: MIT */
/*
 * The order in which a full group gives entries up: those that were cleared or
 * have expired must go before any that a get would find.
 */
#include "base/assert.h"
#include "expiring.h"
#include "group.h"
#include "rows.h"

#include <stdlib.h>

#define MAX_BYTES ((uint64_t)256 << 20)
#define SMALL_ITEMS 1350000u
#define SMALL_BYTES 100u
/* Keys of the new values begin here. */
#define NEW_KEYS 100000000u

/* The old entries of the group, and the new ones that need their room. */
struct order {
    const struct bench_run *run;
    const char *what;
    enum { OLD_CLEARED, OLD_EXPIRED } old;
    unsigned values;
    size_t value_bytes;
};

static void make_cleared(kama_group *group)
{
    const uint8_t value[SMALL_BYTES] = {1};
    for (unsigned i = 0; i < SMALL_ITEMS; i++) {
        bench_group_set(group, i, value, sizeof value);
    }
    kama_status status = kama_group_clear(group);
    KM_ASSERT(status == KAMA_OK);
}

static void make_old(const struct order *order, kama_group *group)
{
    if (order->old == OLD_CLEARED) {
        make_cleared(group);
    } else {
        bench_wait_expired(
            bench_fill_expiring(group, SMALL_ITEMS, SMALL_BYTES));
    }
}

static unsigned count_live(const struct order *order, kama_group *group)
{
    unsigned live = 0;
    for (unsigned i = 0; i < order->values; i++) {
        uint8_t key[BENCH_KEY_BYTES];
        bench_key(key, NEW_KEYS + i);
        live +=
            kama_exists(group, KAMA_BYTES(key, sizeof key), NULL) == KAMA_OK;
    }
    return live;
}

static void run_order(void *arg)
{
    const struct order *order = arg;
    struct bench_line line = {.unit = "values",
                              .name = "live afterwards",
                              .judged = BENCH_BY_VALUE,
                              .bar = {BENCH_AT_LEAST, order->values, 0}};
    void *value = calloc(1, order->value_bytes);
    KM_ASSERT(value != NULL);
    kama_group *group =
        bench_group_new(&(struct bench_group_shape){.max_bytes = MAX_BYTES});
    make_old(order, group);
    for (unsigned i = 0; i < order->values; i++) {
        bench_group_set(group, NEW_KEYS + i, value, order->value_bytes);
    }
    line.value = bench_spread_one(count_live(order, group));
    (void)snprintf(line.what, sizeof line.what, "%s", order->what);
    bench_report_add(order->run->report, &line);
    kama_group_free(group);
    free(value);
}

void bench_row_order(const struct bench_run *run)
{
    struct order orders[] = {
        {.run = run,
         .what = "180 sets of 1 MiB into 256 MiB full of small items that "
                 "were cleared",
         .old = OLD_CLEARED,
         .values = 180,
         .value_bytes = (size_t)1 << 20},
        {.run = run,
         .what = "3000 sets of 64 KiB into 256 MiB beside 1.35 M small items "
                 "that have expired",
         .old = OLD_EXPIRED,
         .values = 3000,
         .value_bytes = (size_t)64 << 10},
    };
    for (unsigned i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        bench_case(run, orders[i].what, run_order, &orders[i]);
    }
}
