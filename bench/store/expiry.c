/* SPDX-License-Identifier: MIT */
/*
 * A million items that expire at the same moment: whether their memory comes back
 * within five seconds by calls that store nothing, and the longest of these calls.
 * A group without a node has no thread of its own, so without any call nothing
 * can come back.
 */
#include "base/assert.h"
#include "child.h"
#include "expiring.h"
#include "group.h"
#include "meter.h"
#include "rows.h"

#include <string.h>

#define ITEMS 1000000u
#define VALUE_BYTES 100u
#define ITEM_ROOM UINT64_C(400)
#define GROUP_ROOM (64u << 20)
#define WAIT_NS 5000000000ull
/* How much of the memory may stay, in percent, so that the index keeps a size
 * that suits a group which will be filled again. */
#define LEFT_BAR 10.0
/* The time between two looks at the memory. */
#define LOOK_NS 10000000ull
/* Numbers of keys that were never set. */
#define ABSENT_KEYS 200000000u

static uint64_t get_key(kama_group *group, unsigned number)
{
    uint8_t key[BENCH_KEY_BYTES], buf[VALUE_BYTES];
    size_t len = 0;
    bench_key(key, number);
    uint64_t from = bench_meter_begin();
    kama_status status = kama_get_copy(group, KAMA_BYTES(key, sizeof key), NULL,
                                       buf, sizeof buf, &len);
    KM_ASSERT(status == KAMA_MISS);
    return from;
}

static uint64_t get_expired(kama_group *group, unsigned i)
{
    return get_key(group, i);
}

static uint64_t get_absent(kama_group *group, unsigned i)
{
    return get_key(group, ABSENT_KEYS + i);
}

static int ignore_entry(void *arg, const kama_entry *entry)
{
    (void)arg;
    (void)entry;
    return 0;
}

static uint64_t scan(kama_group *group, unsigned i)
{
    static uint64_t cursor;
    (void)i;
    uint64_t from = bench_meter_begin();
    kama_status status =
        kama_scan(group, &cursor, KAMA_BYTES(NULL, 0), ignore_entry, NULL);
    KM_ASSERT(status == KAMA_OK);
    return from;
}

static uint64_t read_stats(kama_group *group, unsigned i)
{
    kama_group_stats stats;
    (void)i;
    uint64_t from = bench_meter_begin();
    kama_group_stats_get(group, &stats);
    return from;
}

/* A call that stores nothing. `call` gets a number below that of the items, and
 * returns when it began. */
struct way {
    const char *name;
    uint64_t (*call)(kama_group *group, unsigned i);
};

static const struct way ways[] = {
    {"gets of the expired keys", get_expired},
    {"gets of other keys, which miss", get_absent},
    {"scans", scan},
    {"reading the statistics", read_stats},
};

struct expiry {
    const struct bench_run *run;
    const struct way *way;
    unsigned items;
};

/* Calls until the memory of the process is back, for five seconds at most. The
 * statistics are not read meanwhile, because reading them may give memory
 * back. */
static void reclaim(const struct expiry *expiry, kama_group *group,
                    uint64_t enough, struct bench_meter *meter)
{
    uint64_t now = bench_wall_ns(), until = now + WAIT_NS, next_look = now;
    for (unsigned i = 0; now < until; i++) {
        bench_meter_end(meter, expiry->way->call(group, i % expiry->items));
        now = bench_wall_ns();
        if (now >= next_look) {
            if (bench_rss() <= enough) {
                return;
            }
            next_look = now + LOOK_NS;
        }
    }
}

static uint64_t accounted(kama_group *group)
{
    kama_group_stats stats;
    kama_group_stats_get(group, &stats);
    return stats.bytes;
}

/* -- the report ---------------------------------------------------------------- */

static struct bench_line line_of(const struct expiry *expiry, const char *name,
                                 const char *unit)
{
    struct bench_line line = {.judged = BENCH_BY_VALUE};
    (void)snprintf(line.what, sizeof line.what,
                   "%u items expire at once; memory comes back by %s",
                   expiry->items, expiry->way->name);
    (void)snprintf(line.name, sizeof line.name, "%s", name);
    (void)snprintf(line.unit, sizeof line.unit, "%s", unit);
    return line;
}

static void report_left(const struct expiry *expiry, const char *name,
                        double part, double seconds)
{
    struct bench_line line = line_of(expiry, name, "%");
    line.value = bench_spread_one(100 * part);
    line.bar = (struct bench_bar){BENCH_AT_MOST, LEFT_BAR, 0};
    (void)snprintf(line.note, sizeof line.note, "after %.2f s", seconds);
    bench_report_add(expiry->run->report, &line);
}

static void report_longest(const struct expiry *expiry,
                           const struct bench_meter *calls)
{
    struct bench_meter nothing = {0};
    struct bench_line line = line_of(expiry, "longest call", "ms");
    bench_meter_idle(&nothing, calls->sum_ns);
    line.value = bench_spread_one(bench_meter_longest_ms(calls, 0));
    line.other = bench_spread_one(bench_meter_longest_ms(&nothing, 0));
    (void)snprintf(line.beside, sizeof line.beside, "longest of nothing");
    line.bar = (struct bench_bar){BENCH_AT_MOST, 1, 0};
    (void)snprintf(line.note, sizeof line.note, "%llu calls, %llu over 1 ms",
                   (unsigned long long)calls->count,
                   (unsigned long long)calls->long_count);
    bench_report_add(expiry->run->report, &line);
}

static void run_expiry(void *arg)
{
    const struct expiry *expiry = arg;
    struct bench_meter calls = {0};
    uint64_t base = bench_rss();
    kama_group *group = bench_group_new(&(struct bench_group_shape){
        .max_bytes = expiry->items * ITEM_ROOM + GROUP_ROOM});
    uint64_t moment = bench_fill_expiring(group, expiry->items, VALUE_BYTES);
    uint64_t full = bench_rss(), full_accounted = accounted(group);
    double grown = (double)full - (double)base;
    bench_wait_expired(moment);
    uint64_t from = bench_wall_ns();
    reclaim(expiry, group, base + (uint64_t)(grown * LEFT_BAR / 100), &calls);
    double seconds = (double)(bench_wall_ns() - from) / 1e9;
    report_left(expiry, "resident memory left",
                ((double)bench_rss() - (double)base) / grown, seconds);
    report_left(expiry, "accounted memory left",
                (double)accounted(group) / (double)full_accounted, seconds);
    report_longest(expiry, &calls);
    kama_group_free(group);
}

void bench_row_expiry(const struct bench_run *run)
{
    for (unsigned i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct expiry expiry = {
            .run = run, .way = &ways[i], .items = bench_items(run, ITEMS)};
        bench_case(run, "items expire at once", run_expiry, &expiry);
    }
}
