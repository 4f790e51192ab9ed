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

/* -- tables ---------------------------------------------------------------- */

static void table_free_peers(struct km_peers_table *table)
{
    for (size_t i = 0; table->view != NULL && i < table->view->count; i++) {
        if (table->members != NULL && table->members[i] != NULL) {
            km_peer_unref(table->members[i]);
        }
    }
    km_mem_free(table->peers->mem, table->members);
    km_mem_free(table->peers->mem, table->owners);
}

struct km_peers_table *km_peers_table_ref(struct km_peers_table *table)
{
    (void)atomic_fetch_add(&table->refs, 1);
    return table;
}

void km_peers_table_unref(struct km_peers_table *table)
{
    if (table == NULL || atomic_fetch_sub(&table->refs, 1) != 1) {
        return;
    }
    const kama_allocator *mem = table->peers->mem;
    table_free_peers(table);
    km_view_unref(table->view);
    km_placement_unref(table->placement);
    km_mem_free(mem, table->mine);
    km_mem_free(mem, table);
}

/* Returns the peer of a member in another table, or NULL. */
static struct km_peer *find_peer(const struct km_peers_table *table,
                                 const struct km_member *member)
{
    if (table->view == NULL) {
        return NULL;
    }
    const struct km_member *found = km_view_find_address(
        table->view, kama_bytes_make(member->address, strlen(member->address)));
    if (found == NULL || !km_member_id_equal(&found->id, &member->id)) {
        return NULL;
    }
    return table->members[found - table->view->members];
}

/* Gives each member its peer: the one that it has already, or a new one. */
static kama_status table_fill(struct km_peers_table *table,
                              const struct km_peers_table *old)
{
    struct km_peers *peers = table->peers;
    size_t owner = 0;
    for (size_t i = 0; i < table->view->count; i++) {
        const struct km_member *member = &table->view->members[i];
        struct km_peer *peer = find_peer(old, member);
        if (km_member_id_equal(&member->id, &peers->self)) {
            peer = NULL;
        } else if (peer != NULL) {
            peer = km_peer_ref(peer);
        } else if (km_peer_new(peers, member, &peer) != KAMA_OK) {
            return KAMA_ERR_NO_MEMORY;
        }
        table->members[i] = peer;
        if (member->state == KM_MEMBER_ACTIVE) {
            table->owners[owner++] = peer;
        }
    }
    return KAMA_OK;
}

/* Makes a table. view, placement: referenced; mine: taken on success. */
static struct km_peers_table *table_new(struct km_peers *peers,
                                        struct km_view *view,
                                        struct km_placement *placement,
                                        const struct km_peers_table *old)
{
    struct km_peers_table *table = km_mem_zalloc(peers->mem, 1, sizeof *table);
    if (table == NULL) {
        return NULL;
    }
    atomic_init(&table->refs, 1);
    table->peers = peers;
    if (view == NULL) {
        return table;
    }
    table->view = km_view_ref(view);
    table->placement = placement != NULL ? km_placement_ref(placement) : NULL;
    size_t count = view->count > 0 ? view->count : 1;
    table->members = km_mem_zalloc(peers->mem, count, sizeof *table->members);
    table->owners = km_mem_zalloc(peers->mem, count, sizeof *table->owners);
    if (table->members == NULL || table->owners == NULL ||
        table_fill(table, old) != KAMA_OK) {
        km_peers_table_unref(table);
        return NULL;
    }
    return table;
}

/* -- what this node owns --------------------------------------------------- */

/* Returns the index of this node among the active members, or SIZE_MAX. */
static size_t active_index(const struct km_view *view,
                           const struct km_member_id *self)
{
    size_t index = 0;
    for (size_t i = 0; i < view->count; i++) {
        if (view->members[i].state != KM_MEMBER_ACTIVE) {
            continue;
        }
        if (km_member_id_equal(&view->members[i].id, self)) {
            return index;
        }
        index++;
    }
    return SIZE_MAX;
}

static bool is_member(const struct km_view *view, const struct km_member_id *id)
{
    return !km_member_id_is_none(id) && km_view_find_id(view, id) != NULL;
}

/* Writes the slots of a node in *ret_mine, or NULL if there are none. Without an
 * active member each node owns all keys. */
