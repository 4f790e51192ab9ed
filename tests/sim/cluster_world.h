/* SPDX-License-Identifier: MIT */
/*
 * Whole nodes in one thread: a real membership on the virtual registry, real peers
 * on the virtual network, and a real group with a manual pool. What joins them here
 * does what node/cluster.c and services/peer_fill.c do on threads:
 *
 *     registry --- membership --view--> peers --adopted--> group
 *                                         ^                  |
 *     network --- Hello, Fill, Mutate ----+---- owner ops ---+
 *
 * A node is one process at a place (an address). When it was killed, it stays here
 * without a network until its parts have ended, and another process may begin at
 * the same place. The database is one number for each key; the loader reads it when
 * it begins, and gives the value later.
 *
 * A world may add something to its processes (struct cw_extras), as sim/sync_world.h
 * adds the streams of synchronized groups.
 *
 * A process can stand still (cw_pause), as one does that was stopped by a signal:
 * nothing in it runs, messages to it wait, and its clocks go on.
 *
 * Threads: one. Errors: the process ends without memory.
 */
#pragma once

#include "base/limits.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/status.h"
#include "group/adopt.h"
#include "group/clear_op.h"
#include "group/get_op.h"
#include "group/group.h"
#include "group/mutate_op.h"
#include "group/peek_op.h"
#include "group/sync_apply.h"
#include "membership/membership.h"
#include "peers/peers.h"
#include "sim/net.h"
#include "sim/registry.h"
#include "store/item.h"
#include "wire/msg/peer.h"

#define CW_PLACES 5u
#define CW_KEYS 8u
#define CW_PROCESSES 40u
#define CW_HELD 8u
#define CW_GROUP "things"
#define CW_MS KM_NS_PER_MS

/* The rules that a test may break, in what joins the parts. */
enum cw_rule {
    CW_KEEP_ALL = 0,
    CW_NO_UNSETTLED = 1, /* an unsettled slot counts as settled */
    CW_NO_HIDING = 2,    /* groups do not learn which slots are lost */
    CW_IGNORE_GONE = 4,  /* nobody is told "gone" */
    CW_NO_TURNING = 8,   /* a node that is turning announces the view */
    CW_ACT_BEHIND = 16,  /* a node that is behind, or was told "gone", acts as
                          * the owner of what it owns in its view */
    CW_NO_RULE_6 = 32,   /* mutations also without a lease and any member */
    CW_READ_FIRST = 64,  /* R8: a Fill reads the entry, and then waits */
    CW_ANY_VIEW = 128,   /* R8: a Fill does not wait for the view */
    CW_NO_NEEDS = 256,   /* R8: a Fill does not wait for mutations */
    CW_NO_JOINS = 512,   /* R10: registrations are not counted */
    CW_NO_SEQ_1 = 1024,  /* R12: each life begins with seq 0 */
    CW_SPLIT = 2048,     /* R1: the version comes before the effect */
    CW_PEERS_VIEW = 4096 /* R8: a Fill waits for the view until peers have it */
};

enum cw_phase {
    CW_UNUSED,
    CW_RUNS,
    CW_STOPS,  /* its record says leaving */
    CW_CLOSES, /* its membership ends, then its peers */
    CW_OVER
};

struct cw;
struct cw_node;

/* What a world adds to its processes. Each function may be NULL. */
struct cw_extras {
    /* The process begins; it has no group yet. */
    void (*begins)(struct cw_node *node);
    /* Completes the options of the group, which is about to be made. */
    void (*prepare)(struct cw_node *node, kama_group_options *options,
                    struct km_group_env *env);
    /* Completes the options of the peers. */
    void (*equip)(struct cw_node *node, struct km_peers_options *options);
    /* What membership and peers tell. */
    void (*registered)(struct cw_node *node, unsigned registrations);
    void (*life)(struct cw_node *node, struct km_member_goodbye *ret_prev);
    void (*lease)(struct cw_node *node);
    void (*kept)(struct cw_node *node, int64_t ttl_ms, km_ns sent_at);
    void (*noticed)(struct cw_node *node, struct km_view *view);
    void (*adopted)(struct cw_node *node, struct km_view *view);
    /* The group cannot know whether its entries are still true; instead of
     * km_group_forget. */
    void (*forgets)(struct cw_node *node);
    /* The process has stood still. */
    void (*woke)(struct cw_node *node);
    /* The node stops, and its clients have ended. cw_close follows. */
    void (*leaves)(struct cw_node *node);
    /* The network of the process ends; maybe twice. */
    void (*ends)(struct cw_node *node);
    /* Its parts have ended, and the group is freed. */
    void (*fini)(struct cw_node *node);
    /* R8: whether the node has adopted the view of a Fill; without it, peers are asked. */
    bool (*knows)(struct cw_node *node, uint64_t view_id);
    /* R8: whether the node has what a Fill needs. */
    bool (*has)(struct cw_node *node, kama_bytes member_id, uint64_t clock);
};

struct cw_node {
    struct cw *cw;
    struct sim_node *net;
    unsigned place;
    enum cw_phase phase;
    struct sim_clock clock;
    struct km_clock time;
    struct sim_client client;
    struct km_membership *membership;
    struct km_peers *peers;
    struct km_transport transport;
    struct km_pool *pool;
    kama_group *group;
    struct km_member_id id;
    struct km_member_id nonce;
    enum km_membership_lease lease;
    bool is_mutable;
    bool is_active; /* its record has said so */
    bool has_adopted;
    bool has_failed;
    uint64_t adoption;
    struct km_peers_probe probe;
    bool probing;
    void *extra;               /* of the world's extras */
    struct km_timer_heap heap; /* the timers of the process */
    struct km_mem_probe mem;   /* its blocks */
};

