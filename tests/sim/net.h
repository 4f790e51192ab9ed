/* SPDX-License-Identifier: MIT */
/*
 * A virtual network for several struct km_peers in one world (sim/world.h): lanes,
 * links and calls. Nothing sleeps, and the same seed gives the same run. Events of
 * the network that are due at one time run in the order in which they were posted.
 *
 *     sim_net_init(&net, &world, mem);
 *     sim_net_node(&net, 0, "a:1", &transport);     a node with its transport
 *     net.serve = serve;                            answers the calls
 *     sim_net_run(&net, 2 * KM_NS_PER_S);           lets two seconds pass
 *     sim_net_fini(&net);
 *
 * A call takes a delay to its peer and one back. A node can be down (connections
 * are refused), silent (nothing arrives at it and nothing comes from it), its
 * connections can be cut, and one direction between two nodes can be blocked. A
 * server may answer a call later (sim_answer_later, sim_answer_now).
 *
 * A node can stand still until a time, as a process does that was stopped by a
 * signal: what arrives for it waits, and runs when it goes on. Its timers wait too
 * if they are in a heap of its own, which whoever runs the world looks after.
 *
 * Threads: one. Errors: the memory of the network itself is malloc's, which must
 * not fail. Ownership: the network owns events and links.
 */
#pragma once

#include "base/assert.h"
#include "base/buf.h"
#include "base/container.h"
#include "base/list.h"
#include "peers/transport.h"
#include "sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIM_NODES 64
#define SIM_LANES 3
#define SIM_MESSAGES 16

struct sim_net;

enum sim_health { SIM_DOWN, SIM_UP, SIM_SILENT };

struct sim_node {
    struct sim_net *net;
    unsigned index;
    const char *address;
    enum sim_health health;
    struct km_list links;
    int64_t clock_skew_ms;
    km_ns far;                  /* what each message takes longer */
    km_ns busy;                 /* what its computations take longer */
    km_ns still_until;          /* the node stands still until then */
    struct km_timer_heap *heap; /* of its timers; NULL: that of the world */
};

struct sim_event {
    struct km_list node;
    km_ns at;
    void (*run)(void *a, void *b);
    void *a;
    void *b;
    const struct sim_node *on; /* the node that runs it; NULL: none does */
};

/* What a node answers to one call: messages, and then its end. */
struct sim_answer {
    struct km_buf messages[SIM_MESSAGES];
    unsigned count;
    kama_status status;
    const char *text;
    km_ns after; /* how long it takes */
    bool never;  /* no answer at all */
    struct sim_call *call;
};

struct sim_net {
    struct sim_world *world;
    struct km_list events; /* by time */
    struct km_timer timer; /* the first event */
    struct sim_node nodes[SIM_NODES];
    km_ns delay;
    km_ns delay_spread;
    km_ns compute;
    km_ns answers_late; /* how much longer answers take that were put off */
    const kama_allocator *mem;          /* of links */
    unsigned calls;                     /* that have arrived, Hello aside */
    unsigned links;                     /* that are open */
    bool blocked[SIM_NODES][SIM_NODES]; /* [from][to] */
    void *arg;
    void (*serve)(struct sim_net *net, struct sim_node *to, const char *path,
                  kama_bytes message, struct sim_answer *answer);
};

struct km_link {
    struct sim_node *from;
    const char *address;
    char text[64];
    struct km_list node;
    struct km_list calls;
};

/* A call; it lives until its last event has run. */
struct sim_call {
    struct km_list node;
    struct km_link_call *call; /* NULL when it has ended */
    struct sim_net *net;
    struct sim_node *from;
    struct km_buf request;
    struct sim_answer answer;
    struct km_timer timer;
    unsigned events;
    bool sent;
    enum km_link_end end;
    char path[64];
    char address[64];
};

/* -- events ---------------------------------------------------------------- */

static inline km_ns sim_net_now(const struct sim_net *net)
{
    return net->world->now;
}

static inline void sim_net_arm(struct sim_net *net)
{
    const struct km_list *first = km_list_first(&net->events);
    km_timer_heap_remove(&net->world->heap, &net->timer);
    if (first != NULL) {
        km_timer_heap_add(&net->world->heap, &net->timer,
                          KM_CONTAINER_OF(first, struct sim_event, node)->at);
    }
}

/* Puts an event behind those that are due at the same time. */
static inline void sim_put_event(struct sim_net *net, struct sim_event *event)
{
    struct km_list *place = net->events.prev;
    while (place != &net->events &&
           KM_CONTAINER_OF(place, struct sim_event, node)->at > event->at) {
        place = place->prev;
    }
    km_list_insert_before(place->next, &event->node);
    sim_net_arm(net);
}

