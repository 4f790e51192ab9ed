/* SPDX-License-Identifier: MIT */
/*
 * A Clear of a group goes to all members of the view at once. If another view
 * was adopted when all of them have answered, it goes to those members of it
 * that were not asked yet, and so on until the view has stayed the same or the
 * deadline has passed. Members that have left hold nothing, and are not missed.
 */
#include "base/assert.h"
#include "base/container.h"
#include "base/status.h"
#include "peers/requests.h"

enum target_stage { TARGET_ASKED, TARGET_REACHED, TARGET_MISSED };

/* A member that was asked. */
struct target {
    struct km_peers_clear_one one;
    struct km_list node;
    struct clearing *clearing;
    struct km_peer *peer;
    enum target_stage stage;
};

/* A Clear that is under way, on its lane. */
struct clearing {
    struct km_peers *peers;
    struct km_peers_lane *lane;
    struct km_owner_clear *clear;
    struct km_list targets;
    size_t target_count;
    size_t
        waiting; /* answers that are not there yet, and 1 while a round runs */
    uint64_t view_id; /* of the last round */
    bool out_of_memory;
};

/* In the `use` of a request, until the lane takes it. */
struct clear_use {
    struct km_lane_job job;
    struct km_peers *peers;
    unsigned lane;
};
_Static_assert(sizeof(struct clear_use) <=
                   sizeof(((struct km_owner_clear *)0)->use),
               "a clear has room for its job");

static void next_round(struct clearing *c);

/* -- the end --------------------------------------------------------------- */

static void clearing_free(struct clearing *c)
{
    struct km_peers *peers = c->peers;
    struct km_list *node;
    while ((node = km_list_pop_front(&c->targets)) != NULL) {
        struct target *target = KM_CONTAINER_OF(node, struct target, node);
        km_peer_unref(target->peer);
        km_mem_free(peers->mem, target);
    }
    km_mem_free(peers->mem, c);
    km_peers_release(peers);
}

/* Writes the addresses of the members that were not reached. Returns their
 * number. */
static size_t list_missed(const struct clearing *c, const char **ret_addresses)
{
    size_t count = 0;
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &c->targets) {
        const struct target *target =
            KM_CONTAINER_OF(node, struct target, node);
        if (target->stage == TARGET_MISSED &&
            !atomic_load(&target->peer->has_left)) {
            ret_addresses[count++] = target->peer->address;
        }
    }
    return count;
}

/* Returns why there may be members that this node does not know, or KAMA_OK. The
 * members that it knows have been asked nevertheless. */
static kama_status unknown_members(struct km_peers *peers,
                                   const char **ret_text)
{
    struct km_snapshot_reader reader;
    kama_status st = (kama_status)atomic_load(&peers->refusal);
    enum km_standing standing = km_peers_enter(peers, &reader)->standing;
    km_peers_leave(&reader);
    *ret_text = "only this node and the members that it knows were cleared: it "
                "cannot reach the cluster";
    if (st == KAMA_OK && standing == KM_STANDING_NONE) {
        *ret_text = "only this node was cleared: it is not a member of the "
                    "cluster yet";
        st = KAMA_ERR_NOT_READY;
    } else if (st == KAMA_OK && (standing == KM_STANDING_BEHIND ||
                                 atomic_load(&peers->nobody))) {
        *ret_text = "only this node and the members that it knows were "
                    "cleared: it does not know the newest ones";
        st = KAMA_ERR_TRY_AGAIN;
    }
    return st;
}

static void finish(struct clearing *c)
{
    struct km_owner_clear *clear = c->clear;
    const kama_allocator *mem = c->peers->mem;
    const char *text;
    kama_status st = unknown_members(c->peers, &text);
    const char **missed =
        km_mem_zalloc(mem, c->target_count + 1, sizeof *missed);
    if (missed == NULL || c->out_of_memory) {
        clear->done(clear, KAMA_ERR_NO_MEMORY,
                    "no memory to clear the group on the other members", NULL,
                    0);
    } else {
        size_t count = list_missed(c, missed);
        if (st == KAMA_OK) {
            text = count > 0 ? "some members were not reached" : "";
            st = count > 0 ? KAMA_UNSYNCED : KAMA_OK;
        }
        clear->done(clear, st, text, missed, count);
    }
    km_mem_free(mem, missed);
    clearing_free(c);
}