struct cw {
    struct sim_world world;
    struct sim_registry registry;
    struct sim_net net;
    struct cw_node nodes[CW_PROCESSES];
    unsigned node_count;
    unsigned broken; /* rules */
    uint64_t db[CW_KEYS];
    unsigned loads;
    unsigned loads_under_way;
    unsigned fence_waits; /* calls that have waited for needs */
    bool holds_loads;     /* a load that has read the database waits */
    struct cw_load *held[CW_HELD];
    unsigned held_count;
    const struct cw_extras *extras; /* never NULL */
    void *more;                     /* of the extras */
    km_ns load_max;                 /* how long a load takes at most */
    bool says;                      /* it prints its steps */
};

static const char *const cw_addresses[CW_PLACES] = {
    "10.0.0.1:8001", "10.0.0.2:8001", "10.0.0.3:8001", "10.0.0.4:8001",
    "10.0.0.5:8001"};

#define CW_SAY(cw, ...)                                                        \
    do {                                                                       \
        if ((cw)->says) {                                                      \
            printf("%9.3f  ", (double)((cw)->world.now) / 1e9 - 3600);         \
            printf(__VA_ARGS__);                                               \
            printf("\n");                                                      \
        }                                                                      \
    } while (0)

static inline kama_bytes cw_key(unsigned key)
{
    static const char *const names[CW_KEYS] = {"k0", "k1", "k2", "k3",
                                               "k4", "k5", "k6", "k7"};
    return KAMA_STR(names[key]);
}

static inline bool cw_is_still(const struct cw_node *node)
{
    return node->net->still_until > node->cw->world.now;
}

/* Runs something on the node, later if it stands still then. */
static inline void cw_at(struct cw_node *node, km_ns delay,
                         void (*run)(void *a, void *b), void *a, void *b)
{
    struct sim_net *net = &node->cw->net;
    sim_at_node(net, node->net, sim_net_now(net) + delay, run, a, b);
}

/* -- the loader ------------------------------------------------------------ */

struct cw_load {
    struct cw_node *node;
    kama_deferred *deferred;
    uint64_t value;
};

static inline void cw_load_ends(void *arg)
{
    struct cw_load *load = arg;
    struct cw *cw = load->node->cw;
    char text[24];
    int len =
        snprintf(text, sizeof text, "%llu", (unsigned long long)load->value);
    if (cw_is_still(load->node)) {
        sim_post(&cw->world, load->node->net->still_until - cw->world.now,
                 cw_load_ends, load);
        return;
    }
    cw->loads_under_way--;
    kama_load_finish(load->deferred, KAMA_OK,
                     kama_bytes_make(text, (size_t)len), NULL);
    free(load);
}

/* Ends the loads that were held. */
static inline void cw_release_loads(struct cw *cw)
{
    cw->holds_loads = false;
    while (cw->held_count > 0) {
        sim_post(&cw->world, 0, cw_load_ends, cw->held[--cw->held_count]);
    }
}

static inline kama_status cw_loader(void *arg, const kama_load *request,
                                    kama_sink *out)
{
    struct cw_node *node = arg;
    struct cw *cw = node->cw;
    struct cw_load *load = malloc(sizeof *load);
    KM_ASSERT(load != NULL && request->key.len == 2);
    unsigned key = (unsigned)(((const char *)request->key.data)[1] - '0');
    *load = (struct cw_load){
        .node = node, .deferred = kama_load_defer(out), .value = cw->db[key]};
    KM_ASSERT(load->deferred != NULL);
    cw->loads++;
    cw->loads_under_way++;
    if (cw->holds_loads) {
        KM_ASSERT(cw->held_count < CW_HELD);
        cw->held[cw->held_count++] = load;
        return KAMA_DEFERRED;
    }
    sim_post(&cw->world, sim_between(&cw->world, CW_MS, cw->load_max),
             cw_load_ends, load);
    return KAMA_DEFERRED;
}

/* -- the owner of keys ------------------------------------------------------ */

/* Lets a node that owns nothing, because it is behind, act by its view. */
struct cw_acting {
    struct cw_node *node;
    uint32_t slot;
    struct km_owner_answer *answer;
};

static inline void cw_act_behind(void *arg,
                                 const struct km_peers_routing *routing)
{
    struct cw_acting *acting = arg;
    if (routing->standing != KM_STANDING_BEHIND || routing->placement == NULL) {
        return;
    }
    size_t owner = km_placement_owner(routing->placement, acting->slot);
    if (strcmp(km_placement_address(routing->placement, owner),
               cw_addresses[acting->node->place]) == 0) {
        acting->answer->place = KM_OWNER_HERE;
        acting->answer->adoption = routing->adoption;
    }
}

static inline void cw_ask(void *owner, uint32_t slot,
                          struct km_owner_answer *ret)
{
    struct cw_node *node = owner;
    km_peers_owner_ops.ask(node->peers, slot, ret);
    if (ret->place == KM_OWNER_HERE_UNSETTLED &&
        (node->cw->broken & CW_NO_UNSETTLED) != 0) {
        ret->place = KM_OWNER_HERE;
    }
    if (ret->place == KM_OWNER_NOBODY &&
        (node->cw->broken & CW_ACT_BEHIND) != 0) {
        struct cw_acting acting = {node, slot, ret};
        km_peers_routing(node->peers, cw_act_behind, &acting);
    }
}

static inline struct km_peer *cw_earlier(void *owner, uint32_t slot)
{
    return km_peers_owner_ops.earlier(((struct cw_node *)owner)->peers, slot);
}

static inline struct km_peer *cw_next(void *owner, uint32_t slot,
                                      const struct km_peer *but)
{
    return km_peers_owner_ops.next(((struct cw_node *)owner)->peers, slot, but);
}

static inline void cw_release(void *owner, struct km_peer *peer)
{
    km_peers_owner_ops.release(((struct cw_node *)owner)->peers, peer);
}

static inline void cw_fill(void *owner, struct km_list *list)
{
    km_peers_owner_ops.fill(((struct cw_node *)owner)->peers, list);
}

static inline void cw_mutate(void *owner, struct km_list *list)
{
    km_peers_owner_ops.mutate(((struct cw_node *)owner)->peers, list);
}