/* Runs the event that was posted first of those that are due. The events of a
 * node that stands still keep their order. */
static inline void sim_net_on_timer(struct km_timer *timer)
{
    struct sim_net *net = KM_CONTAINER_OF(timer, struct sim_net, timer);
    struct sim_event *event = KM_CONTAINER_OF(km_list_pop_front(&net->events),
                                              struct sim_event, node);
    if (event->on != NULL && event->on->still_until > sim_net_now(net)) {
        event->at = event->on->still_until;
        sim_put_event(net, event);
        return;
    }
    sim_net_arm(net);
    event->run(event->a, event->b);
    free(event);
}

/* Lets a node run something at a time. on: NULL if it happens to the world. */
static inline void sim_at_node(struct sim_net *net, const struct sim_node *on,
                               km_ns at, void (*run)(void *a, void *b), void *a,
                               void *b)
{
    struct sim_event *event = malloc(sizeof *event);
    KM_ASSERT(event != NULL);
    *event = (struct sim_event){.at = at, .run = run, .a = a, .b = b, .on = on};
    sim_put_event(net, event);
}

static inline void sim_at(struct sim_net *net, km_ns at,
                          void (*run)(void *a, void *b), void *a, void *b)
{
    sim_at_node(net, NULL, at, run, a, b);
}

static inline struct km_timer_heap *sim_heap(const struct sim_node *node)
{
    return node->heap != NULL ? node->heap : &node->net->world->heap;
}

/* Runs what is due until the time has passed. */
static inline void sim_net_run(struct sim_net *net, km_ns span)
{
    sim_run_for(net->world, span);
}

static inline km_ns sim_delay(struct sim_net *net)
{
    return net->delay + (net->delay_spread > 0
                             ? sim_random(net->world) % net->delay_spread
                             : 0);
}

/* The way between the two nodes of a call. */
static inline km_ns sim_way(const struct sim_node *from,
                            const struct sim_node *to)
{
    return sim_delay(from->net) + from->far + (to != NULL ? to->far : 0);
}

/* -- calls ----------------------------------------------------------------- */

static inline void sim_call_drop(struct sim_call *c)
{
    if (c->events > 0 || c->call != NULL) {
        return;
    }
    for (unsigned i = 0; i < c->answer.count; i++) {
        km_buf_fini(&c->answer.messages[i]);
    }
    km_buf_fini(&c->request);
    free(c);
}

static inline void sim_call_end(struct sim_call *c, enum km_link_end end,
                                kama_status status, const char *text)
{
    struct km_link_call *call = c->call;
    if (call == NULL) {
        return;
    }
    c->call = NULL;
    call->use[0] = NULL;
    km_list_remove(&c->node);
    km_timer_heap_remove(sim_heap(c->from), &c->timer);
    call->on_end(call, end, status, text);
}

static inline void sim_on_end_event(void *a, void *b)
{
    struct sim_call *c = a;
    (void)b;
    c->events--;
    sim_call_end(c, c->end,
                 c->end == KM_LINK_LATE ? KAMA_ERR_TIMEOUT
                                        : KAMA_ERR_DISCONNECTED,
                 c->end == KM_LINK_UNREACHABLE ? "connection refused"
                                               : "the connection was lost");
    sim_call_drop(c);
}

static inline void sim_call_end_soon(struct sim_call *c, enum km_link_end end)
{
    c->end = end;
    c->events++;
    sim_at_node(c->net, c->from, sim_net_now(c->net), sim_on_end_event, c,
                NULL);
}

static inline struct sim_node *sim_find(struct sim_net *net,
                                        const char *address)
{
    struct sim_node *found = NULL;
    for (unsigned i = 0; i < SIM_NODES; i++) {
        if (net->nodes[i].address != NULL &&
            strcmp(net->nodes[i].address, address) == 0) {
            found = &net->nodes[i];
            if (found->health != SIM_DOWN) {
                break;
            }
        }
    }
    return found;
}

static inline void sim_on_answer(void *a, void *b)
{
    struct sim_call *c = a;
    (void)b;
    c->events--;
    struct sim_node *to = sim_find(c->net, c->address);
    if (to == NULL || to->health == SIM_SILENT || c->from->health != SIM_UP ||
        c->net->blocked[to->index][c->from->index]) {
        sim_call_drop(c);
        return;
    }
    for (unsigned i = 0; i < c->answer.count && c->call != NULL; i++) {
        c->call->on_message(c->call, km_buf_bytes(&c->answer.messages[i]));
    }
    sim_call_end(c, KM_LINK_ANSWERED, c->answer.status,
                 c->answer.text != NULL ? c->answer.text : "");
    sim_call_drop(c);
}

