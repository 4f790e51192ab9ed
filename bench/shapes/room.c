/* SPDX-License-Identifier: MIT */
/*
 * Room in one piece among small items: 1 MiB is taken again and again from a full shape,
 * in which lookups and insertions have mixed old and young items before.
 */
#include "cases.h"
#include "store/child.h"
#include "store/turns.h"

#define ROOM_BYTES ((size_t)1 << 20)
#define TAKES_MAX 48u
/* So many lookups and insertions for each item that fits. */
#define MIXING 3u

static void mix(struct shape_stock *stock, unsigned items)
{
    struct bench_lookups lookups;
    bench_lookups_init(&lookups, items, BENCH_ZIPF);
    for (unsigned i = 0; i < items * MIXING; i++) {
        shape_stock_look(stock, bench_lookups_at(&lookups, i));
        shape_stock_set(stock, items + i);
    }
    bench_lookups_fini(&lookups);
}

/* A quarter of the bound is taken at most. */
static unsigned takes_of(uint64_t bound)
{
    uint64_t takes = bound / 4 / ROOM_BYTES;
    return takes < 1 ? 1 : takes < TAKES_MAX ? (unsigned)takes : TAKES_MAX;
}

static void run_room(void *arg)
{
    const struct shape_case *c = arg;
    const struct shape_run *run = c->run;
    uint64_t bound = shape_tight_bound(run->items);
    unsigned takes = takes_of(bound);
    double us[TAKES_MAX];
    struct shape_stock stock;
    shape_stock_init(&stock, c, bound);
    shape_stock_fill(&stock, run->items);
    mix(&stock, run->items);
    /* The first one makes the memory that the measurement itself needs. */
    stock.ops->take(stock.shape, ROOM_BYTES);
    uint64_t moved = shape_stock_count(&stock).moved;
    double resident = (double)bench_rss();
    for (unsigned i = 0; i < takes; i++) {
        uint64_t from = bench_cpu_ns();
        stock.ops->take(stock.shape, ROOM_BYTES);
        us[i] = (double)(bench_cpu_ns() - from) / 1e3;
    }
    resident = (double)bench_rss() - resident;
    moved = shape_stock_count(&stock).moved - moved;
    shape_table_put(run->table, SHAPE_ROOM_US, c->column,
                    bench_spread_of(us, takes));
    shape_table_put(run->table, SHAPE_ROOM_RESIDENT, c->column,
                    bench_spread_one(resident / takes / 1024));
    if (stock.ops != &shape_group) {
        shape_table_put(run->table, SHAPE_ROOM_MOVED, c->column,
                        bench_spread_one((double)moved / takes / 1024));
    }
    shape_stock_fini(&stock);
}

void shape_case_room(const struct shape_run *run)
{
    shape_each_column(run, run_room);
}
