/* SPDX-License-Identifier: MIT */
/* The cursors of scans as clients get them. */
#include "group/scan_cursor.h"

#include "group/group.h"
#include "group/group_fixture.h"

/* A cursor is read by the group that wrote it, and by no other. */
static void test_cursors(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct fixture *other = fixture_open(fixture_new());
    uint8_t bytes[KM_SCAN_CURSOR_BYTES];
    uint64_t place = 1;
    (void)state;
    assert_int_equal(
        km_scan_cursor_read(f->group, kama_bytes_make(NULL, 0), &place),
        KAMA_OK);
    assert_int_equal(place, 0);
    km_scan_cursor_write(f->group, 0x1234567890abcdef, bytes);
    kama_bytes cursor = kama_bytes_make(bytes, sizeof bytes);
    assert_int_equal(km_scan_cursor_read(f->group, cursor, &place), KAMA_OK);
    assert_int_equal(place, 0x1234567890abcdef);
    assert_int_equal(km_scan_cursor_read(other->group, cursor, &place),
                     KAMA_ERR_INVALID);
    cursor.len--;
    assert_int_equal(km_scan_cursor_read(f->group, cursor, &place),
                     KAMA_ERR_INVALID);
    fixture_free(f);
    fixture_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cursors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
