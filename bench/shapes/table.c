/* SPDX-License-Identifier: MIT */
#include "table.h"

#include "store/child.h"

#include <kamacache/version.h>
#include <unistd.h>

struct row {
    int decimals;
    const char *unit;
    const char *sentence;
};

#define ROW(name, decimals, unit, sentence) {decimals, unit, sentence},
static const struct row rows[SHAPE_FIGURE_COUNT] = {SHAPE_FIGURES(ROW)};
#undef ROW

struct cell {
    bool is_filled;
    struct bench_spread value;
};

struct shape_table {
    struct cell cells[SHAPE_FIGURE_COUNT][SHAPE_COLUMNS];
};

const struct shape_column shape_columns[SHAPE_COLUMNS] = {
    {"log, 12 % holes", &shape_log, 12}, {"log, 6 % holes", &shape_log, 6},
    {"log, 3 % holes", &shape_log, 3},   {"slabs", &shape_slabs, 0},
    {"malloc", &shape_malloc, 0},        {"kama_group", &shape_group, 0},
};

struct shape_table *shape_table_new(void)
{
    return bench_shared_new(sizeof(struct shape_table));
}

void shape_table_free(struct shape_table *table)
{
    bench_shared_free(table, sizeof *table);
}

void shape_table_put(struct shape_table *table, enum shape_figure figure,
                     unsigned column, struct bench_spread value)
{
    table->cells[figure][column] = (struct cell){true, value};
}

static void print_heads(void)
{
    printf("| |");
    for (unsigned i = 0; i < SHAPE_COLUMNS; i++) {
        printf(" %s |", shape_columns[i].name);
    }
    printf("\n| --- |");
    for (unsigned i = 0; i < SHAPE_COLUMNS; i++) {
        printf(" ---: |");
    }
    printf("\n");
}

static void print_row(const struct row *row, const struct cell *cells)
{
    printf("| %s (%s) |", row->sentence, row->unit);
    for (unsigned i = 0; i < SHAPE_COLUMNS; i++) {
        if (cells[i].is_filled) {
            printf(" %.*f |", row->decimals, cells[i].value.median);
        } else {
            printf(" |");
        }
    }
    printf("\n");
}

void shape_table_print(const struct shape_table *table)
{
    print_heads();
    for (unsigned i = 0; i < SHAPE_FIGURE_COUNT; i++) {
        print_row(&rows[i], table->cells[i]);
    }
}

static void print_json_row(const struct row *row, const struct cell *cells)
{
    printf("{\"figure\": \"%s\", \"unit\": \"%s\"", row->sentence, row->unit);
    for (unsigned i = 0; i < SHAPE_COLUMNS; i++) {
        if (cells[i].is_filled) {
            printf(",\n   \"%s\": {\"median\": %.6g, \"p10\": %.6g, "
                   "\"p90\": %.6g}",
                   shape_columns[i].name, cells[i].value.median,
                   cells[i].value.p10, cells[i].value.p90);
        }
    }
    printf("}");
}

void shape_table_print_json(const struct shape_table *table, unsigned items)
{
    printf("{\"version\": \"%s\", \"cores\": %ld, \"items\": %u, "
           "\"figures\": [",
           KAMA_VERSION_STRING, sysconf(_SC_NPROCESSORS_ONLN), items);
    for (unsigned i = 0; i < SHAPE_FIGURE_COUNT; i++) {
        printf("%s\n  ", i > 0 ? "," : "");
        print_json_row(&rows[i], table->cells[i]);
    }
    printf("\n]}\n");
}
