/* SPDX-License-Identifier: MIT */
#include "ghosts.h"

#include "base/mem.h"
#include "trace.h"

#include <math.h>
#include <string.h>

#define LINE_PRINTS 32u

static void table_free(struct hr_ghost_table *table)
{
    km_mem_free(km_mem_default(), table->prints);
    *table = (struct hr_ghost_table){0};
}

void hr_ghosts_fini(struct hr_ghosts *ghosts)
{
    table_free(&ghosts->now);
    table_free(&ghosts->before);
}

/* Returns the line that a hash belongs to. */
static uint16_t *line_of(const struct hr_ghost_table *table, uint64_t hash)
{
    return &table->prints[(((hash & 0xffffffffu) * table->lines) >> 32) *
                          LINE_PRINTS];
}

static uint16_t print_of(uint64_t hash)
{
    uint16_t print = (uint16_t)(hash >> 40);
    return print != 0 ? print : 1;
}

/* Sees to it that the table has the size of the window. */
static void fit(struct hr_ghosts *ghosts, double window)
{
    double lines = fmax(1, round(window / LINE_PRINTS));
    double have = (double)ghosts->now.lines;
    if (lines <= have * 1.25 && lines >= have * 0.75) {
        return;
    }
    table_free(&ghosts->before);
    ghosts->before = ghosts->now;
    ghosts->now.lines = (uint64_t)lines;
    ghosts->now.prints =
        hr_array(ghosts->now.lines * LINE_PRINTS, sizeof(uint16_t));
    ghosts->additions = 0;
}

void hr_ghosts_add(struct hr_ghosts *ghosts, uint64_t hash, double window)
{
    fit(ghosts, window);
    uint16_t *line = line_of(&ghosts->now, hash);
    memmove(line + 1, line, (LINE_PRINTS - 1) * sizeof *line);
    line[0] = print_of(hash);
    ghosts->additions++;
    if (ghosts->additions >= ghosts->now.lines * LINE_PRINTS) {
        table_free(&ghosts->before);
    }
}

/* Takes a hash out of its line and closes the gap. */
static bool table_take(const struct hr_ghost_table *table, uint64_t hash,
                       uint64_t *ret_age)
{
    if (table->prints == NULL) {
        return false;
    }
    uint16_t *line = line_of(table, hash);
    for (unsigned i = 0; i < LINE_PRINTS; i++) {
        if (line[i] == print_of(hash)) {
            memmove(line + i, line + i + 1,
                    (LINE_PRINTS - 1 - i) * sizeof *line);
            line[LINE_PRINTS - 1] = 0;
            *ret_age = i * table->lines + table->lines / 2 + 1;
            return true;
        }
    }
    return false;
}

bool hr_ghosts_take(struct hr_ghosts *ghosts, uint64_t hash, uint64_t *ret_age)
{
    if (table_take(&ghosts->now, hash, ret_age)) {
        return true;
    }
    if (!table_take(&ghosts->before, hash, ret_age)) {
        return false;
    }
    *ret_age += ghosts->additions;
    return true;
}
