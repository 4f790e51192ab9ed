/* SPDX-License-Identifier: MIT */
/*
 * The machine's clocks behind struct km_clock.
 *
 * CLOCK_MONOTONIC_COARSE has the time of the kernel's last tick, which is at
 * most 10 ms old at the lowest tick rate (HZ=100).
 */
#include "base/clock.h"

#include <stddef.h>
#include <time.h>

static km_ns read_clock(clockid_t id)
{
    struct timespec now;
    (void)clock_gettime(id, &now);
    return (km_ns)now.tv_sec * KM_NS_PER_S + (km_ns)now.tv_nsec;
}

static km_ns system_mono(void *arg)
{
    (void)arg;
    return read_clock(CLOCK_MONOTONIC);
}

static km_ns system_coarse(void *arg)
{
    (void)arg;
    return read_clock(CLOCK_MONOTONIC_COARSE);
}

static uint64_t system_wall_ms(void *arg)
{
    (void)arg;
    return read_clock(CLOCK_REALTIME) / KM_NS_PER_MS;
}

const struct km_clock *km_clock_system(void)
{
    static const struct km_clock clock = {
        .mono = system_mono,
        .coarse = system_coarse,
        .wall_ms = system_wall_ms,
    };
    return &clock;
}

km_ns km_clock_boot(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

uint64_t km_clock_wall_us(void)
{
    return read_clock(CLOCK_REALTIME) / 1000;
}
