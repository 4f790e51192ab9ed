/* SPDX-License-Identifier: MIT */
/*
 * The lines that store_bench prints: a figure, the other side, and the bar.
 *
 *     struct bench_line line = {.what = "copying hit", .unit = "ns/op"};
 *     line.value = bench_spread_of(ours, pairs);
 *     line.bar = (struct bench_bar){BENCH_AT_MOST, 1.5, 1.25};
 *     bench_report_add(report, &line);
 *
 * A measurement runs in a child process, and its parent prints the summary and
 * the JSON at the end. Therefore the lines lie in memory that both of them map.
 *
 * Threads: one thread of one process at a time adds lines. Errors: a line that
 * has no room any more fails an assertion.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct bench_spread {
    double median, p10, p90;
};

enum bench_sense { BENCH_NO_BAR, BENCH_AT_MOST, BENCH_AT_LEAST };

/* A bar, and where known the number that would be better still (0: none). */
struct bench_bar {
    enum bench_sense sense;
    double limit;
    double stretch;
};

/* The figure that is compared with the bar. A ratio is shown only if it is that
 * figure. */
enum bench_judged { BENCH_BY_VALUE, BENCH_BY_RATIO };

struct bench_line {
    char row[16];   /* set by the report */
    char what[112]; /* the case */
    char unit[16];
    char name[40]; /* the thing that was measured */
    struct bench_spread value;
    char beside[48]; /* the other side; empty if there is none */
    struct bench_spread other;
    struct bench_spread ratio;
    enum bench_judged judged;
    struct bench_bar bar;
    char note[160]; /* printed behind the figures if it is not empty */
};

enum bench_format { BENCH_TEXT, BENCH_JSON };

struct bench_report;

/* Makes an empty report that child processes share. */
struct bench_report *bench_report_new(enum bench_format format);
void bench_report_free(struct bench_report *report);

/* Returns whether lines are printed as text while they are added. */
bool bench_report_is_text(const struct bench_report *report);
/* Begins the lines of a row of the table. */
void bench_report_row(struct bench_report *report, const char *row);
/* Adds a copy of `line`, and prints it at once if the format is text. */
void bench_report_add(struct bench_report *report,
                      const struct bench_line *line);
/* Adds a line without figures, for a case that was left out. */
void bench_report_note(struct bench_report *report, const char *what,
                       const char *note);
/* Adds a line for a case that did not come to its end. */
void bench_report_fail(struct bench_report *report, const char *what);
/* Prints the bars and how they were met, or the whole report as JSON. Returns how
 * many cases failed. */
unsigned bench_report_end(const struct bench_report *report);

/* Returns the median and the percentiles of `values`, which keep their order. */
struct bench_spread bench_spread_of(const double *values, unsigned n);
/* Returns the spread of a single figure. */
struct bench_spread bench_spread_one(double value);
/* Returns the spread of over[i] / under[i]. */
struct bench_spread bench_spread_ratio(const double *over, const double *under,
                                       unsigned n);
