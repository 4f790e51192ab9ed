/* SPDX-License-Identifier: MIT */
/*
 * The rows of store_bench. Each of them measures one bar of the store, or a few
 * that need the same preparation, and adds its lines to the report. Each case of
 * a row runs in a child process.
 *
 * A new row is a function here, a file of its name, and a line in the table of
 * store_bench.c.
 */
#pragma once

#include "report.h"

#include <kamacache/kamacache.h>
#include <stdbool.h>

struct bench_run {
    struct bench_report *report;
    unsigned items; /* 0: as many as the row says */
    unsigned pairs;
    bool quick;       /* little of everything, to see that it works */
    const char *plot; /* the file of the sweep's picture, or NULL */
};

/* Returns how many items a row of `items` items has in this run. */
unsigned bench_items(const struct bench_run *run, unsigned items);
/* Runs fn(arg) in a child process. If it does not return, the report says so. */
void bench_case(const struct bench_run *run, const char *what,
                void (*fn)(void *arg), void *arg);

void bench_row_hit(const struct bench_run *run);
void bench_row_huge(const struct bench_run *run);
void bench_row_threads(const struct bench_run *run);
void bench_row_mixed(const struct bench_run *run);
void bench_row_memory(const struct bench_run *run);
void bench_row_flood(const struct bench_run *run);
void bench_row_order(const struct bench_run *run);
void bench_row_expiry(const struct bench_run *run);
void bench_row_operation(const struct bench_run *run);
void bench_row_mget(const struct bench_run *run);
void bench_row_latency(const struct bench_run *run);
void bench_row_sweep(const struct bench_run *run);
