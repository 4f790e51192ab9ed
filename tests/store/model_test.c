/* SPDX-License-Identifier: MIT */
/* ctest: labels=onethread timeout=120 */
/*
 * Random steps by seed on a store beside a naive one (store/store_model.h): small
 * and large stores, values from nothing to the largest that is permitted, stores
 * that have room for all keys and stores that have not, and values that are held
 * until they fill the store. Then the same while each allocation fails in turn,
 * and with faulty stores, whose faults the model must find.
 *
 *     KAMA_SEED=N     the first seed
 *     KAMA_SEEDS=N    how many seeds run
 */
#include "store/store_model.h"

#include "base/limits.h"
#include "base/mem.h"
#include "helpers/failmalloc.h"
#include "store/policy.h"

#include <stdlib.h>

#define KIB 1024u
#define MIB (1024u * KIB)
#define SEEDS 4u
/* A fault of the store is found within so many seeds. */
#define SEEDS_BROKEN 20u

/* How often each kind of step is drawn. */
static const uint16_t usual[STORE_STEP_KINDS] = {
    [STORE_STEP_PUT] = 900,         [STORE_STEP_GET] = 600,
    [STORE_STEP_COPY] = 450,        [STORE_STEP_LOOK] = 60,
    [STORE_STEP_DEL] = 150,         [STORE_STEP_TOUCH] = 180,
    [STORE_STEP_PEEK] = 60,         [STORE_STEP_FILL_BEGIN] = 240,
    [STORE_STEP_FILL_COMMIT] = 180, [STORE_STEP_FILL_CANCEL] = 15,
    [STORE_STEP_OVERTAKE] = 15,     [STORE_STEP_SCAN] = 180,
    [STORE_STEP_HOLD] = 180,        [STORE_STEP_RELEASE] = 60,
    [STORE_STEP_SWEEP] = 60,        [STORE_STEP_TIME] = 20,
    [STORE_STEP_OLD] = 15,          [STORE_STEP_RESIZES] = 6,
    [STORE_STEP_ROW] = 20,          [STORE_STEP_HIDE] = 2,
    [STORE_STEP_CLEAR] = 1,         [STORE_STEP_VERIFY] = 3,
    [STORE_STEP_PUT_IF] = 120,      [STORE_STEP_RESIZE] = 4,
    [STORE_STEP_APPLY] = 900,       [STORE_STEP_INVALIDATE] = 1};

/* A row of the table of plans. */
struct row {
    const char *name;
    uint64_t max_bytes;
    unsigned keys;
    size_t value_bytes_max;
    unsigned held_percent; /* of max_bytes, at most, in views */
    unsigned check_every;
    unsigned steps;
    enum store_model_room room;
};

/* The keys of the roomy rows, with the longest values and 200 bytes each, fill
 * less than half of max_bytes, so that there is also room for the entries that a
 * clear has left and the store has not freed yet. */
static const struct row rows[] = {
    {"smallest", KM_GROUP_BYTES_MIN, 60, KM_GROUP_BYTES_MIN / 4, 20, 1, 20000,
     STORE_MODEL_FULL},
    {"smallest, many keys", KM_GROUP_BYTES_MIN, 2000, 64, 10, 16, 30000,
     STORE_MODEL_FULL},
    {"smallest, roomy", KM_GROUP_BYTES_MIN, 40, 300, 10, 1, 20000,
     STORE_MODEL_ROOMY},
    {"odd", 300 * KIB + 7, 150, 75 * KIB, 30, 4, 10000, STORE_MODEL_FULL},
    {"held", 300 * KIB, 150, 75 * KIB, 100, 4, 10000, STORE_MODEL_FULL},
    {"one MiB", MIB, 400, 256 * KIB, 30, 16, 10000, STORE_MODEL_FULL},
    {"one MiB, roomy", MIB, 400, 800, 5, 16, 30000, STORE_MODEL_ROOMY},
    {"many shards", 16 * MIB, 1000, MIB, 30, 256, 6000, STORE_MODEL_FULL},
    {"many shards, roomy", 16 * MIB, 4000, 1500, 20, 256, 15000,
     STORE_MODEL_ROOMY},
    {"largest values", 64 * MIB, 200, 16 * MIB, 30, 128, 700, STORE_MODEL_FULL},
    {"largest, roomy", 64 * MIB, 4000, 6000, 20, 512, 15000, STORE_MODEL_ROOMY},
};

