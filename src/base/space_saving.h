/* SPDX-License-Identifier: MIT */
/*
 * The keys that come most often in a stream, in bounded memory.
 *
 *     struct km_space_saving *s;
 *     status = km_space_saving_new(mem, 1024, &s);
 *     km_space_saving_add(s, hash, key, 1);              for each key that comes
 *     n = km_space_saving_top(s, entries, 20);           the most frequent first
 *     km_space_saving_free(s);
 *
 * This is Space-Saving (Metwally, Agrawal, El Abbadi, "Efficient Computation of
 * Frequent and Top-k Elements in Data Streams", ICDT 2005) with weights. There is
 * a fixed number of counters. A key that has none takes the smallest one over,
 * with its count, which becomes the error of the new key:
 *
 *     counters    tom 90/0   ann 41/2   eve 7/3        count/error
 *     add(bob)    tom 90/0   ann 41/2   bob 8/7        eve is forgotten
 *
 * With m counters and a sum W of all weights, for each key whose weights sum to f:
 *
 *     if it has a counter     count - error <= f <= count, and error <= W / m
 *     if f > W / m            it has a counter
 *
 * in whatever order the keys come. These bounds hold after km_space_saving_scale,
 * too, for weights that have been scaled.
 *
 * A weight above 1 says that the key stands for so many which were not looked at.
 * `variance` sums w * (w - 1) of everything in `count`. It estimates how much f may
 * be off when each key is looked at with the probability 1 / w.
 *
 * Two keys with the same 64-bit hash are told apart if the first one is stored. A
 * key is stored with its counter, unless there is no memory, or the stored keys
 * have KM_SPACE_SAVING_KEY_BYTES per counter already and none of them belongs to a
 * smaller count. A counter without its key counts, but is not shown.
 *
 * Cost: one lookup in a small hash table and O(log m) steps of a heap for each
 * key; a new key is copied. Memory: about 64 bytes per counter, and the keys.
 * Threads: one at a time. Errors: KAMA_ERR_NO_MEMORY, from new only.
 * Ownership: keys are copied; those of entries are borrowed until the next add.
 */
#pragma once

#include "base/mem.h"

#define KM_SPACE_SAVING_COUNTERS_MAX 1024u
#define KM_SPACE_SAVING_KEY_BYTES 64u /* per counter, on average */

struct km_space_saving;

/* A key with its counter. */
struct km_space_saving_entry {
    kama_bytes key;
    double count;
    double error;
    double variance;
};

/* Makes a sketch without keys. counters: 1..KM_SPACE_SAVING_COUNTERS_MAX. mem is
 * borrowed. */
KAMA_NODISCARD kama_status
km_space_saving_new(const kama_allocator *mem, unsigned counters,
                    struct km_space_saving **ret_sketch);
/* Frees a sketch. NULL does nothing. */
void km_space_saving_free(struct km_space_saving *s);

/* Returns how many bytes a sketch takes at most, with its keys and with what malloc
 * adds to them. */
size_t km_space_saving_bytes_max(unsigned counters);

/* Counts a key, whose hash is the same each time. weight is above 0. */
void km_space_saving_add(struct km_space_saving *s, uint64_t hash,
                         kama_bytes key, double weight);

/* Multiplies all counts and errors by factor, which is at least 0. 0 forgets all
 * keys. O(counters). */
void km_space_saving_scale(struct km_space_saving *s, double factor);

/* Returns the sum of all weights. */
double km_space_saving_total(const struct km_space_saving *s);

/* Returns the number of counters. */
unsigned km_space_saving_counters(const struct km_space_saving *s);

/* Writes the entries with the largest count - error, at most n, the largest first.
 * Returns how many there are. O(counters * n). */
size_t km_space_saving_top(const struct km_space_saving *s,
                           struct km_space_saving_entry *ret_entries, size_t n);

/* Asserts that table, heap, counts and stored keys agree. For tests:
 * O(counters). */
void km_space_saving_check(const struct km_space_saving *s);
