/* SPDX-License-Identifier: MIT */
/* A view with its placement, a peer for each member, and the slots of this node. */
#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "peers/state.h"

#include <string.h>

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
struct km_peer *km_peers_table_find(const struct km_peers_table *table,
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
        struct km_peer *peer = km_peers_table_find(old, member);
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
struct km_peers_table *km_peers_table_new(struct km_peers *peers,
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

/* -- the slots of this node --------------------------------------------------- */

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

bool km_peers_is_member(const struct km_view *view,
                        const struct km_member_id *id)
{
    return !km_member_id_is_none(id) && km_view_find_id(view, id) != NULL;
}

/* Whether a node owns all keys if no member is active: several nodes can be
 * joining at the same time, and only one of them would get a change. */
static bool owns_all(const struct km_view *view,
                     const struct km_member_id *self)
{
    return km_view_find_id(view, self)->state == KM_MEMBER_LEAVING;
}

/* Writes the slots of a node in *ret_mine, or NULL if there are none. */
kama_status km_peers_make_mine(const struct km_peers *peers,
                               const struct km_view *view,
                               const struct km_placement *placement,
                               const struct km_member_id *self,
                               struct km_slot_map **ret_mine)
{
    size_t index = active_index(view, self);
    *ret_mine = NULL;
    if (!km_peers_is_member(view, self) ||
        (placement != NULL ? index == SIZE_MAX : !owns_all(view, self))) {
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

/* The slots of this node are the same as in an older table if it has the same
 * placement and the same place in it. */
static bool same_mine(const struct km_peers_table *old,
                      const struct km_view *view,
                      const struct km_member_id *self)
{
    return old->view != NULL && old->mine != NULL &&
           km_peers_is_member(old->view, self) &&
           km_peers_is_member(view, self) &&
           active_index(old->view, self) == active_index(view, self);
}

kama_status km_peers_make_mine_again(const struct km_peers_table *old,
                                     const struct km_view *view,
                                     struct km_slot_map **ret_mine)
{
    const struct km_peers *peers = old->peers;
    if (!same_mine(old, view, &peers->self)) {
        return km_peers_make_mine(peers, view, old->placement, &peers->self,
                                  ret_mine);
    }
    struct km_slot_map *mine = km_mem_alloc(peers->mem, sizeof *mine);
    if (mine == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    *mine = *old->mine;
    *ret_mine = mine;
    return KAMA_OK;
}
