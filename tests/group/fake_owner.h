/* SPDX-License-Identifier: MIT */
/*
 * A cluster in one process: groups whose owner ops call each other on the threads
 * of a "wire", a pool of the test.
 *
 *     struct fake_cluster c;
 *     fake_open(&c, fake_options);
 *     fake_own(&c.nodes[0], KM_OWNER_PEER, &c.nodes[1]);   a asks b
 *     fake_own(&c.nodes[1], KM_OWNER_HERE, NULL);
 *     ...
 *     fake_close(&c);                                      checks, counts memory
 *
 * Each node says the same place for all slots. A node can hold what comes to it
 * at a gate, or answer it with another outcome than the owner's answer.
 */
#pragma once

#include "group_fixture.h"

#include "base/container.h"
#include "base/pool.h"
#include "group/adopt.h"
#include "group/clear_op.h"
#include "group/peek_op.h"

#include <stdlib.h>

#define FAKE_NODES 3

struct fake_cluster;
struct fake_node;

/* Rule R8, if the groups are synchronized (fake_sync.h). */
struct fake_fence {
    /* Writes what an answer must include of each node. */
    void (*needs)(struct fake_node *from, uint64_t floor,
                  uint64_t ret_needs[FAKE_NODES]);
    /* Returns whether this node has that. */
    bool (*has)(struct fake_node *node, const uint64_t needs[FAKE_NODES]);
};

struct fake_node {
    const char *name;
    struct fake_cluster *cluster;
    struct km_pool *pool;
    struct script script;
    kama_group *group;
    struct km_slot_map lost;
    struct km_owner owner;
    struct km_group_sync sync; /* set before the node is opened; NULL: none */
    const struct fake_fence *fence;
    _Atomic int fence_wait_ms; /* how long this node waits for needs */
    struct gate wire;          /* what comes to this node passes it */
    struct gate way_back;      /* its answers to fills pass it */
    _Atomic int outcome;       /* of what comes to this node */
    atomic_uint fill_lists;    /* that this node has sent, and all below */
    atomic_uint fills;
    atomic_uint mutation_lists;
    atomic_uint mutations;
    _Atomic km_ns last_deadline; /* of the last of them */
    atomic_uint clears;
    atomic_ullong wait_ms; /* that the last wait of this node could last */
    pthread_mutex_t lock;
    struct km_owner_answer answer; /* the peer is a struct fake_node */
    _Atomic(struct fake_node *)
        earlier; /* the owner before this one; NULL: none */
    _Atomic(struct fake_node *) next; /* the node that ranks next; NULL: none */
    atomic_uint peeks;                /* of the fills that it has sent */
};

struct fake_cluster {
    struct km_mem_probe probe;
    struct km_pool *wire;
    atomic_int peer_refs;
    atomic_int calls; /* under way */
    atomic_int waits; /* that have begun */
    struct fake_node nodes[FAKE_NODES];
};

/* One request that is under way. */
struct fake_call {
    struct km_job job;
    struct km_timer timer;
    struct fake_node *from;
    struct fake_node *to;
    struct km_owner_fill *fill;
    struct km_owner_mutation *mutation;
    struct km_owner_peek *peek;
    struct km_owner_wait *wait;
    struct km_owner_clear *clear;
    uint64_t needs[FAKE_NODES]; /* of the fill or the peek */
    struct km_get_op get;
    struct km_mutate_op mutate;
    struct km_peek_op look;
    kama_bytes value;
};

static inline struct fake_call *fake_call_new(struct fake_node *from,
                                              struct km_peer *peer)
{
    struct fake_call *call = calloc(1, sizeof *call);
    assert_non_null(call);
    call->from = from;
    call->to = (struct fake_node *)peer;
    atomic_fetch_add(&from->cluster->calls, 1);
    return call;
}

/* Gives the reply to the request, and ends it. */
static inline void fake_reply(struct fake_call *call,
                              struct km_owner_reply *reply)
{
    struct fake_cluster *c = call->from->cluster;
    reply->text = reply->text == NULL ? "" : reply->text;
    atomic_fetch_sub(&c->peer_refs, 1);
    if (call->fill != NULL) {
        call->fill->done(call->fill, reply);
    } else if (call->mutation != NULL) {
        call->mutation->done(call->mutation, reply);
    } else {
        call->peek->done(call->peek, reply);
    }
    free(call);
    atomic_fetch_sub(&c->calls, 1);
}

