/* SPDX-License-Identifier: MIT */
/* Hot keys: every get counts while there are few, samples stand for the others when
 * there are many, rates have the error that they claim, and old gets fade. */
#include "group/group_fixture.h"

#include "base/hash.h"
#include "base/space_saving.h"
#include "store/fake_clock.h"

#include <stdlib.h>

enum { KEYS = 5000 };

/* A count of its own, with a clock that the test moves. */
struct count {
    struct km_mem_probe probe;
    struct fake_clock clock;
    struct km_hot_keys hot;
    unsigned gets[KEYS];
};

static struct count *count_new(void)
{
    struct count *c = aligned_alloc(64, (sizeof *c + 63) / 64 * 64);
    assert_non_null(c);
    memset(c, 0, sizeof *c);
    km_mem_probe_init(&c->probe);
    fake_clock_init(&c->clock);
    const struct km_hot_keys_options options = {.mem = &c->probe.allocator,
                                                .clock = &c->clock.clock,
                                                .max_bytes = 64u << 20,
                                                .seed = 11};
    km_hot_keys_init(&c->hot, &options);
    return c;
}

static void count_free(struct count *c)
{
    km_hot_keys_fini(&c->hot);
    assert_int_equal(atomic_load(&c->probe.live_blocks), 0);
    free(c);
}

static kama_bytes key_of(char *buf, unsigned number)
{
    return kama_bytes_make(buf, (size_t)sprintf(buf, "%u", number));
}

static void note(struct km_hot_keys *hot, unsigned number)
{
    char buf[32];
    kama_bytes key = key_of(buf, number);
    km_hot_keys_note(hot, km_hash(key, 3), key);
}

static void get(struct count *c, unsigned number, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        note(&c->hot, number);
    }
    c->gets[number] += times;
}

/* The rate of a key in a list, or -1 if it is not there. */
static double rate_in(const struct km_hot_keys_list *list, unsigned number,
                      double *ret_error)
{
    char buf[32];
    kama_bytes key = key_of(buf, number);
    for (size_t i = 0; i < list->count; i++) {
        if (list->keys[i].key.len == key.len &&
            memcmp(list->keys[i].key.data, key.data, key.len) == 0) {
            *ret_error = list->keys[i].error_per_s;
            return list->keys[i].gets_per_s;
        }
    }
    return -1;
}

static double rate_of(struct count *c, unsigned number, double *ret_error)
{
    struct km_hot_keys_list list;
    assert_int_equal(km_hot_keys_read(&c->hot, 1024, &list), KAMA_OK);
    double rate = rate_in(&list, number, ret_error);
    km_hot_keys_list_free(&list);
    return rate;
}

static bool near(double a, double b)
{
    return a - b < 1e-6 && b - a < 1e-6;
}

/* Few gets are all counted, and the rates have no error. */
static void test_exact(void **state)
{
    struct count *c = count_new();
    struct km_hot_keys_list list;
    double error = 9;
    (void)state;
    assert_int_equal(km_hot_keys_read(&c->hot, 5, &list), KAMA_OK);
    assert_int_equal(list.count, 0);
    km_hot_keys_list_free(&list);
    get(c, 1, 50);
    get(c, 2, 5);
    get(c, 3, 150);
    assert_true(near(rate_of(c, 3, &error), 150) && error == 0);
    fake_clock_add_ms(&c->clock, 10000);
    assert_true(near(rate_of(c, 3, &error), 15) && error == 0);
    assert_true(near(rate_of(c, 2, &error), 0.5) && error == 0);
    assert_true(rate_of(c, 4, &error) == -1);
    assert_int_equal(km_hot_keys_read(&c->hot, 2, &list), KAMA_OK);
    assert_int_equal(list.count, 2);
    assert_memory_equal(list.keys[0].key.data, "3", 1);
    assert_memory_equal(list.keys[1].key.data, "1", 1);
    km_hot_keys_list_free(&list);
    count_free(c);
}

/* A pseudo-random key: number n comes with a share of about 1 / n. */
static unsigned zipf(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    uint64_t level = *random % 12; /* each level has twice as many keys */
    uint64_t first = (uint64_t)1 << level;
    return (unsigned)(first + (*random >> 8) % first) % KEYS;
}

/* Many gets are sampled. The rates of the keys that are shown, and their sum, agree
 * with what was really asked for within the errors that they claim. */
