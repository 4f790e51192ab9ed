/* SPDX-License-Identifier: MIT */
/* The life of the peers of a node. Everything that may still run (a peer with
 * its links, a build, a job that is posted) holds the structure; `closed` runs
 * when the last of them has ended. */
#include "peers/peers.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "peers/state.h"

#include <string.h>

/* -- holds ----------------------------------------------------- */

static void run_closed(struct km_lane_job *job)
{
    struct km_peers *peers = KM_CONTAINER_OF(job, struct km_peers, closed_job);
    peers->events->closed(peers->owner);
}

void km_peers_hold(struct km_peers *peers)
{
    (void)atomic_fetch_add(&peers->live, 1);
}

void km_peers_release(struct km_peers *peers)
{
    if (atomic_fetch_sub(&peers->live, 1) == 1) {
        KM_ASSERT(atomic_load(&peers->closing));
        peers->closed_job.run = run_closed;
        km_peers_post(peers, 0, &peers->closed_job);
    }
}

void km_peers_poke(struct km_peers_poke *poke)
{
    if (!atomic_exchange(&poke->posted, true)) {
        km_peers_hold(poke->peers);
        km_peers_post(poke->peers, 0, &poke->job);
    }
}

/* -- the registry ---------------------------------------------------------- */

static void ask_registry(struct km_lane_job *job)
{
    struct km_peers_poke *poke =
        KM_CONTAINER_OF(job, struct km_peers_poke, job);
    struct km_peers *peers = poke->peers;
    atomic_store(&poke->posted, false);
    km_ns now = km_peers_now(peers);
    km_peers_take_stranger(peers);
    if (!atomic_load(&peers->closing) &&
        (peers->asked_at == 0 ||
         now - peers->asked_at >= KM_PEERS_ASK_MS * KM_NS_PER_MS)) {
        peers->asked_at = now;
        peers->events->unknown_view(peers->owner);
    }
    km_peers_release(peers);
}

void km_peers_read(struct km_peers *peers, km_ns sent_at)
{
    peers->read_at = sent_at > peers->read_at ? sent_at : peers->read_at;
    km_peers_check_unknown(peers);
    km_peers_check_given_up(peers);
}

/* -- life ------------------------------------------------------------------ */

static void on_tick(struct km_timer *timer)
{
    struct km_peers *peers = KM_CONTAINER_OF(timer, struct km_peers, tick);
    km_peers_arm(peers, 0, timer,
                 km_ns_after_ms(km_peers_now(peers), KM_PEERS_TICK_MS));
    km_peers_try_again(peers);
    km_peers_check_unknown(peers);
}

/* The tick runs from the first sign of a cluster on. */
static void start_tick(struct km_peers *peers)
{
    if (peers->tick.fire == NULL) {
        peers->tick.fire = on_tick;
        km_peers_arm(peers, 0, &peers->tick,
                     km_ns_after_ms(km_peers_now(peers), KM_PEERS_TICK_MS));
    }
}

static bool lanes_init(struct km_peers *peers, unsigned count)
{
    while (peers->lane_count < count) {
        struct km_peers_lane *lane = &peers->lanes[peers->lane_count];
        if (!km_mutex_init(&lane->lock, KM_RANK_WAITER)) {
            return false;
        }
        lane->peers = peers;
        lane->index = peers->lane_count++;
        km_list_init(&lane->fills);
        km_list_init(&lane->mutations);
        km_list_init(&lane->peeks);
        km_list_init(&lane->open);
        km_buf_init(&lane->head, peers->mem, SIZE_MAX);
    }
    return true;
}

static void lanes_fini(struct km_peers *peers)
{
    while (peers->lane_count > 0) {
        struct km_peers_lane *lane = &peers->lanes[--peers->lane_count];
        km_buf_fini(&lane->head);
        km_mutex_fini(&lane->lock);
    }
}

