/* SPDX-License-Identifier: MIT */
/*
 * The models of shapes_bench, beside a naive reference.
 *
 *   test_all_stay         with room, every key has its last value
 *   test_bound_holds      without room, keys leave, and those that stay have their last
 *                         value
 *   test_hits_stay        keys that are hit outlive those that are not
 *   test_room_is_taken    room in one piece pushes items out, and the rest is whole
 *   test_sweep_bounds     the holes of the log stay below their limit
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shapes/shape.h"

#include <stdlib.h>
#include <string.h>

#define KEYS 4000u
#define STEPS 60000u
#define VALUE_MAX 200u
#define ROOMY ((uint64_t)4 << 20)
/* About half of the keys fit. */
#define TIGHT ((uint64_t)400 << 10)

static const struct {
    const struct shape_ops *ops;
    unsigned holes_percent;
} models[] = {
    {&shape_log, 12}, {&shape_log, 3}, {&shape_slabs, 0}, {&shape_malloc, 0}};
#define MODELS (sizeof models / sizeof models[0])

/* A model, and the values that its keys were set to. */
struct pair {
    const struct shape_ops *ops;
    void *shape;
    uint32_t lengths[KEYS]; /* 0: never set */
    uint8_t fills[KEYS];    /* every byte of the value */
    uint64_t random;
};

static struct pair *pair_new(unsigned model, uint64_t max_bytes)
{
    struct pair *pair = calloc(1, sizeof *pair);
    assert_non_null(pair);
    pair->ops = models[model].ops;
    pair->shape = pair->ops->open(&(struct shape_options){
        .max_bytes = max_bytes, .holes_percent = models[model].holes_percent});
    pair->random = 88172645463325252u + model;
    return pair;
}

static void pair_free(struct pair *pair)
{
    pair->ops->close(pair->shape);
    free(pair);
}

static void set(struct pair *pair, unsigned i)
{
    uint8_t key[BENCH_KEY_BYTES], value[VALUE_MAX];
    uint64_t bits = bench_random(&pair->random);
    pair->lengths[i] = 1 + (uint32_t)(bits % VALUE_MAX);
    pair->fills[i] = (uint8_t)(bits >> 32);
    bench_key(key, i);
    memset(value, pair->fills[i], pair->lengths[i]);
    pair->ops->set(pair->shape,
                   &(struct shape_item){key, value, pair->lengths[i]});
}

/* Returns whether a key is there; its value is the last one then. */
static bool look(struct pair *pair, unsigned i)
{
    uint8_t key[BENCH_KEY_BYTES], out[VALUE_MAX];
    bench_key(key, i);
    size_t len = pair->ops->get(pair->shape, key, out);
    if (len == 0) {
        return false;
    }
    assert_int_equal(len, pair->lengths[i]);
    for (size_t at = 0; at < len; at++) {
        assert_int_equal(out[at], pair->fills[i]);
    }
    return true;
}

static struct shape_counts count(struct pair *pair)
{
    struct shape_counts counts;
    pair->ops->count(pair->shape, &counts);
    return counts;
}

/* Looks at every key, and compares the counts. Returns how many keys are there. */
static unsigned check(struct pair *pair)
{
    struct shape_counts counts = count(pair);
    uint64_t entries = 0, payload = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        if (look(pair, i)) {
            entries++;
            payload += BENCH_KEY_BYTES + pair->lengths[i];
        }
    }
    assert_int_equal(counts.entries, entries);
    assert_int_equal(counts.payload, payload);
    return (unsigned)entries;
}

static void run_steps(struct pair *pair, unsigned steps)
{
    for (unsigned i = 0; i < steps; i++) {
        uint64_t bits = bench_random(&pair->random);
        unsigned key = (unsigned)(bits >> 8) % KEYS;
        if (bits % 2 == 0) {
            set(pair, key);
            assert_true(look(pair, key));
        } else {
            (void)look(pair, key);
        }
    }
}

/* With room, every key has its last value, however often its size changes. */
static void test_all_stay(void **state)
{
    (void)state;
    for (unsigned m = 0; m < MODELS; m++) {
        struct pair *pair = pair_new(m, ROOMY);
        for (unsigned i = 0; i < KEYS; i++) {
            set(pair, i);
        }
        run_steps(pair, STEPS);
        assert_int_equal(check(pair), KEYS);
        pair_free(pair);
    }
}

/* Without room for all, keys leave; those that stay have their last value, and the
 * memory that the model counts stays below the bound. */
static void test_bound_holds(void **state)
{
    (void)state;
    for (unsigned m = 0; m < MODELS; m++) {
        struct pair *pair = pair_new(m, TIGHT);
        for (unsigned i = 0; i < 20; i++) {
            run_steps(pair, STEPS / 20);
            /* A segment and a line may come with the last insertion. */
            assert_true(count(pair).used <= TIGHT + (32u << 10));
        }
        unsigned live = check(pair);
        assert_in_range(live, KEYS / 4, KEYS * 3 / 4);
        pair_free(pair);
    }
}

/* Keys that are hit between any two insertions of others outlive them. */
static void test_hits_stay(void **state)
{
    (void)state;
    for (unsigned m = 0; m < MODELS; m++) {
        struct pair *pair = pair_new(m, TIGHT);
        unsigned hot = KEYS / 20;
        for (unsigned i = 0; i < KEYS; i++) {
            set(pair, i);
            if (i >= hot) {
                assert_true(look(pair, i % hot));
            }
        }
        for (unsigned i = 0; i < hot; i++) {
            assert_true(look(pair, i));
        }
        assert_false(look(pair, hot));
        pair_free(pair);
    }
}

/* Room in one piece pushes items out, and the rest is whole. */
static void test_room_is_taken(void **state)
{
    (void)state;
    for (unsigned m = 0; m < MODELS; m++) {
        struct pair *pair = pair_new(m, TIGHT);
        run_steps(pair, STEPS);
        unsigned before = check(pair);
        pair->ops->take(pair->shape, TIGHT / 4);
        assert_in_range(check(pair), before / 3, before - before / 10);
        assert_true(count(pair).used <= TIGHT + (32u << 10));
        run_steps(pair, STEPS);
        (void)check(pair);
        pair_free(pair);
    }
}

/* Beside records and lines, the log uses at most its limit of holes, and a few segments
 * that are not full. */
static void test_sweep_bounds(void **state)
{
    (void)state;
    for (unsigned m = 0; m < 2; m++) {
        struct pair *pair = pair_new(m, ROOMY);
        for (unsigned i = 0; i < KEYS; i++) {
            set(pair, i);
        }
        for (unsigned i = 0; i < 20; i++) {
            run_steps(pair, STEPS / 20);
            struct shape_counts counts = count(pair);
            uint64_t records = counts.payload + counts.entries * 12;
            uint64_t lines = counts.entries * 12 + 4096;
            uint64_t limit =
                records * 100 / (100 - models[m].holes_percent) + lines;
            assert_true(counts.used <= limit + (64u << 10));
        }
        assert_true(count(pair).moved > 0);
        pair_free(pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_stay), cmocka_unit_test(test_bound_holds),
        cmocka_unit_test(test_hits_stay), cmocka_unit_test(test_room_is_taken),
        cmocka_unit_test(test_sweep_bounds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
