/* SPDX-License-Identifier: MIT */
/*
 * Metrics as text, for a program that scrapes them: the text format 0.0.4 of
 * Prometheus, or OpenMetrics 1.0.
 *
 *     struct km_metric_text text;
 *     km_metric_text_init(&text, &buf, KM_METRIC_OPENMETRICS);
 *     km_metric_text_family(&text, "kamacache_gets", KM_METRIC_COUNTER,
 *                           "Gets, by the source of the answer.");
 *     const struct km_metric_label labels[] = {
 *         {"group", KAMA_STR(name)}, {"source", KM_LIT("local")}};
 *     km_metric_text_count(&text, labels, 2, hits);
 *     status = km_metric_text_end(&text);
 *
 * A family is a name with its samples, which follow it. The formats differ in its
 * head:
 *
 *     0.0.4         # HELP kamacache_gets_total Gets, by the source of the answer.
 *                   # TYPE kamacache_gets_total counter
 *     OpenMetrics   # HELP kamacache_gets Gets, by the source of the answer.
 *                   # TYPE kamacache_gets counter
 *     both          kamacache_gets_total{group="users",source="local"} 630
 *
 * So a name is given without `_total` (of a counter) and `_info` (of an info), which
 * are added. If it ends with `_bytes` or `_seconds`, OpenMetrics gets a line UNIT.
 * The end of OpenMetrics is `# EOF`.
 *
 * Names of families and labels are literals of the program. Values of labels may be
 * any bytes: a quotation mark, a backslash and a newline are escaped as the formats
 * say, and bytes that must not be shown to people (base/text.h) are written as \xNN.
 *
 * Numbers are exact: integers with all of their digits, nanoseconds as seconds with
 * up to nine decimals, and doubles with as many digits as it takes to read the same
 * double again. The locale of the process does not matter.
 *
 * Cost: linear in the text. Threads: one owner. Errors: those of km_buf, which
 * km_metric_text_end returns; nothing is written after an error. Ownership:
 * the buffer is borrowed until then.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"
#include "base/histogram.h"
#include "base/metric.h"

enum km_metric_format { KM_METRIC_PROMETHEUS, KM_METRIC_OPENMETRICS };

/* The longest name of a family, with the ending that is added. */
#define KM_METRIC_NAME_BYTES_MAX 96

struct km_metric_label {
    const char *name; /* a literal */
    kama_bytes value; /* any bytes, borrowed until the call returns */
};

struct km_metric_text {
    struct km_buf *out; /* borrowed */
    enum km_metric_format format;
    enum km_metric_kind kind;            /* of the family */
    char name[KM_METRIC_NAME_BYTES_MAX]; /* of the family, as it was given */
    kama_status status;                  /* the first error */
};

/* Begins a text, which is appended to out. */
void km_metric_text_init(struct km_metric_text *text, struct km_buf *out,
                         enum km_metric_format format);

/* Begins a family. Its samples must follow before the next one, because the formats
 * allow a family only once. help: one sentence. */
void km_metric_text_family(struct km_metric_text *text, const char *name,
                           enum km_metric_kind kind, const char *help);

/* Writes a family that has one sample, without labels. */
void km_metric_text_one(struct km_metric_text *text, const char *name,
                        enum km_metric_kind kind, const char *help,
                        uint64_t value);

/* Append a sample of the family: an integer, nanoseconds as seconds, or a double. */
void km_metric_text_count(struct km_metric_text *text,
                          const struct km_metric_label *labels,
                          size_t label_count, uint64_t value);
void km_metric_text_ns(struct km_metric_text *text,
                       const struct km_metric_label *labels, size_t label_count,
                       uint64_t ns);
void km_metric_text_double(struct km_metric_text *text,
                           const struct km_metric_label *labels,
                           size_t label_count, double value);

/* Appends the samples of a histogram, in seconds: the cumulative buckets from 50 us
 * to 30 s, their sum and their count. A duration is put into its bucket with the
 * error that km_histogram_count_below has. Nobody may record meanwhile. */
void km_metric_text_histogram(struct km_metric_text *text,
                              const struct km_metric_label *labels,
                              size_t label_count,
                              const struct km_histogram *histogram);

/* Keeps an error of the caller, if it is the first one. */
void km_metric_text_fail(struct km_metric_text *text, kama_status status);

/* Ends the text. Returns the first error. */
KAMA_NODISCARD kama_status km_metric_text_end(struct km_metric_text *text);

/* Returns the content type of a format, for a header of HTTP. */
const char *km_metric_content_type(enum km_metric_format format);
