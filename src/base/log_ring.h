/* SPDX-License-Identifier: MIT */
/*
 * The queue between those that log and the thread that writes: lines of text in
 * a fixed run of bytes.
 *
 *     km_log_ring_put(&ring, line);
 *     kama_bytes lines = km_log_ring_peek(&ring);
 *     write(fd, lines.data, lines.len);
 *     km_log_ring_consume(&ring, lines);
 *
 * A line is contiguous and ends with its only newline, so that the end of the
 * run stays unused when the next line does not fit there:
 *
 *     not wrapped   |......tail#########head...........|
 *     wrapped       |####head......tail##########wrap..|
 *
 * Cost: put is linear in the line, peek and consume in the lines that they
 * move.
 * Threads: the owner's lock. The bytes that peek has returned may be read
 * without the lock until they are consumed, because put never writes there.
 * Errors: put returns false when there is no room. Ownership: the run is inside
 * the structure.
 */
#pragma once

#include "base/limits.h"

#include <kamacache/kamacache.h>
#include <stdbool.h>

#define KM_LOG_RING_BYTES (256u << 10)

struct km_log_ring {
    size_t head;  /* where the next line goes */
    size_t tail;  /* where the oldest line begins */
    size_t wrap;  /* where the lines at the end stop, if it is wrapped */
    size_t lines; /* the number of lines, at most KM_LOG_RING_LINES */
    bool wrapped; /* head has begun again in front of tail */
    char bytes[KM_LOG_RING_BYTES];
};

/* Empties the ring. The bytes need no initial value. */
void km_log_ring_init(struct km_log_ring *ring);

/* Appends a copy of a line of at most KM_LOG_LINE_BYTES_MAX bytes. Returns
 * false if there is no room. */
bool km_log_ring_put(struct km_log_ring *ring, kama_bytes line);

/* Returns the oldest lines, whole ones and at most KM_LOG_LINE_BYTES_MAX bytes
 * in all, without taking them out. Returns an empty text if there are none. */
kama_bytes km_log_ring_peek(const struct km_log_ring *ring);

/* Takes out the lines that the last peek has returned. */
void km_log_ring_consume(struct km_log_ring *ring, kama_bytes shown);

/* Asserts that both runs consist of whole lines and that their number is right.
 * For tests: O(bytes in the ring). */
void km_log_ring_check(const struct km_log_ring *ring);

/* Returns the number of newlines in text. */
size_t km_log_count_lines(kama_bytes text);
