/* SPDX-License-Identifier: MIT */
/* ctest: labels=onethread */
/* The policies of bench/hitratio give the numbers of misses that their papers'
 * rules give by hand, on traces that are short enough for that. */
#include "base/status.h"
#include "hitratio/generate.h"
#include "hitratio/ghosts.h"
#include "hitratio/live.h"
#include "hitratio/random.h"
#include "hitratio/simulate.h"
#include "hitratio/sketch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct hr_engine one_shard = {
    .shards = 1, .segments = 64, .steps = 16384};

static uint64_t misses(const struct hr_policy *policy, const uint64_t *keys,
                       size_t count, uint64_t capacity)
{
    struct hr_trace trace;
    hr_trace_make(keys, NULL, count, &trace);
    struct hr_result r = hr_simulate(&trace, policy, capacity, &one_shard);
    hr_trace_free(&trace);
    assert_int_equal(r.requests, count);
    assert_int_equal(r.missed_bytes, r.misses);
    return r.misses;
}

#define MISSES(policy, keys, capacity)                                         \
    misses(&(policy), keys, sizeof(keys) / sizeof(keys)[0], capacity)

/* Fills `keys` with rounds of 0, 1 ... length - 1. */
static void make_loop(uint64_t *keys, size_t count, size_t length)
{
    for (size_t i = 0; i < count; i++) {
        keys[i] = i % length;
    }
}

/* -- the published policies ------------------------------------------------ */

/*  request   1  2  3  1    4     1     2     3
 *  fifo      -  -  -  hit  -1    -2    -3    -4
 *  lru       -  -  -  hit  -2    hit   -3    -4
 *  sieve     -  -  -  hit  -2    hit   -3    -4        ("-1": 1 leaves) */
static void test_one_queue(void **state)
{
    static const uint64_t keys[] = {1, 2, 3, 1, 4, 1, 2, 3};
    (void)state;
    assert_int_equal(MISSES(hr_policy_fifo, keys, 3), 7);
    assert_int_equal(MISSES(hr_policy_lru, keys, 3), 6);
    assert_int_equal(MISSES(hr_policy_sieve, keys, 3), 6);
}

/* 1 is used twice and moves to T2. 3 makes 2 a ghost of B1, whose return raises
 * the target of T1, so that 1 leaves and 3 stays. */
static void test_arc(void **state)
{
    static const uint64_t keys[] = {1, 2, 1, 3, 2, 3};
    (void)state;
    assert_int_equal(MISSES(hr_policy_arc, keys, 2), 4);
}

/* In a loop of 10 keys with room for 5, the first 4 are hot and stay. */
static void test_lirs_keeps_a_part_of_a_loop(void **state)
{
    uint64_t keys[100];
    (void)state;
    make_loop(keys, 100, 10);
    assert_int_equal(MISSES(hr_policy_lru, keys, 5), 100);
    assert_int_equal(MISSES(hr_policy_lirs, keys, 5), 10 + 9 * 6);
}

/* Ten keys are used five times. A hundred others come once; then the ten are
 * still there, because they are more frequent than each that came. */
static void test_wtinylfu_resists_a_scan(void **state)
{
    uint64_t keys[160];
    (void)state;
    make_loop(keys, 50, 10);
    for (size_t i = 50; i < 150; i++) {
        keys[i] = 1000 + i;
    }
    make_loop(keys + 150, 10, 10);
    assert_int_equal(MISSES(hr_policy_wtinylfu, keys, 20), 10 + 100);
    assert_int_equal(MISSES(hr_policy_lru, keys, 20), 10 + 100 + 10);
}

/* 0 to 9 fill SMALL, and 0 is hit twice. 10 makes room: 0 moves to MAIN and 1
 * becomes a ghost, which returns to MAIN while 2 leaves. Then 0 and 1 are hits,
 * and 2 is a miss. Nine new keys displace all of SMALL, but not 1 from MAIN. */
