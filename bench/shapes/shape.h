/* SPDX-License-Identifier: MIT */
/*
 * A shape: one way to lay the small items of a cache out in memory. The shapes are
 * small models that are compared with each other, and with a whole group.
 *
 *     struct shape_options options = {.max_bytes = 64 << 20, .holes_percent = 6};
 *     void *shape = shape_log.open(&options);
 *     shape_log.set(shape, &(struct shape_item){key, value, 100});
 *     size_t len = shape_log.get(shape, key, out);
 *     shape_log.close(shape);
 *
 * All models have the same policy, so that they differ by their memory alone: one
 * queue in the order of insertion. The oldest item leaves if it had no hit since it
 * came to the end of the queue, and otherwise begins another round. They have no
 * locks, no expiry and no values that callers hold.
 *
 *     shape      an item                                     the queue
 *     log        in segments, one behind the other           the order of the log
 *     slabs      in slots of a class, in pages of 16 KiB     an array of references
 *     malloc     a block of its own                          links in the items
 *     group      kama_group, the product                     (its policy)
 *
 * Threads: one at a time. Errors: running out of memory fails an assertion.
 */
#pragma once

#include "store/keys.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shape_options {
    uint64_t max_bytes;
    unsigned holes_percent; /* of the log: with more holes it is swept */
};

/* Keys have BENCH_KEY_BYTES. */
struct shape_item {
    const uint8_t *key;
    const uint8_t *value;
    uint32_t value_bytes;
};

struct shape_counts {
    uint64_t entries;
    uint64_t payload; /* keys and values that are there */
    uint64_t used;    /* bytes that the shape believes to use */
    uint64_t moved;   /* bytes of items that were copied to another place */
};

struct shape_ops {
    const char *name;
    void *(*open)(const struct shape_options *options);
    void (*close)(void *shape);

    /* Copies the value of a key to `out`. Returns its length, or 0 if the key is
     * not there. */
    size_t (*get)(void *shape, const uint8_t *key, uint8_t *out);

    /* Stores an item, and evicts others while there is no room. */
    void (*set)(void *shape, const struct shape_item *item);

    /* Evicts items until the bound has room for `bytes` in one piece, and fills
     * that room, which stays with the shape until it is closed. */
    void (*take)(void *shape, size_t bytes);

    void (*count)(void *shape, struct shape_counts *ret);
};

extern const struct shape_ops shape_log;
extern const struct shape_ops shape_slabs;
extern const struct shape_ops shape_malloc;
extern const struct shape_ops shape_group;