#define ROWS (sizeof rows / sizeof rows[0])

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static uint64_t draw(uint64_t *random)
{
    uint64_t x = *random += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static unsigned draw_kind(uint64_t *random)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < STORE_STEP_KINDS; i++) {
        sum += usual[i];
    }
    unsigned at = (unsigned)(draw(random) % sum);
    unsigned kind = 0;
    while (at >= usual[kind]) {
        at -= usual[kind++];
    }
    return kind;
}

/* Half of the steps go to a sixteenth of the keys, so that the same keys meet
 * again and again. */
static struct store_step draw_step(uint64_t *random, unsigned keys)
{
    uint64_t r = draw(random);
    unsigned k = (unsigned)(r >> 8) & 0xffff;
    return (struct store_step){
        .what = (uint8_t)draw_kind(random),
        .how = (uint8_t)r,
        .key = (uint16_t)(r >> 63 ? k % (keys / 16 + 1) : k % keys),
        .size = (uint32_t)(r >> 24)};
}

/* All policies, memory that is counted or not, and stores with and without floors take
 * turns. In the smallest stores,
 * a few values in pages of their own need much more than their bytes, so that the
 * model cannot tell there whether an eviction had to be. */
static struct store_model_plan plan_of(const struct row *row, uint64_t seed)
{
    static const struct km_policy_ops *const policies[] = {
        &km_policy_lru, &km_policy_s3fifo, &km_policy_s3fifo_plus};
    bool synced = seed % 2 == 0;
    return (struct store_model_plan){
        .mem = seed / 2 % 2 == 0 ? km_mem_default() : NULL,
        .policy = policies[seed % 3],
        .max_bytes = row->max_bytes + (synced ? STORE_MODEL_FLOORS : 0),
        .keys = row->keys,
        .value_bytes_max = row->value_bytes_max,
        .held_bytes_max = row->max_bytes / 100 * row->held_percent,
        .check_every = row->check_every,
        .room = row->room,
        .dead_first = row->max_bytes >= MIB,
        .synced = synced};
}

/* Makes a model and does steps until one of them finds a fault. Returns NULL if
 * there is no memory for the store. */
static struct store_model *begin(const struct store_model_plan *plan,
                                 uint64_t seed, unsigned steps)
{
    struct store_model *m = store_model_new(plan);
    uint64_t random = draw(&seed);
    bool good = m != NULL;
    for (unsigned i = 0; good && i < steps; i++) {
        struct store_step step = draw_step(&random, plan->keys);
        good = store_model_step(m, &step);
    }
    return m;
}

/* Does steps as begin does, and ends the store. */
static struct store_model *run(const struct store_model_plan *plan,
                               uint64_t seed, unsigned steps)
{
    struct store_model *m = begin(plan, seed, steps);
    if (m != NULL) {
        (void)store_model_finish(m);
    }
    return m;
}

/* Runs a row, and adds the counts of its model to sums. */
static void run_row(const struct row *row, uint64_t seed,
                    struct store_model_counts *sums)
{
    struct store_model_plan plan = plan_of(row, seed);
    struct store_model *m = run(&plan, seed, row->steps);
    assert_non_null(m);
    if (store_model_fault(m) != NULL) {
        fail_msg("%s, KAMA_SEED=%llu: %s", row->name, (unsigned long long)seed,
                 store_model_fault(m));
    }
    const struct store_model_counts *c = store_model_counts_get(m);
    sums->found += c->found;
    sums->forgotten += c->forgotten;
    sums->expired += c->expired;
    sums->refused += c->refused;
    sums->kept += c->kept;
    sums->overtaken += c->overtaken;
    sums->scans += c->scans;
    sums->hidden += c->hidden;
    sums->applied += c->applied;
    sums->outdated += c->outdated;
    sums->barred += c->barred;
    store_model_free(m);
}