static void test_sampled(void **state)
{
    enum { GETS = 4000000 };
    struct count *c = count_new();
    uint64_t random = 5;
    unsigned wrong = 0;
    double sum = 0;
    (void)state;
    for (unsigned i = 0; i < GETS; i++) {
        unsigned number = zipf(&random);
        note(&c->hot, number);
        c->gets[number]++;
        if (i % 1000 == 0) {
            fake_clock_add_ms(&c->clock, 1); /* a million gets per second */
        }
    }
    unsigned bits = c->hot.cells[km_thread_cell()].period_bits;
    assert_true(bits >= 7 && bits <= 10);
    struct km_hot_keys_list list;
    assert_int_equal(km_hot_keys_read(&c->hot, 1024, &list), KAMA_OK);
    for (unsigned number = 1; number < KEYS; number++) {
        double error = 0;
        double rate = rate_in(&list, number, &error);
        double real = c->gets[number] / (GETS / 1e6);
        if (rate < 0) {
            assert_true(real < GETS / 1e3); /* not a hot key */
            continue;
        }
        sum += rate;
        wrong += rate > real + error || rate < real - error;
        if (number <= 3) {
            assert_true(error < 0.25 * real);
        }
    }
    km_hot_keys_list_free(&list);
    assert_true(sum > 0.5e6 && sum < 1.1e6);
    assert_true(wrong <= 10); /* of up to 1024, where 3 are expected */
    count_free(c);
}

/* A thread that walks through its keys in turn does not meet the same key at each
 * sample, whatever their number is. */
static void test_no_resonance(void **state)
{
    struct count *c = count_new();
    (void)state;
    for (unsigned i = 0; i < 1024 * 2000; i++) {
        note(&c->hot, i % 1024);
    }
    struct km_hot_keys_list list;
    assert_int_equal(km_hot_keys_read(&c->hot, 1, &list), KAMA_OK);
    assert_true(list.keys[0].gets_per_s < 1024 * 2000 * 0.02);
    km_hot_keys_list_free(&list);
    count_free(c);
}

/* When the gets of a thread have become few, a look makes the next ones count. */
static void test_fewer_gets(void **state)
{
    struct count *c = count_new();
    double error;
    (void)state;
    get(c, 1, 1000000);
    assert_true(c->hot.cells[km_thread_cell()].period_bits == 10);
    fake_clock_add_ms(&c->clock, 5000);
    (void)rate_of(c, 1, &error);
    get(c, 2, 100);
    assert_true(near(rate_of(c, 2, &error), 100 / 5.0));
    count_free(c);
}

/* The counts of a half-life count half. After a long time nothing is left. */
static void test_fading(void **state)
{
    struct count *c = count_new();
    double error;
    (void)state;
    get(c, 1, 120);
    fake_clock_add_ms(&c->clock, KM_HOT_KEYS_HALF_LIFE_MS);
    /* 60 gets in the 15 s that are left of the 30. */
    assert_true(near(rate_of(c, 1, &error), 4));
    fake_clock_add_ms(&c->clock, 15000);
    assert_true(near(rate_of(c, 1, &error), 2));
    get(c, 2, 120);
    assert_true(near(rate_of(c, 2, &error), 4));
    fake_clock_add_ms(&c->clock, 3 * KM_HOT_KEYS_HALF_LIFE_MS);
    assert_true(rate_of(c, 1, &error) < 0.4);
    fake_clock_add_ms(&c->clock, 3600 * 1000 * 24);
    assert_true(rate_of(c, 1, &error) == -1);
    get(c, 3, 90);
    assert_true(near(rate_of(c, 3, &error), 2));
    count_free(c);
}

/* Without memory for the sketch, or for a key, gets go on; a look says so. */
static void test_no_memory(void **state)
{
    struct count *c = count_new();
    struct km_hot_keys_list list;
    double error;
    (void)state;
    atomic_store(&c->probe.sticky, true);
    atomic_store(&c->probe.fail_at, atomic_load(&c->probe.allocs) + 1);
    get(c, 1, 10);
    assert_int_equal(km_hot_keys_read(&c->hot, 5, &list), KAMA_ERR_NO_MEMORY);
    atomic_store(&c->probe.fail_at, 0);
    atomic_store(&c->probe.sticky, false);
    get(c, 1, 10);
    assert_true(near(rate_of(c, 1, &error), 10));
    count_free(c);
}

struct worker {
    pthread_t thread;
    struct count *count;
    unsigned number;
};

static void *note_all(void *arg)
{
    struct worker *w = arg;
    uint64_t random = w->number + 1;
    for (unsigned i = 0; i < 200000; i++) {
        note(&w->count->hot, i % 2 == 0 ? 7 : zipf(&random));
    }
    return NULL;
}

