/* SPDX-License-Identifier: MIT */
/*
 * The measurements of shapes_bench. Each fills cells of the table in, in child
 * processes of its own.
 *
 * Items have keys of 16 bytes and values of 50 to 150 bytes, of which each length is as
 * frequent as the others.
 *
 * Threads: one. Errors: a child that does not come to its end is told on stderr, and
 * its cells stay empty.
 */
#pragma once

#include "table.h"

#define SHAPE_VALUE_MIN 50u
#define SHAPE_VALUE_MAX 150u
#define SHAPE_OUT_BYTES 256u

struct shape_run {
    struct shape_table *table;
    unsigned items;
    unsigned rounds; /* of the turns */
};

/* A measurement of one column. */
struct shape_case {
    const struct shape_run *run;
    unsigned column;
};

/* Bytes over the payload, and the cost of overwriting. */
void shape_case_memory(const struct shape_run *run);
/* Hits, and insertions that evict: all shapes take turns. */
void shape_case_turns(const struct shape_run *run);
/* Room in one piece among small items. */
void shape_case_room(const struct shape_run *run);

/* Runs fn in a child, for each column, with a struct shape_case. */
void shape_each_column(const struct shape_run *run, void (*fn)(void *arg));

/* -- items ------------------------------------------------------------------- */

/* An open shape of a column, and the values that its keys are set to. */
struct shape_stock {
    const struct shape_ops *ops;
    void *shape;
    uint64_t random;
    uint64_t written; /* bytes of keys and values that were set */
    uint8_t value[SHAPE_VALUE_MAX];
    uint8_t out[SHAPE_VALUE_MAX];
};

/* Opens the shape of a column. max_bytes of 0 is more than its items need. */
void shape_stock_init(struct shape_stock *stock, const struct shape_case *c,
                      uint64_t max_bytes);
void shape_stock_fini(struct shape_stock *stock);

/* Sets key number i to a value of a random length. */
void shape_stock_set(struct shape_stock *stock, unsigned i);
/* Looks a key up, and sets it if it is not there. */
void shape_stock_look(struct shape_stock *stock, const uint8_t *key);
/* Sets the keys 0 to items - 1 in that order. */
void shape_stock_fill(struct shape_stock *stock, unsigned items);
/* Returns the counts of the shape. */
struct shape_counts shape_stock_count(const struct shape_stock *stock);

/* Returns a bound that a part of so many items fills. */
uint64_t shape_tight_bound(unsigned items);
