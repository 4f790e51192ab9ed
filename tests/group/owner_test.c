/* SPDX-License-Identifier: MIT */
/* The slot of a key is the same on every node and in every version. */
#include "group/owner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The golden vectors: another value would mean that two versions disagree about
 * who owns a key. The seed of "" is the published XXH3 of no input. */
static void test_golden_vectors(void **state)
{
    static const struct {
        const char *group;
        const char *key;
        uint64_t seed;
        uint32_t slot;
    } vectors[] = {
        {"", "", 0x2d06800538d394c2u, 66748},
        {"default", "user:1", 0x6c5b964d9473ac1au, 57189},
        {"default", "user:2", 0x6c5b964d9473ac1au, 134753},
        {"sessions", "user:1", 0x4e76b61ad7e92501u, 2252},
        {"sessions", "0123456789abcdef0123456789abcdef", 0x4e76b61ad7e92501u,
         187168},
    };
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        uint64_t seed = km_owner_seed(vectors[i].group);
        kama_bytes key =
            kama_bytes_make(vectors[i].key, strlen(vectors[i].key));
        assert_int_equal(seed, vectors[i].seed);
        assert_int_equal(km_owner_slot(seed, key), vectors[i].slot);
    }
}

/* A key may have any bytes, also NUL, and all of them count. */
static void test_every_byte_counts(void **state)
{
    (void)state;
    uint64_t seed = km_owner_seed("default");
    uint32_t a = km_owner_slot(seed, kama_bytes_make("a\0b", 3));
    assert_int_not_equal(a, km_owner_slot(seed, kama_bytes_make("a\0c", 3)));
    assert_int_not_equal(a, km_owner_slot(seed, kama_bytes_make("a", 1)));
}

/* Slots stay below 2^18, and keys that resemble each other are spread over all
 * parts of them. */
static void test_slots_are_spread(void **state)
{
    unsigned parts[16] = {0};
    uint64_t seed = km_owner_seed("default");
    char key[24];
    (void)state;
    for (unsigned i = 0; i < 16000; i++) {
        int length = snprintf(key, sizeof key, "user:%u", i);
        uint32_t slot =
            km_owner_slot(seed, kama_bytes_make(key, (size_t)length));
        assert_true(slot < KM_OWNER_SLOTS);
        parts[slot / (KM_OWNER_SLOTS / 16)]++;
    }
    for (unsigned i = 0; i < 16; i++) {
        assert_in_range(parts[i], 850, 1150);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_vectors),
        cmocka_unit_test(test_every_byte_counts),
        cmocka_unit_test(test_slots_are_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