static kama_status copy_texts(struct km_peers *peers,
                              const struct km_peers_options *options)
{
    peers->cluster = km_mem_strdup(peers->mem, options->cluster);
    peers->service = km_mem_strdup(peers->mem, options->service);
    peers->address = km_mem_strdup(peers->mem, "");
    return peers->cluster != NULL && peers->service != NULL &&
                   peers->address != NULL
               ? KAMA_OK
               : KAMA_ERR_NO_MEMORY;
}

static void free_texts(struct km_peers *peers)
{
    km_mem_free(peers->mem, peers->cluster);
    km_mem_free(peers->mem, peers->service);
    km_mem_free(peers->mem, peers->address);
}

/* Makes the parts that can fail, beside the texts. */
static kama_status make_parts(struct km_peers *peers, unsigned lane_count,
                              uint64_t adoption)
{
    if (!km_mutex_init(&peers->lock, KM_RANK_WAITER)) {
        return KAMA_ERR_THREADS;
    }
    if (!km_mutex_init(&peers->wait_lock, KM_RANK_WAITER)) {
        goto fail_wait_lock;
    }
    if (!lanes_init(peers, lane_count)) {
        goto fail_lanes;
    }
    kama_status st = km_turn_new(peers->mem, &peers->turn);
    if (st != KAMA_OK) {
        goto fail_turn;
    }
    st = km_peers_state_init(peers, adoption);
    if (st == KAMA_OK) {
        return KAMA_OK;
    }
    km_turn_free(peers->turn);
fail_turn:
    lanes_fini(peers);
    km_mutex_fini(&peers->wait_lock);
    km_mutex_fini(&peers->lock);
    return st;
fail_lanes:
    lanes_fini(peers);
    km_mutex_fini(&peers->wait_lock);
fail_wait_lock:
    km_mutex_fini(&peers->lock);
    return KAMA_ERR_THREADS;
}

/* Sets the members that need no memory. */
static void set_up(struct km_peers *peers,
                   const struct km_peers_options *options)
{
    peers->transport = options->transport;
    peers->events = options->events;
    peers->owner = options->owner;
    peers->fence = options->fence;
    peers->fence_arg = options->fence_arg;
    peers->nonce = options->nonce;
    atomic_init(&peers->live, 1);
    atomic_init(&peers->refusal, KAMA_ERR_NOT_READY);
    km_list_init(&peers->parting);
    km_list_init(&peers->waits);
    km_list_init(&peers->new_waits);
    peers->read_poke.peers = peers;
    peers->read_poke.job.run = ask_registry;
    peers->wait_poke.peers = peers;
    peers->wait_poke.job.run = km_peers_take_waits;
}

