/* SPDX-License-Identifier: MIT */
/*
 * The longest single operation, by the processor time of its thread, while the
 * group has a lot to do besides: while it grows, while it evicts, after all its
 * items have expired, and after they were cleared.
 */
#include "base/assert.h"
#include "expiring.h"
#include "group.h"
#include "meter.h"
#include "rows.h"

#include <stdlib.h>
#include <string.h>

#define ITEMS 10000000u
#define SMALL_BYTES 100u
/* For an item with its key and value: enough for any store, and so little that
 * the group is full before the last item. */
#define WIDE_ROOM UINT64_C(216)
#define TIGHT_ROOM UINT64_C(126)
#define LARGE_BYTES ((size_t)1 << 20)
#define HUGE_BYTES ((size_t)64 << 20)
#define HEATS 3u
#define LARGE_SETS 200u
#define SMALL_AFTER_LARGE 256u
#define SMALL_AFTER_HUGE 200000u
#define REST_OPS 3000000u
/* Operations between two rests, in which nothing is measured for comparison. */
#define CHUNK 65536u
/* Keys of large values begin here, and those of keys that come later. */
#define LARGE_KEYS 200000000u
#define LATER_KEYS 300000000u

enum kind {
    KIND_GET,
    KIND_SET,
    KIND_SET_LARGE,
    KIND_DEL,
    KIND_SCAN,
    KIND_STATS,
    KIND_CLEAR,
    KINDS
};

static const char *const kind_names[KINDS] = {
    [KIND_GET] = "longest get",
    [KIND_SET] = "longest set",
    [KIND_SET_LARGE] = "longest set of 1 MiB",
    [KIND_DEL] = "longest delete",
    [KIND_SCAN] = "longest scan",
    [KIND_STATS] = "longest read of statistics",
    [KIND_CLEAR] = "the clear",
};

struct operation {
    const struct bench_run *run;
    unsigned items;
};

/* A group at work, and the meters of one case. */
struct work {
    const struct operation *operation;
    kama_group *group;
    uint8_t *value; /* HUGE_BYTES, all touched */
    uint64_t state;
    uint64_t cursor;
    uint64_t rested_ns;
    struct bench_meter meters[KINDS];
    struct bench_meter nothing;
};

/* -- operations ------------------------------------------------------------------ */

static void set(struct work *w, enum kind kind, unsigned i, size_t bytes)
{
    uint8_t key[BENCH_KEY_BYTES];
    bench_key(key, i);
    uint64_t from = bench_meter_begin();
    kama_status status = kama_set(w->group, KAMA_BYTES(key, sizeof key),
                                  KAMA_BYTES(w->value, bytes), NULL);
    bench_meter_end(&w->meters[kind], from);
    KM_ASSERT(status == KAMA_OK);
}

static void get(struct work *w, unsigned i)
{
    uint8_t key[BENCH_KEY_BYTES], buf[SMALL_BYTES];
    size_t len = 0;
    bench_key(key, i);
    uint64_t from = bench_meter_begin();
    kama_status status = kama_get_copy(w->group, KAMA_BYTES(key, sizeof key),
                                       NULL, buf, sizeof buf, &len);
    bench_meter_end(&w->meters[KIND_GET], from);
    KM_ASSERT(status == KAMA_OK || status == KAMA_MISS);
}

static void del(struct work *w, unsigned i)
{
    uint8_t key[BENCH_KEY_BYTES];
    bench_key(key, i);
    uint64_t from = bench_meter_begin();
    kama_status status = kama_del(w->group, KAMA_BYTES(key, sizeof key), NULL);
    bench_meter_end(&w->meters[KIND_DEL], from);
    KM_ASSERT(status == KAMA_OK || status == KAMA_MISS);
}

static int ignore_entry(void *arg, const kama_entry *entry)
{
    (void)arg;
    (void)entry;
    return 0;
}

static void look_around(struct work *w)
{
    kama_group_stats stats;
    uint64_t from = bench_meter_begin();
    kama_status status = kama_scan(w->group, &w->cursor, KAMA_BYTES(NULL, 0),
                                   ignore_entry, NULL);
    bench_meter_end(&w->meters[KIND_SCAN], from);
    KM_ASSERT(status == KAMA_OK);
    from = bench_meter_begin();
    kama_group_stats_get(w->group, &stats);
    bench_meter_end(&w->meters[KIND_STATS], from);
}

