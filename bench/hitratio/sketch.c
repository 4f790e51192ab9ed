/* SPDX-License-Identifier: MIT */
/* Only the lowest of the four counters of a key are raised (conservative
 * update), which keeps other keys from being overestimated. */
#include "sketch.h"

#include "base/mem.h"
#include "random.h"
#include "trace.h"

#define ROWS 4u
#define COUNTER_MAX 15u
#define COUNTERS_PER_KEY 4u
#define SAMPLE_FACTOR 10u
#define SAMPLE_MIN 160u

void hr_sketch_init(struct hr_sketch *sketch, uint64_t keys)
{
    uint64_t counters = 16;
    while (counters < keys * COUNTERS_PER_KEY) {
        counters *= 2;
    }
    uint64_t sample = keys * SAMPLE_FACTOR;
    *sketch = (struct hr_sketch){.counters = hr_array(counters * ROWS, 1),
                                 .mask = counters - 1,
                                 .halve_at =
                                     sample > SAMPLE_MIN ? sample : SAMPLE_MIN};
}

void hr_sketch_fini(struct hr_sketch *sketch)
{
    km_mem_free(km_mem_default(), sketch->counters);
}

static uint8_t *counter(const struct hr_sketch *sketch, uint32_t key,
                        unsigned row)
{
    uint64_t hash = hr_hash((uint64_t)key << 3 | row);
    return &sketch->counters[row * (sketch->mask + 1) + (hash & sketch->mask)];
}

unsigned hr_sketch_frequency(const struct hr_sketch *sketch, uint32_t key)
{
    unsigned least = COUNTER_MAX;
    for (unsigned row = 0; row < ROWS; row++) {
        unsigned n = *counter(sketch, key, row);
        least = n < least ? n : least;
    }
    return least;
}

static void halve(struct hr_sketch *sketch)
{
    for (uint64_t i = 0; i < (sketch->mask + 1) * ROWS; i++) {
        sketch->counters[i] /= 2;
    }
    sketch->counted /= 2;
}

void hr_sketch_count(struct hr_sketch *sketch, uint32_t key)
{
    unsigned least = hr_sketch_frequency(sketch, key);
    if (least == COUNTER_MAX) {
        return;
    }
    for (unsigned row = 0; row < ROWS; row++) {
        uint8_t *n = counter(sketch, key, row);
        if (*n == least) {
            (*n)++;
        }
    }
    if (++sketch->counted >= sketch->halve_at) {
        halve(sketch);
    }
}
