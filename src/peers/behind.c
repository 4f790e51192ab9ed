/* SPDX-License-Identifier: MIT */
/* Whether others know a view that this node cannot learn, and the things that are
 * tried again from time to time. */
#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "peers/state.h"

#include <string.h>

/* -- behind, and second tries --------------------------------------- */

void km_peers_try_again(struct km_peers *peers)
{
    if (peers->needs_behind) {
        km_peers_become_behind(peers);
    }
    if (peers->needs_adopting) {
        km_peers_adopt_again(peers);
    }
    if (km_earlier_expire(&peers->earlier, km_peers_now(peers))) {
        peers->needs_publishing = true;
    }
    if (peers->needs_publishing) {
        km_peers_publish_again(peers);
    }
    km_peers_build_next(peers);
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

/* Returns whether this node, which is behind, has learnt what the members know:
 * they do not wait for it any more, so that it is not enough when those who were
 * ahead say nothing more. */
static bool has_caught_up(struct km_peers *peers)
{
    return peers->behind_view_id == 0 || peers->read_at >= peers->behind_at ||
           km_peers_knows_view(peers, peers->behind_view_id);
}

/* Returns a view of a member that is unknown here, or 0. */
static uint64_t unknown_view(const struct km_peers *peers)
{
    const struct km_peers_table *table = km_peers_own(peers)->table;
    for (size_t i = 0; i < table->view->count; i++) {
        const struct km_peer *peer = table->members[i];
        if (peer != NULL && peer->unknown_since != 0) {
            return peer->unknown_view_id;
        }
    }
    return 0;
}

/* A node that is behind for this reason adopts its view again as soon as it knows
 * as much as those that were ahead. */
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
    if (worst != KNOWS_ALL || peers->behind_by_views || peers->was_given_up) {
        km_peers_poke(&peers->read_poke);
    }
    if (worst == IS_BEHIND && state->standing == KM_STANDING_MEMBER) {
        peers->behind_by_views = true;
        peers->behind_at = now;
        peers->behind_view_id = unknown_view(peers);
        km_peers_become_behind(peers);
    } else if (worst == KNOWS_ALL && peers->behind_by_views &&
               has_caught_up(peers)) {
        peers->behind_by_views = false;
        km_peers_adopt_again(peers);
    }
}

/* A member of a view that was passed over may say so before any view is adopted.
 * Then the first one that is adopted finds this node behind. */
void km_peers_given_up(struct km_peers *peers, const char *address)
{
    if (!peers->was_given_up) {
        peers->was_given_up = true;
        peers->given_up_at = km_peers_now(peers);
        km_peers_set_behind(peers);
        peers->events->told_gone(peers->owner, address);
    }
}

bool km_peers_is_given_up(const struct km_peers *peers)
{
    return peers->was_given_up;
}

/* The registry knows better than the member that said so: it may be behind
 * itself. All slots are gained anew then. */
void km_peers_check_given_up(struct km_peers *peers)
{
    const struct km_view *view = km_peers_own(peers)->table->view;
    bool is_newest =
        peers->waiting == NULL && peers->build.stage != KM_PEERS_BUILDING;
    if (peers->was_given_up && peers->read_at >= peers->given_up_at &&
        is_newest && view != NULL && km_peers_is_member(view, &peers->self)) {
        peers->was_given_up = false;
        km_peers_adopt_again(peers);
    }
}
