/* SPDX-License-Identifier: MIT */
/*
 * Measures the store through the public API: every bar of its table, with both
 * sides from the same run.
 *
 *   store_bench [ROW...] [--items N] [--pairs N] [--quick] [--json]
 *               [--sweep] [--plot FILE.svg]
 *
 * Without a ROW all rows but the sweep are measured, which takes some minutes;
 * --list names them. --plot draws the sweep into a file. A ratio is the median over the pairs with the 10th and the 90th
 * percentile, and a bar is missed when the 90th percentile misses.
 *
 * The parts are in bench/store/: the sides (group.c, limit.c, lru.c), the turns
 * that they take (turns.c), the report (report.c), and a file for each row.
 */
#include "store/child.h"
#include "store/rows.h"

#include <stdlib.h>
#include <string.h>

#define PAIRS 25u
#define PAIRS_QUICK 3u
#define QUICK_DIVISOR 20u

struct row {
    const char *name;
    const char *what;
    void (*run)(const struct bench_run *run);
};

static const struct row rows[] = {
    {"hit", "a copying hit on one thread, beside the limit loop",
     bench_row_hit},
    {"huge", "the same with 2 MiB pages on both sides", bench_row_huge},
    {"threads", "the same on two threads", bench_row_threads},
    {"mixed", "95 gets and 5 sets of a hundred, on two threads",
     bench_row_mixed},
    {"memory", "resident bytes per item over its payload", bench_row_memory},
    {"flood", "memory while values of mixed sizes pour in", bench_row_flood},
    {"order", "which entries a full group gives up first", bench_row_order},
    {"expiry", "memory after a million items have expired at once",
     bench_row_expiry},
    {"operation", "the longest single operation", bench_row_operation},
    {"mget", "one mget of 32 keys, beside 32 gets", bench_row_mget},
    {"latency", "percentiles of single gets and sets", bench_row_latency},
    {"sweep", "10 k to 10 M items of 8 B to 64 KiB (also --sweep)",
     bench_row_sweep},
};
#define ROWS (sizeof rows / sizeof rows[0])

unsigned bench_items(const struct bench_run *run, unsigned items)
{
    if (run->items != 0) {
        return run->items;
    }
    return run->quick ? items / QUICK_DIVISOR : items;
}

void bench_case(const struct bench_run *run, const char *what,
                void (*fn)(void *arg), void *arg)
{
    if (!bench_child(fn, arg)) {
        bench_report_fail(run->report, what);
    }
}

static void print_rows(FILE *to)
{
    for (unsigned i = 0; i < ROWS; i++) {
        (void)fprintf(to, "  %-10s %s\n", rows[i].name, rows[i].what);
    }
}

static _Noreturn void usage(const char *wrong)
{
    (void)fprintf(stderr,
                  "store_bench: \"%s\" is neither a row nor an option\n"
                  "usage: store_bench [ROW...] [--items N] [--pairs N] "
                  "[--quick] [--json]\n"
                  "                   [--sweep] [--plot FILE.svg] [--list]\n",
                  wrong);
    print_rows(stderr);
    exit(2);
}

/* The wishes of the command line. */
struct wish {
    struct bench_run run;
    enum bench_format format;
    bool chosen[ROWS];
    bool any;
};

static void choose_row(struct wish *wish, const char *name)
{
    for (unsigned i = 0; i < ROWS; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            wish->chosen[i] = true;
            wish->any = true;
            return;
        }
    }
    usage(name);
}

static unsigned number(const char *name, const char *text)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (*end != 0 || n < 1 || n > 100000000) {
        (void)fprintf(stderr,
                      "store_bench: %s needs a number from 1 to 100000000, "
                      "not \"%s\"\n",
                      name, text);
        exit(2);
    }
    return (unsigned)n;
}

static const char *file(const char *name, const char *text)
{
    if (text[0] == 0) {
        (void)fprintf(stderr, "store_bench: %s needs the name of a file\n",
                      name);
        exit(2);
    }
    return text;
}

/* Reads one option, and returns how many words it has. */
static int read_option(struct wish *wish, const char *name, const char *next)
{
    if (strcmp(name, "--items") == 0) {
        wish->run.items = number(name, next);
        return 2;
    }
    if (strcmp(name, "--pairs") == 0) {
        wish->run.pairs = number(name, next);
        return 2;
    }
    if (strcmp(name, "--plot") == 0) {
        wish->run.plot = file(name, next);
        choose_row(wish, "sweep");
        return 2;
    }
    if (strcmp(name, "--quick") == 0) {
        wish->run.quick = true;
    } else if (strcmp(name, "--json") == 0) {
        wish->format = BENCH_JSON;
    } else if (strcmp(name, "--sweep") == 0) {
        choose_row(wish, "sweep");
    } else if (strcmp(name, "--list") == 0) {
        print_rows(stdout);
        exit(0);
    } else {
        usage(name);
    }
    return 1;
}

static struct wish read_command_line(int argc, char **argv)
{
    struct wish wish = {.format = BENCH_TEXT};
    for (int i = 1; i < argc;) {
        if (argv[i][0] != '-') {
            choose_row(&wish, argv[i++]);
        } else {
            i += read_option(&wish, argv[i], i + 1 < argc ? argv[i + 1] : "");
        }
    }
    if (wish.run.pairs == 0) {
        wish.run.pairs = wish.run.quick ? PAIRS_QUICK : PAIRS;
    }
    return wish;
}

/* The sweep has no bars, and is measured only if it is asked for. */
static bool is_wanted(const struct wish *wish, unsigned i)
{
    return wish->any ? wish->chosen[i] : rows[i].run != bench_row_sweep;
}

int main(int argc, char **argv)
{
    struct wish wish = read_command_line(argc, argv);
    wish.run.report = bench_report_new(wish.format);
    for (unsigned i = 0; i < ROWS; i++) {
        if (is_wanted(&wish, i)) {
            bench_report_row(wish.run.report, rows[i].name);
            rows[i].run(&wish.run);
        }
    }
    unsigned failed = bench_report_end(wish.run.report);
    bench_report_free(wish.run.report);
    return failed > 0;
}
