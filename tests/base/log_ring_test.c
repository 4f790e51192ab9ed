/* SPDX-License-Identifier: MIT */
/* The ring of lines is compared with a queue. */
#include "base/log_ring.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct km_log_ring ring;

/* Writes a line of len bytes that begins with a number. */
static kama_bytes make_line(char *buf, unsigned number, size_t len)
{
    memset(buf, 'x', len);
    for (size_t i = 0; i + 1 < len && i < 8; i++) {
        buf[i] = (char)('a' + (number >> 4 * i) % 16);
    }
    buf[len - 1] = '\n';
    return kama_bytes_make(buf, len);
}

/* The number of lines is bounded, whatever their length is. */
static void test_line_limit(void **state)
{
    (void)state;
    km_log_ring_init(&ring);
    for (int i = 0; i < KM_LOG_RING_LINES; i++) {
        assert_true(km_log_ring_put(&ring, KM_LIT("\n")));
        km_log_ring_check(&ring);
    }
    assert_false(km_log_ring_put(&ring, KM_LIT("\n")));
    km_log_ring_consume(&ring, km_log_ring_peek(&ring));
    assert_int_equal(ring.lines, 0);
    assert_int_equal(km_log_ring_peek(&ring).len, 0);
    assert_true(km_log_ring_put(&ring, KM_LIT("\n")));
}

/* Lines of the greatest length fill the ring to its last byte. */
static void test_byte_limit(void **state)
{
    (void)state;
    char buf[KM_LOG_LINE_BYTES_MAX];
    unsigned count = 0;
    km_log_ring_init(&ring);
    while (km_log_ring_put(&ring, make_line(buf, count, sizeof buf))) {
        count++;
        km_log_ring_check(&ring);
    }
    assert_int_equal(count, KM_LOG_RING_BYTES / KM_LOG_LINE_BYTES_MAX);
    assert_false(km_log_ring_put(&ring, KM_LIT("\n")));
}

/* Random lines are put in and taken out. All lines that were accepted come out
 * whole and in order. */
static void test_model(void **state)
{
    (void)state;
    unsigned seed = 11;
    unsigned put_count = 0;
    unsigned got_count = 0;
    unsigned refused = 0;
    size_t lens[KM_LOG_RING_LINES];
    km_log_ring_init(&ring);
    for (int step = 0; step < 100000; step++) {
        char buf[KM_LOG_LINE_BYTES_MAX];
        size_t len = 1 + (size_t)rand_r(&seed) %
                             (rand_r(&seed) % 2 == 0 ? 100 : sizeof buf);
        kama_bytes text = make_line(buf, put_count, len);
        if (step % 16 == 0) {
            km_log_ring_check(&ring);
        }
        if (rand_r(&seed) % (step % 2000 < 1000 ? 8 : 2) != 0) {
            if (km_log_ring_put(&ring, text)) {
                lens[put_count++ % KM_LOG_RING_LINES] = len;
            } else {
                refused++;
            }
            continue;
        }
        kama_bytes shown = km_log_ring_peek(&ring);
        kama_bytes rest = shown;
        assert_true(shown.len <= KM_LOG_LINE_BYTES_MAX);
        assert_int_equal(shown.len == 0, put_count == got_count);
        while (rest.len > 0) {
            size_t want = lens[got_count % KM_LOG_RING_LINES];
            assert_true(rest.len >= want);
            assert_true(km_bytes_starts(rest, make_line(buf, got_count, want)));
            rest = km_bytes_skip(rest, want);
            got_count++;
        }
        km_log_ring_consume(&ring, shown);
        assert_int_equal(ring.lines, put_count - got_count);
    }
    assert_true(refused > 0 && got_count > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_limit),
        cmocka_unit_test(test_byte_limit),
        cmocka_unit_test(test_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
