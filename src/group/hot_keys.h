/* SPDX-License-Identifier: MIT */
/*
 * Hot keys: which keys of a group are asked for most often, and how often.
 *
 *     km_hot_keys_init(&hot, &options);
 *     km_hot_keys_note(&hot, hash, key);                 each get
 *     status = km_hot_keys_read(&hot, 20, &list);        now and then
 *     km_hot_keys_list_free(&list);
 *     km_hot_keys_fini(&hot);
 *
 * A get counts down a number in the cell of its thread, a cache line that other
 * threads do not write. When it is below zero, the get is a sample: it goes to a
 * sketch of the most frequent keys (base/space_saving.h), with the number of gets
 * that it stands for as its weight, and the number of gets until the next sample is
 * drawn at random:
 *
 *     gets of a thread     . . . . . * . . * . . . . . . . * . .
 *                                    |     |               |
 *     weight                         6     3               8      on average: the
 *                                    v     v               v      period
 *     sketch of the group  [ tom 90/0 | ann 41/2 | ... up to 1024 counters ]
 *
 * The weight is the average and not the number itself, so that chance does not
 * count twice. The period of a cell follows its gets: it is 1, so that every get
 * counts, until the cell has had KM_HOT_KEYS_SAMPLES in KM_HOT_KEYS_SLICE_MS; it
 * doubles with each such number of samples, up to KM_HOT_KEYS_PERIOD_MAX, and halves
 * when a slice had fewer than a quarter of them.
 *
 * Counts are halved every KM_HOT_KEYS_HALF_LIFE_MS, and so is the time that they
 * have been counted for. Their quotient is the rate: an average of the last half
 * minute and of what came before, with half the weight for each half minute.
 *
 * Error. With m counters and G gets per second of the group, the rate of a key is
 * wrong by at most
 *
 *     G / m                    of the sketch, whatever the keys are
 *     3 * sqrt(sum w * (w - 1)) / seconds      of the sampling, in 99.7 % of cases
 *
 * and every key that is asked for more often than both together is in the sketch.
 * What is shown with a key is its own error, which is usually much smaller. At
 * periods of 1 there is no error of the sampling. Gets of threads that share a cell,
 * because there are more than KM_THREAD_CELLS, may be lost when they coincide: the
 * rates are too low then, by the same share for all keys.
 *
 * Cost: a load, a store and a branch per get, best behind the look into the store,
 * whose locked instruction would wait for the store; a sample costs about 150 ns,
 * and a cell has at most 10,000 a second for each 10 million gets.
 * Memory: a line per cell, and at the first get the sketch: at most 160 bytes per
 * counter, which is a four-hundredth of max_bytes. The store is charged for the most
 * that the sketch may take.
 * Threads: any thread may note and read. A sample that finds the sketch in use is
 * put off to the next get of its thread, so that a get never waits; of the gets that
 * come meanwhile, at most a period is counted. A reader waits for the few
 * instructions of a sample.
 * Errors: KAMA_ERR_NO_MEMORY from read; without memory for the sketch, gets are not
 * counted. Ownership: a list is the reader's.
 */
#pragma once

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"

#include <stdalign.h>
#include <stdatomic.h>

struct km_space_saving;
struct km_store;

/* What a thread, or a few of them, know about their next sample. All members but
 * `left` belong to the one that has set `busy`. */
struct km_hot_cell {
    alignas(64) _Atomic int32_t left; /* gets before the next sample */
    uint32_t period_bits;             /* the period is 2 to the power of it */
    uint32_t samples;                 /* in this slice of time */
    km_ns slice_until;
    uint64_t random; /* state; 0: not seeded */
};

struct km_hot_keys {
    alignas(64) atomic_bool busy;   /* one thread uses what follows */
    unsigned counters;              /* of the sketch */
    struct km_space_saving *sketch; /* NULL before the first sample */
    struct km_store *store; /* that is charged for it; NULL: nobody is */
    const kama_allocator *mem;
    const struct km_clock *clock;
    uint64_t seed;
    km_ns step_at;  /* when the counts were halved, or began */
    double seconds; /* that were counted before step_at, halved alike */
    struct km_hot_cell cells[KM_THREAD_CELLS];
};

struct km_hot_keys_options {
    const kama_allocator *mem;    /* borrowed */
    const struct km_clock *clock; /* borrowed */
    struct km_store *store;       /* borrowed; it is charged. NULL: nobody is */
    uint64_t max_bytes;           /* of the group */
    uint64_t seed;                /* of the choice of samples */
};

/* Makes an empty count, which has no sketch yet. The structure is zeroed. */
void km_hot_keys_init(struct km_hot_keys *hot,
                      const struct km_hot_keys_options *options);
/* Frees the sketch. No thread may note or read any more. */
void km_hot_keys_fini(struct km_hot_keys *hot);

/* Counts a get that is a sample. For km_hot_keys_note. */
void km_hot_keys_sample(struct km_hot_keys *hot, struct km_hot_cell *cell,
                        uint64_t hash, kama_bytes key);

/* Counts a get. hash: of the key, with a seed that users do not know. */
static inline void km_hot_keys_note(struct km_hot_keys *hot, uint64_t hash,
                                    kama_bytes key)
{
    struct km_hot_cell *cell = &hot->cells[km_thread_cell()];
    int32_t left = atomic_load_explicit(&cell->left, memory_order_relaxed) - 1;
    atomic_store_explicit(&cell->left, left, memory_order_relaxed);
    if (KM_UNLIKELY(left < 0)) {
        km_hot_keys_sample(hot, cell, hash, key);
    }
}

/* A key with its rate. The rate is what was counted for certain, and the true one
 * differs from it by at most the error. */
struct km_hot_key {
    kama_bytes key; /* in the list */
    double gets_per_s;
    double error_per_s;
};

/* Keys, the most frequent one first. */
struct km_hot_keys_list {
    const kama_allocator *mem;
    struct km_hot_key
        *keys; /* owned, with their bytes; NULL if there are none */
    size_t count;
};

/* Writes the n most frequent keys, or fewer. Errors: KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status km_hot_keys_read(struct km_hot_keys *hot, size_t n,
                                            struct km_hot_keys_list *ret_list);
/* Does that for the gets of a group. */
KAMA_NODISCARD kama_status km_group_hot_keys(kama_group *group, size_t n,
                                             struct km_hot_keys_list *ret_list);

/* Frees the keys of a list. */
void km_hot_keys_list_free(struct km_hot_keys_list *list);
