/* SPDX-License-Identifier: MIT */
/*
 * The cost of operations: hits, and insertions that evict. All shapes are in one process
 * and take turns, so that they meet the same state of the machine.
 */
#include "store/turns.h"

#include "cases.h"
#include "store/child.h"

struct side {
    struct shape_stock stock;
    const struct bench_lookups *lookups;
    unsigned next; /* the number of the next new key */
};

/* All sides of a comparison. */
struct sides {
    const struct shape_run *run;
    struct side sides[SHAPE_COLUMNS];
    struct bench_lookups lookups;
};

static uint64_t run_hits(void *arg, const struct bench_turn *turn)
{
    struct side *side = arg;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < turn->count; i++) {
        const uint8_t *key = bench_lookups_at(side->lookups, turn->from + i);
        sum += side->stock.ops->get(side->stock.shape, key, turn->out);
        sum += turn->out[SHAPE_VALUE_MIN / 2];
    }
    return sum;
}

static uint64_t run_inserts(void *arg, const struct bench_turn *turn)
{
    struct side *side = arg;
    for (uint32_t i = 0; i < turn->count; i++) {
        shape_stock_set(&side->stock, side->next++);
    }
    return side->next;
}

static uint64_t run_lookups(void *arg, const struct bench_turn *turn)
{
    struct side *side = arg;
    for (uint32_t i = 0; i < turn->count; i++) {
        shape_stock_look(&side->stock,
                         bench_lookups_at(side->lookups, turn->from + i));
        shape_stock_set(&side->stock, side->next++);
    }
    return side->next;
}

static void begin(struct sides *all, const struct shape_run *run,
                  uint64_t max_bytes)
{
    *all = (struct sides){.run = run};
    bench_lookups_init(&all->lookups, run->items, BENCH_ZIPF);
    for (unsigned i = 0; i < SHAPE_COLUMNS; i++) {
        struct side *side = &all->sides[i];
        shape_stock_init(&side->stock, &(struct shape_case){run, i}, max_bytes);
        shape_stock_fill(&side->stock, run->items);
        side->lookups = &all->lookups;
        side->next = run->items;
    }
}

static void end(struct sides *all)
{
    for (unsigned i = 0; i < SHAPE_COLUMNS; i++) {
        shape_stock_fini(&all->sides[i].stock);
    }
    bench_lookups_fini(&all->lookups);
}

static void take_turns(struct sides *all, enum shape_figure figure,
                       uint64_t (*run)(void *arg,
                                       const struct bench_turn *turn))
{
    struct bench_side sides[SHAPE_COLUMNS];
    struct bench_turns turns = {.sides = sides,
                                .side_count = SHAPE_COLUMNS,
                                .threads = 1,
                                .rounds = all->run->rounds,
                                .out_bytes = SHAPE_OUT_BYTES};
    for (unsigned i = 0; i < SHAPE_COLUMNS; i++) {
        sides[i] =
            (struct bench_side){shape_columns[i].name, run, &all->sides[i]};
    }
    bench_turns_run(&turns);
    for (unsigned i = 0; i < SHAPE_COLUMNS; i++) {
        shape_table_put(all->run->table, figure, i,
                        bench_spread_of(turns.cpu[i], turns.rounds));
    }
    bench_turns_fini(&turns);
}

/* Measures lookups with insertions, and the bytes that are moved for them. */
static void take_turns_moving(struct sides *all)
{
    uint64_t moved[SHAPE_COLUMNS], written[SHAPE_COLUMNS];
    for (unsigned i = 0; i < SHAPE_COLUMNS; i++) {
        moved[i] = shape_stock_count(&all->sides[i].stock).moved;
        written[i] = all->sides[i].stock.written;
    }
    take_turns(all, SHAPE_LOOKUP_NS, run_lookups);
    for (unsigned i = 0; i < SHAPE_COLUMNS; i++) {
        const struct shape_stock *stock = &all->sides[i].stock;
        double copied = (double)(shape_stock_count(stock).moved - moved[i]);
        if (stock->ops != &shape_group) {
            shape_table_put(all->run->table, SHAPE_LOOKUP_MOVED, i,
                            bench_spread_one(copied / (double)(stock->written -
                                                               written[i])));
        }
    }
}

static void run_roomy(void *arg)
{
    struct sides all;
    begin(&all, arg, 0);
    take_turns(&all, SHAPE_HIT_NS, run_hits);
    end(&all);
}

static void run_bound(void *arg)
{
    const struct shape_run *run = arg;
    struct sides all;
    begin(&all, run, shape_tight_bound(run->items));
    take_turns(&all, SHAPE_INSERT_NS, run_inserts);
    take_turns_moving(&all);
    end(&all);
}

void shape_case_turns(const struct shape_run *run)
{
    if (!bench_child(run_roomy, (void *)run) ||
        !bench_child(run_bound, (void *)run)) {
        (void)fprintf(stderr, "shapes_bench: the turns did not end well; "
                              "some cells are empty\n");
    }
}
