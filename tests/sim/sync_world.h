/* SPDX-License-Identifier: MIT */
/*
 * Synchronized groups in one thread: the world of sim/cluster_world.h, whose processes
 * have a log, the clocks of the members, and the machine of the streams as well. What
 * joins them here does what node/ does on threads:
 *
 *     group --originate--> log --grew--> machine ==streams==> machines of the others
 *       ^                                   |  ^
 *       +------------- apply ---------------+  +--- views: membership, peers
 *
 *     struct sw world = {.plan = plan};
 *     sw_init(&world, &cw);                 after cw_init
 *     cw_start(&cw, 0);
 *
 * Every mutation that begins is written down with its version, for those who check at
 * the end what is visible.
 *
 * Threads: one. Errors: the process ends without memory.
 */
#pragma once

#include "group/group_internal.h"
#include "group/holders.h"
#include "node/cluster_life.h"
#include "peers/holders.h"
#include "sim/cluster_world.h"
#include "sim/streams.h"
#include "store/store_hide.h"
#include "store/store_internal.h"

#define SW_MUTATIONS 4096u

/* How the nodes of a run are. */
struct sw_plan {
    const char *strategy; /* NULL: broadcast */
    bool has_loader;
    enum km_sync_ack ack; /* of the group */
    size_t ring_bytes;    /* of the logs; 0: as in real nodes */
    int64_t skew_ms; /* how far the clocks may be wrong, in both directions */
    uint64_t
        small_bytes; /* max_value_bytes of the node at place 0; 0: no limit */
    uint64_t group_bytes;
    km_ns mail; /* how long the sync loop may hear later than the others */
};

/* A mutation that has begun. */
struct sw_mutation {
    struct km_version version;
    unsigned key;     /* CW_KEYS: all of them */
    unsigned process; /* at which it has begun */
    unsigned life;    /* of that process */
    bool
        is_unknown; /* the process was not registered, so that nobody may ever hear
                       * of it */
    bool is_set;
    km_ns at;
    uint64_t value; /* of the database when it began; of a clear: of nothing */
    bool is_acknowledged;
};

/* A group's wait on its way to the sync loop and in the machine. */
struct sw_waiting {
    struct km_sync_wait wait;
    struct km_sync_wait *of_group;
    struct cw_node *node;
};

/* A view on its way to the sync loop. */
struct sw_view {
    struct km_list node;
    struct km_view *view; /* a reference */
    bool is_adopted;
};

/* What the sync loop does not know yet. */
struct sw_news {
    bool is_posted;
    bool has_self;
    struct km_member_goodbye prev;
    struct km_list views;
};

struct sw_node {
    struct cw_node *node;
    struct km_sync_log *log;
    struct km_sync_origins *origins;
    struct km_sync *sync;
    struct sim_streams_node streams;
    enum { SW_RUNS, SW_SAYS_GOODBYE, SW_ENDED } stage;
    struct sw_news news;
    km_ns mail;        /* how long the news takes to the sync loop */
    km_ns adopts_late; /* how much longer, if a view is adopted */
    struct km_cluster_life life;
    unsigned lives;
};

struct sw {
    struct cw *cw;
    struct sw_plan plan;
    struct sim_streams streams;
    struct sw_node nodes[CW_PROCESSES];
    struct sw_mutation mutations[SW_MUTATIONS];
    unsigned mutation_count;
    unsigned invalidations; /* by an unclean leave */
    unsigned acknowledged;  /* mutations whose callers have waited, */
    unsigned unsynced;      /* and have waited in vain */
    /* A mutation is acknowledged, as `plan.ack` says; its caller is answered behind
     * this. NULL: nobody is told. */
    void (*on_acknowledged)(struct sw *sw, struct cw_node *node,
                            const struct sw_mutation *mutation);
};

/* Returns whether nodes drop what may be stale when a member is gone uncleanly (R14). */
static inline bool sw_drops(const struct sw_plan *plan)
{
    return plan->has_loader || plan->ack != KM_SYNC_ACK_ASYNC;
}

