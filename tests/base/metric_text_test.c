/* SPDX-License-Identifier: MIT */
/* The text of small sets of families, byte by byte, and texts that readers of both
 * formats are known to stumble over. */
#include "base/metric_text.h"

#include "helpers/failmalloc.h"

#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct km_buf buf;
static struct km_metric_text text;

static void begin(enum km_metric_format format)
{
    km_buf_init(&buf, NULL, SIZE_MAX);
    km_metric_text_init(&text, &buf, format);
}

/* Ends the text and asserts all of it. */
static void expect(const char *want)
{
    assert_int_equal(km_metric_text_end(&text), KAMA_OK);
    assert_int_equal(km_buf_append(&buf, "", 1), KAMA_OK);
    assert_string_equal((const char *)buf.data, want);
    km_buf_fini(&buf);
}

static void write_families(void)
{
    const struct km_metric_label labels[] = {{"group", KM_LIT("users")},
                                             {"source", KM_LIT("local")}};
    km_metric_text_family(&text, "x_gets", KM_METRIC_COUNTER, "Gets.");
    km_metric_text_count(&text, labels, 2, UINT64_MAX);
    km_metric_text_count(&text, NULL, 0, 0);
    km_metric_text_family(&text, "x_used_bytes", KM_METRIC_GAUGE, "Memory.");
    km_metric_text_count(&text, labels, 1, 7);
    km_metric_text_family(&text, "x_build", KM_METRIC_INFO, "The program.");
    km_metric_text_count(&text, labels + 1, 1, 1);
}

/* The names in HELP and TYPE have `_total` and `_info`, and there is no UNIT. */
static void test_prometheus(void **state)
{
    (void)state;
    begin(KM_METRIC_PROMETHEUS);
    write_families();
    expect("# HELP x_gets_total Gets.\n"
           "# TYPE x_gets_total counter\n"
           "x_gets_total{group=\"users\",source=\"local\"} "
           "18446744073709551615\n"
           "x_gets_total 0\n"
           "# HELP x_used_bytes Memory.\n"
           "# TYPE x_used_bytes gauge\n"
           "x_used_bytes{group=\"users\"} 7\n"
           "# HELP x_build_info The program.\n"
           "# TYPE x_build_info gauge\n"
           "x_build_info{source=\"local\"} 1\n");
}

/* The names in HELP and TYPE are those of the families. */
static void test_openmetrics(void **state)
{
    (void)state;
    begin(KM_METRIC_OPENMETRICS);
    write_families();
    expect("# HELP x_gets Gets.\n"
           "# TYPE x_gets counter\n"
           "x_gets_total{group=\"users\",source=\"local\"} "
           "18446744073709551615\n"
           "x_gets_total 0\n"
           "# HELP x_used_bytes Memory.\n"
           "# TYPE x_used_bytes gauge\n"
           "# UNIT x_used_bytes bytes\n"
           "x_used_bytes{group=\"users\"} 7\n"
           "# HELP x_build The program.\n"
           "# TYPE x_build info\n"
           "x_build_info{source=\"local\"} 1\n"
           "# EOF\n");
}

/* A sentence is escaped less in the older format. */
static void test_help(void **state)
{
    (void)state;
    begin(KM_METRIC_PROMETHEUS);
    km_metric_text_family(&text, "x", KM_METRIC_GAUGE, "A \"b\"\\\n.");
    expect("# HELP x A \"b\"\\\\\\n.\n# TYPE x gauge\n");
    begin(KM_METRIC_OPENMETRICS);
    km_metric_text_family(&text, "x", KM_METRIC_GAUGE, "A \"b\"\\\n.");
    expect("# HELP x A \\\"b\\\"\\\\\\n.\n# TYPE x gauge\n# EOF\n");
}

/* Whatever bytes a label has, its line is one line of UTF-8. */
static void test_labels(void **state)
{
    const struct {
        kama_bytes value;
        const char *shown;
    } cases[] = {
        {KM_LIT(""), ""},
        {KM_LIT("a\"b"), "a\\\"b"},
        {KM_LIT("C:\\d"), "C:\\\\d"},
        {KM_LIT("a\nb"), "a\\nb"},
        {KM_LIT("a\0b"), "a\\\\x00b"},
        {KM_LIT("\xff\xc3("), "\\\\xff\\\\xc3("},
        {KM_LIT("\xe6\xb1\x89"), "\xe6\xb1\x89"},
        {KM_LIT("\xe6\xb1"), "\\\\xe6\\\\xb1"},
        {KM_LIT("\xc2\x85\r"), "\\\\xc2\\\\x85\\\\x0d"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char want[128];
        const struct km_metric_label label = {"g", cases[i].value};
        begin(KM_METRIC_PROMETHEUS);
        km_metric_text_family(&text, "x", KM_METRIC_GAUGE, "X.");
        km_metric_text_count(&text, &label, 1, 1);
        (void)snprintf(want, sizeof want,
                       "# HELP x X.\n# TYPE x gauge\nx{g=\"%s\"} 1\n",
                       cases[i].shown);
        expect(want);
    }
}

/* Asserts how a number is written. */
static void expect_double(double value, const char *want)
{
    char line[64];
    begin(KM_METRIC_PROMETHEUS);
    km_metric_text_family(&text, "x", KM_METRIC_GAUGE, "X.");
    km_metric_text_double(&text, NULL, 0, value);
    (void)snprintf(line, sizeof line, "# HELP x X.\n# TYPE x gauge\nx %s\n",
                   want);
    expect(line);
}

static void test_doubles(void **state)
{
    (void)state;
    expect_double(0, "0");
    expect_double(0.1, "0.1");
    expect_double(-2.5, "-2.5");
    expect_double(1.0 / 3, "0.3333333333333333");
    expect_double(0.1 + 0.2, "0.30000000000000004");
    expect_double(1e300, "1e+300");
    expect_double(5e-324, "4.94065645841247e-324");
    expect_double(INFINITY, "+Inf");
    expect_double(-INFINITY, "-Inf");
    expect_double(NAN, "NaN");
}

/* The decimal point is a point in every locale that the machine has. */
static void test_doubles_in_a_locale(void **state)
{
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8",
                                        "ps_AF.UTF-8"};
    bool found = false;
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (setlocale(LC_NUMERIC, names[i]) != NULL) {
            found = true;
            expect_double(0.5, "0.5");
            expect_double(1234567.25, "1234567.25");
        }
    }
    (void)setlocale(LC_NUMERIC, "C");
    if (!found) {
        skip();
    }
}

