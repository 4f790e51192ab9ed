/* SPDX-License-Identifier: MIT */
/* The policies of bench/hitratio give the numbers of misses that their papers'
 * rules give by hand, on traces that are short enough for that. */
#include "base/status.h"
#include "hitratio/generate.h"
#include "hitratio/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static kama_status read_text(const void *text, size_t len, const char *format,
                             struct hr_trace *ret_trace)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    rewind(file);
    kama_status status = hr_trace_read(file, format, ret_trace);
    assert_int_equal(fclose(file), 0);
    return status;
}

static void test_formats(void **state)
{
    static const uint8_t words[] = {1, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0};
    static const char lines[] = "256\n*\n\n7\r\n256\n";
    static const char sized[] = "1 256 10\n2 7 0\n3 256 99\n";
    static const uint32_t wanted[] = {0, 1, 0};
    struct hr_trace traces[3];
    (void)state;
    assert_int_equal(read_text(words, 12, "int32be", &traces[0]), KAMA_OK);
    assert_int_equal(read_text(lines, strlen(lines), "lines", &traces[1]),
                     KAMA_OK);
    assert_int_equal(read_text(sized, strlen(sized), "adaptsize", &traces[2]),
                     KAMA_OK);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(traces[i].count, 3);
        assert_int_equal(traces[i].keys, 2);
        assert_memory_equal(traces[i].requests, wanted, sizeof wanted);
        assert_int_equal(traces[i].sizes[0], i == 2 ? 10 : 1);
        assert_int_equal(traces[i].sizes[1], 1);
        hr_trace_free(&traces[i]);
    }
}

static void test_bad_traces(void **state)
{
    struct hr_trace trace;
    (void)state;
    assert_int_equal(read_text("abcde", 5, "int32be", &trace),
                     KAMA_ERR_INVALID);
    assert_int_equal(read_text("1\nx\n", 4, "lines", &trace), KAMA_ERR_INVALID);
    assert_non_null(strstr(km_last_error(), "line 2"));
    assert_int_equal(read_text("1 2\n", 4, "adaptsize", &trace),
                     KAMA_ERR_INVALID);
    assert_int_equal(read_text("", 0, "lines", &trace), KAMA_ERR_INVALID);
    assert_int_equal(read_text("1\n", 2, "csv", &trace), KAMA_ERR_INVALID);
    assert_non_null(strstr(km_last_error(), "\"csv\""));
}

/* The most frequent of 1000 keys has its share by Zipf, 1 / 7.49 for an
 * exponent of 1, and the same seed makes the same trace. */
static void test_generated_traces(void **state)
{
    static const char *const mixes[] = {"none", "one-hit", "scan", "drift",
                                        "loop"};
    struct hr_generate g = {.theta = 1, .keys = 1000, .requests = 100000};
    uint64_t first = 0;
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        struct hr_trace a;
        struct hr_trace b;
        g.mix = mixes[i];
        g.span = 100;
        assert_int_equal(hr_generate(&g, &a), KAMA_OK);
        assert_int_equal(hr_generate(&g, &b), KAMA_OK);
        assert_memory_equal(a.requests, b.requests, 100000 * 4);
        for (size_t j = 0; i == 0 && j < a.count; j++) {
            first += a.requests[j] == a.requests[0];
        }
        hr_trace_free(&b);
        g.seed++;
        assert_int_equal(hr_generate(&g, &b), KAMA_OK);
        assert_memory_not_equal(a.requests, b.requests, 100000 * 4);
        hr_trace_free(&a);
        hr_trace_free(&b);
    }
    assert_in_range(first, 1, 100000 / 7);
    g.mix = "nothing";
    assert_int_equal(hr_generate(&g, &(struct hr_trace){0}), KAMA_ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_bad_traces),
        cmocka_unit_test(test_generated_traces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
