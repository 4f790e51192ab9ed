/* SPDX-License-Identifier: MIT */
/* A clock that stands still until a test moves it, or that goes on by `step` whenever
 * it is read. The coarse time is behind the exact one by `lag`. */
#pragma once

#include "base/clock.h"

#include <stdatomic.h>

struct fake_clock {
    struct km_clock clock;
    _Atomic km_ns now;
    km_ns lag;
    km_ns step;
    atomic_uint reads;
};

static inline km_ns fake_mono(void *arg)
{
    struct fake_clock *fake = arg;
    atomic_fetch_add(&fake->reads, 1);
    return atomic_fetch_add(&fake->now, fake->step) + fake->step;
}

static inline km_ns fake_coarse(void *arg)
{
    struct fake_clock *fake = arg;
    return atomic_load(&fake->now) - fake->lag;
}

static inline uint64_t fake_wall_ms(void *arg)
{
    (void)arg;
    return 0;
}

static inline void fake_clock_init(struct fake_clock *fake)
{
    fake->clock = (struct km_clock){fake_mono, fake_coarse, fake_wall_ms, fake};
    atomic_init(&fake->now, 1000 * KM_NS_PER_S);
    atomic_init(&fake->reads, 0);
    fake->lag = 4 * KM_NS_PER_MS;
    fake->step = 0;
}

static inline void fake_clock_add_ms(struct fake_clock *fake, uint64_t ms)
{
    atomic_fetch_add(&fake->now, ms * KM_NS_PER_MS);
}