static kama_status make_mine(const struct km_peers *peers,
                             const struct km_view *view,
                             const struct km_placement *placement,
                             const struct km_member_id *self,
                             struct km_slot_map **ret_mine)
{
    size_t index = active_index(view, self);
    *ret_mine = NULL;
    if (!is_member(view, self) || (placement != NULL && index == SIZE_MAX)) {
        return KAMA_OK;
    }
    struct km_slot_map *mine = km_mem_zalloc(peers->mem, 1, sizeof *mine);
    if (mine == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    for (uint32_t slot = 0; slot < KM_OWNER_SLOTS; slot++) {
        if (placement == NULL || km_placement_owner(placement, slot) == index) {
            km_slot_map_add(mine, slot);
        }
    }
    *ret_mine = mine;
    return KAMA_OK;
}

/* -- states ---------------------------------------------------------------- */

static void state_free(struct km_peers *peers, struct km_peers_state *state)
{
    if (state != NULL) {
        km_peers_table_unref(state->table);
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

/* Fills in which slots are not settled, and swaps the state in. */
static void state_publish(struct km_peers *peers, struct km_peers_state *state)
{
    const struct km_peers_state *old = km_peers_own(peers);
    const struct km_slot_map *gained = km_turn_gained(peers->turn);
    state->change = old->change + 1;
    state->settled = km_turn_settled(peers->turn);
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

kama_status km_peers_state_init(struct km_peers *peers)
{
    struct km_peers_table *table = table_new(peers, NULL, NULL, NULL);
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
    km_snapshot_init(&peers->snapshot, first);
    return KAMA_OK;
}

/* The same table, adoption and standing, with what is settled now. */
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

void km_peers_look_again(struct km_peers *peers)
{
    const struct km_peers_state *state = km_peers_own(peers);
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
                   !is_member(view, &peers->self)
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
        if (old->members[i] != NULL && find_peer(table, member) == NULL) {
            km_peer_leave(old->members[i]);
        }
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

/* What an adoption needs. */
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
    a->state->adoption = old->adoption + 1;
    a->state->standing = standing;
    atomic_store(&peers->nobody, standing == KM_STANDING_BEHIND);
    (void)km_peers_table_ref(a->table);
    state_publish(peers, a->state);
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
static kama_status adopt_view(struct km_peers *peers, struct km_view *view,
                              struct km_placement *placement,
                              struct km_slot_map *mine)
{
    struct km_peers_table *table =
        table_new(peers, view, placement, km_peers_own(peers)->table);
    if (table == NULL) {
        km_mem_free(peers->mem, mine);
        return KAMA_ERR_NO_MEMORY;
    }
    table->mine = mine;
    return adopt(peers, table, standing_of(peers, view));
}

/* Computes what this node owns, and adopts the view with a placement that is
 * there already. */
static kama_status adopt_with(struct km_peers *peers, struct km_view *view,
                              struct km_placement *placement)
{
    struct km_slot_map *mine;
    kama_status st = make_mine(peers, view, placement, &peers->self, &mine);
    return st == KAMA_OK ? adopt_view(peers, view, placement, mine) : st;
}

/* Until the next view is adopted, nobody but the registry knows what this node
 * owns. */
static void become_behind(struct km_peers *peers)
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
        become_behind(peers);
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
    peers->needs_adopting =
        adopt_with(peers, view, table->placement) != KAMA_OK;
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

/* -- building -------------------------------------------------------------- */

static void build_next(struct km_peers *peers);

/* Returns whether two views have the same active members with the same weights,
 * and so the same placement. */
static bool same_placement(const struct km_view *a, const struct km_view *b)
{
    size_t i = 0;
    size_t k = 0;
    for (;;) {
        while (i < a->count && a->members[i].state != KM_MEMBER_ACTIVE) {
            i++;
        }
        while (k < b->count && b->members[k].state != KM_MEMBER_ACTIVE) {
            k++;
        }
        if (i == a->count || k == b->count) {
            return i == a->count && k == b->count;
        }
        if (a->members[i].weight != b->members[k].weight ||
            strcmp(a->members[i].address, b->members[k].address) != 0) {
            return false;
        }
        i++;
        k++;
    }
}

/* Computes the placement of the active members. */
static kama_status place(struct km_peers *peers, const struct km_view *view,
                         struct km_placement **ret_placement)
{
    size_t count = km_view_active_count(view);
    *ret_placement = NULL;
    if (count == 0) {
        return KAMA_OK;
    }
    struct km_placement_member *members =
        km_mem_zalloc(peers->mem, count, sizeof *members);
    if (members == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    size_t n = 0;
    for (size_t i = 0; i < view->count; i++) {
        if (view->members[i].state == KM_MEMBER_ACTIVE) {
            members[n].address = view->members[i].address;
            members[n++].weight = view->members[i].weight;
        }
    }
    kama_status st = km_placement_new(peers->mem, members, n, ret_placement);
    km_mem_free(peers->mem, members);
    return st;
}

/* On a thread that may take its time. */
static void build(struct km_lane_job *job)
{
    struct km_peers_build *b = KM_CONTAINER_OF(job, struct km_peers_build, job);
    struct km_peers *peers = KM_CONTAINER_OF(b, struct km_peers, build);
    b->mine = NULL;
    b->status = place(peers, b->view, &b->placement);
    if (b->status == KAMA_OK) {
        b->status = make_mine(peers, b->view, b->placement, &b->self, &b->mine);
    }
}

/* A build that takes long is followed by a rest, so that views which change all
 * the time do not keep a processor busy. */
static void build_rest(struct km_peers *peers)
{
    struct km_peers_build *b = &peers->build;
    km_ns now = km_peers_now(peers);
    km_ns rest = (now - b->started_at) * KM_PEERS_REST_FACTOR;
    km_ns most = KM_PEERS_REST_MS * KM_NS_PER_MS;
    b->stage = KM_PEERS_IDLE;
    b->rest_until = now + (rest < most && b->status == KAMA_OK ? rest : most);
}

/* Takes the results of a build: adopts the view, or lets it wait again if there
 * was no memory and no newer one waits. */
static void build_take(struct km_peers *peers)
{
    struct km_peers_build *b = &peers->build;
    struct km_slot_map *mine = b->mine;
    kama_status st = b->status;
    if (st == KAMA_OK && !km_member_id_equal(&b->self, &peers->self)) {
        km_mem_free(peers->mem, mine);
        st = make_mine(peers, b->view, b->placement, &peers->self, &mine);
    }
    if (st == KAMA_OK) {
        st = adopt_view(peers, b->view, b->placement, mine);
    }
    if (st != KAMA_OK && peers->waiting == NULL) {
        peers->waiting = km_view_ref(b->view);
    }
}

/* On lane 0 again. */
static void build_done(struct km_lane_job *job)
{
    struct km_peers_build *b =
        KM_CONTAINER_OF(job, struct km_peers_build, then);
    struct km_peers *peers = KM_CONTAINER_OF(b, struct km_peers, build);
    KM_ASSERT(b->stage == KM_PEERS_BUILDING);
    build_rest(peers);
    if (atomic_load(&peers->closing)) {
        km_mem_free(peers->mem, b->mine);
    } else {
        build_take(peers);
    }
    km_view_unref(b->view);
    km_placement_unref(b->placement);
    b->view = NULL;
    b->placement = NULL;
    b->mine = NULL;
    build_next(peers);
    km_peers_release(peers);
}

static void on_rested(struct km_timer *timer)
{
    struct km_peers_build *b =
        KM_CONTAINER_OF(timer, struct km_peers_build, timer);
    struct km_peers *peers = KM_CONTAINER_OF(b, struct km_peers, build);
    b->stage = KM_PEERS_IDLE;
    build_next(peers);
}

static void build_start(struct km_peers *peers)
{
    struct km_peers_build *b = &peers->build;
    b->view = peers->waiting;
    peers->waiting = NULL;
    b->stage = KM_PEERS_BUILDING;
    b->self = peers->self;
    b->started_at = km_peers_now(peers);
    b->job.run = build;
    b->then.run = build_done;
    km_peers_hold(peers);
    peers->transport.ops->compute(peers->transport.arg, &b->job, &b->then);
}

/* Adopts the waiting view at once if the placement stays as it is. Returns
 * whether it was adopted. */
static bool adopt_at_once(struct km_peers *peers)
{
    const struct km_peers_table *table = km_peers_own(peers)->table;
    if (table->view == NULL || !same_placement(table->view, peers->waiting)) {
        return false;
    }
    struct km_view *view = peers->waiting;
    if (adopt_with(peers, view, table->placement) != KAMA_OK) {
        return false;
    }
    peers->waiting = NULL;
    km_view_unref(view);
    return true;
}

/* Goes on with the view that waits, if there is one. */
static void build_next(struct km_peers *peers)
{
    struct km_peers_build *b = &peers->build;
    if (peers->waiting == NULL || b->stage != KM_PEERS_IDLE ||
        atomic_load(&peers->closing) || adopt_at_once(peers)) {
        return;
    }
    if (km_peers_now(peers) < b->rest_until) {
        b->stage = KM_PEERS_RESTING;
        b->timer.fire = on_rested;
        km_peers_arm(peers, 0, &b->timer, b->rest_until);
        return;
    }
    build_start(peers);
}

/* A view that waits is replaced by a newer one, and is never adopted then. */
void km_peers_take_view(struct km_peers *peers, struct km_view *view)
{
    if (atomic_load(&peers->closing)) {
        return;
    }
    km_peers_remember_view(peers, view->id);
    km_view_unref(peers->waiting);
    peers->waiting = km_view_ref(view);
    km_peers_check_unknown(peers);
    build_next(peers);
}

/* -- behind, and what is tried again --------------------------------------- */

void km_peers_try_again(struct km_peers *peers)
{
    if (peers->needs_behind) {
        become_behind(peers);
    }
    if (peers->needs_adopting) {
        km_peers_adopt_again(peers);
    }
    if (peers->needs_publishing) {
        km_peers_publish_again(peers);
    }
    build_next(peers);
}

/* Looks whether a member names a view that this node does not know, and for how
 * long. A read of the registry that began after the Hello excuses it: this node
 * then knows at least as much as the member did. */
enum unknown { KNOWS_ALL, MAY_BE_BEHIND, IS_BEHIND };

static enum unknown judge_since(km_ns since, km_ns now)
{
    return now - since >= KM_PEERS_LEARN_MS * KM_NS_PER_MS ? IS_BEHIND
                                                           : MAY_BE_BEHIND;
}

static enum unknown judge(struct km_peers *peers, struct km_peer *peer,
                          km_ns now)
{
    if (peer->unknown_since == 0) {
        return KNOWS_ALL;
    }
    if (km_peers_knows_view(peers, peer->unknown_view_id) ||
        peers->read_at >= peer->unknown_since) {
        peer->unknown_since = 0;
        return KNOWS_ALL;
    }
    return judge_since(peer->unknown_since, now);
}

void km_peers_take_stranger(struct km_peers *peers)
{
    km_ns now = km_peers_now(peers);
    km_mutex_lock(&peers->lock);
    bool heard = peers->stranger_heard;
    uint64_t view_id = peers->stranger_view_id;
    peers->stranger_heard = false;
    km_mutex_unlock(&peers->lock);
    if (heard && !km_peers_knows_view(peers, view_id)) {
        peers->stranger_at = now;
        peers->stranger_unknown = view_id;
        if (peers->stranger_since == 0) {
            peers->stranger_since = now;
        }
    }
}

/* A node that says nothing more is forgotten. */
static enum unknown judge_stranger(struct km_peers *peers, km_ns now)
{
    if (peers->stranger_since == 0) {
        return KNOWS_ALL;
    }
    if (km_peers_knows_view(peers, peers->stranger_unknown) ||
        peers->read_at >= peers->stranger_since ||
        now - peers->stranger_at > KM_PEERS_STRANGER_MS * KM_NS_PER_MS) {
        peers->stranger_since = 0;
        return KNOWS_ALL;
    }
    return judge_since(peers->stranger_since, now);
}

/* A node that is behind for this reason adopts its view again as soon as nobody
 * is ahead any more. */
void km_peers_check_unknown(struct km_peers *peers)
{
    const struct km_peers_state *state = km_peers_own(peers);
    const struct km_peers_table *table = state->table;
    km_ns now = km_peers_now(peers);
    enum unknown worst = judge_stranger(peers, now);
    if (table->view == NULL || atomic_load(&peers->closing)) {
        return;
    }
    for (size_t i = 0; i < table->view->count; i++) {
        if (table->members[i] != NULL) {
            enum unknown one = judge(peers, table->members[i], now);
            worst = one > worst ? one : worst;
        }
    }
    if (worst != KNOWS_ALL) {
        km_peers_poke(&peers->read_poke);
    }
    if (worst == IS_BEHIND && state->standing == KM_STANDING_MEMBER) {
        peers->behind_by_views = true;
        become_behind(peers);
    } else if (worst == KNOWS_ALL && peers->behind_by_views) {
        peers->behind_by_views = false;
        km_peers_adopt_again(peers);
    }
}

void km_peers_given_up(struct km_peers *peers, const char *address)
{
    if (!peers->was_given_up) {
        peers->was_given_up = true;
        become_behind(peers);
        peers->events->told_gone(peers->owner, address);
    }
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
    km_view_unref(peers->waiting);
    peers->waiting = NULL;
    peers->last = NULL;
    for (size_t i = 0; old->table->view != NULL && i < old->table->view->count;
         i++) {
        if (old->table->members[i] != NULL) {
            km_peer_leave(old->table->members[i]);
        }
    }
    part_from_all(peers);
    last->adoption = old->adoption + 1;
    last->change = old->change + 1;
    state_free(peers, km_snapshot_replace(&peers->snapshot, last));
}

void km_peers_state_fini(struct km_peers *peers)
{
    state_free(peers, km_snapshot_fini(&peers->snapshot));
    state_free(peers, peers->last);
    km_mem_free(peers->mem, peers->hidden);
    km_view_unref(peers->waiting);
}
