/* SPDX-License-Identifier: MIT */
/*
 * Clocks. This is the only file that reads the clocks of the machine.
 *
 * Code that depends on time takes a `const struct km_clock *`, so that a test
 * brings a clock of its own and moves it by hand.
 *
 *     const struct km_clock *clock = km_clock_system();
 *     km_ns deadline = km_ns_after_ms(km_clock_mono(clock), 250);
 *
 * There are three readings:
 *
 *     mono     monotonic and exact; for deadlines           20-30 ns
 *     coarse   the same time, up to 10 ms late; for expiry       5 ns
 *     wall_ms  the time of day, which may jump; for people
 *
 * Threads: any. Errors: none. Ownership: a clock is borrowed by its users and
 * must outlive them.
 */
#pragma once

#include <stdint.h>

/* Nanoseconds of the monotonic clock, or a span of them. Where a time is
 * optional, 0 means that there is none. */
typedef uint64_t km_ns;

#define KM_NS_PER_MS 1000000ull
#define KM_NS_PER_S 1000000000ull
#define KM_NS_NEVER UINT64_MAX

struct km_clock {
    km_ns (*mono)(void *arg);       /* exact */
    km_ns (*coarse)(void *arg);     /* the same origin, up to 10 ms behind */
    uint64_t (*wall_ms)(void *arg); /* milliseconds since 1970, UTC */
    void *arg;
};

/* Returns the clocks of the machine. */
const struct km_clock *km_clock_system(void);

/* Reads the exact monotonic clock. */
static inline km_ns km_clock_mono(const struct km_clock *clock)
{
    return clock->mono(clock->arg);
}

/* Reads the coarse monotonic clock. */
static inline km_ns km_clock_coarse(const struct km_clock *clock)
{
    return clock->coarse(clock->arg);
}

/* Returns the time since the machine was started, which runs on while it is
 * suspended. Leases are counted by it: their other side is not suspended. */
km_ns km_clock_boot(void);

/* Returns the microseconds since 1970, UTC, for the time of a log line. */
uint64_t km_clock_wall_us(void);

/* Returns now + ms. A sum that is too large becomes KM_NS_NEVER, and a negative
 * ms counts as 0. */
static inline km_ns km_ns_after_ms(km_ns now, int64_t ms)
{
    km_ns span;
    km_ns at;
    if (ms <= 0) {
        return now;
    }
    if (__builtin_mul_overflow((km_ns)ms, KM_NS_PER_MS, &span) ||
        __builtin_add_overflow(now, span, &at)) {
        return KM_NS_NEVER;
    }
    return at;
}