/* Threads get while another one looks. Gets that come while the one that looks is
 * not running are put off, so that some may be missing. */
static void test_threads(void **state)
{
    struct count *c = count_new();
    struct worker workers[6];
    double error = 0;
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        workers[i] = (struct worker){.count = c, .number = i};
        assert_int_equal(
            pthread_create(&workers[i].thread, NULL, note_all, &workers[i]), 0);
    }
    for (unsigned i = 0; i < 50; i++) {
        fake_clock_add_ms(&c->clock, 1);
        (void)rate_of(c, 7, &error);
    }
    for (unsigned i = 0; i < 6; i++) {
        (void)pthread_join(workers[i].thread, NULL);
    }
    double rate = rate_of(c, 7, &error);
    assert_true(rate > 0 && rate < 720000 * 1.3);
    count_free(c);
}

/* -- the function of the group ----------------------------------------------- */

struct shown {
    unsigned count;
    kama_hot_key keys[8];
    char texts[8][8];
};

static void show(void *arg, const kama_hot_key *key)
{
    struct shown *s = arg;
    assert_int_equal(key->struct_size, sizeof *key);
    assert_true(s->count < 8 && key->key.len < 8);
    s->keys[s->count] = *key;
    memcpy(s->texts[s->count++], key->key.data, key->key.len);
}

/* Each way to get a key counts, with and without a value; looks do not. */
static void test_group(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct shown shown = {.count = 0};
    char buf[64];
    size_t len;
    kama_ctx no_load;
    (void)state;
    kama_ctx_init(&no_load);
    no_load.flags = KAMA_NO_LOAD;
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(get_text(f->group, "a", NULL, "value of a"), KAMA_OK);
        assert_int_equal(
            kama_get_copy(f->group, KAMA_STR("a"), NULL, buf, sizeof buf, &len),
            KAMA_OK);
    }
    kama_bytes keys[2] = {KAMA_STR("b"), KAMA_STR("b")};
    kama_item items[2];
    assert_int_equal(kama_mget(f->group, keys, 2, NULL, items), KAMA_OK);
    kama_items_unref(items, 2);
    kama_value *value;
    assert_int_equal(kama_try_get(f->group, KAMA_STR("b"), &value), KAMA_OK);
    kama_value_unref(value);
    assert_int_equal(kama_get(f->group, KAMA_STR("c"), &no_load, &value),
                     KAMA_WOULD_LOAD);
    assert_int_equal(kama_exists(f->group, KAMA_STR("d"), NULL), KAMA_MISS);
    assert_int_equal(kama_set(f->group, KAMA_STR("d"), KAMA_STR("v"), NULL),
                     KAMA_OK);
    assert_int_equal(kama_group_hot_keys(f->group, 8, show, &shown), KAMA_OK);
    assert_int_equal(shown.count, 3);
    static const double counts[] = {10, 3, 1};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(shown.texts[i][0], "abc"[i]);
        assert_true(near(shown.keys[i].gets_per_s, counts[i]));
        assert_true(shown.keys[i].error_per_s == 0);
    }
    shown.count = 0;
    assert_int_equal(kama_group_hot_keys(f->group, 1, show, &shown), KAMA_OK);
    assert_int_equal(shown.count, 1);
    assert_int_equal(kama_group_hot_keys(f->group, SIZE_MAX, show, &shown),
                     KAMA_OK);
    assert_int_equal(kama_group_hot_keys(f->group, 0, show, &shown),
                     KAMA_ERR_INVALID);
    assert_int_equal(kama_group_hot_keys(f->group, 1, NULL, NULL),
                     KAMA_ERR_INVALID);
    fixture_free(f);
}

/* The store of a group is charged for the sketch, from the first get on. */
static void test_charge(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    kama_value *value;
    (void)state;
    uint64_t before = stats(f).fixed_bytes;
    uint64_t sketch = km_space_saving_bytes_max(f->group->hot.counters);
    assert_true(sketch < f->options.max_bytes / 400);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(kama_try_get(f->group, KAMA_STR("k"), &value),
                         KAMA_WOULD_LOAD);
        assert_int_equal(stats(f).fixed_bytes, before + sketch);
        assert_true(stats(f).bytes >= before + sketch);
    }
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),        cmocka_unit_test(test_sampled),
        cmocka_unit_test(test_no_resonance), cmocka_unit_test(test_fewer_gets),
        cmocka_unit_test(test_fading),       cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_threads),      cmocka_unit_test(test_group),
        cmocka_unit_test(test_charge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
