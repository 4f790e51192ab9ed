/* SPDX-License-Identifier: MIT */
/*
 * A view that was noticed becomes the view that is adopted: its placement is
 * built on another thread, and then both are swapped in at once, with a number
 * for the adoption.
 *
 * An adoption first makes everything that can fail, so that a lack of memory
 * leaves the node with the view that it has. The others then wait for its
 * announcement, and it tries again with the next tick.
 *
 * Slots that the node has lost stay in `hidden` until all groups were swept. A
 * slot that comes back before that counts as not settled.
 *
 * Becoming behind is an adoption of the same view in which the node owns
 * nothing. `nobody` says so to `ask` at once, before the memory for it is there.
 */
#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "peers/state.h"

#include <string.h>

/* -- maps of slots --------------------------------------------------------- */

#define WORDS (KM_OWNER_SLOTS / 64)

static struct km_slot_map *map_new(struct km_peers *peers)
{
    return km_mem_zalloc(peers->mem, 1, sizeof(struct km_slot_map));
}

/* Adds the slots of `from`, which may be NULL. */
static void map_add(struct km_slot_map *map, const struct km_slot_map *from)
{
    for (size_t i = 0; from != NULL && i < WORDS; i++) {
        map->words[i] |= from->words[i];
    }
}

/* Adds the slots of `a` that are not in `b`; each may be NULL. Returns whether
 * there is one. */
static bool map_add_without(struct km_slot_map *map,
                            const struct km_slot_map *a,
                            const struct km_slot_map *b)
{
    uint64_t any = 0;
    for (size_t i = 0; a != NULL && i < WORDS; i++) {
        uint64_t word = a->words[i] & ~(b != NULL ? b->words[i] : 0);
        map->words[i] |= word;
        any |= word;
    }
    return any != 0;
}

/* -- states ---------------------------------------------------------------- */

static void state_free(struct km_peers *peers, struct km_peers_state *state)
{
    if (state != NULL) {
        km_peers_table_unref(state->table);
        km_earlier_clear(&state->earlier);
        km_mem_free(peers->mem, state->unsettled);
        km_mem_free(peers->mem, state);
    }
}

/* Makes a state with room for unsettled slots. table: taken on success. */
static struct km_peers_state *state_new(struct km_peers *peers,
                                        struct km_peers_table *table)
{
    struct km_peers_state *state = km_mem_zalloc(peers->mem, 1, sizeof *state);
    if (state == NULL) {
        return NULL;
    }
    state->unsettled = map_new(peers);
    if (state->unsettled == NULL) {
        km_mem_free(peers->mem, state);
        return NULL;
    }
    state->table = table;
    state->self = peers->self;
    return state;
}

/* Returns what this node announces if it stands to its view like `own`. */
static enum km_standing announced(const struct km_peers *peers,
                                  enum km_standing own)
{
    return own == KM_STANDING_NONE ? own : km_turn_standing(peers->turn, own);
}

/* Fills in which slots are not settled and what is announced, and swaps the
 * state in. */
static void state_publish(struct km_peers *peers, struct km_peers_state *state)
{
    const struct km_peers_state *old = km_peers_own(peers);
    const struct km_slot_map *gained = km_turn_gained(peers->turn);
    state->change = old->change + 1;
    state->settled = km_turn_settled(peers->turn);
    atomic_init(&state->announced, announced(peers, state->standing));
    km_earlier_copy(&state->earlier, &peers->earlier);
    if (gained == NULL && peers->hidden == NULL) {
        km_mem_free(peers->mem, state->unsettled);
        state->unsettled = NULL;
    } else {
        map_add(state->unsettled, gained);
        map_add(state->unsettled, peers->hidden);
    }
    state_free(peers, km_snapshot_replace(&peers->snapshot, state));
}

/* Makes a state without a view. table: taken on success. */
static struct km_peers_state *state_empty(struct km_peers *peers,
                                          struct km_peers_table *table)
{
    struct km_peers_state *state = km_mem_zalloc(peers->mem, 1, sizeof *state);
    if (state != NULL) {
        state->table = table;
        state->settled = true;
    }
    return state;
}

