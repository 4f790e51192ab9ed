/* SPDX-License-Identifier: MIT */
/*
 * The last tables that a node has had before the one that it has adopted: whoever owned
 * a key until a moment ago may still have its value (R9).
 *
 *     an adoption      km_earlier_push(&peers->earlier, old_table, now)
 *     a new state      km_earlier_copy(&state->earlier, &peers->earlier)
 *     a miss           km_earlier_find(&state->earlier, slot)
 *     the tick         km_earlier_expire(&peers->earlier, now)
 *
 *     newest                           oldest
 *     | table, until | table, until | ...  at most KM_PEERS_EARLIER_MAX, for 60 s
 *
 * A table is kept only if the next one has another placement. Members that have left
 * are still in the tables; their peers are closed, and are not found.
 *
 * Cost: a find is one look into each table. A table has 0.5 MiB, its placement.
 * Threads: the owner of the structure; a find only reads. Errors: none. Ownership: the
 * tables are counted.
 */
#pragma once

#include "base/clock.h"
#include "base/limits.h"

#include <stdbool.h>
#include <stdint.h>

struct km_peer;
struct km_peers_table;

struct km_earlier {
    unsigned count;
    struct {
        struct km_peers_table *table; /* a reference */
        km_ns until;
    } tables[KM_PEERS_EARLIER_MAX]; /* the newest first */
};

/* Adds a table that was adopted until now. Takes a reference. The oldest goes if there
 * are too many. */
void km_earlier_push(struct km_earlier *earlier, struct km_peers_table *table,
                     km_ns now);
/* Makes a copy with references of its own. */
void km_earlier_copy(struct km_earlier *to, const struct km_earlier *from);
/* Drops the tables whose time is over. Returns whether there was one. */
bool km_earlier_expire(struct km_earlier *earlier, km_ns now);
/* Drops all tables. */
void km_earlier_clear(struct km_earlier *earlier);

/* Returns the peer that has owned a slot last, of those that requests can be sent to:
 * borrowed, or NULL. */
struct km_peer *km_earlier_find(const struct km_earlier *earlier,
                                uint32_t slot);
