/* SPDX-License-Identifier: MIT */
/* Hashes agree with the published ones of XXH3, and seeds differ. */
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* The hash of the empty input is the published one, and each byte and the seed
 * change the hash. */
static void test_hash(void **state)
{
    (void)state;
    assert_true(km_hash(kama_bytes_make(NULL, 0), 0) == 0x2d06800538d394c2u);
    uint64_t base = km_hash(KAMA_STR("key"), 1);
    assert_true(base == km_hash(kama_bytes_make("keys", 3), 1));
    assert_true(base != km_hash(KAMA_STR("kez"), 1));
    assert_true(base != km_hash(KAMA_STR("key"), 2));
    assert_true(base != km_hash(kama_bytes_make("key", 4), 1));
}

/* An input of any length up to 1000 is read without a byte behind it, which
 * ASan would notice. */
static void test_lengths(void **state)
{
    (void)state;
    uint64_t last = 0;
    for (size_t len = 1; len <= 1000; len++) {
        char *exact = calloc(1, len);
        uint64_t hash = km_hash(kama_bytes_make(exact, len), 9);
        free(exact);
        assert_true(hash != last);
        last = hash;
    }
}

/* Two random seeds are different. */
static void test_seed(void **state)
{
    (void)state;
    assert_true(km_hash_random_seed() != km_hash_random_seed());
}

/* Random bits fill the bytes that were asked for, also a last word in part, and
 * none behind them. Two fills are different. */
static void test_fill(void **state)
{
    (void)state;
    uint8_t a[14] = {0};
    uint8_t b[14] = {0};
    km_hash_random_fill(a, 13);
    km_hash_random_fill(b, 13);
    assert_memory_not_equal(a, b, 8);
    assert_memory_not_equal(a + 8, b + 8, 5);
    assert_int_equal(a[13], 0);
    km_hash_random_fill(a + 13, 0);
    assert_int_equal(a[13], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_seed),
        cmocka_unit_test(test_fill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
