/* SPDX-License-Identifier: MIT */
/*
 * The stamp moves on once per window / 256 additions, so that a ghost is too
 * old when its stamp is more than 256 behind, and its age is exact to 0.4 % of
 * the window. Stamps wrap after 65536 steps; by then a ghost has usually been
 * overwritten, and a very old one that looks young again does little harm. The
 * stamp is never 0, so that a slot in use is never 0 either.
 */
#include "store/ghost.h"

#include "base/assert.h"

#define LINE_SLOTS 16u
#define LINE_BYTES (LINE_SLOTS * 4u)
#define STAMPS_PER_WINDOW 256u
#define WINDOW_MIN 64u
#define WINDOW_MAX (1u << 28)

void km_ghost_init(struct km_ghost *ghost, struct km_account *account)
{
    memset(ghost, 0, sizeof *ghost);
    ghost->account = account;
    ghost->stamp = 1;
}

static void table_free(struct km_ghost *ghost, struct km_ghost_table *table)
{
    km_account_release(ghost->account, table->slots,
                       (size_t)table->line_count * LINE_BYTES);
    table->slots = NULL;
    table->line_count = 0;
}

void km_ghost_fini(struct km_ghost *ghost)
{
    table_free(ghost, &ghost->now);
    table_free(ghost, &ghost->before);
}

/* Returns the line that a hash belongs to. The low 32 bits are scaled to the
 * number of lines, which need not be a power of two. */
static uint32_t *table_line(const struct km_ghost_table *table, uint64_t hash)
{
    uint64_t line = ((hash & 0xffffffffu) * table->line_count) >> 32;
    return &table->slots[line * LINE_SLOTS];
}

/* Returns the bits of a hash that a slot keeps. They are not among those that
 * choose the line. */
static uint32_t fingerprint(uint64_t hash)
{
    return (uint32_t)(hash >> 36) & 0xffffu;
}

/* Returns how many stamps ago the ghost was added. */
static uint16_t slot_age(const struct km_ghost *ghost, uint32_t slot)
{
    return (uint16_t)(ghost->stamp - (slot >> 16));
}

/* Begins a table for a larger window. The old one is still asked. Without
 * memory nothing changes. */
static void resize(struct km_ghost *ghost, uint32_t window)
{
    struct km_ghost_table table;
    table.line_count = window / LINE_SLOTS * 5 / 4 + 1;
    size_t bytes = (size_t)table.line_count * LINE_BYTES;
    table.slots = km_account_alloc(ghost->account, bytes);
    if (table.slots == NULL) {
        return;
    }
    memset(table.slots, 0, bytes);
    table_free(ghost, &ghost->before);
    ghost->before = ghost->now;
    ghost->before_stamp = ghost->stamp;
    ghost->now = table;
    ghost->window = window;
}

/* Sees to it that the table is large enough for the wanted window, with half of
 * it in reserve so that the next ones fit too. */
static void fit(struct km_ghost *ghost, uint64_t wanted)
{
    if (wanted > WINDOW_MAX) {
        wanted = WINDOW_MAX;
    }
    if (wanted > ghost->window || ghost->now.slots == NULL) {
        uint64_t window = wanted * 3 / 2;
        resize(ghost, (uint32_t)(window < WINDOW_MIN ? WINDOW_MIN : window));
    }
}

/* Moves the stamp on. Frees the old table when a whole window has passed since
 * it was left, because all its ghosts are too old then. */
static void tick(struct km_ghost *ghost, uint64_t window)
{
    ghost->until_tick = (uint32_t)(window / STAMPS_PER_WINDOW);
    ghost->stamp++;
    if (ghost->stamp == 0) {
        ghost->stamp = 1;
    }
    if (ghost->before.slots != NULL &&
        (uint16_t)(ghost->stamp - ghost->before_stamp) > STAMPS_PER_WINDOW) {
        table_free(ghost, &ghost->before);
    }
}

void km_ghost_add(struct km_ghost *ghost, uint64_t hash, uint64_t window)
{
    fit(ghost, window);
    if (ghost->now.slots == NULL) {
        return;
    }
    if (ghost->until_tick == 0) {
        tick(ghost, window < ghost->window ? window : ghost->window);
    } else {
        ghost->until_tick--;
    }
    /* The new ghost takes a free slot, or that of the oldest ghost. */
    uint32_t *line = table_line(&ghost->now, hash);
    unsigned oldest = 0;
    for (unsigned i = 0; i < LINE_SLOTS; i++) {
        if (line[i] == 0) {
            oldest = i;
            break;
        }
        if (slot_age(ghost, line[i]) > slot_age(ghost, line[oldest])) {
            oldest = i;
        }
    }
    line[oldest] = (uint32_t)ghost->stamp << 16 | fingerprint(hash);
}

/* Looks for a hash in one table, and frees its slot. */
static bool table_take(const struct km_ghost *ghost,
                       const struct km_ghost_table *table, uint64_t hash)
{
    if (table->slots == NULL) {
        return false;
    }
    uint32_t *line = table_line(table, hash);
    for (unsigned i = 0; i < LINE_SLOTS; i++) {
        if (line[i] != 0 && (line[i] & 0xffffu) == fingerprint(hash) &&
            slot_age(ghost, line[i]) <= STAMPS_PER_WINDOW) {
            line[i] = 0;
            return true;
        }
    }
    return false;
}

bool km_ghost_take(struct km_ghost *ghost, uint64_t hash)
{
    return table_take(ghost, &ghost->now, hash) ||
           table_take(ghost, &ghost->before, hash);
}

static void check_table(const struct km_ghost_table *table)
{
    KM_ASSERT((table->slots == NULL) == (table->line_count == 0));
    for (size_t i = 0; i < (size_t)table->line_count * LINE_SLOTS; i++) {
        KM_ASSERT(table->slots[i] == 0 || table->slots[i] >> 16 != 0);
    }
}

void km_ghost_check(const struct km_ghost *ghost)
{
    KM_ASSERT(ghost->stamp != 0);
    KM_ASSERT(ghost->now.slots == NULL || ghost->window >= WINDOW_MIN);
    KM_ASSERT(ghost->before.slots == NULL || ghost->now.slots != NULL);
    KM_ASSERT(ghost->until_tick <= ghost->window / STAMPS_PER_WINDOW);
    check_table(&ghost->now);
    check_table(&ghost->before);
}