static inline struct sw *sw_of(const struct cw_node *node)
{
    return node->cw->more;
}

static inline struct sw_node *sw_node_of(const struct cw_node *node)
{
    return node->extra;
}

/* -- what a synchronized group asks ------------------------------------------ */

static inline enum km_sync_role sw_enter(void *arg,
                                         struct km_snapshot_reader *reader)
{
    const struct cw_node *node = arg;
    (void)reader;
    switch (node->phase) {
    case CW_RUNS:
        return node->is_active ? KM_SYNC_ORIGINATES : KM_SYNC_JOINING;
    case CW_STOPS:
        return KM_SYNC_LEAVING;
    default:
        return KM_SYNC_OUT;
    }
}

static inline void sw_leave(void *arg, struct km_snapshot_reader *reader)
{
    (void)arg;
    (void)reader;
}

static inline unsigned sw_key_number(kama_bytes key)
{
    return key.len == 2 ? (unsigned)(((const char *)key.data)[1] - '0')
                        : CW_KEYS;
}

static inline bool sw_is_registered(const struct cw_node *node)
{
    char key[128];
    (void)snprintf(key, sizeof key, "/kamacache/v1/kama-cache/members/%s",
                   node->net->address);
    return sim_registry_find(&node->cw->registry, key) != NULL;
}

/* Writes a mutation down. */
static inline void sw_note(struct cw_node *node, struct km_version version,
                           unsigned key, bool is_set)
{
    struct sw *sw = sw_of(node);
    km_ns now = node->cw->world.now;
    KM_ASSERT(sw->mutation_count < SW_MUTATIONS);
    sw->mutations[sw->mutation_count++] =
        (struct sw_mutation){.version = version,
                             .key = key,
                             .process = node->net->index,
                             .life = sw_node_of(node)->lives,
                             .is_unknown = !sw_is_registered(node),
                             .is_set = is_set,
                             .at = now,
                             .value = key < CW_KEYS ? node->cw->db[key] : 0};
}

static inline struct km_version sw_originate(void *arg, uint32_t number,
                                             const struct km_asking *asking,
                                             uint64_t *ret_seq)
{
    struct cw_node *node = arg;
    struct km_version version =
        km_sync_log_append(sw_node_of(node)->log, number, asking, ret_seq);
    sw_note(node, version, sw_key_number(asking->key),
            asking->kind == KM_APPLY_SET || asking->kind == KM_APPLY_EXPIRE);
    return version;
}

static inline struct km_version sw_clear(void *arg, uint32_t number,
                                         uint64_t *ret_seq)
{
    struct cw_node *node = arg;
    struct km_version version =
        km_sync_log_clear(sw_node_of(node)->log, number, ret_seq);
    sw_note(node, version, CW_KEYS, false);
    return version;
}

static inline void sw_invalidate(void *arg, uint32_t number)
{
    struct cw_node *node = arg;
    km_sync_log_invalidate(sw_node_of(node)->log, number, 0);
}

static inline bool sw_may_keep(void *arg, struct km_version version,
                               uint64_t view_id)
{
    struct cw_node *node = arg;
    return (node->cw->broken & CW_ANY_VIEW) != 0 ||
           km_sync_may_keep(sw_node_of(node)->origins, version, view_id);
}

static inline bool sw_holds(void *arg, const struct km_strategy *strategy,
                            uint32_t slot)
{
    const struct cw_node *node = arg;
    return km_peers_holds(node->peers, strategy, slot, NULL);
}

/* -- acknowledgements --------------------------------------------------------- */

static inline bool sw_has_witnesses(void *arg)
{
    return km_sync_has_witnesses(sw_node_of(arg)->sync);
}

static inline struct sw_mutation *sw_find(struct sw *sw,
                                          struct km_version version)
{
    unsigned i = sw->mutation_count;
    while (i-- > 0) {
        if (km_version_compare(sw->mutations[i].version, version) == 0) {
            return &sw->mutations[i];
        }
    }
    return NULL;
}

