/* SPDX-License-Identifier: MIT */
#include "base/metric_text.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The longest text of a number. */
#define NUMBER_BYTES 32

/* The upper bounds of the buckets of a histogram. A hit of a peer takes tens of
 * microseconds, and a loader may take the seconds of its timeout. */
static const uint64_t bucket_ns[] = {
    50000,     100000,     250000,      500000,     1000000,     2500000,
    5000000,   10000000,   25000000,    50000000,   100000000,   250000000,
    500000000, 1000000000, 2500000000u, 5000000000, 10000000000, 30000000000,
};
#define BUCKET_COUNT (sizeof bucket_ns / sizeof bucket_ns[0])

/* -- pieces of text ------------------------------------------------------- */

static void put(struct km_metric_text *text, const char *s, size_t len)
{
    if (text->status == KAMA_OK) {
        text->status = km_buf_append(text->out, s, len);
    }
}

static void put_str(struct km_metric_text *text, const char *s)
{
    put(text, s, strlen(s));
}

/* Appends one byte of a quoted text that must be escaped. */
static void put_escaped(struct km_metric_text *text, uint8_t byte)
{
    char escape[8];
    switch (byte) {
    case '"':
        put_str(text, "\\\"");
        break;
    case '\\':
        put_str(text, "\\\\");
        break;
    case '\n':
        put_str(text, "\\n");
        break;
    default:
        (void)snprintf(escape, sizeof escape, "\\\\x%02x", byte);
        put_str(text, escape);
        break;
    }
}

/* Appends any bytes as the value of a label. */
static void put_quoted(struct km_metric_text *text, kama_bytes value)
{
    const uint8_t *at = value.data;
    const uint8_t *end = at + value.len;
    while (at < end) {
        size_t n = km_text_shown(kama_bytes_make(at, (size_t)(end - at)));
        if (n == 0 || *at == '"' || *at == '\\') {
            put_escaped(text, *at);
            at++;
        } else {
            put(text, (const char *)at, n);
            at += n;
        }
    }
}

/* Appends a sentence. Only OpenMetrics escapes quotation marks in it. */
static void put_help(struct km_metric_text *text, const char *help)
{
    for (; *help != '\0'; help++) {
        bool is_escaped =
            *help == '\\' || *help == '\n' ||
            (*help == '"' && text->format == KM_METRIC_OPENMETRICS);
        if (is_escaped) {
            put_escaped(text, (uint8_t)*help);
        } else {
            put(text, help, 1);
        }
    }
}

/* -- numbers -------------------------------------------------------------- */

/* Writes seconds with as many decimals as are needed, and at least `decimals`. */
static void format_ns(char number[NUMBER_BYTES], uint64_t ns, size_t decimals)
{
    int len =
        snprintf(number, NUMBER_BYTES, "%" PRIu64 ".%09" PRIu64,
                 (uint64_t)(ns / KM_NS_PER_S), (uint64_t)(ns % KM_NS_PER_S));
    size_t least = (size_t)len - 9 + decimals;
    size_t n = (size_t)len;
    while (n > least && number[n - 1] == '0') {
        n--;
    }
    if (number[n - 1] == '.') {
        n--;
    }
    number[n] = '\0';
}

/* The locale may have another decimal point, even one of several bytes. */
static void use_decimal_point(char *number)
{
    char *to = number;
    for (const char *from = number; *from != '\0'; from++) {
        if (strchr("0123456789+-eE", *from) != NULL) {
            *to++ = *from;
        } else if (to == number || to[-1] != '.') {
            *to++ = '.';
        }
    }
    *to = '\0';
}

static void format_double(char number[NUMBER_BYTES], double value)
{
    if (isnan(value)) {
        (void)snprintf(number, NUMBER_BYTES, "NaN");
        return;
    }
    if (isinf(value)) {
        (void)snprintf(number, NUMBER_BYTES, value > 0 ? "+Inf" : "-Inf");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(number, NUMBER_BYTES, "%.*g", digits, value);
        if (strtod(number, NULL) == value) {
            break;
        }
    }
    use_decimal_point(number);
}

/* -- lines ---------------------------------------------------------------- */

/* Returns the ending of the names of a kind's samples. */
static const char *ending_of(enum km_metric_kind kind)
{
    return kind == KM_METRIC_COUNTER ? "_total"
           : kind == KM_METRIC_INFO  ? "_info"
                                     : "";
}

/* Returns the type in a line TYPE. Only OpenMetrics has the type `info`. */
static const char *type_of(const struct km_metric_text *text)
{
    switch (text->kind) {
    case KM_METRIC_COUNTER:
        return "counter";
    case KM_METRIC_HISTOGRAM:
        return "histogram";
    case KM_METRIC_INFO:
        return text->format == KM_METRIC_OPENMETRICS ? "info" : "gauge";
    case KM_METRIC_GAUGE:
        break;
    }
    return "gauge";
}

/* Begins a line of the head of the family, up to the blank behind its name. */
static void put_head(struct km_metric_text *text, const char *keyword)
{
    put_str(text, "# ");
    put_str(text, keyword);
    put_str(text, " ");
    put_str(text, text->name);
    if (text->format == KM_METRIC_PROMETHEUS) {
        put_str(text, ending_of(text->kind));
    }
    put_str(text, " ");
}

