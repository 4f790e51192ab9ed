/* SPDX-License-Identifier: MIT */
#include "table.h"
#include "columns.h"

#include <stdarg.h>
#include <stdlib.h>

#define CELLS_FIRST 64

void cli_table_init(struct cli_table *table, size_t columns, const char *sides)
{
    *table = (struct cli_table){.columns = columns, .sides = sides};
}

/* Takes the cell, which may be NULL without memory. */
static void add(struct cli_table *table, char *cell)
{
    if (cell != NULL && table->count == table->cap) {
        size_t cap = table->cap > 0 ? 2 * table->cap : CELLS_FIRST;
        char **larger = realloc(table->cells, cap * sizeof *larger);
        if (larger == NULL) {
            free(cell);
            cell = NULL;
        } else {
            table->cells = larger;
            table->cap = cap;
        }
    }
    if (cell == NULL) {
        table->failed = true;
        return;
    }
    table->cells[table->count++] = cell;
}

void cli_table_text(struct cli_table *table, const char *fmt, ...)
{
    char *cell = NULL;
    va_list args;
    va_start(args, fmt);
    if (vasprintf(&cell, fmt, args) < 0) {
        cell = NULL;
    }
    va_end(args);
    add(table, cell);
}

void cli_table_quoted(struct cli_table *table, kama_bytes bytes)
{
    add(table, cli_columns_quote(bytes));
}

static int width_of(const struct cli_table *table, size_t column)
{
    int width = 0;
    for (size_t i = column; i < table->count; i += table->columns) {
        int needed = cli_columns_width(KAMA_STR(table->cells[i]));
        width = needed > width ? needed : width;
    }
    return width;
}

static void print_cell(const struct cli_table *table, size_t at, int width)
{
    size_t column = at % table->columns;
    bool last = column + 1 == table->columns;
    fputs(column > 0 ? "  " : "", stdout);
    if (table->sides[column] == 'r') {
        cli_columns_right(stdout, table->cells[at], width);
    } else {
        cli_columns_left(stdout, table->cells[at], last ? 0 : width);
    }
    if (last) {
        putchar('\n');
    }
}

enum cli_exit cli_table_print(struct cli_table *table)
{
    int *widths = calloc(table->columns, sizeof *widths);
    bool failed = table->failed || widths == NULL;
    for (size_t i = 0; !failed && i < table->columns; i++) {
        widths[i] = width_of(table, i);
    }
    for (size_t i = 0; !failed && i < table->count; i++) {
        print_cell(table, i, widths[i % table->columns]);
    }
    if (failed) {
        fputs("kamacache-cli: out of memory\n", stderr);
    }
    free(widths);
    cli_table_fini(table);
    return failed ? CLI_EXIT_OTHER : CLI_EXIT_OK;
}

void cli_table_fini(struct cli_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        free(table->cells[i]);
    }
    free(table->cells);
    *table = (struct cli_table){.columns = table->columns};
}
