/* SPDX-License-Identifier: MIT */
#include "report.h"

#include "base/assert.h"
#include "child.h"

#include <kamacache/version.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINES_MAX 512

struct bench_report {
    enum bench_format format;
    char row[16];
    unsigned count;
    unsigned failed;
    struct bench_line lines[LINES_MAX];
};

/* -- figures ----------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Sorts `values` and frees them. */
static struct bench_spread spread_of_sorted(double *values, unsigned n)
{
    qsort(values, n, sizeof *values, compare);
    struct bench_spread spread = {values[n / 2], values[n / 10],
                                  values[n * 9 / 10]};
    free(values);
    return spread;
}

struct bench_spread bench_spread_of(const double *values, unsigned n)
{
    double *copy = malloc(n * sizeof *copy);
    KM_ASSERT(copy != NULL && n > 0);
    memcpy(copy, values, n * sizeof *copy);
    return spread_of_sorted(copy, n);
}

struct bench_spread bench_spread_one(double value)
{
    return (struct bench_spread){value, value, value};
}

struct bench_spread bench_spread_ratio(const double *over, const double *under,
                                       unsigned n)
{
    double *ratios = malloc(n * sizeof *ratios);
    KM_ASSERT(ratios != NULL && n > 0);
    for (unsigned i = 0; i < n; i++) {
        ratios[i] = over[i] / under[i];
    }
    return spread_of_sorted(ratios, n);
}

/* -- the report -------------------------------------------------------------- */

struct bench_report *bench_report_new(enum bench_format format)
{
    struct bench_report *report = bench_shared_new(sizeof *report);
    report->format = format;
    return report;
}

void bench_report_free(struct bench_report *report)
{
    bench_shared_free(report, sizeof *report);
}

bool bench_report_is_text(const struct bench_report *report)
{
    return report->format == BENCH_TEXT;
}

void bench_report_row(struct bench_report *report, const char *row)
{
    (void)snprintf(report->row, sizeof report->row, "%s", row);
}

/* Which percentile has to meet the bar: the one on its bad side. */
static double judged(const struct bench_line *line)
{
    const struct bench_spread *s =
        line->judged == BENCH_BY_RATIO ? &line->ratio : &line->value;
    return line->bar.sense == BENCH_AT_LEAST ? s->p10 : s->p90;
}

static bool meets(const struct bench_line *line, double limit)
{
    return line->bar.sense == BENCH_AT_LEAST ? judged(line) >= limit
                                             : judged(line) <= limit;
}

static void print_spread(const char *name, const char *unit,
                         const struct bench_spread *s)
{
    printf("    %-28s %-6s %10.2f", name, unit, s->median);
    if (s->p10 != s->p90) {
        printf("  (%.2f, %.2f)", s->p10, s->p90);
    }
}

static void print_verdict(const struct bench_line *line)
{
    if (line->bar.sense == BENCH_NO_BAR) {
        return;
    }
    printf("   bar %s %.4g",
           line->bar.sense == BENCH_AT_LEAST ? ">=" : "<=", line->bar.limit);
    if (line->bar.stretch != 0) {
        printf(", stretch %.4g%s", line->bar.stretch,
               meets(line, line->bar.stretch) ? " met" : "");
    }
    printf(": %s", meets(line, line->bar.limit) ? "met" : "MISSED");
}

/* Neighbouring lines of one case have one heading. */
static void print_line(const struct bench_line *line,
                       const struct bench_line *before)
{
    if (before == NULL || strcmp(line->what, before->what) != 0 ||
        strcmp(line->row, before->row) != 0) {
        printf("%s: %s\n", line->row, line->what);
    }
    if (line->name[0] != 0) {
        print_spread(line->name, line->unit, &line->value);
        if (line->judged == BENCH_BY_VALUE) {
            print_verdict(line);
        }
        putchar('\n');
    }
    if (line->beside[0] != 0) {
        print_spread(line->beside, line->unit, &line->other);
        putchar('\n');
    }
    if (line->judged == BENCH_BY_RATIO) {
        print_spread("ratio", "x", &line->ratio);
        print_verdict(line);
        putchar('\n');
    }
    if (line->note[0] != 0) {
        printf("    %s\n", line->note);
    }
    (void)fflush(stdout);
}

