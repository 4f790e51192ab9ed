/* SPDX-License-Identifier: MIT */
/* The owner of a slot, from the state that any thread may read, and the waits until
 * the answers may be others. */
#include "base/assert.h"
#include "base/container.h"
#include "peers/requests.h"
#include "peers/state.h"

/* -- ask ------------------------------------------------------------------- */

static void nobody(struct km_owner_answer *answer, kama_status refusal,
                   enum km_owner_hope hope, const char *text)
{
    answer->place = KM_OWNER_NOBODY;
    answer->refusal = refusal;
    answer->hope = hope;
    answer->text = text;
}

/* Waits end at once while the peers close, so nothing may wait again then. */
static enum km_owner_hope hope_of(const struct km_peers *peers)
{
    return atomic_load(&peers->closing) ? KM_OWNER_HOPELESS : KM_OWNER_HOPEFUL;
}

/* This node is a member. Without an active member nobody owns the slot, unless this
 * node is leaving. */
static void ask_table(const struct km_peers_state *state, uint32_t slot,
                      struct km_owner_answer *answer)
{
    const struct km_peers_table *table = state->table;
    if (table->mine != NULL && km_slot_map_has(table->mine, slot)) {
        answer->place =
            state->unsettled != NULL && km_slot_map_has(state->unsettled, slot)
                ? KM_OWNER_HERE_UNSETTLED
                : KM_OWNER_HERE;
        return;
    }
    if (table->placement == NULL) {
        nobody(answer, KAMA_ERR_NOT_READY, hope_of(table->peers),
               "no node of the cluster is active yet");
        return;
    }
    struct km_peer *peer =
        table->owners[km_placement_owner(table->placement, slot)];
    KM_ASSERT(peer != NULL);
    answer->place = KM_OWNER_PEER;
    answer->peer = km_peer_ref(peer);
}

static void ask(void *owner, uint32_t slot, struct km_owner_answer *ret_answer)
{
    struct km_peers *peers = owner;
    struct km_snapshot_reader reader;
    const struct km_peers_state *state = km_peers_enter(peers, &reader);
    kama_status refusal = (kama_status)atomic_load(&peers->refusal);
    *ret_answer = (struct km_owner_answer){.adoption = state->adoption,
                                           .change = state->change};
    if (refusal != KAMA_OK) {
        nobody(ret_answer, refusal, KM_OWNER_HOPELESS,
               "this node cannot reach the cluster");
    } else if (state->standing == KM_STANDING_NONE) {
        nobody(ret_answer, KAMA_ERR_NOT_READY, hope_of(peers),
               "this node is not a member of the cluster yet");
    } else if (state->standing == KM_STANDING_BEHIND ||
               atomic_load(&peers->nobody)) {
        nobody(ret_answer, KAMA_ERR_TRY_AGAIN, hope_of(peers),
               "this node does not know the newest members of the cluster");
    } else {
        ask_table(state, slot, ret_answer);
    }
    km_peers_leave(&reader);
}

static struct km_peer *earlier(void *owner, uint32_t slot)
{
    struct km_peers *peers = owner;
    struct km_snapshot_reader reader;
    const struct km_peers_state *state = km_peers_enter(peers, &reader);
    struct km_peer *peer = km_earlier_find(&state->earlier, slot);
    if (peer != NULL) {
        (void)km_peer_ref(peer);
    }
    km_peers_leave(&reader);
    return peer;
}

static struct km_peer *next(void *owner, uint32_t slot,
                            const struct km_peer *but)
{
    struct km_peers *peers = owner;
    struct km_snapshot_reader reader;
    const struct km_peers_state *state = km_peers_enter(peers, &reader);
    const struct km_peers_table *table = state->table;
    uint16_t ranks[KM_PEERS_RANKS_ASKED];
    size_t count = table->placement != NULL
                       ? km_placement_rank(table->placement, slot, ranks,
                                           KM_PEERS_RANKS_ASKED)
                       : 0;
    struct km_peer *found = NULL;
    for (size_t i = 0; i < count && found == NULL; i++) {
        struct km_peer *peer = table->owners[ranks[i]];
        if (peer != NULL && peer != but && km_peer_is_open(peer)) {
            found = km_peer_ref(peer);
        }
    }
    km_peers_leave(&reader);
    return found;
}

