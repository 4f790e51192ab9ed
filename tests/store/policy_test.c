/* SPDX-License-Identifier: MIT */
/* Which items leave first, and which evicted keys are remembered. */
#include "store/store_fixture.h"
#include "store/store_touch.h"

#define MIB (1u << 20)

static void put_number(struct fixture *f, unsigned n)
{
    char key[32], value[1000] = {0};
    assert_int_equal(put(f, number_key(key, n), KAMA_BYTES(value, 1000)),
                     KAMA_OK);
}

static bool has_number(struct fixture *f, unsigned n)
{
    char key[32];
    return has(f, number_key(key, n));
}

/* With lru, the least recently used entry leaves. Memory is freed by the segment, so
 * that some leave together. */
static void test_lru_order(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_lru);
    unsigned n = 0;
    (void)state;
    while (stats(f).evictions == 0) {
        put_number(f, n++);
    }
    unsigned gone = (unsigned)stats(f).evictions;
    assert_false(has_number(f, gone - 1));
    assert_true(has_number(f, gone)); /* it is the youngest now */
    while (stats(f).evictions == gone) {
        put_number(f, n++);
    }
    assert_true(has_number(f, gone));
    assert_false(has_number(f, gone + 1));
    fixture_free(f, 0);
}

/* A scan of keys that are used once does not displace the keys that are used
 * often. */
static void test_s3fifo_resists_a_scan(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo);
    unsigned kept = 0;
    (void)state;
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < 300; i++) {
            if (!has_number(f, i)) {
                put_number(f, i);
            }
        }
    }
    for (unsigned i = 0; i < 20000; i++) {
        put_number(f, 100000 + i);
    }
    for (unsigned i = 0; i < 300; i++) {
        kept += has_number(f, i);
    }
    assert_true(kept > 250);
    km_store_check(f->store);
    fixture_free(f, 0);
}

/* A key that comes back soon after it has left the small queue enters the main
 * queue, and a second scan cannot evict it. */
static void test_s3fifo_ghost_returns_to_main(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo);
    struct km_store_look look;
    kama_bytes seven = KAMA_STR("key-7");
    uint64_t hash = km_store_hash(f->store, seven);
    unsigned n = 100;
    (void)state;
    while (stats(f).evictions < 2000) {
        put_number(f, n++);
    }
    put_number(f, 7);
    do { /* a look is no hit */
        put_number(f, n++);
        km_store_look(f->store, hash, seven, &look);
    } while (look.presence == KM_STORE_VALUE);
    put_number(f, 7);
    uint64_t gone = stats(f).evictions;
    while (stats(f).evictions < gone + 500) {
        put_number(f, n++);
    }
    assert_true(has_number(f, 7));
    fixture_free(f, 0);
}

/* Returns whether a ghost was remembered, and forgets it. */
static bool took(struct km_ghost *ghost, uint64_t hash)
{
    return km_ghost_take(ghost, hash) != KM_GHOST_NONE;
}

/* A ghost is remembered until a window of others was added, and not longer. */
static void test_ghost_window(void **state)
{
    struct km_mem_probe probe;
    struct km_ghost ghost;
    unsigned strangers = 0;
    (void)state;
    km_mem_probe_init(&probe);
    struct km_account *account =
        km_account_new(&probe.allocator, km_clock_system(), MIB, 1);
    km_ghost_init(&ghost, account);
    assert_false(took(&ghost, 1));
    for (uint64_t i = 1; i <= 10000; i++) {
        km_ghost_add(&ghost, i * 0x9e3779b97f4a7c15u, 1000);
        if (i % 100 == 0) {
            km_ghost_check(&ghost);
        }
    }
    assert_false(took(&ghost, 5000 * 0x9e3779b97f4a7c15u));
    for (uint64_t i = 9200; i <= 10000; i++) {
        assert_true(took(&ghost, i * 0x9e3779b97f4a7c15u));
        assert_false(took(&ghost, i * 0x9e3779b97f4a7c15u));
    }
    for (uint64_t i = 1; i <= 10000; i++) {
        strangers += took(&ghost, i * 0xc2b2ae3d27d4eb4fu);
    }
    assert_true(strangers < 20);
    km_ghost_fini(&ghost);
    assert_int_equal(km_account_used(account), 1);
    km_account_discharge(account, 1);
    assert_int_equal(atomic_load(&probe.live_blocks), 0);
}

/* The window grows without losing young ghosts. Without memory, ghosts are
 * forgotten and nothing else happens. */
static void test_ghost_grows(void **state)
{
    struct km_mem_probe probe;
    struct km_ghost ghost;
    unsigned known = 0;
    (void)state;
    km_mem_probe_init(&probe);
    struct km_account *account =
        km_account_new(&probe.allocator, km_clock_system(), MIB, 1);
    km_ghost_init(&ghost, account);
    atomic_store(&probe.fail_at, 2);
    km_ghost_add(&ghost, 77, 10);
    assert_false(took(&ghost, 77));
    for (uint64_t i = 1; i <= 5000; i++) {
        km_ghost_add(&ghost, i * 0x9e3779b97f4a7c15u, i < 100 ? 100 : i);
        if (i % 100 == 0) {
            km_ghost_check(&ghost);
        }
    }
    for (uint64_t i = 4000; i <= 5000; i++) {
        known += took(&ghost, i * 0x9e3779b97f4a7c15u);
    }
    assert_true(known > 950);
    km_ghost_fini(&ghost);
    km_account_discharge(account, 1);
    assert_int_equal(atomic_load(&probe.live_blocks), 0);
}

/* A look at a ghost tells the same as taking it, and leaves it where it is, also in
 * the table that was there before the window has grown. */
static void test_ghost_find(void **state)
{
    struct km_mem_probe probe;
    struct km_ghost ghost;
    (void)state;
    km_mem_probe_init(&probe);
    struct km_account *account =
        km_account_new(&probe.allocator, km_clock_system(), MIB, 1);
    km_ghost_init(&ghost, account);
    assert_true(km_ghost_find(&ghost, 1) == KM_GHOST_NONE);
    assert_int_equal(km_ghost_bytes(&ghost), 0);
    for (uint64_t i = 1; i <= 300; i++) {
        km_ghost_add(&ghost, i * 0x9e3779b97f4a7c15u, i <= 200 ? 200 : 2000);
    }
    assert_int_equal(km_ghost_bytes(&ghost), km_account_used(account) - 1);
    for (uint64_t i = 150; i <= 300; i++) {
        uint64_t hash = i * 0x9e3779b97f4a7c15u;
        uint64_t age = km_ghost_find(&ghost, hash);
        assert_true(age != KM_GHOST_NONE);
        assert_int_equal(km_ghost_find(&ghost, hash), age);
        assert_int_equal(km_ghost_take(&ghost, hash), age);
        assert_true(km_ghost_find(&ghost, hash) == KM_GHOST_NONE);
    }
    km_ghost_fini(&ghost);
    km_account_discharge(account, 1);
    assert_int_equal(atomic_load(&probe.live_blocks), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lru_order),
        cmocka_unit_test(test_s3fifo_resists_a_scan),
        cmocka_unit_test(test_s3fifo_ghost_returns_to_main),
        cmocka_unit_test(test_ghost_window),
        cmocka_unit_test(test_ghost_grows),
        cmocka_unit_test(test_ghost_find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
