/* SPDX-License-Identifier: MIT */
#include "group.h"

#include "base/assert.h"

bool bench_group_has_huge_pages(void)
{
    kama_group_options options;
    kama_group_options_init(&options);
    return kama_group_options_set(&options, "huge_pages", "on") == KAMA_OK;
}

kama_group *bench_group_new(const struct bench_group_shape *shape)
{
    kama_group *group = NULL;
    kama_group_options options;
    kama_group_options_init(&options);
    options.max_bytes = shape->max_bytes;
    options.max_value_bytes = shape->max_value_bytes;
    options.ttl_ms = shape->ttl_ms;
    if (shape->pages != BENCH_PAGES_DEFAULT && bench_group_has_huge_pages()) {
        kama_status set = kama_group_options_set(
            &options, "huge_pages",
            shape->pages == BENCH_PAGES_HUGE ? "on" : "off");
        KM_ASSERT(set == KAMA_OK);
    }
    kama_status status = kama_group_new(&options, &group);
    KM_ASSERT(status == KAMA_OK);
    return group;
}

kama_status bench_group_try_set(kama_group *group, unsigned i,
                                const void *value, size_t value_bytes,
                                int64_t ttl_ms)
{
    uint8_t key[BENCH_KEY_BYTES];
    kama_set_options options;
    kama_set_options_init(&options);
    options.ttl_ms = ttl_ms;
    bench_key(key, i);
    return kama_set(group, KAMA_BYTES(key, sizeof key),
                    KAMA_BYTES(value, value_bytes), &options);
}

void bench_group_set(kama_group *group, unsigned i, const void *value,
                     size_t value_bytes)
{
    kama_status status = bench_group_try_set(group, i, value, value_bytes, 0);
    KM_ASSERT(status == KAMA_OK);
}

/* -- live entries -------------------------------------------------------------- */

static int count_entry(void *arg, const kama_entry *entry)
{
    struct bench_live *live = arg;
    live->entries++;
    live->bytes += entry->key.len + entry->value_bytes;
    return 0;
}

struct bench_live bench_group_live(kama_group *group)
{
    struct bench_live live = {0};
    uint64_t cursor = 0;
    do {
        kama_status status =
            kama_scan(group, &cursor, KAMA_BYTES(NULL, 0), count_entry, &live);
        KM_ASSERT(status == KAMA_OK);
    } while (cursor != 0);
    return live;
}

/* -- turns --------------------------------------------------------------------- */

static inline size_t get(const struct bench_group_side *side,
                         const uint8_t *key, const struct bench_turn *turn)
{
    size_t len = 0;
    kama_status status =
        kama_get_copy(side->group, KAMA_BYTES(key, BENCH_KEY_BYTES), NULL,
                      turn->out, turn->out_bytes, &len);
    KM_ASSERT(status == KAMA_OK);
    return len;
}

uint64_t bench_group_gets(void *arg, const struct bench_turn *turn)
{
    const struct bench_group_side *side = arg;
    size_t middle = side->value_bytes / 2;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < turn->count; i++) {
        const uint8_t *key = bench_lookups_at(side->lookups, turn->from + i);
        sum += get(side, key, turn) + turn->out[middle];
    }
    return sum;
}

uint64_t bench_group_dependent_gets(void *arg, const struct bench_turn *turn)
{
    const struct bench_group_side *side = arg;
    size_t middle = side->value_bytes / 2;
    uint64_t sum = 0;
    uint32_t at = turn->from;
    for (uint32_t i = 0; i < turn->count; i++) {
        sum += get(side, bench_lookups_at(side->lookups, at), turn);
        at += 1 + (turn->out[middle] & 1);
    }
    return sum + at;
}

static inline void set(const struct bench_group_side *side, const uint8_t *key,
                       const struct bench_turn *turn)
{
    kama_status status =
        kama_set(side->group, KAMA_BYTES(key, BENCH_KEY_BYTES),
                 KAMA_BYTES(turn->out, side->value_bytes), NULL);
    KM_ASSERT(status == KAMA_OK);
}

uint64_t bench_group_mixed(void *arg, const struct bench_turn *turn)
{
    const struct bench_group_side *side = arg;
    size_t middle = side->value_bytes / 2;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < turn->count; i++) {
        const uint8_t *key = bench_lookups_at(side->lookups, turn->from + i);
        if (i % BENCH_WRITE_EVERY == 0) {
            set(side, key, turn);
        } else {
            sum += get(side, key, turn) + turn->out[middle];
        }
    }
    return sum;
}