static void test_s3fifo(void **state)
{
    static const uint64_t keys[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,
                                    9,  0,  0,  10, 1,  0,  1,  2,  20,
                                    21, 22, 23, 24, 25, 26, 27, 28, 1};
    (void)state;
    assert_int_equal(MISSES(hr_policy_s3fifo, keys, 10), 13 + 9);
}

/* As published, a loop that is longer than the cache and its ghosts never hits.
 * With prefill, the 9 keys that entered MAIN at first stay. */
static void test_s3fifo_prefill(void **state)
{
    uint64_t keys[2000];
    (void)state;
    make_loop(keys, 2000, 100);
    assert_int_equal(MISSES(hr_policy_s3fifo, keys, 10), 2000);
    assert_int_equal(MISSES(hr_policy_s3fifo_prefill, keys, 10), 2000 - 19 * 9);
}

/* 0.1 keeps 9 keys of a loop as well, if the loop is longer than the 256
 * evictions for which it remembers ghosts. */
static void test_s3fifo_0_1(void **state)
{
    static uint64_t keys[4000];
    (void)state;
    make_loop(keys, 4000, 400);
    assert_int_equal(MISSES(hr_policy_s3fifo_0_1, keys, 10), 4000 - 9 * 9);
}

/* -- s3fifo+ --------------------------------------------------------------- */

/* In a loop of 150 with room for 100, LRU has no hit, and s3fifo+ keeps more
 * than half of the loop, like LIRS. */
static void test_plus_keeps_a_part_of_a_loop(void **state)
{
    static uint64_t keys[15000];
    (void)state;
    make_loop(keys, 15000, 150);
    assert_int_equal(MISSES(hr_policy_lru, keys, 100), 15000);
    assert_true(MISSES(hr_policy_plus, keys, 100) < 15000 * 0.45);
}

/* In a loop that is longer than the window of the ghosts, the keys that entered
 * MAIN while the cache was filled stay. */
static void test_plus_prefill(void **state)
{
    static uint64_t keys[5000];
    (void)state;
    make_loop(keys, 5000, 1000);
    assert_in_range(MISSES(hr_policy_plus, keys, 100), 5000 - 4 * 95,
                    5000 - 4 * 85);
}

/* When all keys are replaced by others, MAIN follows within a few rounds. */
static void test_plus_follows_new_keys(void **state)
{
    static uint64_t keys[20000];
    (void)state;
    make_loop(keys, 10000, 80);
    for (size_t i = 10000; i < 20000; i++) {
        keys[i] = 1000 + i % 80;
    }
    assert_true(MISSES(hr_policy_plus, keys, 100) < 80 + 80 * 6);
}

/* With sizes, fewer requests are misses if large keys need more hits. */
static void test_plus_prefers_small_keys(void **state)
{
    struct hr_generate g = {.theta = 0.9,
                            .keys = 2000,
                            .requests = 100000,
                            .mix = "drift",
                            .with_sizes = true};
    struct hr_trace trace;
    (void)state;
    assert_int_equal(hr_generate(&g, &trace), KAMA_OK);
    uint64_t with =
        hr_simulate(&trace, &hr_policy_plus, 2000000, &one_shard).misses;
    uint64_t without =
        hr_simulate(&trace, &hr_policy_plus_no_sizes, 2000000, &one_shard)
            .misses;
    assert_true(with < without * 0.99);
    hr_trace_free(&trace);
}

/* A step bound of one still finds room, at the cost of more misses. */
static void test_plus_with_few_steps(void **state)
{
    struct hr_engine engine = one_shard;
    struct hr_generate g = {.theta = 0.9,
                            .keys = 2000,
                            .requests = 40000,
                            .mix = "none",
                            .seed = 3};
    struct hr_trace trace;
    (void)state;
    assert_int_equal(hr_generate(&g, &trace), KAMA_OK);
    uint64_t most = hr_simulate(&trace, &hr_policy_plus, 200, &engine).misses;
    engine.steps = 1;
    uint64_t few = hr_simulate(&trace, &hr_policy_plus, 200, &engine).misses;
    assert_true(few > most && few < most * 1.2);
    hr_trace_free(&trace);
}

