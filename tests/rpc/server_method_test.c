/* SPDX-License-Identifier: MIT */
/* The table of methods: every row is found by its path, and nothing else is. */
#include "rpc/server_method.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define ROWS 50

/* Rows of any number are found, each by its own path. */
static void test_find(void **state)
{
    (void)state;
    static char paths[ROWS][16];
    static struct km_server_method rows[ROWS];
    for (size_t count = 0; count <= ROWS; count++) {
        for (size_t i = 0; i < count; i++) {
            (void)snprintf(paths[i], sizeof paths[i], "/a.B/Method%zu", i);
            rows[i].path = paths[i];
        }
        struct km_server_methods table;
        assert_int_equal(km_server_methods_init(&table, km_mem_or_default(NULL),
                                                rows, count),
                         KAMA_OK);
        for (size_t i = 0; i < count; i++) {
            assert_ptr_equal(
                km_server_methods_find(&table, kama_bytes_str(paths[i])),
                &rows[i]);
        }
        assert_null(km_server_methods_find(&table, KM_LIT("/a.B/Method99")));
        km_server_methods_fini(&table, km_mem_or_default(NULL));
    }
}

/* A path that only begins like a method's, or that a method's begins like, and
 * an empty one, have no row. */
static void test_near_paths(void **state)
{
    (void)state;
    static const struct km_server_method rows[] = {{.path = "/a.B/Get"}};
    struct km_server_methods table;
    assert_int_equal(
        km_server_methods_init(&table, km_mem_or_default(NULL), rows, 1),
        KAMA_OK);
    static const char *const paths[] = {"", "/", "/a.B/Ge", "/a.B/Gets",
                                        "/a.B/get"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_null(km_server_methods_find(&table, kama_bytes_str(paths[i])));
    }
    km_server_methods_fini(&table, km_mem_or_default(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_near_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
