/* SPDX-License-Identifier: MIT */
/*
 * A flood: threads set new keys with values of mixed sizes until they have written
 * five times max_bytes. The bars are how much memory is resident at the worst
 * moment, and how much of max_bytes the entries have that are there at the end.
 */
#include "base/assert.h"
#include "child.h"
#include "group.h"
#include "rows.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MIB ((uint64_t)1 << 20)
#define KIB ((uint64_t)1 << 10)
#define THREADS_MAX 32u
#define TIMES_WRITTEN 5u
#define SMALLEST 64u
#define SAMPLE_NS 2000000

/* How the sizes of the values come: small ones and large ones in equal numbers,
 * any size as often as any other, or larger and larger ones. */
enum sizes { SIZES_MIXED, SIZES_EVEN, SIZES_GROWING };

struct flood {
    const struct bench_run *run;
    const char *name;
    unsigned threads;
    uint64_t max_bytes;
    uint64_t largest;
    enum sizes sizes;
    double live_bar;
};

/* The state that the threads of a flood share. */
struct waters {
    const struct flood *flood;
    kama_group *group;
    const uint8_t *value;
    pthread_barrier_t begin;
    _Atomic unsigned next_key;
    _Atomic uint64_t written;
    _Atomic unsigned running;
    _Atomic uint64_t failures;
    _Atomic int last_failure;
};

struct source {
    struct waters *waters;
    pthread_t thread;
    uint64_t state;
};

/* Sizes double again and again until the last of them are the largest. */
static uint64_t growing_size(const struct flood *flood, uint64_t *state,
                             uint64_t written)
{
    uint64_t whole = TIMES_WRITTEN * flood->max_bytes;
    unsigned doublings = 0;
    while (SMALLEST << doublings < flood->largest) {
        doublings++;
    }
    uint64_t size = (uint64_t)SMALLEST << written * (doublings + 1) / whole;
    size += bench_random(state) % size;
    return size < flood->largest ? size : flood->largest;
}

static uint64_t next_size(struct source *source)
{
    const struct flood *flood = source->waters->flood;
    switch (flood->sizes) {
    case SIZES_EVEN:
        return SMALLEST +
               bench_random(&source->state) % (flood->largest - SMALLEST + 1);
    case SIZES_GROWING:
        return growing_size(flood, &source->state,
                            atomic_load(&source->waters->written));
    default:
        return bench_random_size(&source->state, SMALLEST, flood->largest);
    }
}

static void *run_source(void *arg)
{
    struct source *source = arg;
    struct waters *waters = source->waters;
    uint64_t whole = TIMES_WRITTEN * waters->flood->max_bytes;
    (void)pthread_barrier_wait(&waters->begin);
    for (;;) {
        uint64_t size = next_size(source);
        if (atomic_fetch_add(&waters->written, size) + size > whole) {
            break;
        }
        kama_status status = bench_group_try_set(
            waters->group, atomic_fetch_add(&waters->next_key, 1),
            waters->value, size, 0);
        if (status != KAMA_OK) {
            atomic_fetch_add(&waters->failures, 1);
            atomic_store(&waters->last_failure, (int)status);
        }
    }
    atomic_fetch_sub(&waters->running, 1);
    return NULL;
}

/* The worst moments of a flood. */
struct worst {
    uint64_t resident; /* the most */
    uint64_t live; /* the least since the group was full for the first time */
};

/* Looks again and again while the threads run. */
static struct worst watch(struct waters *waters)
{
    const struct timespec pause = {.tv_nsec = SAMPLE_NS};
    struct worst worst = {.live = UINT64_MAX};
    while (atomic_load(&waters->running) > 0) {
        kama_group_stats stats;
        uint64_t now = bench_rss();
        worst.resident = now > worst.resident ? now : worst.resident;
        kama_group_stats_get(waters->group, &stats);
        if (atomic_load(&waters->written) > 2 * waters->flood->max_bytes &&
            stats.value_bytes < worst.live) {
            worst.live = stats.value_bytes;
        }
        (void)nanosleep(&pause, NULL);
    }
    return worst;
}

/* -- the report ---------------------------------------------------------------- */

static struct bench_line line_of(const struct flood *flood, const char *name)
{
    struct bench_line line = {.unit = "x max", .judged = BENCH_BY_VALUE};
    (void)snprintf(line.what, sizeof line.what, "flood of %s%s by %u threads",
                   flood->name,
                   flood->sizes == SIZES_EVEN ? ", mostly large ones" : "",
                   flood->threads);
    (void)snprintf(line.name, sizeof line.name, "%s", name);
    return line;
}