static void say(const struct row *row, const struct store_model_counts *c)
{
    print_message(
        "%-20s found %llu, forgotten %llu, expired %llu, refused "
        "%llu, kept %llu, overtaken %llu, scans %llu, hidden %llu, "
        "applied %llu, outdated %llu, barred %llu\n",
        row->name, (unsigned long long)c->found,
        (unsigned long long)c->forgotten, (unsigned long long)c->expired,
        (unsigned long long)c->refused, (unsigned long long)c->kept,
        (unsigned long long)c->overtaken, (unsigned long long)c->scans,
        (unsigned long long)c->hidden, (unsigned long long)c->applied,
        (unsigned long long)c->outdated, (unsigned long long)c->barred);
}

/* Asserts that the usual seeds of a row have met the cases that it is for. */
static void expect_met(const struct row *row,
                       const struct store_model_counts *sums)
{
    assert_true(sums->found > 0 && sums->expired > 0);
    assert_true(sums->kept > 0 && sums->scans > 0);
    assert_true(sums->applied > 0 && sums->outdated > 0 && sums->barred > 0);
    assert_int_equal(sums->forgotten > 0, row->room == STORE_MODEL_FULL);
    assert_true(sums->refused > 0 || row->held_percent < 100);
}

/* The store answers as the naive one does, or has forgotten entries because it
 * was full. */
static void test_random_steps(void **state)
{
    uint64_t first = number_of("KAMA_SEED", 1);
    uint64_t seeds = number_of("KAMA_SEEDS", SEEDS);
    (void)state;
    print_message("seeds %llu to %llu\n", (unsigned long long)first,
                  (unsigned long long)(first + seeds - 1));
    for (unsigned i = 0; i < ROWS; i++) {
        struct store_model_counts sums = {0};
        for (uint64_t seed = first; seed < first + seeds; seed++) {
            run_row(&rows[i], seed, &sums);
        }
        say(&rows[i], &sums);
        if (getenv("KAMA_SEED") == NULL && getenv("KAMA_SEEDS") == NULL) {
            expect_met(&rows[i], &sums);
        }
    }
}

/* -- a store that is not full ----------------------------------------------- */

/* Puts values of one length until they fill three fifths of max_bytes, with 100
 * bytes for each entry, and then finds all of them. */
static void fill_in_part(uint64_t max_bytes, size_t len)
{
    unsigned keys = (unsigned)(max_bytes / 5 * 3 / (len + 100));
    keys = keys < STORE_MODEL_KEYS_MAX ? keys : STORE_MODEL_KEYS_MAX;
    struct store_model_plan plan = {.mem = km_mem_default(),
                                    .policy = &km_policy_s3fifo,
                                    .max_bytes = max_bytes,
                                    .keys = keys,
                                    .value_bytes_max = len,
                                    .room = STORE_MODEL_ROOMY};
    struct store_model *m = store_model_new(&plan);
    assert_non_null(m);
    for (unsigned k = 0; k < 2 * keys; k++) {
        struct store_step step = {.what = k < keys ? STORE_STEP_PUT
                                                   : STORE_STEP_GET,
                                  .key = (uint16_t)(k % keys),
                                  .size = 31};
        (void)store_model_step(m, &step);
    }
    (void)store_model_finish(m);
    if (store_model_fault(m) != NULL) {
        fail_msg("%u values of %zu bytes in %llu: %s", keys, len,
                 (unsigned long long)max_bytes, store_model_fault(m));
    }
    assert_int_equal(store_model_counts_get(m)->found, keys);
    store_model_free(m);
}

/* Nothing is evicted before the store is full, whatever the sizes are. */
static void test_nothing_is_lost_while_there_is_room(void **state)
{
    static const uint64_t maxima[] = {KM_GROUP_BYTES_MIN, 300 * KIB, MIB,
                                      8 * MIB, 64 * MIB};
    (void)state;
    for (unsigned i = 0; i < sizeof maxima / sizeof maxima[0]; i++) {
        for (size_t len = 100; len <= maxima[i] / 8; len *= 3) {
            fill_in_part(maxima[i], len);
        }
    }
}

/* -- keys that are not there ------------------------------------------------ */

#define STORED 300u
#define NOT_STORED 500000u

/* Looks up many keys that were never stored, as long as those that were. An index
 * has a part of the hash of each key, and among so many keys some have the same
 * part. */
