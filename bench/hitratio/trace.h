/* SPDX-License-Identifier: MIT */
/*
 * A trace: the keys that were asked for, one after another.
 *
 *     struct hr_trace trace;
 *     kama_status status = hr_trace_read(file, "lines", &trace);
 *     hr_trace_free(&trace);
 *
 * The keys of a file are replaced by the numbers 0, 1, 2 ... in the order in
 * which they first appear, so that a policy can keep its knowledge about keys
 * in plain arrays. A key keeps the size of its first request.
 *
 *     format      a request is
 *     int32be     four bytes, the key, with the highest byte first
 *     lines       a decimal key in a line; empty lines and `*` are skipped
 *     adaptsize   a line with a time, a key and a size
 *
 * Cost: linear in the requests. Threads: any thread may read a trace.
 * Errors: KAMA_ERR_INVALID for an unknown format, and for a file that is not of
 * its format, with the line. Without memory the program ends.
 * Ownership: a trace owns its arrays; hr_trace_free frees them.
 */
#pragma once

#include <kamacache/kamacache.h>
#include <stdbool.h>
#include <stdio.h>

struct hr_trace {
    uint32_t *requests; /* the keys, in the order of the requests */
    uint64_t count;     /* the number of requests */
    uint32_t keys;      /* the number of different keys */
    uint32_t *sizes;    /* the bytes of each key; all 1 without sizes */
    bool has_sizes;
};

/* Reads a trace to the end of the file. */
KAMA_NODISCARD kama_status hr_trace_read(FILE *file, const char *format,
                                         struct hr_trace *ret_trace);

/* Frees the arrays of a trace. */
void hr_trace_free(struct hr_trace *trace);

/* Makes a trace of `count` keys, which may be any numbers. `sizes` has a size
 * for each request, or is NULL. Both arrays are only read. */
void hr_trace_make(const uint64_t *keys, const uint32_t *sizes, uint64_t count,
                   struct hr_trace *ret_trace);

/* Makes the part of a trace whose keys one of `shards` shards has. */
void hr_trace_part(const struct hr_trace *trace, unsigned shard,
                   unsigned shards, struct hr_trace *ret_part);

/* Returns zeroed memory. Without memory the program ends. */
void *hr_array(size_t count, size_t size);
