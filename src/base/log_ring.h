/* SPDX-License-Identifier: MIT */
/*
 * Lines of text that wait to be written, in a fixed run of bytes. A line is
 * contiguous and ends with its only newline.
 *
 *     |####tail=======head.....|        |===head....tail=====wrap..|
 *
 * Thread-safety: the owner's lock; the bytes that peek has shown stay as they
 * are, without the lock, until they are consumed.
 * Cost: O(line). Errors: none. Ownership: the run is inside.
 */
#pragma once

#include "base/limits.h"

#include <kamacache/kamacache.h>
#include <stdbool.h>

#define KM_LOG_RING_BYTES (256u << 10)

struct km_log_ring {
    size_t head; /* the next line goes here */
    size_t tail; /* the oldest line */
    size_t wrap; /* where the lines at the end stop, when wrapped */
    size_t lines;
    bool wrapped; /* head is in front of tail */
    char bytes[KM_LOG_RING_BYTES];
};

void km_log_ring_init(struct km_log_ring *ring);

/* Adds a line of at most KM_LOG_LINE_BYTES_MAX; false: no room. */
bool km_log_ring_put(struct km_log_ring *ring, kama_bytes line);

/* The oldest whole lines, at most KM_LOG_LINE_BYTES_MAX; empty: none. */
kama_bytes km_log_ring_peek(const struct km_log_ring *ring);

/* Drops what peek has shown. */
void km_log_ring_consume(struct km_log_ring *ring, kama_bytes shown);

/* Asserts that both runs consist of whole lines and that their number is right.
 * For tests: O(bytes in the ring). */
void km_log_ring_check(const struct km_log_ring *ring);

/* Newlines in text. */
size_t km_log_count_lines(kama_bytes text);