static inline void sim_on_arrival(void *a, void *b)
{
    struct sim_call *c = a;
    struct sim_net *net = c->net;
    struct sim_node *to = sim_find(net, c->address);
    (void)b;
    if (to != NULL && to->still_until > sim_net_now(net)) {
        sim_at_node(net, to, to->still_until, sim_on_arrival, c, NULL);
        return;
    }
    c->events--;
    if (to == NULL || to->health != SIM_UP || c->from->health != SIM_UP ||
        net->blocked[c->from->index][to->index]) {
        sim_call_drop(c);
        return;
    }
    c->answer.call = c;
    net->calls += strstr(c->path, "/Hello") == NULL;
    net->serve(net, to, c->path, km_buf_bytes(&c->request), &c->answer);
    if (!c->answer.never) {
        c->events++;
        sim_at_node(net, c->from,
                    sim_net_now(net) + c->answer.after + sim_way(c->from, to),
                    sim_on_answer, c, NULL);
    }
    sim_call_drop(c);
}

/* The server answers later: called by `serve`. */
static inline void sim_answer_later(struct sim_answer *answer)
{
    answer->never = true;
    answer->call->events++;
}

/* The answer is complete. Its caller may have left meanwhile. */
static inline void sim_answer_now(struct sim_answer *answer)
{
    struct sim_call *c = answer->call;
    sim_at_node(c->net, c->from,
                sim_net_now(c->net) + c->net->answers_late +
                    sim_way(c->from, sim_find(c->net, c->address)),
                sim_on_answer, c, NULL);
}

static inline void sim_on_deadline(struct km_timer *timer)
{
    struct sim_call *c = KM_CONTAINER_OF(timer, struct sim_call, timer);
    sim_call_end(c, c->sent ? KM_LINK_LATE : KM_LINK_UNREACHABLE,
                 KAMA_ERR_TIMEOUT, "deadline exceeded");
    sim_call_drop(c);
}

static inline void sim_call(struct km_link *link, struct km_link_call *call)
{
    struct sim_net *net = link->from->net;
    struct sim_node *to = sim_find(net, link->address);
    struct sim_call *c = calloc(1, sizeof *c);
    KM_ASSERT(c != NULL);
    c->call = call;
    c->net = net;
    c->from = link->from;
    (void)snprintf(c->path, sizeof c->path, "%s", call->path);
    (void)snprintf(c->address, sizeof c->address, "%s", link->address);
    km_buf_init(&c->request, km_mem_default(), SIZE_MAX);
    kama_bytes body = call->body != NULL ? kama_value_bytes(call->body)
                                         : kama_bytes_make(NULL, 0);
    KM_ASSERT(km_buf_append(&c->request, call->head.data, call->head.len) ==
              KAMA_OK);
    KM_ASSERT(km_buf_append(&c->request, body.data, body.len) == KAMA_OK);
    call->use[0] = c;
    km_list_push_back(&link->calls, &c->node);
    if (to == NULL || to->health == SIM_DOWN ||
        link->from->health == SIM_DOWN) {
        sim_call_end_soon(c, KM_LINK_UNREACHABLE);
        return;
    }
    c->sent = true;
    c->timer.fire = sim_on_deadline;
    km_timer_heap_add(sim_heap(c->from), &c->timer, call->deadline);
    c->events++;
    sim_at(net, sim_net_now(net) + sim_way(c->from, to), sim_on_arrival, c,
           NULL);
}

static inline void sim_cancel(struct km_link_call *call)
{
    struct sim_call *c = call->use[0];
    if (c != NULL) {
        sim_call_end_soon(c, c->sent ? KM_LINK_CANCELLED : KM_LINK_UNREACHABLE);
    }
}

/* Ends the calls of a link with the loss of their connection. */
static inline void sim_link_cut(struct km_link *link, enum km_link_end end)
{
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &link->calls) {
        struct sim_call *c = KM_CONTAINER_OF(node, struct sim_call, node);
        sim_call_end_soon(c, c->sent ? end : KM_LINK_UNREACHABLE);
    }
}