static void put_unit(struct km_metric_text *text)
{
    static const char *const units[] = {"bytes", "seconds"};
    const char *last = strrchr(text->name, '_');
    for (size_t i = 0; i < 2; i++) {
        if (last != NULL && strcmp(last + 1, units[i]) == 0) {
            put_head(text, "UNIT");
            put_str(text, units[i]);
            put_str(text, "\n");
        }
    }
}

void km_metric_text_family(struct km_metric_text *text, const char *name,
                           enum km_metric_kind kind, const char *help)
{
    KM_ASSERT(strlen(name) + sizeof "_bucket" <= sizeof text->name);
    (void)snprintf(text->name, sizeof text->name, "%s", name);
    text->kind = kind;
    put_head(text, "HELP");
    put_help(text, help);
    put_str(text, "\n");
    put_head(text, "TYPE");
    put_str(text, type_of(text));
    put_str(text, "\n");
    if (text->format == KM_METRIC_OPENMETRICS) {
        put_unit(text);
    }
}

/* Appends the labels of a sample; le is the last one if it is not NULL. */
static void put_labels(struct km_metric_text *text,
                       const struct km_metric_label *labels, size_t label_count,
                       const char *le)
{
    const char *before = "{";
    for (size_t i = 0; i < label_count; i++) {
        put_str(text, before);
        put_str(text, labels[i].name);
        put_str(text, "=\"");
        put_quoted(text, labels[i].value);
        put_str(text, "\"");
        before = ",";
    }
    if (le != NULL) {
        put_str(text, before);
        put_str(text, "le=\"");
        put_str(text, le);
        put_str(text, "\"");
    }
    if (label_count > 0 || le != NULL) {
        put_str(text, "}");
    }
}

static void put_sample(struct km_metric_text *text, const char *ending,
                       const struct km_metric_label *labels, size_t label_count,
                       const char *le, const char *number)
{
    put_str(text, text->name);
    put_str(text, ending);
    put_labels(text, labels, label_count, le);
    put_str(text, " ");
    put_str(text, number);
    put_str(text, "\n");
}

void km_metric_text_count(struct km_metric_text *text,
                          const struct km_metric_label *labels,
                          size_t label_count, uint64_t value)
{
    char number[NUMBER_BYTES];
    (void)snprintf(number, sizeof number, "%" PRIu64, value);
    put_sample(text, ending_of(text->kind), labels, label_count, NULL, number);
}

void km_metric_text_one(struct km_metric_text *text, const char *name,
                        enum km_metric_kind kind, const char *help,
                        uint64_t value)
{
    km_metric_text_family(text, name, kind, help);
    km_metric_text_count(text, NULL, 0, value);
}

void km_metric_text_ns(struct km_metric_text *text,
                       const struct km_metric_label *labels, size_t label_count,
                       uint64_t ns)
{
    char number[NUMBER_BYTES];
    format_ns(number, ns, 0);
    put_sample(text, ending_of(text->kind), labels, label_count, NULL, number);
}

void km_metric_text_double(struct km_metric_text *text,
                           const struct km_metric_label *labels,
                           size_t label_count, double value)
{
    char number[NUMBER_BYTES];
    format_double(number, value);
    put_sample(text, ending_of(text->kind), labels, label_count, NULL, number);
}

/* The bounds are written alike in both formats, because Prometheus would take "1"
 * and "1.0" for two series. */
void km_metric_text_histogram(struct km_metric_text *text,
                              const struct km_metric_label *labels,
                              size_t label_count,
                              const struct km_histogram *histogram)
{
    char le[NUMBER_BYTES];
    char number[NUMBER_BYTES];
    KM_ASSERT(text->kind == KM_METRIC_HISTOGRAM);
    for (size_t i = 0; i < BUCKET_COUNT; i++) {
        format_ns(le, bucket_ns[i], 1);
        (void)snprintf(number, sizeof number, "%" PRIu64,
                       km_histogram_count_below(histogram, bucket_ns[i]));
        put_sample(text, "_bucket", labels, label_count, le, number);
    }
    uint64_t count = km_histogram_count(histogram);
    (void)snprintf(number, sizeof number, "%" PRIu64, count);
    put_sample(text, "_bucket", labels, label_count, "+Inf", number);
    put_sample(text, "_count", labels, label_count, NULL, number);
    format_ns(number, km_histogram_sum_ns(histogram), 0);
    put_sample(text, "_sum", labels, label_count, NULL, number);
}

/* -- life ----------------------------------------------------------------- */

void km_metric_text_init(struct km_metric_text *text, struct km_buf *out,
                         enum km_metric_format format)
{
    *text = (struct km_metric_text){.out = out, .format = format};
}

void km_metric_text_fail(struct km_metric_text *text, kama_status status)
{
    if (text->status == KAMA_OK) {
        text->status = status;
    }
}

kama_status km_metric_text_end(struct km_metric_text *text)
{
    if (text->format == KM_METRIC_OPENMETRICS) {
        put_str(text, "# EOF\n");
    }
    return text->status;
}

const char *km_metric_content_type(enum km_metric_format format)
{
    return format == KM_METRIC_OPENMETRICS
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}
