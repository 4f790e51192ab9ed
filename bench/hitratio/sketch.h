/* SPDX-License-Identifier: MIT */
/*
 * How often keys were asked for, roughly: a count-min sketch whose counters are
 * halved when it has counted ten times the capacity (TinyLFU, Einziger et al.,
 * 2017).
 *
 *     hr_sketch_init(&sketch, capacity);
 *     hr_sketch_count(&sketch, key);
 *     unsigned frequency = hr_sketch_frequency(&sketch, key);
 *
 * Counters go up to 15. A frequency may be too high, never too low, between two
 * halvings. Cost: four counters per call. Threads: one owner.
 */
#pragma once

#include <stdint.h>

struct hr_sketch {
    uint8_t *counters; /* four rows */
    uint64_t mask;     /* the counters of a row, less one */
    uint64_t counted;
    uint64_t halve_at;
};

/* Makes a sketch for a cache of so many keys. */
void hr_sketch_init(struct hr_sketch *sketch, uint64_t keys);
/* Frees the counters. */
void hr_sketch_fini(struct hr_sketch *sketch);
/* Counts one request for a key. */
void hr_sketch_count(struct hr_sketch *sketch, uint32_t key);
/* Returns how often a key was counted, roughly. */
unsigned hr_sketch_frequency(const struct hr_sketch *sketch, uint32_t key);
