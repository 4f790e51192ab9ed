/* SPDX-License-Identifier: MIT */
/*
 * A hit that copies its value, beside the limit loop: on one thread by its
 * processor time, on two threads by the time that passes per operation of both.
 */
#include "child.h"
#include "rows.h"
#include "twins.h"

#include <string.h>

#define ITEMS 1000000u
#define VALUE_BYTES 100u
#define HOUR_MS (3600 * INT64_C(1000))

struct hit {
    const struct bench_run *run;
    struct bench_twins_shape shape;
    unsigned threads;
    bool dependent; /* each key depends on the value before it */
    struct bench_bar bar;
};

static void name_hit(const struct hit *hit, struct bench_line *line)
{
    (void)snprintf(line->what, sizeof line->what,
                   "copying hit, %u items of %u+%zu B, %s%s%s%s%s",
                   hit->shape.items, BENCH_KEY_BYTES, hit->shape.value_bytes,
                   bench_order_name(hit->shape.order),
                   hit->threads > 1 ? ", two threads" : "",
                   hit->shape.pages == BENCH_PAGES_HUGE ? ", 2 MiB pages" : "",
                   hit->shape.ttl_ms != 0 ? ", all with expiry" : "",
                   hit->dependent ? ", dependent" : "");
}

static void note_hit(const struct hit *hit, struct bench_turns *turns,
                     struct bench_line *line)
{
    if (hit->threads > 1) {
        struct bench_spread ratio =
            bench_spread_ratio(turns->cpu[0], turns->cpu[1], turns->rounds);
        double ours = bench_spread_of(turns->cpu[0], turns->rounds).median;
        double limit = bench_spread_of(turns->cpu[1], turns->rounds).median;
        (void)snprintf(line->note, sizeof line->note,
                       "processor time of a thread: %.1f beside %.1f ns/op, "
                       "ratio %.2f (%.2f, %.2f)",
                       ours, limit, ratio.median, ratio.p10, ratio.p90);
    } else if (hit->shape.pages == BENCH_PAGES_HUGE) {
        (void)snprintf(line->note, sizeof line->note,
                       "%.0f of %.0f MiB of both sides lie in huge pages",
                       (double)bench_rss_huge() / (1 << 20),
                       (double)bench_rss() / (1 << 20));
    }
}

static void report_hit(const struct hit *hit, struct bench_turns *turns)
{
    struct bench_line line = {.unit = "ns/op",
                              .name = "kama_get_copy",
                              .beside = "limit loop",
                              .judged = BENCH_BY_RATIO,
                              .bar = hit->bar};
    double **ns = hit->threads > 1 ? turns->wall : turns->cpu;
    name_hit(hit, &line);
    note_hit(hit, turns, &line);
    line.ratio = bench_spread_ratio(ns[0], ns[1], turns->rounds);
    line.value = bench_spread_of(ns[0], turns->rounds);
    line.other = bench_spread_of(ns[1], turns->rounds);
    bench_report_add(hit->run->report, &line);
}

static void run_hit(void *arg)
{
    struct hit *hit = arg;
    struct bench_twins twins;
    bench_twins_init(&twins, &hit->shape);
    const struct bench_side sides[] = {
        {"kama_get_copy",
         hit->dependent ? bench_group_dependent_gets : bench_group_gets,
         &twins.ours},
        {"limit loop",
         hit->dependent ? bench_limit_dependent_gets : bench_limit_gets,
         &twins.theirs}};
    struct bench_turns turns = {.sides = sides,
                                .side_count = 2,
                                .threads = hit->threads,
                                .rounds = hit->run->pairs};
    bench_turns_run(&turns);
    report_hit(hit, &turns);
    bench_turns_fini(&turns);
    bench_twins_fini(&twins);
}

static void start_hit(const struct bench_run *run, struct hit hit)
{
    hit.run = run;
    hit.shape.items = bench_items(run, ITEMS);
    hit.shape.value_bytes = VALUE_BYTES;
    if (hit.shape.pages == BENCH_PAGES_DEFAULT) {
        hit.shape.pages = BENCH_PAGES_SMALL;
    }
    bench_case(run, "copying hit", run_hit, &hit);
}

void bench_row_hit(const struct bench_run *run)
{
    const struct bench_bar bar = {BENCH_AT_MOST, 1.5, 1.25};
    start_hit(run, (struct hit){.threads = 1, .bar = bar});
    start_hit(run, (struct hit){
                       .threads = 1, .shape.order = BENCH_UNIFORM, .bar = bar});
    start_hit(run, (struct hit){.threads = 1,
                                .dependent = true,
                                .bar = {BENCH_AT_MOST, 1.25, 0}});
    start_hit(run, (struct hit){.threads = 1, .shape.ttl_ms = HOUR_MS});
}

void bench_row_huge(const struct bench_run *run)
{
    const struct bench_bar bar = {BENCH_AT_MOST, 1.25, 0};
    if (!bench_group_has_huge_pages()) {
        bench_report_note(run->report, "copying hit, 2 MiB pages",
                          "left out: groups have no option huge_pages yet");
        return;
    }
    start_hit(run, (struct hit){.threads = 1,
                                .shape.pages = BENCH_PAGES_HUGE,
                                .bar = bar});
    start_hit(run, (struct hit){.threads = 1,
                                .shape.pages = BENCH_PAGES_HUGE,
                                .shape.order = BENCH_UNIFORM,
                                .bar = bar});
}

void bench_row_threads(const struct bench_run *run)
{
    const struct bench_bar bar = {BENCH_AT_MOST, 1.6, 0};
    start_hit(run, (struct hit){.threads = 2, .bar = bar});
    start_hit(run, (struct hit){
                       .threads = 2, .shape.order = BENCH_UNIFORM, .bar = bar});
}