/* One thing less to wait for. */
static void one_less(struct clearing *c)
{
    KM_ASSERT(c->waiting > 0);
    if (--c->waiting > 0) {
        return;
    }
    bool late = km_peers_now(c->peers) >= c->clear->deadline;
    if (c->out_of_memory || late || km_peers_view_id(c->peers) == c->view_id) {
        finish(c);
    } else {
        next_round(c);
    }
}

static void on_done(struct km_peers_clear_one *one,
                    const struct km_owner_reply *reply)
{
    struct target *target = KM_CONTAINER_OF(one, struct target, one);
    target->stage = reply->outcome == KM_OWNER_ANSWERED && reply->status >= 0
                        ? TARGET_REACHED
                        : TARGET_MISSED;
    one_less(target->clearing);
}

/* -- rounds ---------------------------------------------------------------- */

static bool was_asked(const struct clearing *c, const struct km_peer *peer)
{
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &c->targets) {
        if (KM_CONTAINER_OF(node, struct target, node)->peer == peer) {
            return true;
        }
    }
    return false;
}

static void ask_peer(struct clearing *c, struct km_peer *peer)
{
    struct target *target = km_mem_zalloc(c->peers->mem, 1, sizeof *target);
    if (target == NULL) {
        c->out_of_memory = true;
        return;
    }
    target->clearing = c;
    target->peer = km_peer_ref(peer);
    target->one = (struct km_peers_clear_one){.group = c->clear->group,
                                              .deadline = c->clear->deadline,
                                              .peer = km_peer_ref(peer),
                                              .done = on_done};
    km_list_push_back(&c->targets, &target->node);
    c->target_count++;
    c->waiting++;
    km_peers_start(c->lane, KM_PEERS_CLEAR, &target->one);
}

static void next_round(struct clearing *c)
{
    struct km_snapshot_reader reader;
    const struct km_peers_state *state = km_peers_enter(c->peers, &reader);
    struct km_peers_table *table = km_peers_table_ref(state->table);
    km_peers_leave(&reader);
    c->waiting = 1;
    c->view_id = table->view != NULL ? table->view->id : 0;
    for (size_t i = 0; table->view != NULL && i < table->view->count; i++) {
        struct km_peer *peer = table->members[i];
        if (peer != NULL && !was_asked(c, peer)) {
            ask_peer(c, peer);
        }
    }
    km_peers_table_unref(table);
    km_peers_start_open(c->lane);
    one_less(c);
}

/* -- the beginning --------------------------------------------------------- */

static void on_lane(struct km_lane_job *job)
{
    struct clear_use use = *KM_CONTAINER_OF(job, struct clear_use, job);
    struct km_owner_clear *clear =
        KM_CONTAINER_OF(job, struct km_owner_clear, use);
    struct clearing *c = km_mem_zalloc(use.peers->mem, 1, sizeof *c);
    if (c == NULL) {
        clear->done(clear, KAMA_ERR_NO_MEMORY,
                    "no memory to clear the group on the other members", NULL,
                    0);
        km_peers_release(use.peers);
        return;
    }
    c->peers = use.peers;
    c->lane = &use.peers->lanes[use.lane];
    c->clear = clear;
    km_list_init(&c->targets);
    next_round(c);
}

void km_peers_clear(void *owner, struct km_owner_clear *clear)
{
    struct km_peers *peers = owner;
    struct clear_use *use = (struct clear_use *)(void *)clear->use;
    unsigned lane = peers->transport.ops->pick(peers->transport.arg);
    *use = (struct clear_use){
        .job = {.run = on_lane}, .peers = peers, .lane = lane};
    km_peers_hold(peers);
    km_peers_post(peers, lane, &use->job);
}