static inline void sw_acknowledged(struct km_sync_wait *wait,
                                   struct km_unsynced *unsynced)
{
    struct sw_waiting *waiting = KM_CONTAINER_OF(wait, struct sw_waiting, wait);
    struct cw_node *node = waiting->node;
    struct sw *sw = sw_of(node);
    struct sw_mutation *m = sw_find(sw, wait->version);
    struct km_sync_wait *of_group = waiting->of_group;
    KM_ASSERT(m != NULL);
    free(waiting);
    m->is_acknowledged = unsynced == NULL;
    sw->acknowledged += m->is_acknowledged;
    sw->unsynced += !m->is_acknowledged;
    if (m->is_acknowledged && sw->on_acknowledged != NULL) {
        sw->on_acknowledged(sw, node, m);
    }
    of_group->done(of_group, unsynced);
}

static inline void sw_on_wait(void *a, void *b)
{
    struct sw_waiting *waiting = a;
    (void)b;
    km_sync_await(sw_node_of(waiting->node)->sync, &waiting->wait);
}

static inline void sw_await(void *arg, struct km_sync_wait *wait)
{
    struct sw_waiting *waiting = calloc(1, sizeof *waiting);
    KM_ASSERT(waiting != NULL);
    *waiting =
        (struct sw_waiting){.wait = *wait, .of_group = wait, .node = arg};
    waiting->wait.done = sw_acknowledged;
    cw_at(arg, sw_node_of(arg)->mail, sw_on_wait, waiting, NULL);
}

/* -- the rest ------------------------------------------------------------------ */

static inline bool sw_merge(void *arg, uint64_t hlc)
{
    struct cw_node *node = arg;
    km_sync_log_merge(sw_node_of(node)->log, hlc);
    return true;
}

static inline bool sw_learn(void *arg, struct km_version version)
{
    struct cw_node *node = arg;
    km_sync_log_merge(sw_node_of(node)->log, version.hlc);
    km_sync_told(sw_node_of(node)->origins, version);
    return true;
}

static const struct km_group_sync_ops sw_group_ops = {
    .enter = sw_enter,
    .leave = sw_leave,
    .originate = sw_originate,
    .has_witnesses = sw_has_witnesses,
    .await = sw_await,
    .merge = sw_merge,
    .learn = sw_learn,
    .clear = sw_clear,
    .invalidate = sw_invalidate,
    .holds = sw_holds,
    .may_keep = sw_may_keep};

static inline uint32_t sw_add_group(void *arg, const char *name,
                                    struct km_store *store)
{
    return km_sync_log_add(sw_node_of(arg)->log, name, store);
}

/* -- what the machine does on its node ---------------------------------------- */

static inline kama_group *sw_group(void *owner, kama_bytes name)
{
    struct cw_node *node = owner;
    return km_bytes_eq(name, KAMA_STR(CW_GROUP)) ? node->group : NULL;
}

static inline bool sw_gets_value(void *owner, kama_group *group, kama_bytes key,
                                 const struct km_member_id *member)
{
    const struct cw_node *node = owner;
    const struct km_strategy *strategy = km_group_strategy(group);
    return strategy->kind == KM_STRATEGY_BROADCAST ||
           km_peers_holds(node->peers, strategy, km_group_slot(group, key),
                          member);
}

static inline void sw_lost_member(void *owner, uint64_t hlc, const char *why)
{
    struct cw_node *node = owner;
    struct sw *sw = sw_of(node);
    CW_SAY(node->cw, "%u invalidates: %s", node->place, why);
    sw->invalidations++;
    if (sw_drops(&sw->plan)) {
        km_sync_log_invalidate(sw_node_of(node)->log, UINT32_MAX, hlc);
    }
}

static inline void sw_log(void *owner, int level, const char *name,
                          const char *address, const char *text)
{
    struct cw_node *node = owner;
    (void)level;
    CW_SAY(node->cw, "%u %s %s: %s", node->place, name,
           address != NULL ? address : "", text);
}