static void expect_ns(uint64_t ns, const char *want)
{
    char line[96];
    begin(KM_METRIC_PROMETHEUS);
    km_metric_text_family(&text, "x_seconds", KM_METRIC_COUNTER, "X.");
    km_metric_text_ns(&text, NULL, 0, ns);
    (void)snprintf(line, sizeof line,
                   "# HELP x_seconds_total X.\n"
                   "# TYPE x_seconds_total counter\nx_seconds_total %s\n",
                   want);
    expect(line);
}

/* No nanosecond is lost, however long a process runs. */
static void test_nanoseconds(void **state)
{
    (void)state;
    expect_ns(0, "0");
    expect_ns(1, "0.000000001");
    expect_ns(1500000000, "1.5");
    expect_ns(10000000000, "10");
    expect_ns(UINT64_MAX, "18446744073.709551615");
}

/* The buckets are cumulative, and the last one is the count. */
static void test_histogram(void **state)
{
    static struct km_histogram h;
    const struct km_metric_label label = {"g", KM_LIT("a")};
    (void)state;
    km_histogram_init(&h);
    km_histogram_record(&h, 40000);
    km_histogram_record(&h, 3000000);
    km_histogram_record(&h, 31000000000);
    begin(KM_METRIC_OPENMETRICS);
    km_metric_text_family(&text, "x_seconds", KM_METRIC_HISTOGRAM, "X.");
    km_metric_text_histogram(&text, &label, 1, &h);
    expect("# HELP x_seconds X.\n"
           "# TYPE x_seconds histogram\n"
           "# UNIT x_seconds seconds\n"
           "x_seconds_bucket{g=\"a\",le=\"0.00005\"} 1\n"
           "x_seconds_bucket{g=\"a\",le=\"0.0001\"} 1\n"
           "x_seconds_bucket{g=\"a\",le=\"0.00025\"} 1\n"
           "x_seconds_bucket{g=\"a\",le=\"0.0005\"} 1\n"
           "x_seconds_bucket{g=\"a\",le=\"0.001\"} 1\n"
           "x_seconds_bucket{g=\"a\",le=\"0.0025\"} 1\n"
           "x_seconds_bucket{g=\"a\",le=\"0.005\"} 2\n"
           "x_seconds_bucket{g=\"a\",le=\"0.01\"} 2\n"
           "x_seconds_bucket{g=\"a\",le=\"0.025\"} 2\n"
           "x_seconds_bucket{g=\"a\",le=\"0.05\"} 2\n"
           "x_seconds_bucket{g=\"a\",le=\"0.1\"} 2\n"
           "x_seconds_bucket{g=\"a\",le=\"0.25\"} 2\n"
           "x_seconds_bucket{g=\"a\",le=\"0.5\"} 2\n"
           "x_seconds_bucket{g=\"a\",le=\"1.0\"} 2\n"
           "x_seconds_bucket{g=\"a\",le=\"2.5\"} 2\n"
           "x_seconds_bucket{g=\"a\",le=\"5.0\"} 2\n"
           "x_seconds_bucket{g=\"a\",le=\"10.0\"} 2\n"
           "x_seconds_bucket{g=\"a\",le=\"30.0\"} 2\n"
           "x_seconds_bucket{g=\"a\",le=\"+Inf\"} 3\n"
           "x_seconds_count{g=\"a\"} 3\n"
           "x_seconds_sum{g=\"a\"} 31.00304\n"
           "# EOF\n");
}

/* Without memory the end says so, however early it was missing. */
static kama_status write_with(const kama_allocator *mem, void *arg)
{
    (void)arg;
    km_buf_init(&buf, mem, SIZE_MAX);
    km_metric_text_init(&text, &buf, KM_METRIC_OPENMETRICS);
    write_families();
    kama_status st = km_metric_text_end(&text);
    km_buf_fini(&buf);
    return st;
}

static void test_without_memory(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(write_with, NULL) > 1);
}

/* A bounded buffer refuses a text that is too large for it. */
static void test_too_large(void **state)
{
    (void)state;
    km_buf_init(&buf, NULL, 100);
    km_metric_text_init(&text, &buf, KM_METRIC_PROMETHEUS);
    write_families();
    assert_int_equal(km_metric_text_end(&text), KAMA_ERR_TOO_LARGE);
    km_buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prometheus),
        cmocka_unit_test(test_openmetrics),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_doubles_in_a_locale),
        cmocka_unit_test(test_nanoseconds),
        cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_without_memory),
        cmocka_unit_test(test_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