static inline void cw_peek(void *owner, struct km_list *list)
{
    km_peers_owner_ops.peek(((struct cw_node *)owner)->peers, list);
}

static inline void cw_wait(void *owner, struct km_owner_wait *wait)
{
    km_peers_owner_ops.wait(((struct cw_node *)owner)->peers, wait);
}

static inline void cw_clear(void *owner, struct km_owner_clear *clear)
{
    km_peers_owner_ops.clear(((struct cw_node *)owner)->peers, clear);
}

static inline const char *cw_address(void *owner, const struct km_peer *peer)
{
    return km_peers_owner_ops.address(((struct cw_node *)owner)->peers, peer);
}

static inline bool cw_answers(void *owner, const struct km_peer *peer)
{
    return km_peers_owner_ops.answers(((struct cw_node *)owner)->peers, peer);
}

static const struct km_owner_ops cw_owner_ops = {.ask = cw_ask,
                                                 .earlier = cw_earlier,
                                                 .next = cw_next,
                                                 .release = cw_release,
                                                 .fill = cw_fill,
                                                 .mutate = cw_mutate,
                                                 .peek = cw_peek,
                                                 .wait = cw_wait,
                                                 .clear = cw_clear,
                                                 .address = cw_address,
                                                 .answers = cw_answers};

/* -- what membership tells -------------------------------------------------- */

static inline void cw_on_view(void *owner, struct km_view *view)
{
    struct cw_node *node = owner;
    km_peers_notice(node->peers, view);
    if (node->cw->extras->noticed != NULL) {
        node->cw->extras->noticed(node, view);
    }
}

static inline void cw_forget(struct cw_node *node)
{
    if (node->cw->extras->forgets != NULL) {
        node->cw->extras->forgets(node);
    } else {
        km_group_forget(node->group);
    }
}

static inline void cw_on_registered(void *owner, const struct km_member_id *id,
                                    unsigned registrations)
{
    struct cw_node *node = owner;
    CW_SAY(node->cw, "%u registered, %u", node->place, registrations);
    node->id = *id;
    km_peers_set_self(node->peers, id, cw_addresses[node->place]);
    if (node->cw->extras->registered != NULL) {
        node->cw->extras->registered(node, registrations);
    } else if (registrations > 1) {
        km_group_forget(node->group);
    }
}

static inline void cw_on_life(void *owner, struct km_member_goodbye *ret_prev)
{
    struct cw_node *node = owner;
    if (node->cw->extras->life != NULL) {
        node->cw->extras->life(node, ret_prev);
    }
}

static inline void cw_ignore(void *owner)
{
    (void)owner;
}

static inline void cw_on_goodbye(void *owner, struct km_view *view)
{
    struct cw_node *node = owner;
    if (node->cw->extras->noticed != NULL) {
        node->cw->extras->noticed(node, view);
    }
}

static inline void cw_on_activated(void *owner)
{
    ((struct cw_node *)owner)->is_active = true;
}

static inline void cw_on_forget(void *owner, const char *why)
{
    struct cw_node *node = owner;
    CW_SAY(node->cw, "%u forgets: %s", node->place, why);
    cw_forget(node);
}

static inline void cw_count_up(void *arg, const struct km_peer_info *info)
{
    bool *up = arg;
    *up = *up || info->state == KM_PEER_UP;
}

static inline void cw_look_mutable(struct cw_node *node)
{
    bool is_mutable = node->lease == KM_LEASE_HELD;
    if (!is_mutable && node->lease != KM_LEASE_NONE) {
        km_peers_visit(node->peers, cw_count_up, &is_mutable);
        is_mutable |= (node->cw->broken & CW_NO_RULE_6) != 0;
    }
    if (is_mutable != node->is_mutable) {
        node->is_mutable = is_mutable;
        km_peers_set_mutable(node->peers,
                             is_mutable ? KAMA_OK : KAMA_ERR_NOT_READY);
    }
}

static inline void cw_on_lease(void *owner, enum km_membership_lease lease)
{
    struct cw_node *node = owner;
    node->lease = lease;
    if (node->cw->extras->lease != NULL) {
        node->cw->extras->lease(node);
    }
    cw_look_mutable(node);
}

static inline void cw_on_kept(void *owner, int64_t ttl_ms, km_ns sent_at)
{
    struct cw_node *node = owner;
    if (node->cw->extras->kept != NULL) {
        node->cw->extras->kept(node, ttl_ms, sent_at);
    }
}

static inline void cw_on_failed(void *owner, kama_status status,
                                const char *text)
{
    struct cw_node *node = owner;
    (void)status;
    CW_SAY(node->cw, "%u failed: %s", node->place, text);
    node->has_failed = true;
}

static inline void cw_on_probed(struct km_peers_probe *probe,
                                kama_status status, const char *text,
                                const struct km_member_id *id,
                                const struct km_member_id *nonce,
                                const char *cluster)
{
    struct cw_node *node = KM_CONTAINER_OF(probe, struct cw_node, probe);
    enum km_probe_answer answer = KM_PROBE_ANOTHER;
    (void)text;
    (void)cluster;
    node->probing = false;
    if (status != KAMA_OK) {
        answer = KM_PROBE_NOBODY;
    } else if (km_member_id_equal(nonce, &node->nonce)) {
        answer = KM_PROBE_SELF;
    }
    km_membership_probed(node->membership, answer, id);
}

static inline void cw_on_probe(void *owner, const char *address)
{
    struct cw_node *node = owner;
    if (!node->probing) {
        node->probing = true;
        node->probe.done = cw_on_probed;
        km_peers_probe(node->peers, address,
                       node->cw->world.now + 2 * KM_NS_PER_S, &node->probe);
    }
}

static inline void cw_on_waiting(void *owner, km_ns until)
{
    (void)owner;
    (void)until;
}

static inline void cw_on_read(void *owner, km_ns sent_at)
{
    km_peers_read(((struct cw_node *)owner)->peers, sent_at);
}

