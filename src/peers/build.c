/* SPDX-License-Identifier: MIT */
/* The building of placements: one at a time, on a thread that may take its time.
 * Only the newest of the views that wait is built. */
#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "peers/state.h"

#include <string.h>

/* -- building -------------------------------------------------------------- */

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

/* -- views that are passed over -------------------------------------------- */

/* Lets the turn know the members of a view that will not be adopted, and says
 * Hello to those that are in no view here. */
static kama_status pass(struct km_peers *peers, const struct km_view *view)
{
    const struct km_peers_table *table = km_peers_own(peers)->table;
    for (size_t i = 0; i < view->count; i++) {
        const struct km_member *member = &view->members[i];
        if (km_member_id_equal(&member->id, &peers->self) ||
            km_peers_table_find(table, member) != NULL) {
            continue;
        }
        kama_status status = km_peer_pass(peers, member);
        if (status != KAMA_OK) {
            return status;
        }
    }
    return km_turn_pass(peers->turn, view);
}

/* Returns false if there was no memory; the next tick tries again. */
static bool pass_all(struct km_peers *peers)
{
    while (peers->passed_count > 0) {
        struct km_view *view = peers->passed[peers->passed_count - 1];
        if (pass(peers, view) != KAMA_OK) {
            return false;
        }
        peers->passed_count--;
        km_view_unref(view);
    }
    return true;
}

/* view: taken. Only if there was no memory for so many views, one of them is
 * forgotten. */
static void pass_later(struct km_peers *peers, struct km_view *view)
{
    if (peers->passed_count == KM_PEERS_PASSED_MAX && !pass_all(peers)) {
        km_view_unref(peers->passed[--peers->passed_count]);
    }
    peers->passed[peers->passed_count++] = view;
}

void km_peers_drop_waiting(struct km_peers *peers)
{
    km_view_unref(peers->waiting);
    peers->waiting = NULL;
    while (peers->passed_count > 0) {
        km_view_unref(peers->passed[--peers->passed_count]);
    }
}

/* -- building -------------------------------------------------------------- */

/* On a thread that may take its time. */
static void build(struct km_lane_job *job)
{
    struct km_peers_build *b = KM_CONTAINER_OF(job, struct km_peers_build, job);
    struct km_peers *peers = KM_CONTAINER_OF(b, struct km_peers, build);
    b->mine = NULL;
    b->status = place(peers, b->view, &b->placement);
    if (b->status == KAMA_OK) {
        b->status = km_peers_make_mine(peers, b->view, b->placement, &b->self,
                                       &b->mine);
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
        st = km_peers_make_mine(peers, b->view, b->placement, &peers->self,
                                &mine);
    }
    if (st == KAMA_OK) {
        st = km_peers_adopt_view(peers, b->view, b->placement, mine);
    }
    if (st != KAMA_OK && peers->waiting == NULL) {
        peers->waiting = km_view_ref(b->view);
    } else if (st != KAMA_OK) {
        pass_later(peers, km_view_ref(b->view));
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
    km_peers_build_next(peers);
    km_peers_release(peers);
}

static void on_rested(struct km_timer *timer)
{
    struct km_peers_build *b =
        KM_CONTAINER_OF(timer, struct km_peers_build, timer);
    struct km_peers *peers = KM_CONTAINER_OF(b, struct km_peers, build);
    b->stage = KM_PEERS_IDLE;
    km_peers_build_next(peers);
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
    if (km_peers_adopt_with(peers, view) != KAMA_OK) {
        return false;
    }
    peers->waiting = NULL;
    km_view_unref(view);
    return true;
}

/* Goes on with the view that waits, if there is one. */
void km_peers_build_next(struct km_peers *peers)
{
    struct km_peers_build *b = &peers->build;
    if (peers->waiting == NULL || b->stage != KM_PEERS_IDLE ||
        atomic_load(&peers->closing) || !pass_all(peers) ||
        adopt_at_once(peers)) {
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

/* A view that waits is replaced by a newer one, and is never adopted then; but
 * its members may act by it. */
void km_peers_take_view(struct km_peers *peers, struct km_view *view)
{
    if (atomic_load(&peers->closing)) {
        return;
    }
    km_peers_remember_view(peers, view->id);
    if (peers->waiting != NULL) {
        pass_later(peers, peers->waiting);
    }
    peers->waiting = km_view_ref(view);
    km_peers_check_unknown(peers);
    km_peers_build_next(peers);
}