void bench_report_add(struct bench_report *report,
                      const struct bench_line *line)
{
    KM_ASSERT(report->count < LINES_MAX);
    struct bench_line *copy = &report->lines[report->count++];
    *copy = *line;
    memcpy(copy->row, report->row, sizeof copy->row);
    if (report->format == BENCH_TEXT) {
        print_line(copy, report->count > 1 ? copy - 1 : NULL);
    }
}

void bench_report_note(struct bench_report *report, const char *what,
                       const char *note)
{
    struct bench_line line = {.judged = BENCH_BY_VALUE};
    (void)snprintf(line.what, sizeof line.what, "%s", what);
    (void)snprintf(line.note, sizeof line.note, "%s", note);
    bench_report_add(report, &line);
}

void bench_report_fail(struct bench_report *report, const char *what)
{
    report->failed++;
    bench_report_note(report, what, "FAILED: the process did not end well");
}

/* -- the end ----------------------------------------------------------------- */

static void print_bar(const struct bench_line *line)
{
    bool by_ratio = line->judged == BENCH_BY_RATIO;
    printf("%-6s %10.2f %s %6.4g  %s: %s%s%s\n",
           meets(line, line->bar.limit) ? "met" : "MISSED", judged(line),
           line->bar.sense == BENCH_AT_LEAST ? ">=" : "<=", line->bar.limit,
           line->row, line->what, by_ratio ? ", beside " : ": ",
           by_ratio ? line->beside : line->name);
}

static void print_bars(const struct bench_report *report)
{
    unsigned bars = 0, missed = 0;
    putchar('\n');
    for (unsigned i = 0; i < report->count; i++) {
        const struct bench_line *line = &report->lines[i];
        if (line->bar.sense != BENCH_NO_BAR) {
            bars++;
            missed += !meets(line, line->bar.limit);
            print_bar(line);
        }
    }
    printf(
        "%u bars, %u missed, %u cases failed; where there are several pairs, "
        "the 90th percentile counts\n",
        bars, missed, report->failed);
}

static void print_json_spread(const char *name, const struct bench_spread *s)
{
    printf(",\"%s\":{\"median\":%.6g,\"p10\":%.6g,\"p90\":%.6g}", name,
           s->median, s->p10, s->p90);
}

/* The texts of lines have no quotes and no control characters. */
static void print_json_line(const struct bench_line *line)
{
    printf("{\"row\":\"%s\",\"what\":\"%s\"", line->row, line->what);
    if (line->name[0] != 0) {
        printf(",\"name\":\"%s\",\"unit\":\"%s\"", line->name, line->unit);
        print_json_spread("value", &line->value);
    }
    if (line->beside[0] != 0) {
        printf(",\"beside\":\"%s\"", line->beside);
        print_json_spread("other", &line->other);
    }
    if (line->judged == BENCH_BY_RATIO) {
        print_json_spread("ratio", &line->ratio);
    }
    if (line->bar.sense != BENCH_NO_BAR) {
        printf(",\"bar\":{\"of\":\"%s\",\"%s\":%.6g",
               line->judged == BENCH_BY_RATIO ? "ratio" : "value",
               line->bar.sense == BENCH_AT_LEAST ? "at_least" : "at_most",
               line->bar.limit);
        if (line->bar.stretch != 0) {
            printf(",\"stretch\":%.6g", line->bar.stretch);
        }
        printf(",\"met\":%s}", meets(line, line->bar.limit) ? "true" : "false");
    }
    if (line->note[0] != 0) {
        printf(",\"note\":\"%s\"", line->note);
    }
    putchar('}');
}

static void print_json(const struct bench_report *report)
{
    printf("{\"version\":\"%s\",\"cores\":%ld,\"lines\":[", KAMA_VERSION_STRING,
           sysconf(_SC_NPROCESSORS_ONLN));
    for (unsigned i = 0; i < report->count; i++) {
        printf("%s\n  ", i > 0 ? "," : "");
        print_json_line(&report->lines[i]);
    }
    printf("\n]}\n");
}

unsigned bench_report_end(const struct bench_report *report)
{
    if (report->format == BENCH_JSON) {
        print_json(report);
    } else {
        print_bars(report);
    }
    return report->failed;
}
