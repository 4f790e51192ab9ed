/* SPDX-License-Identifier: MIT */
/*
 * The sweep: groups of ten thousand to ten million items, with values of 8 B to
 * 64 KiB. For each of them a hit beside the limit loop, a set, and the bytes per
 * item over its payload. It prints a table, and draws it if there is a file for
 * the picture.
 */
#include "base/assert.h"
#include "chart.h"
#include "child.h"
#include "rows.h"
#include "twins.h"

#include <stdlib.h>
#include <string.h>

/* A cell is left out if both sides together would need more memory. */
#define MEMORY_MAX ((uint64_t)7 << 29)
#define ITEM_ROOM UINT64_C(110)

static const unsigned item_counts[] = {10000,   30000,   100000,  300000,
                                       1000000, 3000000, 10000000};
static const unsigned value_sizes[] = {8, 64, 512, 4096, 65536};
#define COUNTS (sizeof item_counts / sizeof item_counts[0])
#define SIZES (sizeof value_sizes / sizeof value_sizes[0])

/* A place of the table, which a child process fills in. */
struct cell {
    const struct bench_run *run;
    unsigned items, value_bytes;
    bool measured;
    double get_ns, limit_ns, ratio, set_ns, over_bytes;
};

/* -- measuring ------------------------------------------------------------------ */

static uint64_t run_sets(void *arg, const struct bench_turn *turn)
{
    const struct bench_group_side *side = arg;
    for (uint32_t i = 0; i < turn->count; i++) {
        const uint8_t *key = bench_lookups_at(side->lookups, turn->from + i);
        kama_status status =
            kama_set(side->group, KAMA_BYTES(key, BENCH_KEY_BYTES),
                     KAMA_BYTES(turn->out, side->value_bytes), NULL);
        KM_ASSERT(status == KAMA_OK);
    }
    return turn->count;
}

static double over_payload(const struct cell *cell, kama_group *group)
{
    kama_group_stats stats;
    kama_group_stats_get(group, &stats);
    return (double)stats.bytes / cell->items - BENCH_KEY_BYTES -
           cell->value_bytes;
}

static void read_turns(struct cell *cell, const struct bench_turns *turns)
{
    cell->get_ns = bench_spread_of(turns->cpu[0], turns->rounds).median;
    cell->limit_ns = bench_spread_of(turns->cpu[1], turns->rounds).median;
    cell->ratio =
        bench_spread_ratio(turns->cpu[0], turns->cpu[1], turns->rounds).median;
    cell->set_ns = bench_spread_of(turns->cpu[2], turns->rounds).median;
}

static void report_cell(const struct cell *cell,
                        const struct bench_turns *turns)
{
    struct bench_line line = {.unit = "ns/op",
                              .name = "kama_get_copy",
                              .beside = "limit loop",
                              .judged = BENCH_BY_RATIO};
    (void)snprintf(line.what, sizeof line.what,
                   "copying hit, %u items of %u+%u B, zipf 0.99", cell->items,
                   BENCH_KEY_BYTES, cell->value_bytes);
    line.value = bench_spread_of(turns->cpu[0], turns->rounds);
    line.other = bench_spread_of(turns->cpu[1], turns->rounds);
    line.ratio =
        bench_spread_ratio(turns->cpu[0], turns->cpu[1], turns->rounds);
    (void)snprintf(line.note, sizeof line.note,
                   "kama_set %.1f ns/op; accounted over payload %.1f B per "
                   "item",
                   cell->set_ns, cell->over_bytes);
    bench_report_add(cell->run->report, &line);
}

static void run_cell(void *arg)
{
    struct cell *cell = arg;
    struct bench_twins twins;
    bench_twins_init(
        &twins, &(struct bench_twins_shape){.items = cell->items,
                                            .value_bytes = cell->value_bytes,
                                            .pages = BENCH_PAGES_SMALL});
    cell->over_bytes = over_payload(cell, twins.ours.group);
    const struct bench_side sides[] = {
        {"get", bench_group_gets, &twins.ours},
        {"limit", bench_limit_gets, &twins.theirs},
        {"set", run_sets, &twins.ours}};
    struct bench_turns turns = {.sides = sides,
                                .side_count = 3,
                                .threads = 1,
                                .rounds = cell->run->pairs,
                                .batch = 256,
                                .out_bytes = cell->value_bytes + 128};
    bench_turns_run(&turns);
    read_turns(cell, &turns);
    cell->measured = true;
    report_cell(cell, &turns);
    bench_turns_fini(&turns);
    bench_twins_fini(&twins);
}

/* -- the table -------------------------------------------------------------------- */

static void print_value_bytes(char *buf, size_t cap, unsigned value_bytes)
{
    (void)snprintf(buf, cap, value_bytes >= 1024 ? "%u KiB" : "%u B",
                   value_bytes >= 1024 ? value_bytes / 1024 : value_bytes);
}

