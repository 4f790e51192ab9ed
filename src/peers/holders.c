/* SPDX-License-Identifier: MIT */
#include "peers/holders.h"

#include "peers/state.h"

#include <string.h>

/* -- a table ------------------------------------------------------------------ */

/* Returns whether a member is among the first ones of a slot, by the line of the slot, which
 * is filled in if it is of another one. */
static bool is_in_line(const struct km_placement *placement, uint32_t slot,
                       size_t member, unsigned copies,
                       struct km_holders_line *line)
{
    bool found = false;
    if (line->slot != slot || line->copies != copies) {
        line->slot = slot;
        line->copies = copies;
        (void)km_placement_rank(placement, slot, line->members, copies);
    }
    for (unsigned i = 0; i < copies && !found; i++) {
        found = line->members[i] == member;
    }
    return found;
}

/* Returns whether an active member is among the first `copies` of a slot. line: of a
 * cache, or NULL. */
static bool is_ranked(const struct km_placement *placement, uint32_t slot,
                      const struct km_member *member, unsigned copies,
                      struct km_holders_line *line)
{
    if (copies >= km_placement_count(placement)) {
        return true;
    }
    size_t index = km_placement_find(placement, member->address);
    if (index == km_placement_owner(placement, slot)) {
        return true;
    }
    if (copies == 1 || index == SIZE_MAX) {
        return false;
    }
    return line != NULL ? is_in_line(placement, slot, index, copies, line)
                        : km_placement_place(placement, slot, index) < copies;
}

static bool is_named(const struct km_strategy *strategy,
                     const struct km_member *member)
{
    return strategy->kind == KM_STRATEGY_PEERS &&
           km_strategy_names(strategy, member->address, member->labels,
                             member->label_count);
}

/* Only active members are in the placement. One that joins may hold what it is named
 * for. */
static bool holds(const struct km_placement *placement,
                  const struct km_strategy *strategy, uint32_t slot,
                  const struct km_member *member, struct km_holders_line *line)
{
    unsigned copies =
        strategy->kind == KM_STRATEGY_SHARD ? strategy->copies : 1;
    return placement == NULL || strategy->kind == KM_STRATEGY_BROADCAST ||
           is_named(strategy, member) ||
           (member->state == KM_MEMBER_ACTIVE &&
            is_ranked(placement, slot, member, copies, line));
}

/* -- questions ---------------------------------------------------------------- */

/* Returns the line of a slot, after all lines were emptied if the view is another one. */
static struct km_holders_line *line_of(struct km_holders_cache *cache,
                                       uint64_t adoption, uint32_t slot)
{
    if (cache->adoption != adoption) {
        memset(cache, 0, sizeof *cache);
        cache->adoption = adoption;
    }
    return &cache->lines[slot % KM_HOLDERS_LINES];
}

bool km_peers_holds(struct km_peers *peers, const struct km_strategy *strategy,
                    uint32_t slot, const struct km_member_id *id)
{
    return km_peers_holds_cached(peers, strategy, slot, id, NULL);
}

bool km_peers_holds_cached(struct km_peers *peers,
                           const struct km_strategy *strategy, uint32_t slot,
                           const struct km_member_id *id,
                           struct km_holders_cache *cache)
{
    struct km_holders_line *line = NULL;
    struct km_snapshot_reader reader;
    const struct km_peers_state *state = km_peers_enter(peers, &reader);
    const struct km_peers_table *table = state->table;
    const struct km_member *member =
        table->view != NULL
            ? km_view_find_id(table->view, id != NULL ? id : &state->self)
            : NULL;
    if (cache != NULL) {
        line = line_of(cache, state->adoption, slot);
    }
    bool found =
        member != NULL && holds(table->placement, strategy, slot, member, line);
    km_peers_leave(&reader);
    return found;
}

/* The tables of the last minute; references. The first one is the current one. */
struct tables {
    uint64_t adoption; /* of the current one */
    unsigned count;
    struct km_peers_table *tables[1 + KM_PEERS_EARLIER_MAX];
    const struct km_member *selves[1 + KM_PEERS_EARLIER_MAX]; /* or NULL */
};

static void add_table(struct tables *all, struct km_peers_table *table,
                      const char *address)
{
    all->selves[all->count] = km_view_find_address(
        table->view, kama_bytes_make(address, strlen(address)));
    all->tables[all->count++] = km_peers_table_ref(table);
}

/* This node is looked for by its address, because it may have had another id. */
static void take_tables(struct km_peers *peers, struct tables *all)
{
    struct km_snapshot_reader reader;
    const struct km_peers_state *state = km_peers_enter(peers, &reader);
    const struct km_view *view = state->table->view;
    const struct km_member *self =
        view != NULL ? km_view_find_id(view, &state->self) : NULL;
    all->adoption = state->adoption;
    if (self != NULL && state->table->placement != NULL) {
        add_table(all, state->table, self->address);
        for (unsigned i = 0; i < state->earlier.count; i++) {
            add_table(all, state->earlier.tables[i].table, self->address);
        }
    }
    km_peers_leave(&reader);
}

static bool has_held(const struct tables *all,
                     const struct km_strategy *strategy, uint32_t slot)
{
    bool held = false;
    for (unsigned i = 0; i < all->count && !held; i++) {
        held =
            all->selves[i] != NULL && holds(all->tables[i]->placement, strategy,
                                            slot, all->selves[i], NULL);
    }
    return held;
}

bool km_peers_find_unheld(struct km_peers *peers,
                          const struct km_strategy *strategy,
                          struct km_slot_map *ret_unheld,
                          uint64_t *ret_adoption)
{
    struct tables all = {.count = 0};
    bool any = false;
    take_tables(peers, &all);
    *ret_adoption = all.adoption;
    for (uint32_t slot = 0; all.count > 0 && slot < KM_SLOTS; slot++) {
        if (!has_held(&all, strategy, slot)) {
            km_slot_map_add(ret_unheld, slot);
            any = true;
        }
    }
    for (unsigned i = 0; i < all.count; i++) {
        km_peers_table_unref(all.tables[i]);
    }
    return any;
}

uint64_t km_peers_adoption(struct km_peers *peers)
{
    struct km_snapshot_reader reader;
    uint64_t adoption = km_peers_enter(peers, &reader)->adoption;
    km_peers_leave(&reader);
    return adoption;
}
