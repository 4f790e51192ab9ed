/* SPDX-License-Identifier: MIT */
/* The keyed permutation: the published example, its inverse, and its 0. */
#include "base/permute.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

/* The cipher agrees with the example of the paper, appendix C. */
static void test_vector(void **state)
{
    (void)state;
    struct km_permute p;
    km_permute_init(&p, 0x0b0a090803020100, 0x1b1a191813121110);
    assert_int_equal(km_permute_encrypt(&p, 0x3b7265747475432d),
                     0x8c6fa548454e028b);
    assert_int_equal(km_permute_decrypt(&p, 0x8c6fa548454e028b),
                     0x3b7265747475432d);
}

static void test_way_back(void **state)
{
    (void)state;
    struct km_permute p;
    uint64_t x = 1;
    km_permute_init(&p, 1, 2);
    for (int i = 0; i < 100000; i++) {
        uint64_t y = km_permute(&p, x);
        assert_int_not_equal(y, 0);
        assert_int_equal(km_permute_inverse(&p, y), x);
        x = x * 6364136223846793005u + 1442695040888963407u;
        x += x == 0;
    }
    static const uint64_t edges[] = {1, UINT64_MAX, 1ull << 63, UINT32_MAX};
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(km_permute_inverse(&p, km_permute(&p, edges[i])),
                         edges[i]);
    }
}

/* 0 stays 0, and the number that the cipher moves to 0 goes to the place of
 * 0. */
static void test_zero(void **state)
{
    (void)state;
    for (uint64_t key = 0; key < 1000; key++) {
        struct km_permute p;
        km_permute_init(&p, key, ~key);
        assert_int_equal(km_permute(&p, 0), 0);
        assert_int_equal(km_permute_inverse(&p, 0), 0);
        uint64_t x = km_permute_decrypt(&p, 0);
        uint64_t y = km_permute_encrypt(&p, 0);
        assert_true(x != 0 && y != 0);
        assert_int_equal(km_permute(&p, x), y);
        assert_int_equal(km_permute_inverse(&p, y), x);
    }
}

/* Neighbouring numbers, and keys that differ in one bit, give results of which
 * about half the bits differ. */
static void test_spread(void **state)
{
    (void)state;
    struct km_permute p;
    struct km_permute q;
    unsigned neighbours = 0;
    unsigned keys = 0;
    km_permute_init(&p, 7, 9);
    km_permute_init(&q, 7, 8);
    for (uint64_t x = 1; x <= 1000; x++) {
        uint64_t y = km_permute(&p, x);
        neighbours += (unsigned)__builtin_popcountll(y ^ km_permute(&p, x + 1));
        keys += (unsigned)__builtin_popcountll(y ^ km_permute(&q, x));
    }
    assert_in_range(neighbours, 30000, 34000);
    assert_in_range(keys, 30000, 34000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vector),
        cmocka_unit_test(test_way_back),
        cmocka_unit_test(test_zero),
        cmocka_unit_test(test_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