static inline void cw_on_log(void *owner, int level, const char *name,
                             const char *text)
{
    struct cw_node *node = owner;
    if (level >= 2) {
        CW_SAY(node->cw, "%u %s: %s", node->place, name, text);
    }
}

static inline void cw_end_extras(struct cw_node *node)
{
    if (node->cw->extras->ends != NULL) {
        node->cw->extras->ends(node);
    }
}

/* The network of a process ends with its peers. */
static inline void cw_on_membership_closed(void *owner)
{
    struct cw_node *node = owner;
    if (node->net->health != SIM_DOWN) {
        node->net->health = SIM_DOWN;
        sim_net_cut(&node->cw->net, node->net->address);
    }
    cw_end_extras(node);
    km_peers_close(node->peers);
}

static const struct km_membership_events cw_membership_events = {
    .view = cw_on_view,
    .registered = cw_on_registered,
    .life = cw_on_life,
    .goodbye = cw_on_goodbye,
    .activated = cw_on_activated,
    .leaving = cw_ignore,
    .forget = cw_on_forget,
    .lease = cw_on_lease,
    .kept = cw_on_kept,
    .failed = cw_on_failed,
    .probe = cw_on_probe,
    .waiting = cw_on_waiting,
    .read = cw_on_read,
    .log = cw_on_log,
    .closed = cw_on_membership_closed};

/* -- what peers tell -------------------------------------------------------- */

static inline void cw_sweep(void *a, void *b)
{
    struct cw_node *node = a;
    uint64_t adoption = (uint64_t)(uintptr_t)b;
    if (node->phase == CW_OVER || adoption != node->adoption) {
        return;
    }
    struct km_group_sweep sweep = {0};
    while (node->group != NULL && km_group_sweep(node->group, &sweep)) {
    }
    km_peers_swept(node->peers, adoption);
}

static inline void cw_on_adopted(void *owner, uint64_t adoption,
                                 struct km_view *view,
                                 const struct km_slot_map *lost)
{
    struct cw_node *node = owner;
    CW_SAY(node->cw, "%u adopts %llx of %zu", node->place,
           (unsigned long long)view->id, view->count);
    node->adoption = adoption;
    if (node->cw->extras->adopted != NULL) {
        node->cw->extras->adopted(node, view);
        lost = NULL;
    }
    if (node->group != NULL) {
        km_group_adopt(node->group, adoption,
                       (node->cw->broken & CW_NO_HIDING) != 0 ? NULL : lost);
    }
    cw_at(node, 20 * CW_MS, cw_sweep, node, (void *)(uintptr_t)adoption);
    if (!node->has_adopted && node->phase == CW_RUNS) {
        node->has_adopted = true;
        km_membership_activate(node->membership);
    }
}

static inline void cw_on_peer(void *owner, const char *address,
                              const struct km_member_id *id,
                              enum km_peer_state state, const char *text)
{
    struct cw_node *node = owner;
    (void)id;
    (void)address;
    if (state > KM_PEER_UP) {
        CW_SAY(node->cw, "%u: %s", node->place, text);
    }
    cw_look_mutable(node);
}

static inline void cw_on_unknown(void *owner)
{
    struct cw_node *node = owner;
    km_membership_refresh(node->membership);
}

static inline void cw_on_gone(void *owner, const char *address)
{
    struct cw_node *node = owner;
    CW_SAY(node->cw, "%u is told by %s that it is gone", node->place, address);
    km_membership_told_gone(node->membership);
}

static inline void cw_on_peers_closed(void *owner)
{
    ((struct cw_node *)owner)->phase = CW_OVER;
}

static const struct km_peers_events cw_peers_events = {
    .adopted = cw_on_adopted,
    .peer = cw_on_peer,
    .unknown_view = cw_on_unknown,
    .told_gone = cw_on_gone,
    .settled = cw_ignore,
    .closed = cw_on_peers_closed};

/* -- the service of kama.peer.v1 -------------------------------------------- */

enum cw_call_kind { CW_FILL, CW_FILL_MANY, CW_MUTATE };

struct cw_call;

struct cw_get {
    struct km_get_op op;
    struct cw_call *call;
    uint32_t index;
};

/* A call that is served. It lives until its answer was given. */
struct cw_call {
    struct cw_node *node;
    struct sim_answer *answer;
    enum cw_call_kind kind;
    uint64_t view_id; /* of the sender */
    km_ns until;      /* for that view, and for what it needs */
    struct km_buf message;
    struct km_pb_list needs;
    struct km_msg_peer_need lacking; /* of them, or of no member */
    bool has_waited;                 /* for them */
    bool peeks;
    struct km_pb_list list;
    struct km_buf results;
    struct km_mutate_op op;
    unsigned left;
    kama_value *early; /* what was read first, if that rule is broken */
    struct cw_get gets[SIM_MESSAGES];
};

static inline void cw_call_ends(struct cw_call *call)
{
    struct sim_answer *answer = call->answer;
    kama_value_unref(call->early);
    km_buf_fini(&call->message);
    km_buf_fini(&call->results);
    free(call);
    sim_answer_now(answer);
}

static inline enum km_msg_peer_outcome cw_place(struct cw_node *node,
                                                kama_bytes key)
{
    struct km_owner_answer answer;
    cw_ask(node, km_owner_slot(km_owner_seed(CW_GROUP), key), &answer);
    switch (answer.place) {
    case KM_OWNER_PEER:
        cw_release(node, answer.peer);
        return KM_MSG_PEER_NOT_OWNER;
    case KM_OWNER_NOBODY:
        return KM_MSG_PEER_BEHIND;
    default:
        return KM_MSG_PEER_ANSWERED;
    }
}