/* R11. Without a lease others may have given this node up, and the record must not say
 * that they know everything. */
static inline void sw_said_goodbye(void *owner)
{
    struct cw_node *node = owner;
    struct km_sync_log_state state;
    CW_SAY(node->cw, "%u has said goodbye", node->place);
    km_sync_log_get(sw_node_of(node)->log, &state);
    if (node->lease == KM_LEASE_HELD) {
        km_membership_set_goodbye(node->membership, state.seq, state.newest);
    }
    cw_at(node, 0, cw_close, node, NULL);
}

static const struct km_sync_events sw_events = {.group = sw_group,
                                                .lost_member = sw_lost_member,
                                                .gets_value = sw_gets_value,
                                                .log = sw_log,
                                                .said_goodbye =
                                                    sw_said_goodbye};

/* -- mails to the sync loop ---------------------------------------------------- */

static inline void sw_on_grew(void *a, void *b)
{
    struct sw_node *self = a;
    (void)b;
    if (self->stage != SW_ENDED) {
        km_sync_grew(self->sync);
    }
}

/* Runs under the lock of a shard. */
static inline void sw_grew(void *arg)
{
    struct sw_node *self = arg;
    cw_at(self->node, 0, sw_on_grew, self, NULL);
}

static inline void sw_take_self(struct sw_node *self)
{
    struct cw_node *node = self->node;
    struct km_member_goodbye prev = self->news.prev;
    uint64_t origin = km_sync_origin_number(&node->id);
    if ((node->cw->broken & CW_NO_SEQ_1) != 0) {
        km_sync_log_begin(self->log, origin, 0);
    } else {
        km_cluster_life_renew(self->log, origin, &prev);
    }
    self->news.has_self = false;
    km_sync_set_self(self->sync, &node->id, cw_addresses[node->place], 0);
}

/* The news of a moment come as one. */
static inline void sw_on_news(void *a, void *b)
{
    struct sw_node *self = a;
    struct km_list *first;
    (void)b;
    self->news.is_posted = false;
    if (self->stage != SW_ENDED && self->news.has_self) {
        sw_take_self(self);
    }
    while ((first = km_list_pop_front(&self->news.views)) != NULL) {
        struct sw_view *v = KM_CONTAINER_OF(first, struct sw_view, node);
        if (self->stage != SW_ENDED && v->is_adopted) {
            km_sync_adopt(self->sync, v->view);
        } else if (self->stage != SW_ENDED) {
            km_sync_notice(self->sync, v->view);
        }
        km_view_unref(v->view);
        free(v);
    }
}

static inline void sw_post_news(struct sw_node *self)
{
    if (!self->news.is_posted) {
        self->news.is_posted = true;
        cw_at(self->node, self->mail, sw_on_news, self, NULL);
    }
}

static inline void sw_post_view(struct sw_node *self, struct km_view *view,
                                bool is_adopted)
{
    struct sw_view *v = calloc(1, sizeof *v);
    KM_ASSERT(v != NULL);
    v->view = km_view_ref(view);
    v->is_adopted = is_adopted;
    km_list_push_back(&self->news.views, &v->node);
    sw_post_news(self);
}

static inline void sw_noticed(struct cw_node *node, struct km_view *view)
{
    sw_post_view(sw_node_of(node), view, false);
}

/* Forgets the keys that the node does not hold, as node/cluster_forget.c does it a minute
 * after an adoption. */
static inline void sw_forget(void *a, void *b)
{
    static struct km_slot_map unheld;
    struct cw_node *node = a;
    const struct km_forgetting forgetting = {.slots = &unheld};
    struct km_group_sweep sweep = {0};
    (void)b;
    if (node->phase != CW_RUNS) {
        return;
    }
    memset(&unheld, 0, sizeof unheld);
    for (unsigned key = 0; key < CW_KEYS; key++) {
        if (!km_group_holds(node->group, cw_key(key))) {
            km_slot_map_add(&unheld, km_group_slot(node->group, cw_key(key)));
        }
    }
    while (km_group_forget_slots(node->group, &forgetting, &sweep)) {
    }
}

