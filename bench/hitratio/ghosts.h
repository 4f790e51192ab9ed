/* SPDX-License-Identifier: MIT */
/*
 * Ghosts of two bytes: the keys that left a queue a short time ago, and how
 * many others have left it since.
 *
 *     hr_ghosts_add(&ghosts, hash, window);
 *     if (hr_ghosts_take(&ghosts, hash, &age)) ...
 *
 * A hash belongs to one line of 32 fingerprints, from the youngest to the
 * oldest:
 *
 *     line   | youngest | ... 32 fingerprints of 16 bits | oldest | -> forgotten
 *
 * A new ghost moves the others of its line on by one. So no ghost needs a stamp:
 * its place in the line tells its age, because all lines fill equally fast. In
 * a table of 100 lines, for example, about 350 keys were added after the ghost
 * that is the fourth of its line.
 *
 * When the window has changed by more than a quarter, a new table is begun. The
 * old one is still asked until the new one has had as many additions as places.
 *
 * Cost: one cache line, two while an old table is asked. Threads: one owner.
 * Errors: without memory the program ends. Ownership: the tables.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct hr_ghost_table {
    uint16_t *prints; /* 0 if there is none */
    uint64_t lines;
};

struct hr_ghosts {
    struct hr_ghost_table now;
    struct hr_ghost_table before;
    uint64_t additions; /* to the table `now` */
};

/* Frees the tables. A zeroed structure is an empty memory of ghosts. */
void hr_ghosts_fini(struct hr_ghosts *ghosts);

/* Adds a key. The last `window` ones are remembered, up to a few. */
void hr_ghosts_add(struct hr_ghosts *ghosts, uint64_t hash, double window);

/* Returns whether a key is remembered, forgets it, and says how many keys were
 * added since, which is right to half a line. */
bool hr_ghosts_take(struct hr_ghosts *ghosts, uint64_t hash, uint64_t *ret_age);
