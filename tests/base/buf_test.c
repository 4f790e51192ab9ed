/* SPDX-License-Identifier: MIT */
/* The growing buffer: its bound, its growth, and failures that change
 * nothing. */
#include "base/buf.h"

#include "base/bytes.h"

#include "helpers/failmalloc.h"

#include <string.h>

/* A buffer can be filled up to its bound, and an append beyond it adds
 * nothing. */
static void test_bound(void **state)
{
    (void)state;
    struct km_buf buf;
    km_buf_init(&buf, NULL, 100);
    char data[101];
    memset(data, 'x', sizeof data);
    assert_int_equal(km_buf_append(&buf, data, 101), KAMA_ERR_TOO_LARGE);
    assert_int_equal(buf.len, 0);
    assert_int_equal(km_buf_append(&buf, data, 99), KAMA_OK);
    assert_int_equal(km_buf_append(&buf, data, 2), KAMA_ERR_TOO_LARGE);
    assert_int_equal(km_buf_append(&buf, data, 1), KAMA_OK);
    assert_int_equal(km_buf_append(&buf, NULL, 0), KAMA_OK);
    assert_int_equal(km_buf_append(&buf, data, 1), KAMA_ERR_TOO_LARGE);
    assert_int_equal(km_buf_reserve(&buf, SIZE_MAX), KAMA_ERR_TOO_LARGE);
    assert_int_equal(buf.len, 100);
    assert_true(buf.cap <= 100);
    km_buf_fini(&buf);
    assert_null(buf.data);
}

/* Without a bound, a length that overflows gives an error and no crash. */
static void test_huge(void **state)
{
    (void)state;
    struct km_buf buf;
    km_buf_init(&buf, NULL, SIZE_MAX);
    assert_int_equal(km_buf_append_str(&buf, "abc"), KAMA_OK);
    assert_int_equal(km_buf_reserve(&buf, SIZE_MAX - 1), KAMA_ERR_TOO_LARGE);
    assert_true(km_bytes_eq(km_buf_bytes(&buf), KM_LIT("abc")));
    km_buf_fini(&buf);
}

/* consume drops bytes at the front, and reset keeps or frees the memory. */
static void test_consume_and_reset(void **state)
{
    (void)state;
    struct km_buf buf;
    km_buf_init(&buf, NULL, SIZE_MAX);
    km_buf_consume(&buf, 0);
    assert_int_equal(km_buf_append_str(&buf, "abcdef"), KAMA_OK);
    km_buf_consume(&buf, 2);
    assert_true(km_bytes_eq(km_buf_bytes(&buf), KM_LIT("cdef")));
    km_buf_consume(&buf, 4);
    assert_int_equal(buf.len, 0);
    km_buf_reset(&buf, buf.cap);
    assert_non_null(buf.data);
    km_buf_reset(&buf, buf.cap - 1);
    assert_null(buf.data);
    assert_int_equal(km_buf_append_str(&buf, "again"), KAMA_OK);
    km_buf_fini(&buf);
}

/* Formatted texts of every length around the capacity are complete. */
static void test_printf(void **state)
{
    (void)state;
    for (int len = 0; len < 200; len++) {
        struct km_buf buf;
        km_buf_init(&buf, NULL, SIZE_MAX);
        assert_int_equal(km_buf_append_str(&buf, "<"), KAMA_OK);
        assert_int_equal(km_buf_printf(&buf, "%*d", len + 1, 7), KAMA_OK);
        assert_int_equal(buf.len, (size_t)len + 2);
        assert_int_equal(buf.data[buf.len - 1], '7');
        km_buf_fini(&buf);
    }
}

static kama_status fill(const kama_allocator *mem, void *arg)
{
    struct km_buf buf;
    kama_status status = KAMA_OK;
    size_t expected = 0;
    (void)arg;
    km_buf_init(&buf, mem, SIZE_MAX);
    for (int i = 0; i < 300 && status == KAMA_OK; i++) {
        status = i % 2 == 0 ? km_buf_append_str(&buf, "abc")
                            : km_buf_printf(&buf, "%03d", i);
        expected += status == KAMA_OK ? 3 : 0;
    }
    assert_int_equal(buf.len, expected);
    km_buf_fini(&buf);
    return status;
}

/* When an allocation fails, there is an error, the length stays as it was, and
 * nothing leaks. */
static void test_no_memory(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(fill, NULL) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_huge),
        cmocka_unit_test(test_consume_and_reset),
        cmocka_unit_test(test_printf),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