static inline void sw_adopted_late(void *a, void *b)
{
    sw_post_view(a, b, true);
    km_view_unref(b);
}

static inline void sw_adopted(struct cw_node *node, struct km_view *view)
{
    if (node->group != NULL && km_group_forgets(node->group)) {
        km_ns after = sim_between(&node->cw->world, 100, 4000) * CW_MS;
        cw_at(node, after, sw_forget, node, NULL);
    }
    struct sw_node *self = sw_node_of(node);
    if (self->adopts_late > 0) {
        cw_at(node, self->adopts_late, sw_adopted_late, self,
              km_view_ref(view));
    } else {
        sw_post_view(self, view, true);
    }
}

/* -- membership ------------------------------------------------------------------ */

static inline void sw_lease(struct cw_node *node)
{
    if (node->lease == KM_LEASE_LOST) {
        km_cluster_life_lose(&sw_node_of(node)->life);
    }
}

/* The clock of keepalives is that of the world. */
static inline void sw_kept(struct cw_node *node, int64_t ttl_ms, km_ns sent_at)
{
    (void)ttl_ms;
    km_cluster_life_kept(&sw_node_of(node)->life, cw_wall_ms(node),
                         node->cw->world.now - sent_at);
}

static inline void sw_life(struct cw_node *node,
                           struct km_member_goodbye *ret_prev)
{
    km_cluster_life_end(&sw_node_of(node)->life, ret_prev);
}

static inline void sw_registered(struct cw_node *node, unsigned registrations)
{
    struct sw_node *self = sw_node_of(node);
    (void)registrations;
    self->lives++;
    km_cluster_life_begin(&self->life);
    self->news.has_self = true;
    self->news.prev = self->life.prev;
    sw_post_news(self);
}

static inline void sw_forgets(struct cw_node *node)
{
    if ((node->cw->broken & CW_NO_JOINS) == 0) {
        km_sync_forget(sw_node_of(node)->sync);
    }
}

static inline bool sw_knows(struct cw_node *node, uint64_t view_id)
{
    return (node->cw->broken & CW_PEERS_VIEW) != 0 ||
           km_sync_knows_view(sw_node_of(node)->origins, view_id);
}

/* R15. */
static inline void sw_woke(struct cw_node *node)
{
    if (sw_node_of(node)->stage != SW_ENDED) {
        km_sync_woke(sw_node_of(node)->sync);
    }
}

static inline bool sw_has(struct cw_node *node, kama_bytes member_id,
                          uint64_t clock)
{
    struct km_sync_need need = {.clock = clock};
    if (member_id.len != sizeof need.id.bytes) {
        return false;
    }
    memcpy(need.id.bytes, member_id.data, sizeof need.id.bytes);
    return km_sync_has(sw_node_of(node)->origins, &need);
}

/* -- the life of a process -------------------------------------------------------- */

static inline void sw_make_machine(struct sw_node *self)
{
    struct cw_node *node = self->node;
    struct km_sync_options options = {.mem = &node->mem.allocator,
                                      .events = &sw_events,
                                      .owner = node,
                                      .log = self->log,
                                      .origins = self->origins,
                                      .cluster = "default",
                                      .service = "kama-cache"};
    self->streams = (struct sim_streams_node){&sw_of(node)->streams, node->net};
    sim_streams_env(&self->streams, &options.env);
    KM_ASSERT(km_sync_new(&options, &self->sync) == KAMA_OK);
}

