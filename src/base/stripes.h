/* SPDX-License-Identifier: MIT */
/*
 * A histogram that many threads write. It has up to four stripes, each of which is
 * a histogram, so that threads rarely write the same cache line.
 *
 *     struct km_stripes times;
 *     km_stripes_init(&times, mem);
 *     km_stripes_record(&times, took_ns);
 *     km_stripes_read(&times, &histogram);     their sum
 *     km_stripes_fini(&times);
 *
 *     thread cell   0 4 8 12    1 5 9 13    2 6 10 14    3 7 11 15
 *     stripe        first       made when one of its threads records
 *
 * Cost: recording costs as much as km_histogram_record; reading adds the stripes.
 * Each stripe has 4.8 KiB. Threads: any thread may record and read; init and fini
 * belong to the owner. Errors: none, because a thread that gets no memory for its
 * stripe uses the first one. Ownership: the stripes belong to the structure, and
 * the allocator is borrowed until fini.
 */
#pragma once

#include "base/histogram.h"
#include "base/mem.h"

#define KM_STRIPES 4u

struct km_stripes {
    const kama_allocator *mem; /* borrowed */
    _Atomic(struct km_histogram *) more[KM_STRIPES - 1];
    struct km_histogram first;
};

/* Makes an empty histogram that has only its first stripe. */
void km_stripes_init(struct km_stripes *stripes, const kama_allocator *mem);

/* Frees the stripes. No thread may record or read any more. */
void km_stripes_fini(struct km_stripes *stripes);

/* Counts one duration in the calling thread's stripe. */
void km_stripes_record(struct km_stripes *stripes, uint64_t ns);

/* Writes the sum of all stripes. */
void km_stripes_read(const struct km_stripes *stripes,
                     struct km_histogram *ret_sum);