/* The answer passes the gate of the node on its way back. */
static inline void fake_got(struct fake_call *call, kama_status status,
                            kama_value *value, const char *sentence)
{
    struct km_owner_reply reply = {.status = status,
                                   .text = sentence,
                                   .ttl_ms = KAMA_TTL_FOREVER,
                                   .current = call->get.current,
                                   .current_ns = call->get.current_ns};
    gate_pass(&call->to->way_back);
    if (value != NULL) {
        reply.value = kama_value_bytes(value);
        reply.version = kama_value_version(value);
        reply.etag_key = km_item_etag_key(value);
        reply.stamp = km_item_stamp(value);
    }
    if (status == KAMA_MISS) {
        reply.ttl_ms = call->get.absent_ttl_ms;
    }
    fake_reply(call, &reply);
    kama_value_unref(value);
}

static inline void fake_on_get(struct km_get_op *op, kama_status status,
                               kama_value *value, const char *sentence)
{
    fake_got(KM_CONTAINER_OF(op, struct fake_call, get), status, value,
             sentence);
}

static inline void fake_mutated(struct fake_call *call, kama_status status,
                                const char *sentence)
{
    struct km_owner_reply reply = {.outcome = call->mutate.outcome,
                                   .status = status,
                                   .text = sentence,
                                   .etag_key = call->mutate.etag_key,
                                   .unsynced = call->mutate.unsynced,
                                   .stamp = call->mutate.version};
    fake_reply(call, &reply);
}

static inline void fake_on_mutate(struct km_mutate_op *op, kama_status status,
                                  const char *sentence)
{
    fake_mutated(KM_CONTAINER_OF(op, struct fake_call, mutate), status,
                 sentence);
}

static inline void fake_text(char text[256], kama_status status)
{
    text[0] = '\0';
    if ((int)status < 0) {
        kama_last_error(text, 256);
    }
}

/* Returns how much time a request has, in ms, as its receiver is told. */
static inline int64_t fake_time_left(km_ns deadline)
{
    km_ns now = km_clock_mono(km_clock_system());
    return deadline > now + KM_NS_PER_MS
               ? (int64_t)((deadline - now) / KM_NS_PER_MS)
               : 1;
}

/* Carries a request out at the node that it has come to. */
static inline void fake_serve(struct fake_call *call)
{
    char text[256];
    kama_ctx ctx;
    kama_value *value = NULL;
    kama_ctx_init(&ctx);
    ctx.origin = KAMA_ORIGIN_PEER;
    if (call->fill != NULL) {
        call->get.done = fake_on_get;
        ctx.traceparent = call->fill->traceparent;
        ctx.flags = call->fill->effort == KM_FILL_PEEKS ? KAMA_NO_LOAD : 0;
        kama_status st = km_get_op_start(call->to->group, &call->get,
                                         call->fill->key, &ctx, &value);
        if (st == KAMA_MISS) {
            call->get.absent_ttl_ms =
                km_group_absent_ttl(call->to->group, call->fill->key);
        }
        if (st != KAMA_DEFERRED) {
            fake_text(text, st);
            fake_got(call, st, value, text);
        }
    } else if (call->mutation != NULL) {
        ctx.origin = KAMA_ORIGIN_CLIENT;
        ctx.deadline_ms = fake_time_left(call->mutation->deadline);
        const struct km_mutate_order order = {.kind = call->mutation->kind,
                                              .from = KM_MUTATE_FOR_PEER,
                                              .patience = KM_MUTATE_PARKS,
                                              .key = call->mutation->key,
                                              .value = call->mutation->value,
                                              .condition =
                                                  call->mutation->condition,
                                              .ttl_ms = call->mutation->ttl_ms,
                                              .ctx = &ctx};
        call->mutate.done = fake_on_mutate;
        kama_status st =
            km_mutate_op_start(call->to->group, &call->mutate, &order);
        if (st != KAMA_DEFERRED) {
            fake_text(text, st);
            fake_mutated(call, st, text);
        }
    } else {
        struct km_owner_reply reply = {.outcome = KM_OWNER_ANSWERED};
        reply.status =
            km_peek_op_start(call->to->group, &call->look, KM_MUTATE_REFUSES,
                             call->peek->key, &ctx, &reply.ttl_ms);
        fake_reply(call, &reply);
    }
}