static void test_other_keys_are_not_found(void **state)
{
    const struct km_store_options options = {.mem = km_mem_default(),
                                             .clock = km_clock_system(),
                                             .policy = &km_policy_s3fifo,
                                             .max_bytes = MIB,
                                             .seed = 42};
    struct km_store *store;
    kama_value *value;
    (void)state;
    assert_int_equal(km_store_new(&options, &store), KAMA_OK);
    for (uint64_t k = 0; k < STORED + NOT_STORED; k++) {
        kama_bytes key = kama_bytes_make(&k, sizeof k);
        uint64_t hash = km_store_hash(store, key);
        if (k < STORED) {
            const struct km_item_spec spec = {.key = key, .value = key};
            value = km_store_item_new(store, &spec);
            assert_non_null(value);
            assert_int_equal(km_store_put(store, 0, hash, value), KAMA_OK);
        } else {
            assert_int_equal(km_store_get(store, hash, key, &value),
                             KAMA_WOULD_LOAD);
        }
    }
    km_store_free(store);
}

/* -- without memory --------------------------------------------------------- */

#define STEPS_WITHOUT_MEMORY 250u

static kama_status steps_without_memory(const kama_allocator *mem, void *arg)
{
    const struct row *row = arg;
    struct store_model_plan plan = plan_of(row, row->steps);
    plan.mem = mem;
    plan.allocations_fail = true;
    struct store_model *m = run(&plan, row->steps, STEPS_WITHOUT_MEMORY);
    if (m == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    if (store_model_fault(m) != NULL) {
        fail_msg("%s: %s", row->name, store_model_fault(m));
    }
    store_model_free(m);
    return KAMA_OK;
}

/* Each allocation fails once, alone or with all that follow: the step says so,
 * or does its work; the store stays right, and nothing leaks. The seed of a row, which is
 * in the place of its steps, decides whether its store has floors. */
static void test_each_allocation_fails(void **state)
{
    struct row failing[] = {
        {"small", KM_GROUP_BYTES_MIN, 60, KM_GROUP_BYTES_MIN / 4, 60, 4, 1,
         STORE_MODEL_FULL},
        {"large", 2 * MIB, 1000, 64 * KIB, 30, 64, 3, STORE_MODEL_FULL},
        {"small, synced", KM_GROUP_BYTES_MIN, 60, KM_GROUP_BYTES_MIN / 4, 60, 4,
         2, STORE_MODEL_FULL},
        {"large, synced", 2 * MIB, 1000, 64 * KIB, 30, 64, 4, STORE_MODEL_FULL},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof failing / sizeof failing[0]; i++) {
        long long n = km_test_fail_each(steps_without_memory, &failing[i]);
        print_message("%s: %lld allocations\n", failing[i].name, n);
        assert_true(n >= 2);
    }
}

/* -- faulty stores ---------------------------------------------------------- */

/* The value that a faulty get or copy keeps, of the first key that it was asked
 * for. */
static struct {
    kama_value *value;
    uint64_t hash;
} kept;

static void kept_forget(void)
{
    if (kept.value != NULL) {
        kama_value_unref(kept.value);
    }
    kept.value = NULL;
}

static kama_status get_cached(struct km_store *store, uint64_t hash,
                              kama_bytes key, kama_value **ret_value)
{
    if (kept.value != NULL && kept.hash == hash) {
        *ret_value = kama_value_ref(kept.value);
        return KAMA_OK;
    }
    kama_status st = km_store_get(store, hash, key, ret_value);
    if (st == KAMA_OK && kept.value == NULL) {
        kept.value = kama_value_ref(*ret_value);
        kept.hash = hash;
    }
    return st;
}

static kama_status get_of_another_key(struct km_store *store, uint64_t hash,
                                      kama_bytes key, kama_value **ret_value)
{
    kama_status st = km_store_get(store, hash, key, ret_value);
    if (st == KAMA_OK && kept.value == NULL) {
        kept.value = kama_value_ref(*ret_value);
        kept.hash = hash;
    } else if (st == KAMA_OK && hash != kept.hash) {
        kama_value_unref(*ret_value);
        *ret_value = kama_value_ref(kept.value);
    }
    return st;
}

static kama_status copy_torn(struct km_store *store, uint64_t hash,
                             kama_bytes key, void *buf, size_t cap,
                             size_t *ret_len)
{
    kama_status st = km_store_copy(store, hash, key, buf, cap, ret_len);
    if (st == KAMA_OK && *ret_len > 100) {
        memmove((char *)buf + 32, (char *)buf + 40, 8);
    }
    return st;
}

static kama_status put_nothing(struct km_store *store, uint64_t adoption,
                               uint64_t hash, kama_value *item)
{
    (void)store;
    (void)adoption;
    (void)hash;
    kama_value_unref(item);
    return KAMA_OK;
}

static kama_status put_any_adoption(struct km_store *store, uint64_t adoption,
                                    uint64_t hash, kama_value *item)
{
    return km_store_put(store, adoption + 1, hash, item);
}

static kama_status del_nothing(struct km_store *store, uint64_t adoption,
                               uint64_t hash, kama_bytes key)
{
    km_ns at;
    return km_store_peek(store, adoption, hash, key, &at);
}

static kama_status touch_nothing(struct km_store *store, uint64_t adoption,
                                 uint64_t hash, kama_bytes key,
                                 km_ns expires_at)
{
    km_ns at;
    (void)expires_at;
    return km_store_peek(store, adoption, hash, key, &at);
}

static kama_status touch_for_ever(struct km_store *store, uint64_t adoption,
                                  uint64_t hash, kama_bytes key,
                                  km_ns expires_at)
{
    (void)expires_at;
    return km_store_touch(store, adoption, hash, key, 0);
}

static void clear_nothing(struct km_store *store)
{
    (void)store;
}

static bool commit_never(struct km_store *store, struct km_fill *fill,
                         kama_value *item)
{
    (void)item;
    km_store_fill_cancel(store, fill);
    return false;
}

/* Keeps a loaded value although the fill was overtaken. */
static bool commit_always(struct km_store *store, struct km_fill *fill,
                          kama_value *item)
{
    kama_value *found;
    kama_bytes key = km_item_key_bytes(item);
    uint64_t hash = km_store_hash(store, key);
    if (km_store_fill_commit(store, fill, item)) {
        return true;
    }
    *fill = (struct km_fill){.adoption = UINT64_MAX};
    kama_status st = km_store_fill_begin_again(store, fill, hash, key, &found);
    if (st == KAMA_OK) {
        kama_value_unref(found);
    }
    return st == KAMA_WOULD_LOAD && km_store_fill_commit(store, fill, item);
}

static const struct row one_mib_roomy = {
    "one MiB, roomy", MIB, 400, 800, 5, 64, 3000, STORE_MODEL_ROOMY};

/* Runs a store with some calls replaced, until the model finds the fault. */
static void expect_found_out(const char *name, const struct store_calls *calls)
{
    for (uint64_t seed = 1; seed <= SEEDS_BROKEN; seed++) {
        struct store_model_plan plan = plan_of(&one_mib_roomy, seed);
        plan.calls = calls;
        struct store_model *m = begin(&plan, seed, one_mib_roomy.steps);
        assert_non_null(m);
        bool found = store_model_fault(m) != NULL;
        if (found) {
            print_message("%s: %s\n", name, store_model_fault(m));
        }
        kept_forget();
        store_model_free(m);
        if (found) {
            return;
        }
    }
    fail_msg("no seed finds out about %s", name);
}

#define FAULTY(member, function)                                               \
    do {                                                                       \
        struct store_calls calls = store_calls_real();                         \
        calls.member = function;                                               \
        expect_found_out(#function, &calls);                                   \
    } while (0)

/* The model finds out about each fault. */
static void test_faults_are_found(void **state)
{
    (void)state;
    FAULTY(get, get_cached);
    FAULTY(get, get_of_another_key);
    FAULTY(copy, copy_torn);
    FAULTY(put, put_nothing);
    FAULTY(put, put_any_adoption);
    FAULTY(del, del_nothing);
    FAULTY(touch, touch_nothing);
    FAULTY(touch, touch_for_ever);
    FAULTY(clear, clear_nothing);
    FAULTY(fill_commit, commit_never);
    FAULTY(fill_commit, commit_always);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_steps),
        cmocka_unit_test(test_nothing_is_lost_while_there_is_room),
        cmocka_unit_test(test_other_keys_are_not_found),
        cmocka_unit_test(test_each_allocation_fails),
        cmocka_unit_test(test_faults_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