static void release(void *owner, struct km_peer *peer)
{
    (void)owner;
    km_peer_unref(peer);
}

static const char *address(void *owner, const struct km_peer *peer)
{
    (void)owner;
    return peer->address;
}

static bool answers(void *owner, const struct km_peer *peer)
{
    (void)owner;
    return km_peer_is_open(peer);
}

/* -- waits (lane 0) -------------------------------------------------------- */

/* The members of a wait that belong to this file, in its `use`. */
struct wait_use {
    struct km_timer timer;
    struct km_peers *peers;
};
_Static_assert(sizeof(struct wait_use) <=
                   sizeof(((struct km_owner_wait *)0)->use),
               "a wait has room for its timer");

static struct wait_use *use_of(struct km_owner_wait *wait)
{
    return (struct wait_use *)(void *)wait->use;
}

/* The wait is the caller's memory again. */
static void end_wait(struct km_owner_wait *wait)
{
    struct wait_use *use = use_of(wait);
    struct km_peers *peers = use->peers;
    km_list_remove(&wait->node);
    km_peers_disarm(peers, 0, &use->timer);
    wait->changed(wait);
    km_peers_release(peers);
}

static void on_time(struct km_timer *timer)
{
    end_wait(KM_CONTAINER_OF(timer, struct km_owner_wait, use));
}

void km_peers_wake(struct km_peers *peers)
{
    struct km_list old;
    struct km_list *node;
    uint64_t change = km_peers_own(peers)->change;
    km_list_init(&old);
    km_list_splice(&old, &peers->waits);
    while ((node = km_list_first(&old)) != NULL) {
        struct km_owner_wait *wait =
            KM_CONTAINER_OF(node, struct km_owner_wait, node);
        if (wait->change != change || atomic_load(&peers->closing)) {
            end_wait(wait);
        } else {
            km_list_remove(node);
            km_list_push_back(&peers->waits, node);
        }
    }
}

void km_peers_end_waits(struct km_peers *peers)
{
    KM_ASSERT(atomic_load(&peers->closing));
    km_peers_wake(peers);
}

void km_peers_take_waits(struct km_lane_job *job)
{
    struct km_peers_poke *poke =
        KM_CONTAINER_OF(job, struct km_peers_poke, job);
    struct km_peers *peers = poke->peers;
    struct km_list *node;
    struct km_list taken;
    atomic_store(&poke->posted, false);
    km_list_init(&taken);
    km_mutex_lock(&peers->wait_lock);
    km_list_splice(&taken, &peers->new_waits);
    km_mutex_unlock(&peers->wait_lock);
    while ((node = km_list_pop_front(&taken)) != NULL) {
        struct km_owner_wait *wait =
            KM_CONTAINER_OF(node, struct km_owner_wait, node);
        km_list_push_back(&peers->waits, node);
        km_peers_arm(peers, 0, &use_of(wait)->timer, wait->until);
    }
    km_peers_wake(peers);
    km_peers_release(peers);
}

static void wait_for(void *owner, struct km_owner_wait *wait)
{
    struct km_peers *peers = owner;
    *use_of(wait) =
        (struct wait_use){.timer = {.fire = on_time}, .peers = peers};
    km_peers_hold(peers);
    km_list_init(&wait->node);
    km_mutex_lock(&peers->wait_lock);
    km_list_push_back(&peers->new_waits, &wait->node);
    km_mutex_unlock(&peers->wait_lock);
    km_peers_poke(&peers->wait_poke);
}

const struct km_owner_ops km_peers_owner_ops = {
    .ask = ask,
    .earlier = earlier,
    .next = next,
    .release = release,
    .fill = km_peers_fill,
    .mutate = km_peers_mutate,
    .peek = km_peers_peek,
    .wait = wait_for,
    .clear = km_peers_clear,
    .address = address,
    .answers = answers,
};