/* Waits until the node has what the request needs. Returns false if that takes too long. */
static inline bool fake_has(const struct fake_call *call)
{
    struct fake_node *to = call->to;
    int64_t until = now_ms() + atomic_load(&to->fence_wait_ms);
    bool has = to->fence == NULL || call->mutation != NULL;
    while (!has && !to->fence->has(to, call->needs)) {
        struct timespec pause = {0, 200000};
        if (now_ms() >= until) {
            return false;
        }
        (void)nanosleep(&pause, NULL);
    }
    return true;
}

static inline void fake_arrive(struct km_job *job)
{
    struct fake_call *call = KM_CONTAINER_OF(job, struct fake_call, job);
    gate_pass(&call->to->wire);
    bool has = fake_has(call);
    struct km_owner_reply reply = {
        .outcome = (enum km_owner_outcome)atomic_load(&call->to->outcome),
        .status = KAMA_ERR_UNREACHABLE,
        .text = "node b: cannot connect"};
    if (!has) {
        reply.outcome = KM_OWNER_BEHIND;
    }
    if (reply.outcome != KM_OWNER_ANSWERED) {
        fake_reply(call, &reply);
    } else {
        fake_serve(call);
    }
}

static inline void fake_submit(struct fake_call *call)
{
    call->job.run = fake_arrive;
    assert_int_equal(km_pool_submit(call->from->cluster->wire, &call->job),
                     KAMA_OK);
}

/* -- the ops ------------------------------------------------------------- */

static inline void fake_ask(void *owner, uint32_t slot,
                            struct km_owner_answer *ret_answer)
{
    struct fake_node *node = owner;
    assert_true(slot < KM_OWNER_SLOTS);
    (void)pthread_mutex_lock(&node->lock);
    *ret_answer = node->answer;
    (void)pthread_mutex_unlock(&node->lock);
    if (ret_answer->peer != NULL) {
        atomic_fetch_add(&node->cluster->peer_refs, 1);
    }
}

static inline struct km_peer *fake_earlier(void *owner, uint32_t slot)
{
    struct fake_node *node = owner;
    struct fake_node *earlier = atomic_load(&node->earlier);
    assert_true(slot < KM_OWNER_SLOTS);
    if (earlier != NULL) {
        atomic_fetch_add(&node->cluster->peer_refs, 1);
    }
    return (struct km_peer *)earlier;
}

static inline struct km_peer *fake_next_ranked(void *owner, uint32_t slot,
                                               const struct km_peer *but)
{
    struct fake_node *node = owner;
    struct fake_node *next = atomic_load(&node->next);
    assert_true(slot < KM_OWNER_SLOTS);
    if (next == NULL || (const struct km_peer *)next == but) {
        return NULL;
    }
    atomic_fetch_add(&node->cluster->peer_refs, 1);
    return (struct km_peer *)next;
}

static inline void fake_release(void *owner, struct km_peer *peer)
{
    struct fake_node *node = owner;
    assert_non_null(peer);
    atomic_fetch_sub(&node->cluster->peer_refs, 1);
}

static inline void fake_fill(void *owner, struct km_list *fills)
{
    struct fake_node *node = owner;
    struct km_list *link;
    atomic_fetch_add(&node->fill_lists, 1);
    while ((link = km_list_pop_front(fills)) != NULL) {
        struct km_owner_fill *fill =
            KM_CONTAINER_OF(link, struct km_owner_fill, node);
        struct fake_call *call = fake_call_new(node, fill->peer);
        call->fill = fill;
        if (node->fence != NULL) {
            node->fence->needs(node, fill->floor, call->needs);
        }
        atomic_fetch_add(&node->fills, 1);
        atomic_fetch_add(&node->peeks, fill->effort == KM_FILL_PEEKS);
        fake_submit(call);
    }
}

static inline void fake_mutate(void *owner, struct km_list *mutations)
{
    struct fake_node *node = owner;
    struct km_list *link;
    atomic_fetch_add(&node->mutation_lists, 1);
    while ((link = km_list_pop_front(mutations)) != NULL) {
        struct km_owner_mutation *mutation =
            KM_CONTAINER_OF(link, struct km_owner_mutation, node);
        struct fake_call *call = fake_call_new(node, mutation->peer);
        call->mutation = mutation;
        atomic_fetch_add(&node->mutations, 1);
        atomic_store(&node->last_deadline, mutation->deadline);
        fake_submit(call);
    }
}

