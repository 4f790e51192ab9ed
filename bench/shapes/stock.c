/* SPDX-License-Identifier: MIT */
#include "cases.h"
#include "store/child.h"

#include <string.h>

/* An item has about 116 bytes of payload. */
#define ROOM_OF_MANY UINT64_C(400)
#define ROOM_OF_FEW UINT64_C(120)
#define ROOM_BESIDE ((uint64_t)64 << 20)

void shape_stock_init(struct shape_stock *stock, const struct shape_case *c,
                      uint64_t max_bytes)
{
    const struct shape_column *column = &shape_columns[c->column];
    struct shape_options options = {
        .max_bytes = max_bytes != 0
                         ? max_bytes
                         : c->run->items * ROOM_OF_MANY + ROOM_BESIDE,
        .holes_percent = column->holes_percent};
    *stock = (struct shape_stock){.ops = column->ops,
                                  .shape = column->ops->open(&options),
                                  .random = 88172645463325252u};
    memset(stock->value, 1, sizeof stock->value);
}

void shape_stock_fini(struct shape_stock *stock)
{
    stock->ops->close(stock->shape);
}

static void set(struct shape_stock *stock, const uint8_t *key)
{
    uint32_t more = (uint32_t)(bench_random(&stock->random) %
                               (SHAPE_VALUE_MAX - SHAPE_VALUE_MIN + 1));
    struct shape_item item = {key, stock->value, SHAPE_VALUE_MIN + more};
    stock->ops->set(stock->shape, &item);
    stock->written += BENCH_KEY_BYTES + item.value_bytes;
}

void shape_stock_set(struct shape_stock *stock, unsigned i)
{
    uint8_t key[BENCH_KEY_BYTES];
    bench_key(key, i);
    set(stock, key);
}

void shape_stock_look(struct shape_stock *stock, const uint8_t *key)
{
    if (stock->ops->get(stock->shape, key, stock->out) == 0) {
        set(stock, key);
    }
}

void shape_stock_fill(struct shape_stock *stock, unsigned items)
{
    for (unsigned i = 0; i < items; i++) {
        shape_stock_set(stock, i);
    }
}

struct shape_counts shape_stock_count(const struct shape_stock *stock)
{
    struct shape_counts counts;
    stock->ops->count(stock->shape, &counts);
    return counts;
}

uint64_t shape_tight_bound(unsigned items)
{
    return items * ROOM_OF_FEW;
}

void shape_each_column(const struct shape_run *run, void (*fn)(void *arg))
{
    for (unsigned i = 0; i < SHAPE_COLUMNS; i++) {
        struct shape_case c = {run, i};
        if (!bench_child(fn, &c)) {
            (void)fprintf(stderr,
                          "shapes_bench: a measurement of %s did not end "
                          "well; its cells are empty\n",
                          shape_columns[i].name);
        }
    }
}