/* current: whether the asking node may keep the value. */
static inline void cw_fill_answer(struct cw_call *call, uint32_t index,
                                  enum km_msg_peer_outcome outcome,
                                  kama_status status, kama_value *value,
                                  bool current, int64_t absent_ttl_ms,
                                  const char *text)
{
    struct km_version stamp = {0, 0};
    struct km_buf *buf = &call->answer->messages[call->answer->count++];
    kama_bytes bytes =
        value != NULL ? kama_value_bytes(value) : kama_bytes_make(NULL, 0);
    if (value != NULL) {
        stamp = km_item_stamp(value);
    }
    struct km_msg_peer_fill_response one = {
        .outcome = (int32_t)outcome,
        .status = status,
        .message = kama_bytes_make(text, status < 0 ? strlen(text) : 0),
        .ttl_ms = value != NULL ? kama_value_ttl_ms(value) : absent_ttl_ms,
        .view_id = km_peers_view_id(call->node->peers),
        .current = current,
        .clock = stamp.hlc,
        .origin = stamp.origin,
        .lacking = call->lacking,
        .value = bytes};
    struct km_msg_peer_fill_many_response many = {.index = index,
                                                  .answer = one};
    km_buf_init(buf, km_mem_default(), SIZE_MAX);
    KM_ASSERT((call->kind == CW_FILL
                   ? km_pb_append(buf, &km_msg_peer_fill_response_pb, &one)
                   : km_pb_append(buf, &km_msg_peer_fill_many_response_pb,
                                  &many)) == KAMA_OK);
    kama_value_unref(value);
    if (--call->left == 0) {
        cw_call_ends(call);
    }
}

static inline void cw_get_done(struct km_get_op *op, kama_status status,
                               kama_value *value, const char *sentence)
{
    struct cw_get *get = KM_CONTAINER_OF(op, struct cw_get, op);
    cw_fill_answer(get->call, get->index, KM_MSG_PEER_ANSWERED, status, value,
                   op->current, op->absent_ttl_ms, sentence);
}

/* A fill that peeks is answered by any node. */
static inline enum km_msg_peer_outcome cw_fill_place(struct cw_call *call,
                                                     kama_bytes key, bool knows)
{
    if (!knows) {
        return KM_MSG_PEER_BEHIND;
    }
    return call->peeks ? KM_MSG_PEER_ANSWERED : cw_place(call->node, key);
}

static inline void cw_serve_key(struct cw_call *call, uint32_t index,
                                kama_bytes key, bool knows)
{
    struct cw_get *get = &call->gets[index];
    enum km_msg_peer_outcome outcome = cw_fill_place(call, key, knows);
    kama_value *value = NULL;
    kama_ctx ctx;
    if (outcome != KM_MSG_PEER_ANSWERED || call->node->group == NULL) {
        cw_fill_answer(call, index, outcome,
                       call->node->group == NULL ? KAMA_ERR_INVALID : KAMA_OK,
                       NULL, false, 0, "");
        return;
    }
    if (call->early != NULL) {
        cw_fill_answer(call, index, outcome, KAMA_OK,
                       kama_value_ref(call->early), true, 0, "");
        return;
    }
    kama_ctx_init(&ctx);
    ctx.origin = KAMA_ORIGIN_PEER;
    ctx.flags = call->peeks ? KAMA_NO_LOAD : 0;
    *get =
        (struct cw_get){.op.done = cw_get_done, .call = call, .index = index};
    kama_status st =
        km_get_op_start(call->node->group, &get->op, key, &ctx, &value);
    if (st != KAMA_DEFERRED) {
        cw_fill_answer(
            call, index, outcome, st, value, true,
            st == KAMA_MISS ? km_group_absent_ttl(call->node->group, key) : 0,
            "");
    }
}

static inline void cw_serve_keys(struct cw_call *call, bool knows)
{
    unsigned count = (unsigned)call->list.count;
    kama_bytes key;
    KM_ASSERT(count > 0 && count <= SIM_MESSAGES);
    call->left = count;
    for (uint32_t i = 0; i < count; i++) {
        KM_ASSERT(km_pb_next(&call->list, &key));
        cw_serve_key(call, i, key, knows);
    }
}

/* op: NULL if it needed none. */
static inline void cw_result(struct cw_call *call,
                             enum km_msg_peer_outcome outcome,
                             const struct km_mutate_op *op, kama_status status)
{
    struct km_msg_peer_mutate_result result = {.outcome = (int32_t)outcome,
                                               .status = status};
    if (op != NULL) {
        result.etag_key = op->etag_key;
        result.clock = op->version.hlc;
        result.origin = op->version.origin;
    }
    KM_ASSERT(km_pb_append_element(&call->results, KM_MSG_PEER_ITEMS,
                                   &km_msg_peer_mutate_result_pb,
                                   &result) == KAMA_OK);
}

static inline enum km_msg_peer_outcome cw_outcome(const struct km_mutate_op *op)
{
    return op->outcome == KM_OWNER_NOT_OWNER ? KM_MSG_PEER_NOT_OWNER
           : op->outcome == KM_OWNER_BEHIND  ? KM_MSG_PEER_BEHIND
                                             : KM_MSG_PEER_ANSWERED;
}

static inline void cw_serve_mutations(struct cw_call *call, bool knows);

static inline void cw_mutation_done(struct km_mutate_op *op, kama_status status,
                                    const char *sentence)
{
    struct cw_call *call = KM_CONTAINER_OF(op, struct cw_call, op);
    (void)sentence;
    cw_result(call, cw_outcome(op), op, status);
    cw_serve_mutations(call, true);
}