/* -- the sketch ------------------------------------------------------------ */

/* Frequencies are never too low, and are halved after ten times the capacity. */
static void test_sketch(void **state)
{
    struct hr_sketch sketch;
    (void)state;
    hr_sketch_init(&sketch, 100);
    for (unsigned i = 0; i < 20; i++) {
        hr_sketch_count(&sketch, 7);
    }
    assert_int_equal(hr_sketch_frequency(&sketch, 7), 15);
    for (uint32_t key = 100; key < 1100; key++) {
        hr_sketch_count(&sketch, key);
    }
    assert_int_equal(hr_sketch_frequency(&sketch, 7), 7);
    hr_sketch_fini(&sketch);
}

/* -- the ghosts of two bytes ----------------------------------------------- */

/* The age of a ghost is estimated by its place in the line. */
static void test_ghost_ages(void **state)
{
    struct hr_ghosts ghosts = {0};
    uint64_t sum = 0;
    uint64_t age;
    (void)state;
    for (uint64_t i = 0; i < 4000; i++) {
        hr_ghosts_add(&ghosts, hr_hash(i), 2000);
    }
    for (uint64_t i = 2900; i < 3100; i++) {
        assert_true(hr_ghosts_take(&ghosts, hr_hash(i), &age));
        assert_false(hr_ghosts_take(&ghosts, hr_hash(i), &age));
        sum += age;
    }
    assert_in_range(sum / 200, 850, 1150);
    assert_false(hr_ghosts_take(&ghosts, hr_hash(1), &age));
    hr_ghosts_fini(&ghosts);
}

/* A new table for a larger window does not lose the ghosts of the old one. */
static void test_ghosts_survive_a_new_window(void **state)
{
    struct hr_ghosts ghosts = {0};
    uint64_t age = 0;
    (void)state;
    for (uint64_t i = 0; i < 300; i++) {
        hr_ghosts_add(&ghosts, hr_hash(i), i < 200 ? 320 : 3200);
    }
    assert_true(hr_ghosts_take(&ghosts, hr_hash(180), &age));
    assert_in_range(age, 101, 160);
    hr_ghosts_fini(&ghosts);
}

/* -- traces and the engine ------------------------------------------------- */

static kama_status read_text(const void *text, size_t len, const char *format,
                             struct hr_trace *ret_trace)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    rewind(file);
    kama_status status = hr_trace_read(file, format, ret_trace);
    assert_int_equal(fclose(file), 0);
    return status;
}

static void test_formats(void **state)
{
    static const uint8_t words[] = {1, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0};
    static const char lines[] = "256\n*\n\n7\r\n256\n";
    static const char sized[] = "1 256 10\n2 7 0\n3 256 99\n";
    static const uint32_t wanted[] = {0, 1, 0};
    struct hr_trace traces[3];
    (void)state;
    assert_int_equal(read_text(words, 12, "int32be", &traces[0]), KAMA_OK);
    assert_int_equal(read_text(lines, strlen(lines), "lines", &traces[1]),
                     KAMA_OK);
    assert_int_equal(read_text(sized, strlen(sized), "adaptsize", &traces[2]),
                     KAMA_OK);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(traces[i].count, 3);
        assert_int_equal(traces[i].keys, 2);
        assert_memory_equal(traces[i].requests, wanted, sizeof wanted);
        assert_int_equal(traces[i].sizes[0], i == 2 ? 10 : 1);
        assert_int_equal(traces[i].sizes[1], 1);
        hr_trace_free(&traces[i]);
    }
}

static void test_bad_traces(void **state)
{
    struct hr_trace trace;
    (void)state;
    assert_int_equal(read_text("abcde", 5, "int32be", &trace),
                     KAMA_ERR_INVALID);
    assert_int_equal(read_text("1\nx\n", 4, "lines", &trace), KAMA_ERR_INVALID);
    assert_non_null(strstr(km_last_error(), "line 2"));
    assert_int_equal(read_text("1 2\n", 4, "adaptsize", &trace),
                     KAMA_ERR_INVALID);
    assert_int_equal(read_text("", 0, "lines", &trace), KAMA_ERR_INVALID);
    assert_int_equal(read_text("1\n", 2, "csv", &trace), KAMA_ERR_INVALID);
    assert_non_null(strstr(km_last_error(), "\"csv\""));
}

