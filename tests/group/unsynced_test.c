/* SPDX-License-Identifier: MIT */
/*
 * The lists of members that are late.
 *
 *     a list          copies its addresses; none is NULL
 *     adding          has each address once, and changes no list that others hold
 *     no memory       leaves what was there
 *     telling         writes as many as there is room for, and counts all
 */
#include "helpers/failmalloc.h"
#include "helpers/require.h"

#include "group/unsynced.h"

static const char *const ab[] = {"a:1", "b:1"};
static const char *const bc[] = {"b:1", "c:1"};

static struct km_unsynced *list_of(const char *const *addresses, size_t count)
{
    struct km_unsynced *list =
        km_unsynced_new(km_mem_or_default(NULL), addresses, count);
    assert_int_equal(km_unsynced_count(list), count);
    return list;
}

static void test_a_list(void **state)
{
    char address[] = "a:1";
    const char *const addresses[] = {address};
    (void)state;
    assert_null(list_of(NULL, 0));
    struct km_unsynced *list = list_of(addresses, 1);
    address[0] = 'x';
    assert_string_equal(km_unsynced_at(list, 0), "a:1");
    assert_ptr_equal(km_unsynced_ref(list), list);
    km_unsynced_unref(list);
    assert_string_equal(km_unsynced_at(list, 0), "a:1");
    km_unsynced_unref(list);
    km_unsynced_unref(NULL);
}

static void test_adding(void **state)
{
    const kama_allocator *mem = km_mem_or_default(NULL);
    struct km_unsynced *all = NULL;
    struct km_unsynced *first = list_of(ab, 2);
    (void)state;
    km_unsynced_add(mem, &all, NULL);
    assert_null(all);
    km_unsynced_add(mem, &all, km_unsynced_ref(first));
    assert_ptr_equal(all, first);
    km_unsynced_add(mem, &all, list_of(ab + 1, 1));
    assert_ptr_equal(all, first);
    km_unsynced_add(mem, &all, list_of(bc, 2));
    assert_int_equal(km_unsynced_count(first), 2);
    assert_int_equal(km_unsynced_count(all), 3);
    assert_string_equal(km_unsynced_at(all, 0), "a:1");
    assert_string_equal(km_unsynced_at(all, 2), "c:1");
    km_unsynced_unref(first);
    km_unsynced_unref(all);
}

static kama_status add(const kama_allocator *mem, void *arg)
{
    struct km_unsynced *all = list_of(ab, 2);
    (void)arg;
    km_unsynced_add(mem, &all, list_of(bc, 2));
    size_t count = km_unsynced_count(all);
    assert_true(count == 2 || count == 3);
    km_unsynced_unref(all);
    return count == 3 ? KAMA_OK : KAMA_ERR_NO_MEMORY;
}

static void test_no_memory(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(add, NULL) >= 2);
}

static void test_telling(void **state)
{
    char addresses[1][KAMA_ADDRESS_BYTES];
    kama_unsynced told;
    struct km_unsynced *list = list_of(ab, 2);
    (void)state;
    kama_unsynced_init(&told);
    km_unsynced_tell(list, &told);
    assert_int_equal(told.count, 2);
    told.addresses = addresses;
    told.capacity = 1;
    km_unsynced_tell(list, &told);
    assert_int_equal(told.count, 2);
    assert_string_equal(addresses[0], "a:1");
    km_unsynced_tell(NULL, &told);
    assert_int_equal(told.count, 0);
    km_unsynced_unref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_list),
        cmocka_unit_test(test_adding),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_telling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
