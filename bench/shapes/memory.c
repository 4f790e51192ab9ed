/* SPDX-License-Identifier: MIT */
/*
 * The memory of a shape: after every key was set once, after all were overwritten twice
 * in random order, and after as many sets of random keys at a bound that has no room for
 * all of them. At the bound, keys of one order would tell nothing: the queue would hold
 * the youngest part of it, in which no key was overwritten.
 */
#include "cases.h"
#include "store/child.h"
#include "store/turns.h"

#include <stdlib.h>

struct memory {
    const struct shape_case *c;
    struct shape_stock stock;
    uint32_t *order;
    uint64_t base; /* memory that was resident before the shape was opened */
};

static void put(const struct memory *m, enum shape_figure figure, double value)
{
    shape_table_put(m->c->run->table, figure, m->c->column,
                    bench_spread_one(value));
}

static double over_payload(const struct memory *m)
{
    struct shape_counts counts = shape_stock_count(&m->stock);
    double over = (double)(bench_rss() - m->base) - (double)counts.payload;
    return over / (double)counts.entries;
}

/* Everything that the measurement itself needs is resident before the shape is
 * opened. */
static void begin(struct memory *m, const struct shape_case *c,
                  uint64_t max_bytes)
{
    *m = (struct memory){.c = c, .order = bench_numbers(c->run->items)};
    m->base = bench_rss();
    shape_stock_init(&m->stock, c, max_bytes);
    shape_stock_fill(&m->stock, c->run->items);
}

static void end(struct memory *m)
{
    shape_stock_fini(&m->stock);
    free(m->order);
}

static void overwrite(struct memory *m)
{
    bench_shuffle(m->order, m->c->run->items, &m->stock.random);
    for (unsigned i = 0; i < m->c->run->items; i++) {
        shape_stock_set(&m->stock, m->order[i]);
    }
}

/* The first time, the holes come; the second time is measured. */
static void overwrite_twice(struct memory *m)
{
    overwrite(m);
    uint64_t moved = shape_stock_count(&m->stock).moved;
    uint64_t written = m->stock.written;
    uint64_t from = bench_cpu_ns();
    overwrite(m);
    double ns = (double)(bench_cpu_ns() - from);
    moved = shape_stock_count(&m->stock).moved - moved;
    put(m, SHAPE_OVERWRITE_NS, ns / m->c->run->items);
    if (m->stock.ops != &shape_group) {
        put(m, SHAPE_OVERWRITE_MOVED,
            (double)moved / (double)(m->stock.written - written));
    }
}

static void run_roomy(void *arg)
{
    struct memory m;
    begin(&m, arg, 0);
    put(&m, SHAPE_FRESH, over_payload(&m));
    overwrite_twice(&m);
    put(&m, SHAPE_CHURNED, over_payload(&m));
    end(&m);
}

static void set_random_keys(struct memory *m, unsigned sets)
{
    for (unsigned i = 0; i < sets; i++) {
        unsigned key =
            (unsigned)(bench_random(&m->stock.random) % m->c->run->items);
        shape_stock_set(&m->stock, key);
    }
}

static void run_bound(void *arg)
{
    const struct shape_case *c = arg;
    double bound = (double)shape_tight_bound(c->run->items);
    struct memory m;
    begin(&m, c, shape_tight_bound(c->run->items));
    set_random_keys(&m, c->run->items * 2);
    double payload = (double)shape_stock_count(&m.stock).payload;
    put(&m, SHAPE_BOUND, over_payload(&m));
    put(&m, SHAPE_BOUND_LIVE, payload * 100 / bound);
    put(&m, SHAPE_BOUND_RESIDENT, (double)(bench_rss() - m.base) * 100 / bound);
    end(&m);
}

void shape_case_memory(const struct shape_run *run)
{
    shape_each_column(run, run_roomy);
    shape_each_column(run, run_bound);
}