/* The most frequent of 1000 keys has its share by Zipf, 1 / 7.49 for an
 * exponent of 1, and the same seed makes the same trace. */
static void test_generated_traces(void **state)
{
    static const char *const mixes[] = {"none", "one-hit", "scan", "drift",
                                        "loop"};
    struct hr_generate g = {.theta = 1, .keys = 1000, .requests = 100000};
    uint64_t first = 0;
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        struct hr_trace a;
        struct hr_trace b;
        g.mix = mixes[i];
        g.span = 100;
        assert_int_equal(hr_generate(&g, &a), KAMA_OK);
        assert_int_equal(hr_generate(&g, &b), KAMA_OK);
        assert_memory_equal(a.requests, b.requests, 100000 * 4);
        for (size_t j = 0; i == 0 && j < a.count; j++) {
            first += a.requests[j] == a.requests[0];
        }
        hr_trace_free(&b);
        g.seed++;
        assert_int_equal(hr_generate(&g, &b), KAMA_OK);
        assert_memory_not_equal(a.requests, b.requests, 100000 * 4);
        hr_trace_free(&a);
        hr_trace_free(&b);
    }
    assert_in_range(first, 1, 100000 / 7);
    g.mix = "nothing";
    assert_int_equal(hr_generate(&g, &(struct hr_trace){0}), KAMA_ERR_INVALID);
}

/* Sixteen shards serve the same requests, and a key that is larger than the
 * cache is a miss each time. */
static void test_engine(void **state)
{
    static const uint64_t keys[] = {1, 2, 1, 2, 1, 2, 3, 3};
    static const uint32_t sizes[] = {10, 200, 10, 200, 10, 200, 1, 1};
    struct hr_engine engine = one_shard;
    struct hr_trace trace;
    (void)state;
    hr_trace_make(keys, sizes, 8, &trace);
    for (size_t i = 0; hr_policy_at(i) != NULL; i++) {
        for (engine.shards = 1; engine.shards <= 2; engine.shards++) {
            struct hr_result r =
                hr_simulate(&trace, hr_policy_at(i), 100, &engine);
            assert_int_equal(r.requests, 8);
            assert_int_equal(r.misses, 1 + 3 + 1);
            assert_int_equal(r.bytes, 632);
            assert_int_equal(r.missed_bytes, 10 + 600 + 1);
        }
    }
    hr_trace_free(&trace);
}

/* Four shards have a quarter of the capacity each: 120 keys in a loop do not fit
 * into any of them. */
static void test_shards(void **state)
{
    static uint64_t keys[240];
    struct hr_engine engine = one_shard;
    struct hr_trace trace;
    (void)state;
    make_loop(keys, 240, 120);
    hr_trace_make(keys, NULL, 240, &trace);
    engine.shards = 4;
    assert_int_equal(hr_simulate(&trace, &hr_policy_lru, 80, &engine).misses,
                     240);
    assert_int_equal(hr_simulate(&trace, &hr_policy_lru, 240, &engine).misses,
                     120);
    hr_trace_free(&trace);
}

/* Every policy, with sizes that do not divide its shares, and very small. */
static void test_no_policy_fails_with_sizes(void **state)
{
    struct hr_generate g = {.theta = 0.9,
                            .keys = 300,
                            .requests = 20000,
                            .mix = "loop",
                            .span = 50,
                            .with_sizes = true};
    struct hr_trace trace;
    (void)state;
    assert_int_equal(hr_generate(&g, &trace), KAMA_OK);
    for (size_t i = 0; hr_policy_at(i) != NULL; i++) {
        uint64_t last = trace.count;
        for (uint64_t capacity = 1000; capacity < 8000000; capacity *= 4) {
            struct hr_engine engine = one_shard;
            engine.frees_segments = capacity % 3 == 1;
            uint64_t now =
                hr_simulate(&trace, hr_policy_at(i), capacity, &engine).misses;
            assert_true(now <= last + last / 20);
            last = now;
        }
    }
    hr_trace_free(&trace);
}