kama_status km_peers_new(const struct km_peers_options *options,
                         struct km_peers **ret_peers)
{
    const kama_allocator *mem = km_mem_or_default(options->mem);
    unsigned lanes = options->transport.ops->lane_count(options->transport.arg);
    KM_ASSERT(lanes >= 2);
    struct km_peers *peers =
        km_mem_zalloc(mem, 1, sizeof *peers + lanes * sizeof peers->lanes[0]);
    if (peers == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    peers->mem = mem;
    set_up(peers, options);
    kama_status st = copy_texts(peers, options);
    if (st == KAMA_OK) {
        st = make_parts(peers, lanes, options->adoption);
    }
    if (st != KAMA_OK) {
        free_texts(peers);
        km_mem_free(mem, peers);
        return st;
    }
    *ret_peers = peers;
    return KAMA_OK;
}

void km_peers_close(struct km_peers *peers)
{
    if (atomic_exchange(&peers->closing, true)) {
        return;
    }
    km_peers_disarm(peers, 0, &peers->tick);
    km_peers_end_waits(peers);
    km_peers_state_close(peers);
    km_peers_release(peers);
}

void km_peers_free(struct km_peers *peers)
{
    if (peers == NULL) {
        return;
    }
    km_peers_state_fini(peers);
    km_turn_free(peers->turn);
    lanes_fini(peers);
    km_mutex_fini(&peers->wait_lock);
    km_mutex_fini(&peers->lock);
    free_texts(peers);
    km_mem_free(peers->mem, peers);
}

/* -- the node itself ---------------------------------------------------- */

/* A copy of the address that cannot be made leaves the old one: the address is
 * for sentences of others only. */
void km_peers_set_self(struct km_peers *peers, const struct km_member_id *id,
                       const char *address)
{
    char *copy = km_mem_strdup(peers->mem, address);
    start_tick(peers);
    if (copy != NULL) {
        km_mutex_lock(&peers->lock);
        char *old = peers->address;
        peers->address = copy;
        km_mutex_unlock(&peers->lock);
        km_mem_free(peers->mem, old);
    }
    if (!km_member_id_equal(&peers->self, id)) {
        peers->self = *id;
        peers->was_given_up = false;
        km_peers_adopt_again(peers);
    }
}

void km_peers_set_mutable(struct km_peers *peers, kama_status refusal)
{
    if (atomic_exchange(&peers->refusal, (int)refusal) != (int)refusal) {
        km_peers_publish_again(peers);
    }
}

void km_peers_notice(struct km_peers *peers, struct km_view *view)
{
    start_tick(peers);
    km_peers_take_view(peers, view);
}

/* -- questions ------------------------------------------------------------- */

uint64_t km_peers_view_id(const struct km_peers *peers)
{
    struct km_peers *p = (struct km_peers *)(uintptr_t)peers;
    struct km_snapshot_reader reader;
    const struct km_peers_state *state = km_peers_enter(p, &reader);
    uint64_t id = state->table->view != NULL ? state->table->view->id : 0;
    km_peers_leave(&reader);
    return id;
}

void km_peers_routing(struct km_peers *peers,
                      void (*cb)(void *arg,
                                 const struct km_peers_routing *routing),
                      void *arg)
{
    struct km_snapshot_reader reader;
    const struct km_peers_state *state = km_peers_enter(peers, &reader);
    struct km_peers_routing routing = {.view = state->table->view,
                                       .placement = state->table->placement,
                                       .adoption = state->adoption,
                                       .standing = state->standing,
                                       .settled = state->settled};
    cb(arg, &routing);
    km_peers_leave(&reader);
}

static uint64_t sum_codes(const _Atomic uint64_t codes[KM_STATUS_GRPC_CODES])
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < KM_STATUS_GRPC_CODES; i++) {
        sum += atomic_load_explicit(&codes[i], memory_order_relaxed);
    }
    return sum;
}

static void visit_peer(const struct km_peer *peer,
                       void (*cb)(void *arg, const struct km_peer_info *info),
                       void *arg)
{
    struct km_peer_info info = {
        .address = peer->address,
        .id = peer->id,
        .state = atomic_load(&peer->state),
        .latency = atomic_load(&peer->latency),
        .since = atomic_load(&peer->since),
        .clock_differs = atomic_load(&peer->clock_differs),
        .fills = sum_codes(peer->fill_codes),
        .fills_failed = atomic_load(&peer->fills_failed),
        .mutations = sum_codes(peer->mutation_codes),
        .mutations_failed = atomic_load(&peer->mutations_failed),
        .served = atomic_load(&peer->served),
        .fill_codes = peer->fill_codes,
        .mutation_codes = peer->mutation_codes,
        .times = &peer->times};
    cb(arg, &info);
}

void km_peers_visit(struct km_peers *peers,
                    void (*cb)(void *arg, const struct km_peer_info *info),
                    void *arg)
{
    struct km_snapshot_reader reader;
    const struct km_peers_state *state = km_peers_enter(peers, &reader);
    const struct km_peers_table *table = state->table;
    for (size_t i = 0; table->view != NULL && i < table->view->count; i++) {
        if (table->members[i] != NULL) {
            visit_peer(table->members[i], cb, arg);
        }
    }
    km_peers_leave(&reader);
}