/* Carries out the mutations one after the other. */
static inline void cw_serve_mutations(struct cw_call *call, bool knows)
{
    kama_bytes element;
    while (km_pb_next(&call->list, &element)) {
        struct km_msg_peer_mutation message;
        KM_ASSERT(km_pb_decode(&km_msg_peer_mutation_pb, element, &message) ==
                  KAMA_OK);
        if (!knows) {
            cw_result(call, KM_MSG_PEER_BEHIND, NULL, KAMA_OK);
            continue;
        }
        if (call->node->group == NULL) {
            cw_result(call, KM_MSG_PEER_ANSWERED, NULL, KAMA_ERR_INVALID);
            continue;
        }
        struct km_mutate_order order = {.kind =
                                            (enum km_mutation_kind)message.kind,
                                        .from = KM_MUTATE_FOR_PEER,
                                        .patience = KM_MUTATE_PARKS,
                                        .key = message.key,
                                        .value = message.value,
                                        .ttl_ms = message.ttl_ms};
        call->op = (struct km_mutate_op){.done = cw_mutation_done,
                                         .outcome = KM_OWNER_ANSWERED};
        kama_status st =
            km_mutate_op_start(call->node->group, &call->op, &order);
        if (st == KAMA_DEFERRED) {
            return;
        }
        cw_result(call, cw_outcome(&call->op), &call->op, st);
    }
    struct km_msg_peer_items_response end = {
        .view_id = km_peers_view_id(call->node->peers)};
    KM_ASSERT(km_pb_append(&call->results, &km_msg_peer_items_response_pb,
                           &end) == KAMA_OK);
    call->answer->messages[call->answer->count++] = call->results;
    km_buf_init(&call->results, km_mem_default(), SIZE_MAX);
    cw_call_ends(call);
}

static inline bool cw_knows(struct cw_node *node, uint64_t view_id)
{
    const struct cw *cw = node->cw;
    return (cw->broken & CW_ANY_VIEW) != 0 ||
           (km_peers_has_adopted(node->peers, view_id) &&
            (cw->extras->knows == NULL || cw->extras->knows(node, view_id)));
}

/* A mutation is newer than those that its sender knows. */
static inline void cw_merge_clock(struct cw_call *call)
{
    struct km_msg_peer_mutate_request request;
    KM_ASSERT(km_pb_decode(&km_msg_peer_mutate_request_pb,
                           km_buf_bytes(&call->message), &request) == KAMA_OK);
    if (call->node->group != NULL) {
        KM_ASSERT(km_group_merge_clock(call->node->group, request.clock));
    }
}

/* R8: returns whether the node has all mutations that an answer must include. If not,
 * `lacking` is one that it lacks, if possible one that is not waited for. */
static inline bool cw_has_needs(struct cw_call *call)
{
    const struct cw *cw = call->node->cw;
    struct km_pb_list needs = call->needs;
    kama_bytes element;
    call->lacking = (struct km_msg_peer_need){.clock = 0};
    while (!call->lacking.at_once && km_pb_next(&needs, &element)) {
        struct km_msg_peer_need need;
        KM_ASSERT(km_pb_decode(&km_msg_peer_need_pb, element, &need) ==
                  KAMA_OK);
        if ((cw->broken & CW_NO_NEEDS) == 0 &&
            !cw->extras->has(call->node, need.member_id, need.clock)) {
            call->lacking = need;
        }
    }
    return call->lacking.member_id.len == 0;
}

/* Breaks the rule: reads the entry of the only key before anything is checked. */
static inline void cw_read_first(struct cw_call *call)
{
    struct km_pb_list keys = call->list;
    kama_bytes key;
    kama_ctx ctx;
    if (call->kind == CW_FILL && call->node->group != NULL &&
        km_pb_next(&keys, &key)) {
        kama_ctx_init(&ctx);
        ctx.flags = KAMA_NO_LOAD | KAMA_LOCAL_ONLY;
        if (kama_get(call->node->group, key, &ctx, &call->early) != KAMA_OK) {
            call->early = NULL;
        }
    }
}

/* Waits until the view of the sender is known, and what it needs is here, 50 ms at
 * most. */
static inline void cw_call_begins(void *a, void *b)
{
    struct cw_call *call = a;
    struct sim_net *net = &call->node->cw->net;
    (void)b;
    if (call->node->phase == CW_OVER) {
        cw_call_ends(call);
        return;
    }
    bool knows = cw_knows(call->node, call->view_id);
    knows = knows && cw_has_needs(call);
    bool lacks_needs = call->lacking.member_id.len > 0;
    if (!knows && !call->lacking.at_once && sim_net_now(net) < call->until) {
        call->node->cw->fence_waits += lacks_needs && !call->has_waited;
        call->has_waited |= lacks_needs;
        cw_at(call->node, 5 * CW_MS, cw_call_begins, call, NULL);
    } else if (call->kind == CW_MUTATE) {
        cw_merge_clock(call);
        cw_serve_mutations(call, knows);
    } else {
        cw_serve_keys(call, knows);
    }
}

static inline void cw_serve_call(struct cw_node *node, const char *path,
                                 kama_bytes message, struct sim_answer *answer)
{
    struct km_msg_peer_fill_many_request request;
    KM_ASSERT(km_pb_decode(&km_msg_peer_fill_many_request_pb, message,
                           &request) == KAMA_OK);
    struct km_peers_sender sender = {.cluster = request.sender.cluster,
                                     .service = request.sender.service,
                                     .id = request.sender.id,
                                     .view_id = request.sender.view_id};
    answer->status = km_peers_admit(node->peers, &sender);
    if (answer->status != KAMA_OK) {
        answer->text = "not admitted";
        return;
    }
    struct cw_call *call = calloc(1, sizeof *call);
    KM_ASSERT(call != NULL);
    call->node = node;
    call->answer = answer;
    call->kind = strstr(path, "FillMany") != NULL ? CW_FILL_MANY
                 : strstr(path, "Fill") != NULL   ? CW_FILL
                                                  : CW_MUTATE;
    call->view_id = sender.view_id;
    call->until = node->cw->world.now + 50 * CW_MS;
    km_buf_init(&call->results, km_mem_default(), SIZE_MAX);
    km_buf_init(&call->message, km_mem_default(), SIZE_MAX);
    KM_ASSERT(km_buf_append(&call->message, message.data, message.len) ==
                  KAMA_OK &&
              km_pb_decode(&km_msg_peer_fill_many_request_pb,
                           km_buf_bytes(&call->message), &request) == KAMA_OK);
    call->list =
        request.keys; /* the mutations of Mutate have the same number */
    if (call->kind != CW_MUTATE) {
        call->needs = request.needs;
        call->peeks = request.peek;
    }
    if ((node->cw->broken & CW_READ_FIRST) != 0) {
        cw_read_first(call);
    }
    sim_answer_later(answer);
    cw_call_begins(call, NULL);
}