/* A group with room for all misses each key once, and once more after a clear. A smaller one keeps a part of them,
 * and misses about as often as a simulated cache of so many keys. */
static void test_a_group_runs_a_trace(void **state)
{
    struct hr_generate g = {
        .theta = 0.9, .keys = 2000, .requests = 40000, .mix = "none"};
    struct hr_live_shape shape = {
        .policy = "lru", .max_bytes = 16 << 20, .value_bytes = 500};
    struct hr_trace trace;
    struct hr_live live;
    (void)state;
    assert_int_equal(hr_generate(&g, &trace), KAMA_OK);
    assert_int_equal(hr_live_run(&trace, &shape, &live), KAMA_OK);
    assert_int_equal(live.misses, trace.keys);
    assert_int_equal(live.cleared_misses, trace.keys);
    assert_int_equal(live.entries, 0);
    shape.max_bytes = 512 << 10;
    assert_int_equal(hr_live_run(&trace, &shape, &live), KAMA_OK);
    assert_in_range(live.entries, 500, 1000);
    uint64_t one =
        hr_simulate(&trace, &hr_policy_lru, live.entries, &one_shard).misses;
    assert_in_range(live.misses, one - one / 20, one + one / 20);
    shape.policy = "no-such-policy";
    assert_int_equal(hr_live_run(&trace, &shape, &live), KAMA_ERR_INVALID);
    hr_trace_free(&trace);
}

/* The engine around a policy, with four shards and with segments, costs less than half
 * a point of misses. A group that was cleared begins as a new one does. */
static void test_a_group_misses_as_often_as_one_queue(void **state)
{
    static const char *const names[] = {"s3fifo+", "s3fifo", "lru"};
    struct hr_generate g = {
        .theta = 0.7, .keys = 50000, .requests = 500000, .mix = "none"};
    struct hr_trace trace;
    (void)state;
    assert_int_equal(hr_generate(&g, &trace), KAMA_OK);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct hr_live_shape shape = {
            .policy = names[i], .max_bytes = 5500 << 10, .value_bytes = 1000};
        struct hr_live live;
        assert_int_equal(hr_live_run(&trace, &shape, &live), KAMA_OK);
        uint64_t one = hr_simulate(&trace, hr_policy_find(names[i]),
                                   live.entries, &one_shard)
                           .misses;
        uint64_t most = trace.count / 200;
        assert_in_range(live.misses, one - most, one + most);
        assert_in_range(live.cleared_misses, live.misses - most,
                        live.misses + most);
    }
    hr_trace_free(&trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_queue),
        cmocka_unit_test(test_arc),
        cmocka_unit_test(test_lirs_keeps_a_part_of_a_loop),
        cmocka_unit_test(test_wtinylfu_resists_a_scan),
        cmocka_unit_test(test_s3fifo),
        cmocka_unit_test(test_s3fifo_prefill),
        cmocka_unit_test(test_s3fifo_0_1),
        cmocka_unit_test(test_plus_keeps_a_part_of_a_loop),
        cmocka_unit_test(test_plus_prefill),
        cmocka_unit_test(test_plus_follows_new_keys),
        cmocka_unit_test(test_plus_prefers_small_keys),
        cmocka_unit_test(test_plus_with_few_steps),
        cmocka_unit_test(test_sketch),
        cmocka_unit_test(test_ghost_ages),
        cmocka_unit_test(test_ghosts_survive_a_new_window),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_bad_traces),
        cmocka_unit_test(test_generated_traces),
        cmocka_unit_test(test_engine),
        cmocka_unit_test(test_shards),
        cmocka_unit_test(test_a_group_runs_a_trace),
        cmocka_unit_test(test_a_group_misses_as_often_as_one_queue),
        cmocka_unit_test(test_no_policy_fails_with_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
