/* SPDX-License-Identifier: MIT */
/*
 * Many items that expire at the same moment.
 *
 *     uint64_t moment = bench_fill_expiring(group, 1000000, 100);
 *     ... they are all there ...
 *     bench_wait_expired(moment);
 *     ... none is there ...
 *
 * The moment is chosen by the time that the first items take, with some room, so
 * that a busy machine does not reach it before the last item.
 *
 * Threads: one. Errors: a set that fails, fails an assertion.
 */
#pragma once

#include <kamacache/kamacache.h>

/* Sets the keys 0 to items - 1. Returns the moment at which they expire, by
 * bench_wall_ns. */
uint64_t bench_fill_expiring(kama_group *group, unsigned items,
                             size_t value_bytes);
/* Sleeps until the moment has passed. */
void bench_wait_expired(uint64_t moment);
