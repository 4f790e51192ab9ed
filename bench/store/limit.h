/* SPDX-License-Identifier: MIT */
/*
 * The limit loop: a table that does only the steps that no hit can avoid. They
 * are XXH3 of a key of 16 bytes, one index line of seven tagged references of 48
 * bits, one comparison, and one memcpy of the value.
 *
 *     struct bench_limit limit;
 *     bench_limit_init(&limit, &(struct bench_limit_shape){
 *         .items = 1000000, .value_bytes = 100});
 *     bench_limit_add(&limit, key, value);
 *     ... {"limit loop", bench_limit_gets, &side} ...
 *
 * The table keeps every item and evicts none. Its items lie in the order
 * in which they were added, as far apart as malloc would place them.
 *
 * The sequence-checked turns are for threads of which some write. Each line has
 * a sequence number, which is odd while somebody writes a value of the line. A
 * reader copies, and begins again if the sequence was odd or has changed.
 *
 * Threads: any may look keys up at the same time, or run sequence-checked turns
 * at the same time. Errors: running out of memory fails an assertion, and a key
 * that was not added is looked for without end.
 */
#pragma once

#include "keys.h"
#include "pages.h"
#include "turns.h"

#include <stddef.h>
#include <stdint.h>

struct bench_limit_line;

struct bench_limit_shape {
    unsigned items;
    size_t value_bytes;
    enum bench_pages pages;
};

struct bench_limit {
    struct bench_limit_shape shape;
    struct bench_limit_line *lines;
    uint64_t line_count; /* a power of two */
    uint8_t *items;
    size_t item_bytes;
    size_t items_used;
};

void bench_limit_init(struct bench_limit *limit,
                      const struct bench_limit_shape *shape);
void bench_limit_fini(struct bench_limit *limit);

/* Adds an item whose key is not in the table. One thread. */
void bench_limit_add(struct bench_limit *limit, const uint8_t *key,
                     const uint8_t *value);

/* The operations of a turn; `arg` is a struct
 * bench_limit_side. */
struct bench_limit_side {
    struct bench_limit *limit;
    const struct bench_lookups *lookups;
};

/* Looks keys up. */
uint64_t bench_limit_gets(void *arg, const struct bench_turn *turn);
/* Looks keys up, each of which depends on the value before it. */
uint64_t bench_limit_dependent_gets(void *arg, const struct bench_turn *turn);
/* Looks keys up, and writes every BENCH_WRITE_EVERYth value, sequence-checked. */
uint64_t bench_limit_mixed(void *arg, const struct bench_turn *turn);
