/* SPDX-License-Identifier: MIT */
/*
 * The resident bytes that an item has beyond its payload, which is its key and
 * its value: after every key was set once, and after every key was overwritten
 * twice in random order with values that are up to half shorter or longer.
 */
#include "base/assert.h"
#include "child.h"
#include "group.h"
#include "rows.h"

#include <stdlib.h>
#include <string.h>

#define ITEMS 1000000u
#define ITEM_ROOM UINT64_C(300)
#define KEY_BYTES_MAX 32
#define GROUP_ROOM (64u << 20)

struct memory {
    const struct bench_run *run;
    unsigned items;
    unsigned key_bytes, value_bytes;
    bool judged; /* the bars are those of one size */
};

/* Everything that the measurement itself needs is made before the base is
 * read. */
struct loaded {
    const struct memory *memory;
    kama_group *group;
    uint32_t *order;
    uint32_t *lengths; /* of the values, by the number of the key */
    uint8_t *value;
    uint64_t base;
};

static void load(struct loaded *l, unsigned i, unsigned value_bytes)
{
    uint8_t key[KEY_BYTES_MAX] = {0};
    bench_key(key, i);
    l->lengths[i] = value_bytes;
    kama_status status =
        kama_set(l->group, KAMA_BYTES(key, l->memory->key_bytes),
                 KAMA_BYTES(l->value, value_bytes), NULL);
    KM_ASSERT(status == KAMA_OK);
}

static double payload(const struct loaded *l)
{
    double bytes = 0;
    for (unsigned i = 0; i < l->memory->items; i++) {
        bytes += l->memory->key_bytes + l->lengths[i];
    }
    return bytes / l->memory->items;
}

static void report_memory(const struct loaded *l, const char *when,
                          struct bench_bar bar)
{
    struct bench_line line = {.unit = "B", .judged = BENCH_BY_VALUE};
    kama_group_stats stats;
    double items = l->memory->items, part = payload(l);
    kama_group_stats_get(l->group, &stats);
    line.bar = l->memory->judged ? bar : (struct bench_bar){0};
    line.value =
        bench_spread_one((double)(bench_rss() - l->base) / items - part);
    (void)snprintf(line.what, sizeof line.what,
                   "bytes per item over payload, %u items of %u+%u B, %s",
                   l->memory->items, l->memory->key_bytes,
                   l->memory->value_bytes, when);
    (void)snprintf(line.name, sizeof line.name, "resident");
    (void)snprintf(line.note, sizeof line.note,
                   "payload %.1f B, accounted over it %.1f B%s", part,
                   (double)stats.bytes / items - part,
                   stats.evictions > 0 ? "; ITEMS WERE EVICTED" : "");
    bench_report_add(l->memory->run->report, &line);
}

static void overwrite(struct loaded *l, uint64_t *state)
{
    const struct memory *m = l->memory;
    bench_shuffle(l->order, m->items, state);
    for (unsigned i = 0; i < m->items; i++) {
        uint64_t more = bench_random(state) % (m->value_bytes + UINT64_C(1));
        load(l, l->order[i], m->value_bytes / 2 + (unsigned)more);
    }
}

static void run_memory(void *arg)
{
    const struct memory *m = arg;
    uint64_t state = 88172645463325252u;
    struct loaded l = {.memory = m,
                       .order = bench_numbers(m->items),
                       .lengths = malloc(m->items * sizeof *l.lengths),
                       .value = malloc(m->value_bytes * UINT64_C(2))};
    KM_ASSERT(l.lengths != NULL && l.value != NULL);
    memset(l.lengths, 1, m->items * sizeof *l.lengths);
    memset(l.value, 1, m->value_bytes * UINT64_C(2));
    l.base = bench_rss();
    l.group = bench_group_new(&(struct bench_group_shape){
        .max_bytes =
            (m->value_bytes * 3 / 2 + ITEM_ROOM) * m->items + GROUP_ROOM});
    for (unsigned i = 0; i < m->items; i++) {
        load(&l, i, m->value_bytes);
    }
    report_memory(&l, "set once", (struct bench_bar){BENCH_AT_MOST, 32, 26});
    overwrite(&l, &state);
    overwrite(&l, &state);
    report_memory(&l, "overwritten twice",
                  (struct bench_bar){BENCH_AT_MOST, 40, 30});
    kama_group_free(l.group);
}

void bench_row_memory(const struct bench_run *run)
{
    static const struct {
        unsigned key_bytes, value_bytes;
    } sizes[] = {{16, 8}, {16, 100}, {32, 1000}};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct memory memory = {.run = run,
                                .items = bench_items(run, ITEMS),
                                .key_bytes = sizes[i].key_bytes,
                                .value_bytes = sizes[i].value_bytes,
                                .judged = sizes[i].value_bytes == 100};
        bench_case(run, "bytes per item", run_memory, &memory);
    }
}
