/* SPDX-License-Identifier: MIT */
/*
 * How long single gets and sets take by the clock on the wall, on one, two and
 * four threads that do 95 gets and 5 sets of a hundred.
 */
#include "base/assert.h"
#include "base/histogram.h"
#include "group.h"
#include "rows.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS 1000000u
#define VALUE_BYTES 100u
#define ITEM_ROOM UINT64_C(400)
#define GROUP_ROOM (64u << 20)
#define THREADS_MAX 4u
#define SECOND_NS 1000000000ull
#define RUN_NS (3 * SECOND_NS)
#define QUICK_NS (SECOND_NS / 5)
#define THREAD_STEP 250007u

enum kind { KIND_GET, KIND_SET, KIND_NOTHING, KINDS };

static const char *const kind_names[KINDS] = {"get", "set", "nothing"};

struct latency {
    const struct bench_run *run;
    unsigned items;
    unsigned threads;
};

/* One set of histograms for all threads: they count with atomic additions. */
struct clocked {
    struct bench_group_side side;
    uint64_t run_ns;
    pthread_barrier_t begin;
    struct km_histogram took[KINDS];
};

struct caller {
    struct clocked *clocked;
    pthread_t thread;
    uint32_t from;
};

static void call(const struct bench_group_side *side, enum kind kind,
                 kama_bytes key, uint8_t *buf)
{
    size_t len = 0;
    kama_status status = KAMA_OK;
    if (kind == KIND_GET) {
        status = kama_get_copy(side->group, key, NULL, buf, VALUE_BYTES, &len);
    } else if (kind == KIND_SET) {
        status = kama_set(side->group, key, KAMA_BYTES(buf, VALUE_BYTES), NULL);
    }
    KM_ASSERT(status == KAMA_OK);
}

static enum kind kind_of(uint32_t i)
{
    if (i % 256 == 0) {
        return KIND_NOTHING;
    }
    return i % BENCH_WRITE_EVERY == 1 ? KIND_SET : KIND_GET;
}

static void *run_caller(void *arg)
{
    struct caller *caller = arg;
    struct clocked *clocked = caller->clocked;
    uint8_t buf[VALUE_BYTES] = {0};
    (void)pthread_barrier_wait(&clocked->begin);
    uint64_t until = bench_wall_ns() + clocked->run_ns, now = 0;
    for (uint32_t i = 0; now < until; i++) {
        const uint8_t *key =
            bench_lookups_at(clocked->side.lookups, caller->from + i);
        enum kind kind = kind_of(i);
        uint64_t from = bench_wall_ns();
        call(&clocked->side, kind, KAMA_BYTES(key, BENCH_KEY_BYTES), buf);
        now = bench_wall_ns();
        km_histogram_record(&clocked->took[kind], now - from);
    }
    return NULL;
}

static void run_callers(struct clocked *clocked, unsigned threads)
{
    struct caller callers[THREADS_MAX];
    (void)pthread_barrier_init(&clocked->begin, NULL, threads);
    for (unsigned i = 0; i < threads; i++) {
        callers[i] =
            (struct caller){.clocked = clocked, .from = i * THREAD_STEP};
        KM_ASSERT(pthread_create(&callers[i].thread, NULL, run_caller,
                                 &callers[i]) == 0);
    }
    for (unsigned i = 0; i < threads; i++) {
        (void)pthread_join(callers[i].thread, NULL);
    }
    (void)pthread_barrier_destroy(&clocked->begin);
}

static void report_latency(const struct latency *latency,
                           const struct km_histogram *took, enum kind kind)
{
    static const struct {
        const char *name;
        double q;
    } quantiles[] = {{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}};
    for (unsigned i = 0; i < 3; i++) {
        struct bench_line line = {.unit = "ns", .judged = BENCH_BY_VALUE};
        (void)snprintf(line.what, sizeof line.what,
                       "%s, %u thread%s, 95/5, %u items of %u+%u B, zipf 0.99",
                       kind_names[kind], latency->threads,
                       latency->threads > 1 ? "s" : "", latency->items,
                       BENCH_KEY_BYTES, VALUE_BYTES);
        (void)snprintf(line.name, sizeof line.name, "%s", quantiles[i].name);
        (void)snprintf(line.beside, sizeof line.beside, "%s of the clock alone",
                       quantiles[i].name);
        line.value = bench_spread_one(
            (double)km_histogram_quantile(&took[kind], quantiles[i].q));
        line.other = bench_spread_one(
            (double)km_histogram_quantile(&took[KIND_NOTHING], quantiles[i].q));
        bench_report_add(latency->run->report, &line);
    }
}

static void run_latency(void *arg)
{
    const struct latency *latency = arg;
    const uint8_t value[VALUE_BYTES] = {1};
    struct bench_lookups lookups;
    struct clocked *clocked = calloc(1, sizeof *clocked);
    KM_ASSERT(clocked != NULL);
    bench_lookups_init(&lookups, latency->items, BENCH_ZIPF);
    clocked->run_ns = latency->run->quick ? QUICK_NS : RUN_NS;
    clocked->side = (struct bench_group_side){
        .group = bench_group_new(&(struct bench_group_shape){
            .max_bytes = latency->items * ITEM_ROOM + GROUP_ROOM}),
        .lookups = &lookups,
        .value_bytes = VALUE_BYTES};
    for (unsigned i = 0; i < latency->items; i++) {
        bench_group_set(clocked->side.group, i, value, sizeof value);
    }
    run_callers(clocked, latency->threads);
    report_latency(latency, clocked->took, KIND_GET);
    report_latency(latency, clocked->took, KIND_SET);
    kama_group_free(clocked->side.group);
    bench_lookups_fini(&lookups);
    free(clocked);
}

void bench_row_latency(const struct bench_run *run)
{
    for (unsigned threads = 1; threads <= THREADS_MAX; threads *= 2) {
        struct latency latency = {
            .run = run, .items = bench_items(run, ITEMS), .threads = threads};
        bench_case(run, "latency", run_latency, &latency);
    }
}