static inline void sw_begins(struct cw_node *node)
{
    struct sw *sw = sw_of(node);
    struct sw_node *self = &sw->nodes[node->net->index];
    const struct km_sync_log_options options = {.mem = &node->mem.allocator,
                                                .clock = &node->time,
                                                .ring_bytes =
                                                    sw->plan.ring_bytes,
                                                .grew = sw_grew,
                                                .arg = self};
    *self = (struct sw_node){.node = node, .mail = sw->plan.mail};
    km_list_init(&self->news.views);
    node->extra = self;
    if (sw->plan.skew_ms > 0) {
        node->net->clock_skew_ms =
            (int64_t)sim_between(&node->cw->world, 0,
                                 2 * (uint64_t)sw->plan.skew_ms) -
            sw->plan.skew_ms;
    }
    KM_ASSERT(km_sync_log_new(&options, &self->log) == KAMA_OK);
    KM_ASSERT(km_sync_origins_new(&node->mem.allocator, self->log,
                                  &self->origins) == KAMA_OK);
    self->life.log = self->log;
    sw_make_machine(self);
}

static inline void sw_prepare(struct cw_node *node, kama_group_options *options,
                              struct km_group_env *env)
{
    const struct sw_plan *plan = &sw_of(node)->plan;
    static const char *const acks[] = {"async", "one", "all"};
    options->sync = plan->strategy != NULL ? plan->strategy : "broadcast";
    env->address = km_member_address;
    options->sync_ack = acks[plan->ack];
    options->max_bytes = plan->group_bytes;
    if (!plan->has_loader) {
        options->loader = NULL;
        options->loader_arg = NULL;
    }
    if (plan->small_bytes > 0 && node->place == 0) {
        options->max_value_bytes = plan->small_bytes;
    }
    env->sync = (struct km_group_sync){
        .ops = &sw_group_ops, .arg = node, .add = sw_add_group};
}

/* A need on its way into a request. */
struct sw_needing {
    void (*cb)(void *arg, const struct km_member_id *id, uint64_t clock);
    void *arg;
};

static inline void sw_on_need(void *arg, const struct km_sync_need *need)
{
    const struct sw_needing *needing = arg;
    needing->cb(needing->arg, &need->id, need->clock);
}

static inline void sw_needs(
    void *arg, uint64_t floor, const struct km_member_id *to,
    void (*cb)(void *cb_arg, const struct km_member_id *id, uint64_t clock),
    void *cb_arg)
{
    struct sw_needing needing = {cb, cb_arg};
    km_sync_needs(sw_node_of(arg)->origins, floor, to, sw_on_need, &needing);
}

static inline uint64_t sw_clock(void *arg)
{
    struct km_sync_log_state state;
    km_sync_log_get(sw_node_of(arg)->log, &state);
    return state.hlc;
}

static const struct km_peers_fence_ops sw_fence_ops = {.needs = sw_needs,
                                                       .clock = sw_clock};

static inline void sw_equip(struct cw_node *node,
                            struct km_peers_options *options)
{
    options->fence = &sw_fence_ops;
    options->fence_arg = node;
}

/* Gives the group to a process that was started without it. */
static inline void sw_add_late(struct cw_node *node)
{
    cw_make_group(node);
    km_sync_log_invalidate(sw_node_of(node)->log, node->group->sync_number, 0);
    if (node->adoption > 0) {
        km_group_adopt(node->group, node->adoption, NULL);
    }
}

static inline void sw_leaves(struct cw_node *node)
{
    struct sw_node *self = sw_node_of(node);
    self->stage = SW_SAYS_GOODBYE;
    km_sync_say_goodbye(self->sync, node->cw->world.now + 2 * KM_NS_PER_S);
}

static inline void sw_ends(struct cw_node *node)
{
    struct sw_node *self = sw_node_of(node);
    if (self->stage != SW_ENDED) {
        self->stage = SW_ENDED;
        km_sync_log_set_reader(self->log, NULL, NULL);
        km_sync_close(self->sync);
        sim_streams_gone(&sw_of(node)->streams, node->net);
    }
}

static inline void sw_fini_node(struct cw_node *node)
{
    struct sw_node *self = sw_node_of(node);
    km_sync_free(self->sync);
    km_sync_origins_free(self->origins);
    km_sync_log_free(self->log);
}