static inline kama_status sim_open(void *arg, unsigned lane,
                                   const char *address,
                                   struct km_link **ret_link)
{
    struct sim_node *node = arg;
    struct km_link *link = km_mem_zalloc(node->net->mem, 1, sizeof *link);
    (void)lane;
    if (link == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    link->from = node;
    (void)snprintf(link->text, sizeof link->text, "%s", address);
    link->address = link->text;
    km_list_init(&link->calls);
    km_list_push_back(&node->links, &link->node);
    node->net->links++;
    *ret_link = link;
    return KAMA_OK;
}

/* The calls are on their own from here on. */
static inline void sim_close(struct km_link *link)
{
    struct sim_net *net = link->from->net;
    struct km_list *node;
    sim_link_cut(link, KM_LINK_CANCELLED);
    while ((node = km_list_pop_front(&link->calls)) != NULL) {
    }
    km_list_remove(&link->node);
    net->links--;
    km_mem_free(net->mem, link);
}

/* -- the rest of the transport --------------------------------------------- */

static inline unsigned sim_lane_count(void *arg)
{
    (void)arg;
    return SIM_LANES;
}

static inline unsigned sim_pick(void *arg)
{
    (void)arg;
    return 1;
}

static inline void sim_on_job(void *a, void *b)
{
    struct km_lane_job *job = a;
    (void)b;
    job->run(job);
}

static inline void sim_post_job(void *arg, unsigned lane,
                                struct km_lane_job *job)
{
    struct sim_node *node = arg;
    (void)lane;
    sim_at_node(node->net, node, sim_net_now(node->net), sim_on_job, job, NULL);
}

static inline void sim_on_computed(void *a, void *b)
{
    struct km_lane_job *job = a;
    struct km_lane_job *then = b;
    job->run(job);
    then->run(then);
}

static inline void sim_compute(void *arg, struct km_lane_job *job,
                               struct km_lane_job *then)
{
    struct sim_node *node = arg;
    sim_at_node(node->net, node,
                sim_net_now(node->net) + node->net->compute + node->busy,
                sim_on_computed, job, then);
}

static inline km_ns sim_now(void *arg)
{
    return sim_net_now(((struct sim_node *)arg)->net);
}

static inline uint64_t sim_wall_ms(void *arg)
{
    struct sim_node *node = arg;
    return (uint64_t)((int64_t)(1700000000000u +
                                sim_net_now(node->net) / KM_NS_PER_MS) +
                      node->clock_skew_ms);
}

static inline void sim_disarm(void *arg, unsigned lane, struct km_timer *timer)
{
    (void)lane;
    if (timer->at != 0) {
        km_timer_heap_remove(sim_heap(arg), timer);
    }
}

static inline void sim_arm_timer(void *arg, unsigned lane,
                                 struct km_timer *timer, km_ns at)
{
    sim_disarm(arg, lane, timer);
    km_timer_heap_add(sim_heap(arg), timer, at);
}

static const struct km_transport_ops sim_transport_ops = {
    .lane_count = sim_lane_count,
    .pick = sim_pick,
    .post = sim_post_job,
    .compute = sim_compute,
    .now = sim_now,
    .wall_ms = sim_wall_ms,
    .arm = sim_arm_timer,
    .disarm = sim_disarm,
    .open = sim_open,
    .close = sim_close,
    .call = sim_call,
    .cancel = sim_cancel,
};

/* -- the network ----------------------------------------------------------- */

static inline void sim_net_init(struct sim_net *net, struct sim_world *world,
                                const kama_allocator *mem)
{
    *net = (struct sim_net){.world = world,
                            .delay = KM_NS_PER_MS,
                            .compute = 5 * KM_NS_PER_MS,
                            .mem = mem,
                            .timer.fire = sim_net_on_timer};
    km_list_init(&net->events);
}

static inline void sim_net_node(struct sim_net *net, unsigned index,
                                const char *address,
                                struct km_transport *ret_transport)
{
    struct sim_node *node = &net->nodes[index];
    *node = (struct sim_node){
        .net = net, .index = index, .address = address, .health = SIM_UP};
    km_list_init(&node->links);
    *ret_transport =
        (struct km_transport){.ops = &sim_transport_ops, .arg = node};
}

/* Cuts all connections to a node. */
static inline void sim_net_cut(struct sim_net *net, const char *address)
{
    for (unsigned i = 0; i < SIM_NODES; i++) {
        struct km_list *node;
        struct km_list *tmp;
        if (net->nodes[i].address == NULL) {
            continue;
        }
        KM_LIST_FOREACH(node, tmp, &net->nodes[i].links) {
            struct km_link *link = KM_CONTAINER_OF(node, struct km_link, node);
            if (strcmp(link->address, address) == 0) {
                sim_link_cut(link, KM_LINK_LOST);
            }
        }
    }
}

/* Everything has ended. */
static inline void sim_net_fini(struct sim_net *net)
{
    struct km_list *first;
    km_timer_heap_remove(&net->world->heap, &net->timer);
    while ((first = km_list_pop_front(&net->events)) != NULL) {
        free(KM_CONTAINER_OF(first, struct sim_event, node));
    }
    KM_ASSERT(net->links == 0);
}
