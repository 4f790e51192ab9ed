/* SPDX-License-Identifier: MIT */
#include "store/ghost.h"

#include "base/assert.h"

#include <string.h>

#define LINE_PRINTS 32u
#define LINE_BYTES (LINE_PRINTS * sizeof(uint16_t))
#define WINDOW_MAX (UINT64_C(1) << 31)

void km_ghost_init(struct km_ghost *ghost, struct km_account *account)
{
    memset(ghost, 0, sizeof *ghost);
    ghost->account = account;
}

static void table_free(struct km_ghost *ghost, struct km_ghost_table *table)
{
    km_account_release(ghost->account, table->prints,
                       table->line_count * LINE_BYTES);
    *table = (struct km_ghost_table){0};
}

void km_ghost_fini(struct km_ghost *ghost)
{
    table_free(ghost, &ghost->now);
    table_free(ghost, &ghost->before);
}

/* Returns the line that a hash belongs to. The low 32 bits are scaled to the
 * number of lines, which need not be a power of two. */
static uint16_t *line_of(const struct km_ghost_table *table, uint64_t hash)
{
    uint64_t line = ((hash & 0xffffffffu) * table->line_count) >> 32;
    return &table->prints[line * LINE_PRINTS];
}

/* Returns the bits of a hash that a ghost keeps, never 0. They are not among those
 * that choose the line. */
static uint16_t print_of(uint64_t hash)
{
    uint16_t print = (uint16_t)(hash >> 36);
    return print != 0 ? print : 1;
}

/* Begins another table. The old one is still asked. Without memory nothing
 * changes. */
static void begin_table(struct km_ghost *ghost, uint32_t lines)
{
    struct km_ghost_table table = {.line_count = lines};
    table.prints = km_account_alloc(ghost->account, lines * LINE_BYTES);
    if (table.prints == NULL) {
        return;
    }
    memset(table.prints, 0, lines * LINE_BYTES);
    table_free(ghost, &ghost->before);
    ghost->before = ghost->now;
    ghost->now = table;
}

/* Sees to it that the table fits the window. The table before it is freed when all of
 * its ghosts are too old. */
static void fit(struct km_ghost *ghost, uint64_t window)
{
    uint64_t bounded = window < WINDOW_MAX ? window : WINDOW_MAX;
    uint32_t lines = (uint32_t)((bounded + LINE_PRINTS - 1) / LINE_PRINTS);
    uint32_t now = ghost->now.line_count;
    lines = lines > 0 ? lines : 1;
    if (lines > now + now / 4 || lines < now - now / 4) {
        begin_table(ghost, lines);
    }
    if (ghost->before.prints != NULL &&
        ghost->now.additions >=
            (uint64_t)ghost->before.line_count * LINE_PRINTS) {
        table_free(ghost, &ghost->before);
    }
}

void km_ghost_add(struct km_ghost *ghost, uint64_t hash, uint64_t window)
{
    fit(ghost, window);
    if (ghost->now.prints == NULL) {
        return;
    }
    uint16_t *line = line_of(&ghost->now, hash);
    memmove(line + 1, line, LINE_BYTES - sizeof *line);
    line[0] = print_of(hash);
    ghost->now.additions++;
}

/* Returns the lanes of 16 bits in which two words agree, as their highest bits. Rarely
 * a lane above one that agrees is named, too. */
static uint64_t lanes_equal(uint64_t a, uint64_t b)
{
    uint64_t x = a ^ b;
    return (x - UINT64_C(0x0001000100010001)) & ~x &
           UINT64_C(0x8000800080008000);
}

/* Returns the place of a hash in its line of a table, or LINE_PRINTS. Four prints are
 * compared at a time. */
static unsigned place_in(const struct km_ghost_table *table, uint64_t hash)
{
    if (table->prints == NULL) {
        return LINE_PRINTS;
    }
    const uint16_t *line = line_of(table, hash);
    uint64_t wanted = print_of(hash) * UINT64_C(0x0001000100010001);
    for (unsigned i = 0; i < LINE_PRINTS; i += 4) {
        uint64_t four;
        memcpy(&four, line + i, sizeof four);
        uint64_t equal = lanes_equal(four, wanted);
        if (equal != 0) {
            return i + (unsigned)__builtin_ctzll(equal) / 16;
        }
    }
    return LINE_PRINTS;
}

void km_ghost_prefetch(const struct km_ghost *ghost, uint64_t hash)
{
    if (ghost->now.prints != NULL) {
        __builtin_prefetch(line_of(&ghost->now, hash));
    }
}

/* Returns the age of the ghost at a place, in additions to its table. */
static uint64_t age_at(const struct km_ghost_table *table, unsigned place)
{
    return (uint64_t)place * table->line_count + table->line_count / 2 + 1;
}

/* Looks for a hash in one table and closes its gap. Returns its age in additions to
 * that table. */
static uint64_t table_take(struct km_ghost_table *table, uint64_t hash)
{
    unsigned place = place_in(table, hash);
    if (place == LINE_PRINTS) {
        return KM_GHOST_NONE;
    }
    uint16_t *at = line_of(table, hash) + place;
    memmove(at, at + 1, (LINE_PRINTS - 1 - place) * sizeof *at);
    at[LINE_PRINTS - 1 - place] = 0;
    return age_at(table, place);
}

uint64_t km_ghost_take(struct km_ghost *ghost, uint64_t hash)
{
    uint64_t age = table_take(&ghost->now, hash);
    if (age != KM_GHOST_NONE) {
        return age;
    }
    age = table_take(&ghost->before, hash);
    return age != KM_GHOST_NONE ? age + ghost->now.additions : age;
}

uint64_t km_ghost_find(const struct km_ghost *ghost, uint64_t hash)
{
    unsigned place = place_in(&ghost->now, hash);
    if (place < LINE_PRINTS) {
        return age_at(&ghost->now, place);
    }
    place = place_in(&ghost->before, hash);
    return place < LINE_PRINTS
               ? age_at(&ghost->before, place) + ghost->now.additions
               : KM_GHOST_NONE;
}

static uint64_t table_bytes(const struct km_ghost_table *table)
{
    return table->prints == NULL
               ? 0
               : km_account_block_bytes(table->line_count * LINE_BYTES);
}

uint64_t km_ghost_bytes(const struct km_ghost *ghost)
{
    return table_bytes(&ghost->now) + table_bytes(&ghost->before);
}

/* A line has no gaps: behind a free place, all are free. */
static void check_table(const struct km_ghost_table *table)
{
    KM_ASSERT((table->prints == NULL) == (table->line_count == 0));
    for (size_t i = 1; i < (size_t)table->line_count * LINE_PRINTS; i++) {
        KM_ASSERT(i % LINE_PRINTS == 0 || table->prints[i] == 0 ||
                  table->prints[i - 1] != 0);
    }
}

void km_ghost_check(const struct km_ghost *ghost)
{
    KM_ASSERT(ghost->before.prints == NULL || ghost->now.prints != NULL);
    check_table(&ghost->now);
    check_table(&ghost->before);
}
