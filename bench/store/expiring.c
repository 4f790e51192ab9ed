/* SPDX-License-Identifier: MIT */
#include "expiring.h"

#include "base/assert.h"
#include "group.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MS_NS 1000000ull
#define SECOND_NS (1000 * MS_NS)
/* The part of the items by which the time of all is guessed. */
#define PROBE_PART 20u
/* Nothing is returned more than 5 ms after its time. */
#define LATE_NS (20 * MS_NS)

static void fill(kama_group *group, unsigned from, unsigned to,
                 kama_bytes value, uint64_t moment)
{
    for (unsigned i = from; i < to; i++) {
        uint64_t now = bench_wall_ns();
        int64_t ttl_ms =
            moment > now + MS_NS ? (int64_t)((moment - now) / MS_NS) : 1;
        kama_status status =
            bench_group_try_set(group, i, value.data, value.len, ttl_ms);
        KM_ASSERT(status == KAMA_OK);
    }
}

/* The first items are set again at the end, because their time was not known
 * yet. */
uint64_t bench_fill_expiring(kama_group *group, unsigned items,
                             size_t value_bytes)
{
    uint8_t *bytes = calloc(1, value_bytes);
    KM_ASSERT(bytes != NULL);
    kama_bytes value = KAMA_BYTES(bytes, value_bytes);
    unsigned probe = items / PROBE_PART;
    uint64_t from = bench_wall_ns();
    fill(group, 0, probe, value, from + 3600 * SECOND_NS);
    uint64_t now = bench_wall_ns();
    uint64_t moment = now + (now - from) * PROBE_PART * 2 + SECOND_NS;
    fill(group, probe, items, value, moment);
    fill(group, 0, probe, value, moment);
    free(bytes);
    return moment;
}

void bench_wait_expired(uint64_t moment)
{
    uint64_t until = moment + LATE_NS;
    const struct timespec at = {.tv_sec = (time_t)(until / SECOND_NS),
                                .tv_nsec = (long)(until % SECOND_NS)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0) {
    }
}