static inline int32_t cw_break_standing(const struct cw *cw, int32_t standing)
{
    return standing == KM_MSG_PEER_STANDING_TURNING &&
                   (cw->broken & CW_NO_TURNING) != 0
               ? KM_MSG_PEER_STANDING_MEMBER
               : standing;
}

/* Writes an answer that breaks the rules. */
static inline void cw_break_answer(const struct cw *cw, struct km_buf *answer)
{
    struct km_msg_peer_hello_response r;
    struct km_buf out;
    KM_ASSERT(km_pb_decode(&km_msg_peer_hello_response_pb, km_buf_bytes(answer),
                           &r) == KAMA_OK);
    r.standing = cw_break_standing(cw, r.standing);
    if (r.welcome == KM_MSG_PEER_WELCOME_GONE &&
        (cw->broken & CW_IGNORE_GONE) != 0) {
        r.welcome = KM_MSG_PEER_WELCOME_UNKNOWN;
    }
    km_buf_init(&out, km_mem_default(), SIZE_MAX);
    KM_ASSERT(km_pb_append(&out, &km_msg_peer_hello_response_pb, &r) ==
              KAMA_OK);
    km_buf_fini(answer);
    *answer = out;
}

static inline void cw_serve(struct sim_net *net, struct sim_node *to,
                            const char *path, kama_bytes message,
                            struct sim_answer *answer)
{
    struct cw *cw = net->arg;
    struct cw_node *node = &cw->nodes[to->index];
    struct km_msg_peer_hello_request request;
    if (strstr(path, "Hello") == NULL) {
        cw_serve_call(node, path, message, answer);
        return;
    }
    KM_ASSERT(km_pb_decode(&km_msg_peer_hello_request_pb, message, &request) ==
              KAMA_OK);
    request.standing = cw_break_standing(cw, request.standing);
    km_buf_init(&answer->messages[0], km_mem_default(), SIZE_MAX);
    KM_ASSERT(km_peers_hello(node->peers, &request, &answer->messages[0]) ==
              KAMA_OK);
    answer->count = 1;
    if (cw->broken != 0) {
        cw_break_answer(cw, &answer->messages[0]);
    }
}

/* -- the life of a process -------------------------------------------------- */

static inline km_ns cw_time(void *arg)
{
    return ((struct cw_node *)arg)->cw->world.now;
}

static inline uint64_t cw_wall_ms(void *arg)
{
    return sim_wall_ms(((struct cw_node *)arg)->net);
}

static inline void cw_make_group(struct cw_node *node)
{
    kama_group_options options;
    kama_group_options_init(&options);
    options.name = CW_GROUP;
    options.sync = "owner";
    options.loader = cw_loader;
    options.loader_arg = node;
    options.loader_timeout_ms = 2000;
    options.allocator = &node->mem.allocator;
    struct km_group_env env = {.clock = &node->time,
                               .pool = node->pool,
                               .seed = 7,
                               .owner = {&cw_owner_ops, node}};
    if (node->cw->extras->prepare != NULL) {
        node->cw->extras->prepare(node, &options, &env);
    }
    KM_ASSERT(km_group_new(&options, &env, &node->group) == KAMA_OK);
}

static inline void cw_make_pool(struct cw_node *node)
{
    KM_ASSERT(km_pool_new_manual(&node->mem.allocator, &node->time,
                                 &node->pool) == KAMA_OK);
}

static inline void cw_make_peers(struct cw_node *node)
{
    struct km_peers_options options = {.mem = &node->mem.allocator,
                                       .transport = node->transport,
                                       .events = &cw_peers_events,
                                       .owner = node,
                                       .cluster = "default",
                                       .service = "kama-cache",
                                       .nonce = node->nonce};
    if (node->cw->extras->equip != NULL) {
        node->cw->extras->equip(node, &options);
    }
    KM_ASSERT(km_peers_new(&options, &node->peers) == KAMA_OK);
}

static inline void cw_make_membership(struct cw_node *node)
{
    static const char *const labels[] = {"eu"};
    struct km_membership_options options = {.mem = &node->mem.allocator,
                                            .registry_ops = &sim_client_ops,
                                            .registry = &node->client,
                                            .events = &cw_membership_events,
                                            .owner = node,
                                            .cluster = "default",
                                            .service = "kama-cache",
                                            .address =
                                                cw_addresses[node->place],
                                            .port = 8001,
                                            .admin = "",
                                            .weight = 1,
                                            .labels = labels,
                                            .label_count = node->place % 2,
                                            .nonce = node->nonce};
    sim_clock_env(&node->clock, &options.env);
    KM_ASSERT(km_membership_new(&options, &node->membership) == KAMA_OK);
    sim_client_init(&node->client, &node->cw->registry, &node->clock,
                    &km_membership_registry_events, node->membership);
}

/* Begins a process; it has no group yet. */
static inline struct cw_node *cw_start_bare(struct cw *cw, unsigned place)
{
    unsigned index = cw->node_count++;
    struct cw_node *node = &cw->nodes[index];
    KM_ASSERT(index < CW_PROCESSES);
    node->cw = cw;
    node->place = place;
    node->phase = CW_RUNS;
    node->clock = (struct sim_clock){.world = &cw->world, .heap = &node->heap};
    km_mem_probe_init(&node->mem);
    node->time = (struct km_clock){
        .mono = cw_time, .coarse = cw_time, .wall_ms = cw_wall_ms, .arg = node};
    for (unsigned i = 0; i < sizeof node->nonce.bytes; i++) {
        node->nonce.bytes[i] = (uint8_t)sim_random(&cw->world);
    }
    sim_net_node(&cw->net, index, cw_addresses[place], &node->transport);
    node->net = &cw->net.nodes[index];
    node->net->heap = &node->heap;
    if (cw->extras->begins != NULL) {
        cw->extras->begins(node);
    }
    cw_make_peers(node);
    cw_make_pool(node);
    cw_make_membership(node);
    CW_SAY(cw, "%u starts", place);
    return node;
}