static inline void fake_peek(void *owner, struct km_list *peeks)
{
    struct km_list *link;
    while ((link = km_list_pop_front(peeks)) != NULL) {
        struct km_owner_peek *peek =
            KM_CONTAINER_OF(link, struct km_owner_peek, node);
        struct fake_node *node = owner;
        struct fake_call *call = fake_call_new(node, peek->peer);
        call->peek = peek;
        if (node->fence != NULL) {
            node->fence->needs(node, peek->floor, call->needs);
        }
        fake_submit(call);
    }
}

/* Looks every 2 ms whether the answers have changed. */
static inline void fake_look(struct km_timer *timer)
{
    struct fake_call *call = KM_CONTAINER_OF(timer, struct fake_call, timer);
    struct fake_node *node = call->from;
    km_ns now = km_clock_mono(km_clock_system());
    (void)pthread_mutex_lock(&node->lock);
    bool is_over =
        node->answer.change > call->wait->change || now >= call->wait->until;
    (void)pthread_mutex_unlock(&node->lock);
    if (!is_over) {
        assert_int_equal(
            km_pool_arm(node->cluster->wire, timer, km_ns_after_ms(now, 2)),
            KAMA_OK);
        return;
    }
    call->wait->changed(call->wait);
    atomic_fetch_sub(&node->cluster->calls, 1);
    free(call);
}

static inline void fake_wait(void *owner, struct km_owner_wait *wait)
{
    struct fake_node *node = owner;
    struct fake_call *call = fake_call_new(node, NULL);
    km_ns now = km_clock_mono(km_clock_system());
    atomic_store(&node->wait_ms,
                 wait->until > now ? (wait->until - now) / KM_NS_PER_MS : 0);
    atomic_fetch_add(&node->cluster->waits, 1);
    call->wait = wait;
    call->timer.fire = fake_look;
    assert_int_equal(km_pool_arm(node->cluster->wire, &call->timer, 1),
                     KAMA_OK);
}

static inline void fake_clear_job(struct km_job *job)
{
    struct fake_call *call = KM_CONTAINER_OF(job, struct fake_call, job);
    struct fake_cluster *c = call->from->cluster;
    const char *unreached[FAKE_NODES];
    size_t count = 0;
    for (unsigned i = 0; i < FAKE_NODES; i++) {
        struct fake_node *node = &c->nodes[i];
        if (node == call->from) {
            continue;
        }
        if (atomic_load(&node->outcome) != KM_OWNER_ANSWERED) {
            unreached[count++] = node->name;
        } else {
            km_group_clear_here(node->group);
        }
    }
    call->clear->done(call->clear, KAMA_OK, "", unreached, count);
    free(call);
    atomic_fetch_sub(&c->calls, 1);
}

static inline void fake_clear(void *owner, struct km_owner_clear *clear)
{
    struct fake_node *node = owner;
    struct fake_call *call = fake_call_new(node, NULL);
    call->clear = clear;
    call->job.run = fake_clear_job;
    atomic_fetch_add(&node->clears, 1);
    assert_int_equal(km_pool_submit(node->cluster->wire, &call->job), KAMA_OK);
}

static inline bool fake_answers(void *owner, const struct km_peer *peer)
{
    const struct fake_node *to = (const void *)peer;
    (void)owner;
    return atomic_load(&to->outcome) != KM_OWNER_UNREACHABLE;
}

static inline const char *fake_address(void *owner, const struct km_peer *peer)
{
    (void)owner;
    return ((const struct fake_node *)peer)->name;
}

static const struct km_owner_ops fake_ops = {.ask = fake_ask,
                                             .earlier = fake_earlier,
                                             .next = fake_next_ranked,
                                             .release = fake_release,
                                             .fill = fake_fill,
                                             .mutate = fake_mutate,
                                             .peek = fake_peek,
                                             .wait = fake_wait,
                                             .clear = fake_clear,
                                             .address = fake_address,
                                             .answers = fake_answers};

/* -- life and orders ------------------------------------------------------- */

/* Says who owns all keys, as the node sees it from now on. The adoption stays. */
static inline void fake_own(struct fake_node *node, enum km_owner_place place,
                            struct fake_node *peer)
{
    (void)pthread_mutex_lock(&node->lock);
    node->answer.place = place;
    node->answer.peer = (struct km_peer *)peer;
    node->answer.change++;
    (void)pthread_mutex_unlock(&node->lock);
}