static void report_resident(struct waters *waters, uint64_t base,
                            const struct worst *worst)
{
    const struct flood *flood = waters->flood;
    double max = (double)flood->max_bytes;
    struct bench_line line = line_of(flood, "resident");
    kama_group_stats stats;
    kama_group_stats_get(waters->group, &stats);
    line.bar = (struct bench_bar){BENCH_AT_MOST, 1.05 + 16.0 * MIB / max, 0};
    line.value = bench_spread_one((double)(worst->resident - base) / max);
    (void)snprintf(line.note, sizeof line.note,
                   "at the end: resident %.2f, accounted %.2f, pinned %.2f",
                   ((double)bench_rss() - (double)base) / max,
                   (double)stats.bytes / max, (double)stats.pinned_bytes / max);
    bench_report_add(flood->run->report, &line);
}

static void report_live(struct waters *waters, const struct worst *worst)
{
    const struct flood *flood = waters->flood;
    struct bench_line line = line_of(flood, "live payload");
    struct bench_live live = bench_group_live(waters->group);
    line.bar = (struct bench_bar){BENCH_AT_LEAST, flood->live_bar, 0};
    line.value =
        bench_spread_one((double)live.bytes / (double)flood->max_bytes);
    (void)snprintf(line.note, sizeof line.note,
                   "%llu entries of %u sets; at the worst moment live %.2f",
                   (unsigned long long)live.entries,
                   atomic_load(&waters->next_key),
                   worst->live == UINT64_MAX
                       ? 0
                       : (double)worst->live / (double)flood->max_bytes);
    bench_report_add(flood->run->report, &line);
}

static void report_failures(struct waters *waters)
{
    struct bench_line line = line_of(waters->flood, "sets that failed");
    uint64_t failures = atomic_load(&waters->failures);
    (void)snprintf(line.unit, sizeof line.unit, "sets");
    line.bar = (struct bench_bar){BENCH_AT_MOST, 0, 0};
    line.value = bench_spread_one((double)failures);
    if (failures > 0) {
        (void)snprintf(
            line.note, sizeof line.note, "the last one with %s",
            kama_status_name((kama_status)atomic_load(&waters->last_failure)));
    }
    bench_report_add(waters->flood->run->report, &line);
}

/* -- the flood ------------------------------------------------------------------ */

static void open_sources(struct waters *waters, struct source *sources)
{
    unsigned threads = waters->flood->threads;
    (void)pthread_barrier_init(&waters->begin, NULL, threads + 1);
    atomic_init(&waters->running, threads);
    for (unsigned i = 0; i < threads; i++) {
        sources[i] = (struct source){.waters = waters,
                                     .state = 88172645463325252u + i * 7919u};
        KM_ASSERT(pthread_create(&sources[i].thread, NULL, run_source,
                                 &sources[i]) == 0);
    }
}

static void run_flood(void *arg)
{
    const struct flood *flood = arg;
    struct source sources[THREADS_MAX];
    uint8_t *value = malloc(flood->largest);
    KM_ASSERT(value != NULL);
    memset(value, 1, flood->largest);
    struct waters waters = {.flood = flood, .value = value};
    open_sources(&waters, sources);
    uint64_t base = bench_rss();
    waters.group = bench_group_new(&(struct bench_group_shape){
        .max_bytes = flood->max_bytes, .max_value_bytes = flood->largest});
    (void)pthread_barrier_wait(&waters.begin);
    struct worst worst = watch(&waters);
    for (unsigned i = 0; i < flood->threads; i++) {
        (void)pthread_join(sources[i].thread, NULL);
    }
    report_resident(&waters, base, &worst);
    report_live(&waters, &worst);
    report_failures(&waters);
    kama_group_free(waters.group);
    free(value);
}

static void start_flood(const struct bench_run *run, struct flood flood)
{
    flood.run = run;
    bench_case(run, flood.name, run_flood, &flood);
}

void bench_row_flood(const struct bench_run *run)
{
    start_flood(run, (struct flood){.name = "sizes that grow from 64 B to "
                                            "64 KiB into 64 MiB",
                                    .threads = 8,
                                    .max_bytes = 64 * MIB,
                                    .largest = 64 * KIB,
                                    .sizes = SIZES_GROWING,
                                    .live_bar = 0.85});
    for (enum sizes sizes = SIZES_MIXED; sizes <= SIZES_EVEN; sizes++) {
        struct flood flood = {.name = "64 B-1 MiB into 64 MiB",
                              .threads = 8,
                              .max_bytes = 64 * MIB,
                              .largest = MIB,
                              .sizes = sizes,
                              .live_bar = 0.85};
        start_flood(run, flood);
        flood.threads = 32;
        start_flood(run, flood);
        flood.name = "64 B-16 MiB into 256 MiB";
        flood.threads = 8;
        flood.max_bytes = 256 * MIB;
        flood.largest = 16 * MIB;
        start_flood(run, flood);
        flood.name = "64 B-64 MiB into 256 MiB";
        flood.largest = 64 * MIB;
        flood.live_bar = 0.65;
        start_flood(run, flood);
    }
}
