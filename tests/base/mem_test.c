/* SPDX-License-Identifier: MIT */
/* The default allocator, copies of strings, and the probe that other tests
 * use. */
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <string.h>
#include <cmocka.h>

/* NULL stands for the default allocator, and another allocator is kept. */
static void test_default(void **state)
{
    (void)state;
    struct km_mem_probe probe;
    km_mem_probe_init(&probe);
    assert_ptr_equal(km_mem_or_default(NULL), km_mem_default());
    assert_ptr_equal(km_mem_or_default(&probe.allocator), &probe.allocator);
    char *p = km_mem_alloc(km_mem_default(), 8);
    assert_non_null(p);
    p = km_mem_resize(km_mem_default(), p, 100000);
    assert_non_null(p);
    p[99999] = 'x';
    km_mem_free(km_mem_default(), p);
}

/* The memory is zeroed, and a product that overflows is refused without an
 * allocation. */
static void test_zalloc(void **state)
{
    (void)state;
    struct km_mem_probe probe;
    km_mem_probe_init(&probe);
    static const char zeros[96];
    char *p = km_mem_zalloc(&probe.allocator, 12, 8);
    assert_memory_equal(p, zeros, 96);
    km_mem_free(&probe.allocator, p);
    assert_null(km_mem_zalloc(&probe.allocator, SIZE_MAX / 2, 3));
    assert_int_equal(probe.allocs, 1);
}

/* Copies end with a NUL, may contain NUL bytes, and may be empty. */
static void test_copies(void **state)
{
    (void)state;
    struct km_mem_probe probe;
    km_mem_probe_init(&probe);
    char *whole = km_mem_strdup(&probe.allocator, "abc");
    char *part = km_mem_strndup(&probe.allocator, "a\0bcd", 3);
    char *none = km_mem_strndup(&probe.allocator, NULL, 0);
    assert_string_equal(whole, "abc");
    assert_memory_equal(part, "a\0b", 4);
    assert_string_equal(none, "");
    assert_null(km_mem_strndup(&probe.allocator, "", SIZE_MAX));
    km_mem_free(&probe.allocator, whole);
    km_mem_free(&probe.allocator, part);
    km_mem_free(&probe.allocator, none);
    km_mem_free(&probe.allocator, NULL);
    assert_int_equal(probe.live_blocks, 0);
}

/* The n-th call fails, alone or with all calls behind it. resize counts as a
 * call, and keeps the old block when it fails. */
static void test_probe(void **state)
{
    (void)state;
    struct km_mem_probe probe;
    km_mem_probe_init(&probe);
    probe.fail_at = 2;
    char *p = km_mem_resize(&probe.allocator, NULL, 4);
    memcpy(p, "abc", 4);
    assert_null(km_mem_resize(&probe.allocator, p, 8));
    assert_string_equal(p, "abc");
    assert_int_equal(probe.live_blocks, 1);
    p = km_mem_resize(&probe.allocator, p, 8);
    assert_string_equal(p, "abc");
    probe.sticky = true;
    assert_null(km_mem_alloc(&probe.allocator, 1));
    assert_int_equal(probe.allocs, 4);
    km_mem_free(&probe.allocator, p);
    assert_int_equal(probe.live_blocks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default),
        cmocka_unit_test(test_zalloc),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_probe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