static const struct cw_extras sw_extras = {.begins = sw_begins,
                                           .prepare = sw_prepare,
                                           .equip = sw_equip,
                                           .registered = sw_registered,
                                           .life = sw_life,
                                           .lease = sw_lease,
                                           .kept = sw_kept,
                                           .noticed = sw_noticed,
                                           .adopted = sw_adopted,
                                           .forgets = sw_forgets,
                                           .woke = sw_woke,
                                           .leaves = sw_leaves,
                                           .ends = sw_ends,
                                           .fini = sw_fini_node,
                                           .knows = sw_knows,
                                           .has = sw_has};

/* -- streams that arrive ------------------------------------------------------------ */

static inline struct km_sync *sw_stream_begins(void *arg, struct sim_node *to,
                                               kama_bytes message,
                                               kama_status *ret_status)
{
    struct sw *sw = arg;
    struct cw_node *node = &sw->cw->nodes[to->index];
    struct km_msg_sync_request request;
    struct km_msg_sync_hello hello;
    KM_ASSERT(
        km_pb_decode(&km_msg_sync_request_pb, message, &request) == KAMA_OK &&
        km_pb_decode(&km_msg_sync_hello_pb, request.hello, &hello) == KAMA_OK);
    const struct km_peers_sender sender = {.cluster = hello.sender.cluster,
                                           .service = hello.sender.service,
                                           .id = hello.sender.id,
                                           .view_id = hello.sender.view_id};
    *ret_status = km_peers_admit(node->peers, &sender);
    return *ret_status == KAMA_OK && sw_node_of(node)->stage != SW_ENDED
               ? sw_node_of(node)->sync
               : NULL;
}

/* -- the world ------------------------------------------------------------------------ */

static inline void sw_init(struct sw *sw, struct cw *cw)
{
    sw->cw = cw;
    sw->mutation_count = 0;
    sw->invalidations = 0;
    sw->acknowledged = 0;
    sw->unsynced = 0;
    sw->on_acknowledged = NULL;
    cw->more = sw;
    cw->extras = &sw_extras;
    sim_streams_init(&sw->streams, &cw->net);
    sw->streams.begin = sw_stream_begins;
    sw->streams.arg = sw;
}

/* Ends the processes and the world. */
static inline void sw_fini(struct sw *sw)
{
    cw_fini(sw->cw);
    sim_streams_fini(&sw->streams);
}

/* -- for those who look at it ----------------------------------------------------------- */

/* The explicit value of a key at a node. */
struct sw_entry {
    struct km_version version; /* not set: there is none */
    bool is_there;             /* a value, explicit or filled */
    uint64_t value;
};

static inline struct sw_entry sw_look(const struct cw_node *node, unsigned key)
{
    struct sw_entry entry = {.version = {0, 0}};
    kama_value *value = NULL;
    kama_ctx ctx;
    kama_ctx_init(&ctx);
    ctx.flags = KAMA_NO_LOAD | KAMA_LOCAL_ONLY;
    if (node->group != NULL &&
        kama_get(node->group, cw_key(key), &ctx, &value) == KAMA_OK) {
        char text[24] = "";
        kama_bytes bytes = kama_value_bytes(value);
        memcpy(text, bytes.data,
               bytes.len < sizeof text ? bytes.len : sizeof text - 1);
        entry.is_there = true;
        entry.value = strtoull(text, NULL, 10);
        entry.version = km_item_stamp(value);
        kama_value_unref(value);
    }
    return entry;
}

/* Evicts a key at a node, as want of room does. */
static inline void sw_evict(const struct cw_node *node, unsigned key)
{
    struct km_store *store = node->group->store;
    uint64_t hash = km_store_hash(store, cw_key(key));
    struct km_shard *shard = km_store_shard(store, hash);
    struct km_gone gone;
    km_shard_lock(shard, &gone);
    struct km_place place = km_shard_find_locked(shard, hash, cw_key(key));
    if (place.ref != 0) {
        km_shard_take_out_locked(shard, hash, &place, KM_FORGET_CAPACITY);
    }
    km_shard_unlock(shard, &gone);
}