/* Measures nothing for as long as operations were measured since the last
 * rest. */
static void rest(struct work *w)
{
    uint64_t sum_ns = 0;
    for (unsigned i = 0; i < KINDS; i++) {
        sum_ns += w->meters[i].sum_ns;
    }
    bench_meter_idle(&w->nothing, sum_ns - w->rested_ns);
    w->rested_ns = sum_ns;
}

/* A get, a set and now and then a delete, of keys that may be there. */
static void mixed_step(struct work *w, unsigned i)
{
    unsigned some = (unsigned)(bench_random(&w->state) % w->operation->items);
    get(w, some);
    set(w, KIND_SET, LATER_KEYS + i, SMALL_BYTES);
    if (i % 8 == 0) {
        del(w, (unsigned)(bench_random(&w->state) % w->operation->items));
    }
    if (i % 4096 == 0) {
        look_around(w);
        set(w, KIND_SET_LARGE, LARGE_KEYS + i / 4096, LARGE_BYTES);
    }
    if (i % CHUNK == CHUNK - 1) {
        rest(w);
    }
}

/* -- the report -------------------------------------------------------------------- */

static void note_kind(const struct work *w, const struct bench_meter *meter,
                      char *note, size_t cap)
{
    unsigned long long noise = w->nothing.long_count;
    int len = snprintf(note, cap, "%llu of them, %llu over 1 ms, mean %.2f us",
                       (unsigned long long)meter->count,
                       (unsigned long long)meter->long_count,
                       (double)meter->sum_ns / (double)meter->count / 1e3);
    if (noise > 0) {
        (void)snprintf(note + len, cap - (size_t)len,
                       "; of nothing %llu over 1 ms: without as many, the "
                       "longest has %.2f ms",
                       noise, bench_meter_longest_ms(meter, noise));
    }
}

static void report_kind(const struct work *w, const char *when, enum kind kind)
{
    const struct bench_meter *meter = &w->meters[kind];
    struct bench_line line = {.unit = "ms",
                              .judged = BENCH_BY_VALUE,
                              .bar = {BENCH_AT_MOST, 1, 0},
                              .beside = "longest of nothing"};
    if (meter->count == 0) {
        return;
    }
    (void)snprintf(line.what, sizeof line.what,
                   "longest operation, %u items of %u+%u B, %s",
                   w->operation->items, BENCH_KEY_BYTES, SMALL_BYTES, when);
    (void)snprintf(line.name, sizeof line.name, "%s", kind_names[kind]);
    line.value = bench_spread_one(bench_meter_longest_ms(meter, 0));
    line.other = bench_spread_one(bench_meter_longest_ms(&w->nothing, 0));
    note_kind(w, meter, line.note, sizeof line.note);
    bench_report_add(w->operation->run->report, &line);
}

/* Reports the case and begins the next one with empty meters. */
static void report(struct work *w, const char *when)
{
    rest(w);
    for (unsigned kind = 0; kind < KINDS; kind++) {
        report_kind(w, when, (enum kind)kind);
    }
    memset(w->meters, 0, sizeof w->meters);
    w->nothing = (struct bench_meter){0};
    w->rested_ns = 0;
}

/* -- cases --------------------------------------------------------------------------- */

static void open_work(struct work *w, const struct operation *operation,
                      uint64_t item_room)
{
    *w = (struct work){.operation = operation,
                       .state = 88172645463325252u,
                       .value = malloc(HUGE_BYTES)};
    KM_ASSERT(w->value != NULL);
    memset(w->value, 1, HUGE_BYTES);
    uint64_t max_bytes = operation->items * item_room;
    w->group = bench_group_new(&(struct bench_group_shape){
        .max_bytes = max_bytes < 4 * HUGE_BYTES ? 4 * HUGE_BYTES : max_bytes,
        .max_value_bytes = HUGE_BYTES});
}

static void close_work(struct work *w)
{
    kama_group_free(w->group);
    free(w->value);
}

