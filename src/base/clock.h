/* SPDX-License-Identifier: MIT */
/*
 * The one reader of clocks. Code above takes `const struct km_clock *` as an
 * argument, so that tests and simulations bring their own time.
 * Thread-safety: any thread. Cost: mono 20-30 ns, coarse 5 ns.
 */
#pragma once

#include <stdint.h>

/* Monotonic nanoseconds, the one internal unit of time; 0 means "none". */
typedef uint64_t km_ns;

#define KM_NS_PER_MS 1000000ull
#define KM_NS_PER_S 1000000000ull
#define KM_NS_NEVER UINT64_MAX

struct km_clock {
    km_ns (*mono)(void *arg);       /* exact */
    km_ns (*coarse)(void *arg);     /* same origin, up to 10 ms behind */
    uint64_t (*wall_ms)(void *arg); /* since 1970, UTC */
    void *arg;
};

/* The clocks of the machine. */
const struct km_clock *km_clock_system(void);

static inline km_ns km_clock_mono(const struct km_clock *clock)
{
    return clock->mono(clock->arg);
}

static inline km_ns km_clock_coarse(const struct km_clock *clock)
{
    return clock->coarse(clock->arg);
}

/* Microseconds since 1970, UTC, for the time of a log line. */
uint64_t km_clock_wall_us(void);

/* now + ms, saturating at KM_NS_NEVER; ms < 0 counts as 0. */
km_ns km_ns_after_ms(km_ns now, int64_t ms);