kama_status km_peers_state_init(struct km_peers *peers, uint64_t adoption)
{
    struct km_peers_table *table = km_peers_table_new(peers, NULL, NULL, NULL);
    if (table == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    struct km_peers_state *first = state_empty(peers, table);
    peers->last = state_empty(peers, table);
    if (first == NULL || peers->last == NULL) {
        km_mem_free(peers->mem, first);
        km_mem_free(peers->mem, peers->last);
        km_peers_table_unref(table);
        return KAMA_ERR_NO_MEMORY;
    }
    (void)km_peers_table_ref(table);
    first->adoption = adoption;
    km_snapshot_init(&peers->snapshot, first);
    return KAMA_OK;
}

/* The state keeps its table, adoption and standing, and says which slots are
 * settled now. */
void km_peers_publish_again(struct km_peers *peers)
{
    const struct km_peers_state *old = km_peers_own(peers);
    struct km_peers_state *state = state_new(peers, old->table);
    peers->needs_publishing = state == NULL;
    if (state == NULL) {
        return;
    }
    bool was_settled = old->settled;
    (void)km_peers_table_ref(old->table);
    state->adoption = old->adoption;
    state->standing = old->standing;
    state_publish(peers, state);
    km_peers_wake(peers);
    if (state->settled != was_settled) {
        peers->events->settled(peers->owner);
    }
}

/* All members hear at once which view this node has adopted. */
static void hello_to_all(const struct km_peers_table *table)
{
    for (size_t i = 0; table->view != NULL && i < table->view->count; i++) {
        if (table->members[i] != NULL) {
            km_peer_hello(table->members[i]);
        }
    }
}

void km_peers_look_again(struct km_peers *peers)
{
    struct km_peers_state *state = km_snapshot_own(&peers->snapshot);
    enum km_standing standing = announced(peers, state->standing);
    if (atomic_exchange(&state->announced, standing) != standing) {
        hello_to_all(state->table);
    }
    if (state->settled != km_turn_settled(peers->turn)) {
        km_peers_publish_again(peers);
    }
}

/* -- adopting -------------------------------------------------------------- */

/* How this node stands to a view. */
static enum km_standing standing_of(const struct km_peers *peers,
                                    const struct km_view *view)
{
    if (km_member_id_is_none(&peers->self) || view == NULL) {
        return KM_STANDING_NONE;
    }
    return peers->was_given_up || peers->behind_by_views ||
                   !km_peers_is_member(view, &peers->self)
               ? KM_STANDING_BEHIND
               : KM_STANDING_MEMBER;
}

/* The slots that a node acts for as their owner. */
static const struct km_slot_map *acts_for(const struct km_peers_table *table,
                                          enum km_standing standing)
{
    return standing == KM_STANDING_MEMBER ? table->mine : NULL;
}

/* Peers of the old table that the new one lacks have left. */
static void part(const struct km_peers_table *old,
                 const struct km_peers_table *table)
{
    for (size_t i = 0; old->view != NULL && i < old->view->count; i++) {
        const struct km_member *member = &old->view->members[i];
        if (table->view == NULL ||
            km_view_find_id(table->view, &member->id) == NULL) {
            km_peers_remember_gone(table->peers, &member->id);
        }
        if (old->members[i] != NULL &&
            km_peers_table_find(table, member) == NULL) {
            km_peer_leave(old->members[i]);
        }
    }
    for (struct km_list *node = table->peers->parting.next;
         node != &table->peers->parting; node = node->next) {
        const struct km_peer *peer =
            KM_CONTAINER_OF(node, const struct km_peer, node);
        if (table->view == NULL ||
            km_view_find_id(table->view, &peer->id) == NULL) {
            km_peers_remember_gone(table->peers, &peer->id);
        }
    }
}

/* The memory that an adoption needs. */
struct adoption {
    struct km_peers_table *table;
    struct km_peers_state *state;
    struct km_slot_map *hidden;
    struct km_slot_map *gained;
};

static void adoption_drop(struct km_peers *peers, struct adoption *a)
{
    if (a->state != NULL) {
        km_mem_free(peers->mem, a->state->unsettled);
        km_mem_free(peers->mem, a->state);
    }
    km_mem_free(peers->mem, a->hidden);
    km_mem_free(peers->mem, a->gained);
    km_peers_table_unref(a->table);
}

/* table: taken; may be NULL. */
static kama_status adoption_make(struct km_peers *peers,
                                 struct km_peers_table *table,
                                 struct adoption *a)
{
    *a = (struct adoption){.table = table};
    if (table != NULL) {
        a->state = state_new(peers, table);
        a->hidden = map_new(peers);
        a->gained = map_new(peers);
    }
    if (a->state == NULL || a->hidden == NULL || a->gained == NULL) {
        adoption_drop(peers, a);
        return KAMA_ERR_NO_MEMORY;
    }
    return KAMA_OK;
}

/* Keeps the slots that the node has lost, if there are any. */
static void hide(struct km_peers *peers, struct adoption *a,
                 const struct km_slot_map *before,
                 const struct km_slot_map *after,
                 struct km_slot_map **ret_old_hidden)
{
    bool any = map_add_without(a->hidden, before, after);
    *ret_old_hidden = peers->hidden;
    map_add(a->hidden, peers->hidden);
    if (any || peers->hidden != NULL) {
        peers->hidden = a->hidden;
    } else {
        km_mem_free(peers->mem, a->hidden);
    }
    a->hidden = NULL;
}

/* Keeps the table for a while, if another one has other owners. */
static void remember_owners(struct km_peers *peers, struct km_peers_table *old,
                            const struct km_peers_table *table)
{
    if (old->placement != NULL && old->placement != table->placement) {
        km_earlier_push(&peers->earlier, old, km_peers_now(peers));
    }
}

/* Nothing fails from here on. */
static void adoption_commit(struct km_peers *peers, struct adoption *a,
                            enum km_standing standing)
{
    const struct km_peers_state *old = km_peers_own(peers);
    struct km_peers_table *old_table = old->table;
    bool was_settled = old->settled;
    struct km_slot_map *old_hidden;
    (void)km_peers_table_ref(old_table);
    hide(peers, a, acts_for(old_table, old->standing),
         acts_for(a->table, standing), &old_hidden);
    remember_owners(peers, old_table, a->table);
    peers->adopted_at = km_peers_now(peers);
    a->state->adoption = old->adoption + 1;
    a->state->standing = standing;
    atomic_store(&peers->nobody, standing == KM_STANDING_BEHIND);
    (void)km_peers_table_ref(a->table);
    state_publish(peers, a->state);
    if (a->table->view != NULL) {
        km_peers_remember_adopted(peers, a->table->view->id);
    }
    peers->events->adopted(peers->owner, a->state->adoption, a->table->view,
                           peers->hidden);
    km_mem_free(peers->mem, old_hidden);
    part(old_table, a->table);
    hello_to_all(a->table);
    km_peers_wake(peers);
    if (km_peers_own(peers)->settled != was_settled) {
        peers->events->settled(peers->owner);
    }
    km_peers_table_unref(old_table);
    km_peers_table_unref(a->table);
}

/* Adopts a table. table: taken; may be NULL. */
static kama_status adopt(struct km_peers *peers, struct km_peers_table *table,
                         enum km_standing standing)
{
    const struct km_peers_state *old = km_peers_own(peers);
    struct adoption a;
    kama_status st = adoption_make(peers, table, &a);
    if (st != KAMA_OK) {
        return st;
    }
    bool any = map_add_without(a.gained, acts_for(table, standing),
                               acts_for(old->table, old->standing));
    if (table->view != NULL) {
        st = km_turn_adopt(peers->turn, table->view, &peers->self,
                           any ? a.gained : NULL);
    }
    if (st != KAMA_OK) {
        atomic_store(&peers->nobody, true);
        adoption_drop(peers, &a);
        return st;
    }
    km_mem_free(peers->mem, a.gained);
    a.gained = NULL;
    adoption_commit(peers, &a, standing);
    return KAMA_OK;
}

/* Makes the table of a view and adopts it. mine: taken. */
kama_status km_peers_adopt_view(struct km_peers *peers, struct km_view *view,
                                struct km_placement *placement,
                                struct km_slot_map *mine)
{
    struct km_peers_table *table =
        km_peers_table_new(peers, view, placement, km_peers_own(peers)->table);
    if (table == NULL) {
        km_mem_free(peers->mem, mine);
        return KAMA_ERR_NO_MEMORY;
    }
    table->mine = mine;
    return adopt(peers, table, standing_of(peers, view));
}

/* Computes the slots of this node, and adopts the view with the placement that is
 * there already. */
kama_status km_peers_adopt_with(struct km_peers *peers, struct km_view *view)
{
    const struct km_peers_table *table = km_peers_own(peers)->table;
    struct km_placement *placement = table->placement;
    struct km_slot_map *mine;
    kama_status st = km_peers_make_mine_again(table, view, &mine);
    return st == KAMA_OK ? km_peers_adopt_view(peers, view, placement, mine)
                         : st;
}

/* Until the next view is adopted, nobody but the registry knows what this node
 * owns. */
void km_peers_become_behind(struct km_peers *peers)
{
    const struct km_peers_state *state = km_peers_own(peers);
    atomic_store(&peers->nobody, true);
    if (state->standing == KM_STANDING_BEHIND) {
        peers->needs_behind = false;
        return;
    }
    (void)km_peers_table_ref(state->table);
    peers->needs_behind =
        adopt(peers, state->table, KM_STANDING_BEHIND) != KAMA_OK;
}

void km_peers_set_behind(struct km_peers *peers)
{
    if (km_peers_own(peers)->table->view != NULL) {
        km_peers_become_behind(peers);
    }
}

void km_peers_adopt_again(struct km_peers *peers)
{
    struct km_peers_table *table = km_peers_own(peers)->table;
    if (table->view == NULL) {
        km_peers_publish_again(peers);
        return;
    }
    struct km_view *view = km_view_ref(table->view);
    peers->needs_adopting = km_peers_adopt_with(peers, view) != KAMA_OK;
    km_view_unref(view);
}

void km_peers_swept(struct km_peers *peers, uint64_t adoption)
{
    if (adoption != km_peers_own(peers)->adoption || peers->hidden == NULL) {
        return;
    }
    struct km_slot_map *hidden = peers->hidden;
    peers->hidden = NULL;
    km_mem_free(peers->mem, hidden);
    km_peers_publish_again(peers);
}

/* -- end ------------------------------------------------------------------- */

static void part_from_all(struct km_peers *peers)
{
    struct km_list *node;
    while ((node = km_list_first(&peers->parting)) != NULL) {
        km_peer_part(KM_CONTAINER_OF(node, struct km_peer, node));
    }
}

void km_peers_state_close(struct km_peers *peers)
{
    const struct km_peers_state *old = km_peers_own(peers);
    struct km_peers_state *last = peers->last;
    km_peers_disarm(peers, 0, &peers->build.timer);
    km_peers_drop_waiting(peers);
    peers->last = NULL;
    for (size_t i = 0; old->table->view != NULL && i < old->table->view->count;
         i++) {
        if (old->table->members[i] != NULL) {
            km_peer_leave(old->table->members[i]);
        }
    }
    part_from_all(peers);
    km_earlier_clear(&peers->earlier);
    last->adoption = old->adoption + 1;
    last->change = old->change + 1;
    state_free(peers, km_snapshot_replace(&peers->snapshot, last));
}

void km_peers_state_fini(struct km_peers *peers)
{
    state_free(peers, km_snapshot_fini(&peers->snapshot));
    state_free(peers, peers->last);
    km_mem_free(peers->mem, peers->hidden);
    km_peers_drop_waiting(peers);
}
