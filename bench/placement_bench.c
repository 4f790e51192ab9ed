/* SPDX-License-Identifier: MIT */
/*
 * The placement at 3, 10, 100 and 1000 members: how even the shares are, how many
 * slots move when a member joins, and what it costs to build the table and to
 * look an owner up. The shares and the movement are the same in each run,
 * because a placement is a pure function of the addresses.
 *
 *   fullest    the largest share beside the mean; bar: 1.045 at 100 members
 *   moved      slots that change their owner when one more member joins, beside
 *              the share of the new one; bar: 1.1 at 100 members
 *   build      processor time of km_placement_new, median of the rounds
 *   lookup     processor time from a key to the index of its owner, median; bar:
 *              50 ns at 1000 members
 *
 *   placement_bench [--rounds N]
 */
#include "base/assert.h"
#include "peers/placement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COUNT_MAX 1001u
#define ROUNDS_MAX 100u
#define LOOKUPS (1u << 20)
#define KEY_BYTES 16

static double cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, unsigned count)
{
    qsort(values, count, sizeof *values, by_value);
    return values[count / 2];
}

/* Makes a placement of 10.0.X.Y:8001, whose addresses have the same length and
 * are therefore sorted. */
static struct km_placement *make(unsigned count)
{
    static char addresses[COUNT_MAX][32];
    static struct km_placement_member members[COUNT_MAX];
    struct km_placement *placement;
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(addresses[i], sizeof addresses[i], "10.0.%03u.%03u:8001",
                       i / 250, i % 250);
        members[i].address = addresses[i];
        members[i].weight = 1;
    }
    kama_status status =
        km_placement_new(km_mem_default(), members, count, &placement);
    KM_ASSERT(status == KAMA_OK);
    return placement;
}

static double fullest(const struct km_placement *placement)
{
    size_t count = km_placement_count(placement);
    uint32_t most = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t share = km_placement_share(placement, i);
        most = share > most ? share : most;
    }
    return (double)most * (double)count / KM_OWNER_SLOTS;
}

/* The member that joins is the last one, so that the others keep their
 * indices. */
static double moved(const struct km_placement *before, unsigned count)
{
    struct km_placement *after = make(count + 1);
    uint32_t slots = 0;
    for (uint32_t slot = 0; slot < KM_OWNER_SLOTS; slot++) {
        slots +=
            km_placement_owner(before, slot) != km_placement_owner(after, slot);
    }
    double share = (double)km_placement_share(after, count);
    km_placement_unref(after);
    return slots / share;
}

static double build_ms(unsigned count, unsigned rounds)
{
    double times[ROUNDS_MAX];
    for (unsigned i = 0; i < rounds; i++) {
        double from = cpu_ns();
        struct km_placement *placement = make(count);
        times[i] = (cpu_ns() - from) / 1e6;
        km_placement_unref(placement);
    }
    return median(times, rounds);
}

static double lookup_ns(const struct km_placement *placement, unsigned rounds)
{
    static uint8_t keys[1024][KEY_BYTES];
    double times[ROUNDS_MAX];
    uint64_t seed = km_owner_seed("default");
    volatile uint64_t result;
    for (unsigned i = 0; i < 1024; i++) {
        uint64_t text = seed * (2 * i + 1);
        memcpy(keys[i], &text, sizeof text);
    }
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t sum = 0;
        double from = cpu_ns();
        for (unsigned n = 0; n < LOOKUPS; n++) {
            /* The key depends on the owner before, as an answer depends on
             * its request. */
            uint8_t *key = keys[(n + sum) & 1023];
            key[8] = (uint8_t)n;
            key[9] = (uint8_t)(n >> 8);
            uint32_t slot =
                km_owner_slot(seed, kama_bytes_make(key, KEY_BYTES));
            sum += km_placement_owner(placement, slot);
        }
        times[i] = (cpu_ns() - from) / LOOKUPS;
        result = sum;
    }
    (void)result;
    return median(times, rounds);
}

static void report(unsigned count, unsigned rounds)
{
    struct km_placement *placement = make(count);
    printf("%4u members: fullest %.3f of the mean, moved %.3f of the minimum, "
           "build %.1f ms, lookup %.1f ns\n",
           count, fullest(placement), moved(placement, count),
           build_ms(count, count > 100 && rounds > 5 ? 5 : rounds),
           lookup_ns(placement, rounds));
    km_placement_unref(placement);
}

int main(int argc, char **argv)
{
    unsigned rounds = 25;
    if (argc == 3 && strcmp(argv[1], "--rounds") == 0) {
        rounds = (unsigned)atoi(argv[2]);
    } else if (argc != 1) {
        fprintf(stderr, "usage: placement_bench [--rounds N]\n");
        return 2;
    }
    rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
    report(3, rounds);
    report(10, rounds);
    report(100, rounds);
    report(1000, rounds);
    printf("bars: fullest 1.045 and moved 1.1 at 100 members, lookup 50 ns at "
           "1000 members\n");
    return 0;
}