static void print_cell(const struct cell *cell)
{
    char text[32] = "-";
    if (cell->measured) {
        (void)snprintf(text, sizeof text, "%.0f/%.0f = %.2f", cell->get_ns,
                       cell->limit_ns, cell->ratio);
    }
    printf(" | %20s", text);
}

static void print_table(const struct cell *cells)
{
    printf("\na hit beside the limit loop in ns, by items and bytes of a "
           "value\n%10s",
           "");
    for (unsigned s = 0; s < SIZES; s++) {
        char name[16];
        print_value_bytes(name, sizeof name, value_sizes[s]);
        printf(" | %20s", name);
    }
    for (unsigned c = 0; c < COUNTS; c++) {
        printf("\n%10u", item_counts[c]);
        for (unsigned s = 0; s < SIZES; s++) {
            print_cell(&cells[c * SIZES + s]);
        }
    }
    putchar('\n');
}

/* -- the picture ------------------------------------------------------------------ */

/* One figure of a cell. */
typedef double (*figure_fn)(const struct cell *cell);

static double figure_get(const struct cell *cell)
{
    return cell->get_ns;
}

static double figure_limit(const struct cell *cell)
{
    return cell->limit_ns;
}

static double figure_ratio(const struct cell *cell)
{
    return cell->ratio;
}

static double figure_over(const struct cell *cell)
{
    return cell->over_bytes;
}

/* A line for each size of values, over the numbers of items. */
struct lines {
    char names[SIZES][16];
    struct bench_point points[2][SIZES][COUNTS];
    struct bench_series series[2 * SIZES];
};

static void make_lines(struct lines *lines, const struct cell *cells,
                       unsigned which, figure_fn figure)
{
    for (unsigned s = 0; s < SIZES; s++) {
        struct bench_point *points = lines->points[which][s];
        unsigned count = 0;
        for (unsigned c = 0; c < COUNTS; c++) {
            const struct cell *cell = &cells[c * SIZES + s];
            if (cell->measured) {
                points[count++] =
                    (struct bench_point){cell->items, figure(cell)};
            }
        }
        print_value_bytes(lines->names[s], sizeof lines->names[s],
                          value_sizes[s]);
        lines->series[which * SIZES + s] = (struct bench_series){
            .name = lines->names[s],
            .colour = s,
            .stroke = which == 0 ? BENCH_SOLID : BENCH_DASHED,
            .points = points,
            .count = count};
    }
}

static void draw(struct bench_picture *picture, const struct cell *cells)
{
    struct lines lines;
    struct bench_chart chart = {.title = "a hit, and the limit loop (dashed)",
                                .x = "items",
                                .y = "ns",
                                .y_scale = BENCH_LOG,
                                .series = lines.series,
                                .series_count = 2 * SIZES};
    make_lines(&lines, cells, 0, figure_get);
    make_lines(&lines, cells, 1, figure_limit);
    bench_picture_add(picture, &chart);
    chart.title = "a hit beside the limit loop";
    chart.y = "times";
    chart.y_scale = BENCH_LINEAR;
    chart.series_count = SIZES;
    make_lines(&lines, cells, 0, figure_ratio);
    bench_picture_add(picture, &chart);
    chart.title = "memory over the payload";
    chart.y = "bytes per item";
    make_lines(&lines, cells, 0, figure_over);
    bench_picture_add(picture, &chart);
}

static void plot(const struct bench_run *run, const struct cell *cells)
{
    struct bench_picture *picture = bench_picture_open(run->plot, 3);
    if (picture != NULL) {
        draw(picture, cells);
    }
    if (picture == NULL || !bench_picture_close(picture)) {
        bench_report_fail(run->report, "the picture of the sweep");
    }
}

/* -- the sweep --------------------------------------------------------------------- */

static bool fits(const struct cell *cell)
{
    uint64_t item_bytes = 2 * (cell->value_bytes + ITEM_ROOM);
    return cell->items * item_bytes <= MEMORY_MAX;
}

void bench_row_sweep(const struct bench_run *run)
{
    struct cell *cells = bench_shared_new(COUNTS * SIZES * sizeof *cells);
    bool any = false;
    for (unsigned i = 0; i < COUNTS * SIZES; i++) {
        cells[i] = (struct cell){.run = run,
                                 .items = item_counts[i / SIZES],
                                 .value_bytes = value_sizes[i % SIZES]};
        bool wanted = run->items == 0 || cells[i].items <= run->items;
        if (wanted && fits(&cells[i]) &&
            !(run->quick && cells[i].items > 100000)) {
            bench_case(run, "a cell of the sweep", run_cell, &cells[i]);
            any |= cells[i].measured;
        }
    }
    if (any && bench_report_is_text(run->report)) {
        print_table(cells);
    }
    if (any && run->plot != NULL) {
        plot(run, cells);
    }
    bench_shared_free(cells, COUNTS * SIZES * sizeof *cells);
}