static inline struct cw_node *cw_start(struct cw *cw, unsigned place)
{
    struct cw_node *node = cw_start_bare(cw, place);
    cw_make_group(node);
    km_membership_start(node->membership);
    return node;
}

static inline void cw_wakes(void *a, void *b)
{
    struct cw_node *node = a;
    (void)b;
    if (node->phase < CW_CLOSES) {
        node->cw->extras->woke(node);
    }
}

/* As SIGSTOP does, and SIGCONT later. */
static inline void cw_pause(struct cw_node *node, km_ns span)
{
    CW_SAY(node->cw, "%u stands still for %.1f s", node->place,
           (double)span / 1e9);
    node->net->still_until = node->cw->world.now + span;
    node->client.still_since = node->cw->world.now;
    node->client.still_until = node->net->still_until;
    if (node->cw->extras->woke != NULL) {
        cw_at(node, 0, cw_wakes, node, NULL);
    }
}

static inline void cw_go_on(struct cw_node *node)
{
    node->net->still_until = 0;
    node->client.still_until = 0;
}

/* As SIGKILL does: the record stays. */
static inline void cw_kill(struct cw_node *node)
{
    CW_SAY(node->cw, "%u is killed", node->place);
    cw_go_on(node);
    node->phase = CW_CLOSES;
    node->net->health = SIM_DOWN;
    sim_net_cut(&node->cw->net, node->net->address);
    cw_end_extras(node);
    sim_client_cut(&node->client);
    km_membership_close(node->membership);
}

static inline void cw_close(void *a, void *b)
{
    struct cw_node *node = a;
    (void)b;
    if (node->phase == CW_STOPS) {
        CW_SAY(node->cw, "%u closes", node->place);
        node->phase = CW_CLOSES;
        km_membership_close(node->membership);
    }
}

/* The clients of the node have ended. */
static inline void cw_leave(void *a, void *b)
{
    struct cw_node *node = a;
    if (node->phase == CW_STOPS && node->cw->extras->leaves != NULL) {
        node->cw->extras->leaves(node);
    } else {
        cw_close(a, b);
    }
}

static inline void cw_stop(struct cw_node *node)
{
    CW_SAY(node->cw, "%u stops", node->place);
    node->phase = CW_STOPS;
    km_membership_leave(node->membership);
    cw_at(node, 2 * KM_NS_PER_S, cw_leave, node, NULL);
}

/* -- the world -------------------------------------------------------------- */

static inline void cw_init(struct cw *cw, uint64_t seed, unsigned broken)
{
    static const struct cw_extras none;
    memset(cw, 0, sizeof *cw);
    cw->broken = broken;
    cw->extras = &none;
    cw->load_max = 50 * CW_MS;
    sim_world_init(&cw->world, seed);
    sim_registry_init(&cw->registry, &cw->world);
    sim_net_init(&cw->net, &cw->world, km_mem_default());
    cw->net.arg = cw;
    cw->net.serve = cw_serve;
    cw->net.delay_spread = 5 * CW_MS;
}

/* Runs the timers and the pool of a node whose time has come. Returns when the
 * next one has to run. */
static inline km_ns cw_step_node(struct cw_node *node, km_ns now)
{
    struct km_timer *timer;
    if (cw_is_still(node)) {
        return node->net->still_until;
    }
    while ((timer = km_timer_heap_pop(&node->heap, now)) != NULL) {
        timer->fire(timer);
    }
    while (km_pool_next(node->pool) <= now) {
        (void)km_pool_step(node->pool, now);
    }
    km_ns timers = km_timer_heap_next(&node->heap);
    km_ns pool = km_pool_next(node->pool);
    return timers < pool ? timers : pool;
}

static inline km_ns cw_step_nodes(struct cw *cw)
{
    km_ns next = KM_NS_NEVER;
    for (unsigned i = 0; i < cw->node_count; i++) {
        km_ns at = cw_step_node(&cw->nodes[i], cw->world.now);
        next = at < next ? at : next;
    }
    return next;
}

static inline void cw_run(struct cw *cw, km_ns span)
{
    km_ns until = cw->world.now + span;
    for (;;) {
        km_ns next = cw_step_nodes(cw);
        km_ns limit = next < until ? next : until;
        if (!sim_step(&cw->world, limit)) {
            cw->world.now = limit;
            if (limit == until && cw_step_nodes(cw) > until) {
                break;
            }
        }
    }
}

/* Ends all processes, and what they have begun. */
static inline void cw_fini(struct cw *cw)
{
    for (unsigned i = 0; i < cw->node_count; i++) {
        struct cw_node *node = &cw->nodes[i];
        cw_go_on(node);
        if (node->phase < CW_CLOSES) {
            node->phase = CW_CLOSES;
            km_membership_close(node->membership);
        }
    }
    cw_run(cw, 8 * KM_NS_PER_S);
    for (unsigned i = 0; i < cw->node_count; i++) {
        struct cw_node *node = &cw->nodes[i];
        KM_ASSERT(node->phase == CW_OVER);
        if (node->group != NULL) {
            km_group_free(node->group);
        }
        km_pool_free(node->pool);
        km_peers_free(node->peers);
        km_membership_free(node->membership);
        if (cw->extras->fini != NULL) {
            cw->extras->fini(node);
        }
        KM_ASSERT(atomic_load(&node->mem.live_blocks) == 0);
    }
    cw->node_count = 0;
    cw_run(cw, KM_NS_PER_S);
    KM_ASSERT(cw->loads_under_way == 0);
    sim_net_fini(&cw->net);
    sim_registry_fini(&cw->registry);
    sim_world_fini(&cw->world);
}
