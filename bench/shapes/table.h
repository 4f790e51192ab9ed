/* SPDX-License-Identifier: MIT */
/*
 * The table that shapes_bench prints: a column for each shape, a row for each figure.
 *
 *     struct shape_table *table = shape_table_new();
 *     shape_table_put(table, SHAPE_HIT_NS, column, bench_spread_one(71.5));
 *     shape_table_print(table);
 *     shape_table_free(table);
 *
 * Measurements run in child processes, so the table lies in memory that all of them
 * map. Threads: one of one process at a time. Errors: none.
 */
#pragma once

#include "shape.h"
#include "store/report.h"

/* A column: a shape with its options. */
struct shape_column {
    const char *name;
    const struct shape_ops *ops;
    unsigned holes_percent;
};

#define SHAPE_COLUMNS 6u
extern const struct shape_column shape_columns[SHAPE_COLUMNS];

/* X(name, decimals, unit, sentence) for each row. */
#define SHAPE_FIGURES(X)                                                       \
    X(FRESH, 1, "B", "resident bytes of an item beyond its payload, set once") \
    X(CHURNED, 1, "B", "the same after each key was overwritten twice")        \
    X(BOUND, 1, "B", "the same after 2 random sets of each, at a bound")       \
    X(BOUND_LIVE, 1, "%", "keys and values in that bound")                     \
    X(BOUND_RESIDENT, 1, "%", "resident memory beside that bound")             \
    X(HIT_NS, 0, "ns", "a copying hit, zipf 0.99")                             \
    X(OVERWRITE_NS, 0, "ns", "an overwrite with another size")                 \
    X(OVERWRITE_MOVED, 2, "B", "moved for each byte that it writes")           \
    X(INSERT_NS, 0, "ns", "an insertion that evicts")                          \
    X(LOOKUP_NS, 0, "ns", "a read-through, zipf 0.99, and such an insertion")  \
    X(LOOKUP_MOVED, 2, "B", "moved for each byte that it inserts")             \
    X(ROOM_US, 0, "us", "1 MiB of room among small items, made and filled")    \
    X(ROOM_MOVED, 0, "KiB", "moved for it")                                    \
    X(ROOM_RESIDENT, 0, "KiB", "growth of the resident memory by it")

#define SHAPE_FIGURE_NAME(name, decimals, unit, sentence) SHAPE_##name,
enum shape_figure { SHAPE_FIGURES(SHAPE_FIGURE_NAME) SHAPE_FIGURE_COUNT };
#undef SHAPE_FIGURE_NAME

struct shape_table;

/* Makes an empty table. */
struct shape_table *shape_table_new(void);
void shape_table_free(struct shape_table *table);

/* Fills a cell in. */
void shape_table_put(struct shape_table *table, enum shape_figure figure,
                     unsigned column, struct bench_spread value);

/* Prints the medians as a table that Markdown understands. */
void shape_table_print(const struct shape_table *table);
/* Prints medians and percentiles as JSON. */
void shape_table_print_json(const struct shape_table *table, unsigned items);
