/* SPDX-License-Identifier: MIT */
/*
 * The list of members has those of the adopted view and, until the node is
 * settled, those of the views before. A new list is made for each view; only if
 * there is memory for everything, it takes the place of the old one.
 */
#include "peers/turn.h"

#include "base/assert.h"

#include <string.h>

/* A member that has a part in the turn. */
struct peer {
    struct km_member_id id;
    uint64_t view_id;          /* of its last announcement */
    enum km_standing standing; /* of its last announcement */
    bool is_member;            /* of the adopted view */
    bool is_passed;            /* of a view that was passed over since then */
    bool is_coming;            /* of no other one: it is not waited for yet */
    bool is_silent;            /* its connection has not answered since */
    bool has_announced; /* the adopted view, or that it is behind, since the
                         * view was adopted or just before */
};

struct km_turn {
    const kama_allocator *mem;
    uint64_t view_id;
    bool is_new; /* it was not settled since it has registered */
    struct km_member_id self;
    struct km_member_id earlier_self; /* all zero: there is none */
    struct peer *peers;
    size_t count;
    size_t waiting;          /* peers that are waited for */
    struct km_slot_map *map; /* NULL before the first slot was gained */
    bool has_gained;         /* the map has slots */
};

kama_status km_turn_new(const kama_allocator *mem, struct km_turn **ret_turn)
{
    struct km_turn *turn = km_mem_zalloc(mem, 1, sizeof *turn);
    if (turn == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    turn->mem = mem;
    turn->is_new = true;
    *ret_turn = turn;
    return KAMA_OK;
}

void km_turn_free(struct km_turn *turn)
{
    if (turn == NULL) {
        return;
    }
    km_mem_free(turn->mem, turn->peers);
    km_mem_free(turn->mem, turn->map);
    km_mem_free(turn->mem, turn);
}

/* -- the list of members --------------------------------------------------- */

static struct peer *find(struct peer *peers, size_t count,
                         const struct km_member_id *id)
{
    for (size_t i = 0; i < count; i++) {
        if (km_member_id_equal(&peers[i].id, id)) {
            return &peers[i];
        }
    }
    return NULL;
}

/* Returns whether the node waits for a member: the drawing of the header. */
static bool is_waited(const struct peer *peer)
{
    return !peer->is_coming && !peer->has_announced && !peer->is_silent;
}

/* Returns whether the last announcement of a member is the awaited one. */
static bool announces(const struct km_turn *turn, const struct peer *peer)
{
    if (peer->standing == KM_STANDING_BEHIND) {
        return !turn->is_new;
    }
    return peer->standing == KM_STANDING_MEMBER &&
           peer->view_id == turn->view_id;
}

/* Returns whether an id is or was that of this node. */
static bool is_own(const struct km_turn *turn, const struct km_member_id *id)
{
    return km_member_id_equal(id, &turn->self) ||
           km_member_id_equal(id, &turn->earlier_self);
}

/* Copies the members that are still of concern: those of the last view, those of
 * views that were passed over, and those that are still waited for. A member that
 * was removed, and was told so or does not answer, is not heard any more. Returns
 * how many there are. */
static size_t keep_peers(const struct km_turn *turn, struct peer *peers)
{
    size_t count = 0;
    for (size_t i = 0; i < turn->count; i++) {
        const struct peer *peer = &turn->peers[i];
        bool is_kept = peer->is_member || peer->is_passed || is_waited(peer);
        if (is_kept && !is_own(turn, &peer->id)) {
            peers[count] = *peer;
            peers[count].is_member = false;
            peers[count].is_passed = false;
            peers[count].is_coming = false;
            count++;
        }
    }
    return count;
}

/* Adds the members of the view to the list. Returns how many there are. */
static size_t add_members(const struct km_turn *turn, struct peer *peers,
                          size_t count, const struct km_view *view)
{
    for (size_t i = 0; i < view->count; i++) {
        const struct km_member_id *id = &view->members[i].id;
        struct peer *peer = find(peers, count, id);
        if (is_own(turn, id)) {
            continue;
        }
        if (peer == NULL) {
            peer = &peers[count++];
            *peer = (struct peer){.id = *id};
        }
        peer->is_member = true;
    }
    return count;
}

/* Gives each member its state in the adopted view. */
static void begin_waiting(struct km_turn *turn)
{
    turn->waiting = 0;
    for (size_t i = 0; i < turn->count; i++) {
        struct peer *peer = &turn->peers[i];
        peer->has_announced = announces(turn, peer);
        turn->waiting += is_waited(peer);
    }
}

/* -- slots ----------------------------------------------------------------- */

/* Makes sure that there is a map. Returns false without memory. */
static bool have_map(struct km_turn *turn)
{
    if (turn->map == NULL) {
        turn->map = km_mem_alloc(turn->mem, sizeof *turn->map);
    }
    return turn->map != NULL;
}

/* Adds the slots up, after a settled node has forgotten the ones before. */
static void gain(struct km_turn *turn, const struct km_slot_map *gained)
{
    if (km_turn_settled(turn)) {
        turn->has_gained = false;
    }
    if (gained == NULL) {
        return;
    }
    if (!turn->has_gained) {
        *turn->map = *gained;
        turn->has_gained = true;
        return;
    }
    for (size_t i = 0; i < KM_OWNER_SLOTS / 64; i++) {
        turn->map->words[i] |= gained->words[i];
    }
}

/* -- what the turn is told ------------------------------------------------- */

/* A node that registers again is new: it has not seen the views meanwhile. */
static void know_self(struct km_turn *turn, const struct km_member_id *self)
{
    if (turn->view_id != 0 && km_turn_settled(turn)) {
        turn->is_new = false;
    }
    if (!km_member_id_equal(&turn->self, self)) {
        turn->earlier_self = turn->self;
        turn->self = *self;
        turn->is_new = true;
    }
}

kama_status km_turn_adopt(struct km_turn *turn, const struct km_view *view,
                          const struct km_member_id *self,
                          const struct km_slot_map *gained)
{
    size_t most = turn->count + view->count;
    struct peer *peers = km_mem_zalloc(turn->mem, most + 1, sizeof *peers);
    if (peers == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    if (gained != NULL && !have_map(turn)) {
        km_mem_free(turn->mem, peers);
        return KAMA_ERR_NO_MEMORY;
    }
    know_self(turn, self);
    gain(turn, gained);
    size_t count = keep_peers(turn, peers);
    count = add_members(turn, peers, count, view);
    km_mem_free(turn->mem, turn->peers);
    turn->peers = peers;
    turn->count = count;
    turn->view_id = view->id;
    begin_waiting(turn);
    return KAMA_OK;
}

kama_status km_turn_pass(struct km_turn *turn, const struct km_view *view)
{
    size_t most = turn->count + view->count;
    struct peer *peers = km_mem_zalloc(turn->mem, most + 1, sizeof *peers);
    if (peers == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    if (turn->count > 0) {
        memcpy(peers, turn->peers, turn->count * sizeof *peers);
    }
    km_mem_free(turn->mem, turn->peers);
    turn->peers = peers;
    for (size_t i = 0; i < view->count; i++) {
        const struct km_member_id *id = &view->members[i].id;
        struct peer *peer = find(peers, turn->count, id);
        if (is_own(turn, id)) {
            continue;
        }
        if (peer == NULL) {
            peer = &peers[turn->count++];
            *peer = (struct peer){.id = *id, .is_coming = true};
        }
        peer->is_passed = true;
    }
    return KAMA_OK;
}

void km_turn_heard(struct km_turn *turn, const struct km_member_id *id,
                   uint64_t view_id, enum km_standing standing)
{
    struct peer *peer = find(turn->peers, turn->count, id);
    if (peer == NULL) {
        return;
    }
    turn->waiting -= is_waited(peer);
    peer->view_id = view_id;
    peer->standing = standing;
    peer->is_silent = false;
    peer->has_announced |= announces(turn, peer);
    turn->waiting += is_waited(peer);
}

void km_turn_silent(struct km_turn *turn, const struct km_member_id *id)
{
    struct peer *peer = find(turn->peers, turn->count, id);
    if (peer == NULL) {
        return;
    }
    turn->waiting -= is_waited(peer);
    peer->is_silent = true;
}

/* -- questions ------------------------------------------------------------- */

bool km_turn_settled(const struct km_turn *turn)
{
    return turn->waiting == 0;
}

enum km_standing km_turn_standing(const struct km_turn *turn,
                                  enum km_standing own)
{
    for (size_t i = 0; i < turn->count; i++) {
        if (is_waited(&turn->peers[i]) && !turn->peers[i].is_member) {
            return KM_STANDING_TURNING;
        }
    }
    return own;
}

bool km_turn_waits_for(const struct km_turn *turn,
                       const struct km_member_id *id)
{
    const struct peer *peer = find(turn->peers, turn->count, id);
    return peer != NULL && (peer->is_passed || is_waited(peer));
}

size_t km_turn_waiting(const struct km_turn *turn)
{
    return turn->waiting;
}

const struct km_slot_map *km_turn_gained(const struct km_turn *turn)
{
    return turn->has_gained && !km_turn_settled(turn) ? turn->map : NULL;
}

void km_turn_check(const struct km_turn *turn)
{
    size_t waiting = 0;
    for (size_t i = 0; i < turn->count; i++) {
        const struct peer *peer = &turn->peers[i];
        KM_ASSERT(!is_own(turn, &peer->id));
        KM_ASSERT(find(turn->peers, i, &peer->id) == NULL);
        KM_ASSERT(peer->has_announced || !announces(turn, peer));
        KM_ASSERT(peer->is_passed || !peer->is_coming);
        waiting += is_waited(peer);
    }
    KM_ASSERT(waiting == turn->waiting);
    KM_ASSERT(!turn->has_gained || turn->map != NULL);
}
