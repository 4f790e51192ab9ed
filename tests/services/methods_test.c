/* SPDX-License-Identifier: MIT */
/* The table of the methods that a node serves. */
#include "helpers/failmalloc.h"
#include "services/methods.h"

#include <string.h>

/* Of two rows with one path only the first would ever be called. */
static void test_each_path_has_one_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < km_service_method_count; i++) {
        for (size_t j = i + 1; j < km_service_method_count; j++) {
            assert_string_not_equal(km_service_methods[i].path,
                                    km_service_methods[j].path);
        }
    }
}

/* A row of a later version has only a path, so that its calls are refused. */
static void test_a_row_has_a_handler_or_only_a_path(void **state)
{
    (void)state;
    for (size_t i = 0; i < km_service_method_count; i++) {
        const struct km_server_method *row = &km_service_methods[i];
        assert_non_null(row->path);
        if (row->on_message == NULL) {
            assert_null(row->on_half_close);
            assert_null(row->on_writable);
            assert_null(row->on_cancel);
            assert_int_equal(row->state_bytes, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_path_has_one_row),
        cmocka_unit_test(test_a_row_has_a_handler_or_only_a_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