/* Adopts another view, in which the node has lost all slots or none. */
enum fake_lost { FAKE_LOSES_NOTHING, FAKE_LOSES_ALL };
static inline void fake_adopt(struct fake_node *node, enum km_owner_place place,
                              struct fake_node *peer, enum fake_lost lost)
{
    struct km_group_sweep sweep = {0};
    (void)pthread_mutex_lock(&node->lock);
    node->answer.place = place;
    node->answer.peer = (struct km_peer *)peer;
    node->answer.change++;
    uint64_t adoption = ++node->answer.adoption;
    (void)pthread_mutex_unlock(&node->lock);
    km_group_adopt(node->group, adoption,
                   lost == FAKE_LOSES_ALL ? &node->lost : NULL);
    while (km_group_sweep(node->group, &sweep)) {
    }
}

/* Makes the options of every node's group; may be changed by the test. */
static inline void fake_options(struct fake_cluster *c,
                                kama_group_options *ret_options)
{
    kama_group_options_init(ret_options);
    ret_options->name = "test";
    ret_options->sync = "owner";
    ret_options->loader_timeout_ms = 30000;
    ret_options->loader = script_load;
    ret_options->loader_free = script_free;
    ret_options->allocator = &c->probe.allocator;
}

static inline void fake_node_open(struct fake_cluster *c, unsigned i,
                                  const kama_group_options *options)
{
    static const char *const names[] = {"a:1", "b:1", "c:1"};
    struct fake_node *node = &c->nodes[i];
    kama_group_options own = *options;
    node->name = names[i];
    node->cluster = c;
    node->owner = (struct km_owner){.ops = &fake_ops, .arg = node};
    node->answer.text = "this node is behind";
    node->answer.refusal = KAMA_ERR_TRY_AGAIN;
    node->answer.hope = KM_OWNER_HOPEFUL;
    memset(&node->lost, 0xff, sizeof node->lost);
    (void)pthread_mutex_init(&node->lock, NULL);
    gate_init(&node->wire);
    gate_init(&node->way_back);
    gate_init(&node->script.gate);
    own.loader_arg = &node->script;
    assert_int_equal(km_pool_new(&c->probe.allocator, km_clock_system(), "node",
                                 2, &node->pool),
                     KAMA_OK);
    const struct km_group_env env = {
        .pool = node->pool, .owner = node->owner, .sync = node->sync};
    assert_int_equal(km_group_new(&own, &env, &node->group), KAMA_OK);
}

/* Makes three nodes, of which the second owns all keys. */
static inline void fake_open_with(struct fake_cluster *c,
                                  const kama_group_options *options)
{
    assert_int_equal(km_pool_new(NULL, km_clock_system(), "wire", 16, &c->wire),
                     KAMA_OK);
    for (unsigned i = 0; i < FAKE_NODES; i++) {
        fake_node_open(c, i, options);
    }
    fake_own(&c->nodes[0], KM_OWNER_PEER, &c->nodes[1]);
    fake_own(&c->nodes[1], KM_OWNER_HERE, NULL);
    fake_own(&c->nodes[2], KM_OWNER_PEER, &c->nodes[1]);
}

static inline struct fake_cluster *fake_new(void)
{
    struct fake_cluster *c = test_calloc(1, sizeof *c);
    km_mem_probe_init(&c->probe);
    return c;
}

static inline struct fake_cluster *fake_open(void)
{
    struct fake_cluster *c = fake_new();
    kama_group_options options;
    fake_options(c, &options);
    fake_open_with(c, &options);
    return c;
}

/* Checks every group, frees all, and looks for memory and peers that were not
 * given back. */
static inline void fake_close(struct fake_cluster *c)
{
    AWAIT(atomic_load(&c->calls) == 0);
    for (unsigned i = 0; i < FAKE_NODES; i++) {
        km_group_check(c->nodes[i].group);
        AWAIT(km_group_counts_fit(c->nodes[i].group));
        km_group_free(c->nodes[i].group);
        km_pool_free(c->nodes[i].pool);
        (void)pthread_mutex_destroy(&c->nodes[i].lock);
    }
    km_pool_free(c->wire);
    assert_int_equal(atomic_load(&c->peer_refs), 0);
    assert_int_equal(atomic_load(&c->probe.live_blocks), 0);
    test_free(c);
}

static inline kama_group_stats fake_stats(struct fake_node *node)
{
    kama_group_stats s;
    kama_group_stats_get(node->group, &s);
    return s;
}
