/* SPDX-License-Identifier: MIT */
/*
 * One kama_mget of 32 keys beside 32 calls of kama_get, in a group so large that
 * most of its items are in no cache of the processor.
 */
#include "base/assert.h"
#include "group.h"
#include "rows.h"

#include <string.h>

#define ITEMS 10000000u
#define VALUE_BYTES 100u
#define ITEM_ROOM UINT64_C(216)
#define GROUP_ROOM (64u << 20)
#define MANY 32u

struct mget {
    const struct bench_run *run;
    unsigned items;
    enum bench_order order;
};

static kama_bytes key_at(const struct bench_group_side *side, uint32_t i)
{
    return KAMA_BYTES(bench_lookups_at(side->lookups, i), BENCH_KEY_BYTES);
}

/* Reads a byte of the value, as its user would. */
static uint64_t look_at(const kama_value *value)
{
    kama_bytes bytes = kama_value_bytes(value);
    return ((const uint8_t *)bytes.data)[bytes.len / 2];
}

static uint64_t run_mget(void *arg, const struct bench_turn *turn)
{
    const struct bench_group_side *side = arg;
    kama_bytes keys[MANY];
    kama_item items[MANY];
    uint64_t sum = 0;
    for (uint32_t i = 0; i < turn->count; i += MANY) {
        for (uint32_t n = 0; n < MANY; n++) {
            keys[n] = key_at(side, turn->from + i + n);
        }
        kama_status status = kama_mget(side->group, keys, MANY, NULL, items);
        KM_ASSERT(status == KAMA_OK);
        for (uint32_t n = 0; n < MANY; n++) {
            sum += look_at(items[n].value);
        }
        kama_items_unref(items, MANY);
    }
    return sum;
}

static uint64_t run_gets(void *arg, const struct bench_turn *turn)
{
    const struct bench_group_side *side = arg;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < turn->count; i++) {
        kama_value *value = NULL;
        kama_status status =
            kama_get(side->group, key_at(side, turn->from + i), NULL, &value);
        KM_ASSERT(status == KAMA_OK);
        sum += look_at(value);
        kama_value_unref(value);
    }
    return sum;
}

static void report_mget(const struct mget *mget,
                        const struct bench_turns *turns)
{
    struct bench_line line = {.unit = "ns/key",
                              .name = "kama_mget of 32",
                              .beside = "32 times kama_get",
                              .judged = BENCH_BY_RATIO,
                              .bar = {BENCH_AT_LEAST, 2, 0}};
    (void)snprintf(line.what, sizeof line.what,
                   "many keys at once, %u items of %u+%u B, %s, how many "
                   "times faster",
                   mget->items, BENCH_KEY_BYTES, VALUE_BYTES,
                   bench_order_name(mget->order));
    line.value = bench_spread_of(turns->cpu[0], turns->rounds);
    line.other = bench_spread_of(turns->cpu[1], turns->rounds);
    line.ratio =
        bench_spread_ratio(turns->cpu[1], turns->cpu[0], turns->rounds);
    (void)snprintf(line.note, sizeof line.note,
                   "32 times kama_get_copy: %.2f ns/key",
                   bench_spread_of(turns->cpu[2], turns->rounds).median);
    bench_report_add(mget->run->report, &line);
}

static void run_case(void *arg)
{
    const struct mget *mget = arg;
    const uint8_t value[VALUE_BYTES] = {1};
    struct bench_lookups lookups;
    bench_lookups_init(&lookups, mget->items, mget->order);
    struct bench_group_side side = {
        .group = bench_group_new(&(struct bench_group_shape){
            .max_bytes = mget->items * ITEM_ROOM + GROUP_ROOM}),
        .lookups = &lookups,
        .value_bytes = VALUE_BYTES};
    for (unsigned i = 0; i < mget->items; i++) {
        bench_group_set(side.group, i, value, sizeof value);
    }
    const struct bench_side sides[] = {{"kama_mget", run_mget, &side},
                                       {"kama_get", run_gets, &side},
                                       {"copy", bench_group_gets, &side}};
    struct bench_turns turns = {.sides = sides,
                                .side_count = 3,
                                .threads = 1,
                                .rounds = mget->run->pairs};
    bench_turns_run(&turns);
    report_mget(mget, &turns);
    bench_turns_fini(&turns);
    kama_group_free(side.group);
    bench_lookups_fini(&lookups);
}

void bench_row_mget(const struct bench_run *run)
{
    static const enum bench_order orders[] = {BENCH_UNIFORM, BENCH_ZIPF};
    for (unsigned i = 0; i < 2; i++) {
        struct mget mget = {
            .run = run, .items = bench_items(run, ITEMS), .order = orders[i]};
        bench_case(run, "many keys at once", run_case, &mget);
    }
}