static void run_growth(void *arg)
{
    struct work w;
    open_work(&w, arg, WIDE_ROOM);
    for (unsigned i = 0; i < w.operation->items; i++) {
        set(&w, KIND_SET, i, SMALL_BYTES);
        if (i % 4 == 0) {
            get(&w, (unsigned)(bench_random(&w.state) % (i + 1)));
        }
        if (i % 16 == 0) {
            del(&w, (unsigned)(bench_random(&w.state) % (i + 1)));
        }
        if (i % CHUNK == CHUNK - 1) {
            look_around(&w);
            rest(&w);
        }
    }
    report(&w, "while the group grows");
    close_work(&w);
}

/* Makes a full group, in which every entry was asked for again and again. */
static void fill_hot(struct work *w)
{
    uint8_t key[BENCH_KEY_BYTES], buf[SMALL_BYTES];
    size_t len = 0;
    for (unsigned i = 0; i < w->operation->items; i++) {
        bench_group_set(w->group, i, w->value, SMALL_BYTES);
    }
    for (unsigned i = 0; i < w->operation->items * HEATS; i++) {
        bench_key(key, i % w->operation->items);
        kama_status status = kama_get_copy(
            w->group, KAMA_BYTES(key, sizeof key), NULL, buf, sizeof buf, &len);
        KM_ASSERT(status == KAMA_OK || status == KAMA_MISS);
    }
}

static void run_eviction(void *arg)
{
    struct work w;
    unsigned small = LATER_KEYS;
    open_work(&w, arg, TIGHT_ROOM);
    fill_hot(&w);
    for (unsigned i = 0; i < LARGE_SETS; i++) {
        set(&w, KIND_SET_LARGE, LARGE_KEYS + i, LARGE_BYTES);
        for (unsigned n = 0; n < SMALL_AFTER_LARGE; n++) {
            set(&w, KIND_SET, small++, SMALL_BYTES);
            get(&w, small % w.operation->items);
            del(&w, small % w.operation->items + 1);
        }
        rest(&w);
    }
    report(&w, "sets of 1 MiB among hot small items");
    uint64_t from = bench_meter_begin();
    bench_group_set(w.group, LARGE_KEYS, w.value, HUGE_BYTES);
    double ms = (double)(bench_cpu_ns() - from) / 1e6;
    for (unsigned i = 0; i < SMALL_AFTER_HUGE; i++) {
        set(&w, KIND_SET, small++, SMALL_BYTES);
    }
    char when[64];
    (void)snprintf(when, sizeof when, "after a set of 64 MiB of %.1f ms", ms);
    report(&w, when);
    close_work(&w);
}

static void run_steps(struct work *w, const char *when)
{
    unsigned steps = w->operation->run->quick ? REST_OPS / 20 : REST_OPS;
    for (unsigned i = 0; i < steps; i++) {
        mixed_step(w, i);
    }
    report(w, when);
}

static void run_expired(void *arg)
{
    struct work w;
    open_work(&w, arg, WIDE_ROOM);
    bench_wait_expired(
        bench_fill_expiring(w.group, w.operation->items, SMALL_BYTES));
    run_steps(&w, "after all have expired");
    close_work(&w);
}

static void run_cleared(void *arg)
{
    struct work w;
    open_work(&w, arg, WIDE_ROOM);
    for (unsigned i = 0; i < w.operation->items; i++) {
        bench_group_set(w.group, i, w.value, SMALL_BYTES);
    }
    uint64_t from = bench_meter_begin();
    kama_status status = kama_group_clear(w.group);
    bench_meter_end(&w.meters[KIND_CLEAR], from);
    KM_ASSERT(status == KAMA_OK);
    run_steps(&w, "after they were cleared");
    close_work(&w);
}

void bench_row_operation(const struct bench_run *run)
{
    struct operation operation = {.run = run, .items = bench_items(run, ITEMS)};
    bench_case(run, "longest operation, growing", run_growth, &operation);
    bench_case(run, "longest operation, evicting", run_eviction, &operation);
    bench_case(run, "longest operation, expired", run_expired, &operation);
    bench_case(run, "longest operation, cleared", run_cleared, &operation);
}
