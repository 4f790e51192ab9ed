/* SPDX-License-Identifier: MIT */
/*
 * Several nodes with their logs, their streams and real groups, in one thread on a
 * virtual network and clock (sim/world.h). Nothing sleeps, and a seed gives the same run.
 *
 *     struct world *w = world_new(seed, 3);        three members that know each other
 *     set(&w->nodes[0], 7);                         key 7, with a value of its own
 *     world_run(w, KM_NS_PER_S);
 *     check_all_equal(w);                           every node has it
 *     world_free(w);
 *
 * A wire is one stream between two nodes: messages go through it in order, each with a
 * delay. It can be cut, which loses what is on its way, and a direction between two nodes
 * can be blocked, which delays everything for as long as it is.
 *
 * The world writes down every mutation, so that it knows the one with the largest version
 * of each key: when the streams are idle, a node shows that one or nothing.
 *
 * Threads: one. Errors: the test fails. Ownership: the world owns everything.
 */
#pragma once

#include "base/bytes.h"
#include "base/container.h"
#include "base/log.h"
#include "base/pool.h"
#include "group/clear_op.h"
#include "group/group.h"
#include "group/group_internal.h"
#include "sim/world.h"
#include "sync/acks.h"
#include "sync/members.h"
#include "sync/sender.h"
#include "sync/sync_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NODES 6
#define KEYS 40
#define GROUPS 2
#define DELAY (KM_NS_PER_MS / 2)

struct world;

struct node {
    struct world *world;
    unsigned index;
    bool is_up;
    char address[16];
    struct km_member_id id;
    int64_t skew_ms;
    struct km_clock clock;
    struct km_mem_probe probe; /* of log, origins and streams */
    struct km_pool *pool;
    struct km_sync_log *log;
    struct km_sync_origins *origins;
    struct km_sync *sync;
    kama_group *groups[GROUPS];
    uint32_t numbers[GROUPS];
    unsigned hidden; /* groups that the streams do not find: bits */
    const char *strategies[GROUPS]; /* NULL: "broadcast" */
    bool slow;                      /* its network takes nothing */
    unsigned drops_to;              /* nodes that are sent no values: bits */
    unsigned invalidations;
    unsigned goodbyes;
    unsigned lines;
    char last_line[256];
};

enum side { CALLER, CALLED };

/* A stream. */
struct wire {
    struct km_list node;
    struct world *world;
    struct node *from;
    struct node *to;         /* NULL: nobody listens there */
    struct km_sync_out *out; /* NULL: closed on this side */
    struct km_sync_in *in;
    bool is_blocked_out; /* can_send has said no */
    size_t queued;       /* bytes on their way to `to` */
    unsigned on_way;
    /* By the side that has sent the messages: */
    km_ns last[2]; /* when the last one arrives */
    uint64_t posted[2];
    uint64_t arrived[2];
    unsigned epoch; /* changes when what is on its way is lost */
};

/* A message on its way. */
struct flight {
    struct wire *wire;
    enum side from;
    unsigned epoch;
    uint64_t number; /* messages arrive in their order */
    enum { OPEN, MESSAGE, END } what;
    kama_status status;
    size_t len;
    uint8_t bytes[];
};

struct best {
    struct km_version version;
    unsigned counter; /* of the value; 0: there is none */
};

struct world {
    struct sim_world sim;
    struct km_list wires;
    struct node nodes[NODES];
    unsigned count;
    struct km_member members[NODES]; /* the registry */
    size_t member_count;
    uint64_t joins;
    bool blocked[NODES][NODES]; /* [from][to] */
    unsigned counter;
    struct best best[GROUPS][KEYS];
    uint64_t originated;
    size_t queued_max;
    uint64_t bytes; /* that were sent by callers */
    uint64_t frames;
    uint64_t replies;
    uint64_t reply_bytes;
    km_ns spread;        /* of delays */
    struct node *acting; /* whose mutation is being made */
    unsigned acting_group;
    int acting_key; /* -1: a clear */
    unsigned acting_counter;
    size_t ring_bytes;
    bool
        has_no_loader; /* the groups keep what a departed member knew more of */
};

/* -- time ---------------------------------------------------------------------------- */

static inline km_ns node_mono(void *arg)
{
    return ((struct node *)arg)->world->sim.now;
}

static inline uint64_t node_wall(void *arg)
{
    struct node *n = arg;
    return 1700000000000u + n->world->sim.now / KM_NS_PER_MS +
           (uint64_t)n->skew_ms;
}

static inline void env_arm(void *arg, struct km_timer *timer, km_ns at)
{
    struct node *n = arg;
    km_timer_heap_add(&n->world->sim.heap, timer, at);
}

static inline void env_disarm(void *arg, struct km_timer *timer)
{
    struct node *n = arg;
    km_timer_heap_remove(&n->world->sim.heap, timer);
}

/* -- the network ------------------------------------------------------------------------ */

static inline void arrive(void *arg);

static inline void post_flight(struct wire *wire, enum side from, int what,
                               kama_status status, kama_bytes bytes)
{
    struct world *w = wire->world;
    struct flight *f = malloc(sizeof *f + bytes.len);
    assert_non_null(f);
    *f = (struct flight){.wire = wire,
                         .from = from,
                         .epoch = wire->epoch,
                         .number = wire->posted[from]++,
                         .what = what,
                         .status = status,
                         .len = bytes.len};
    if (bytes.len > 0) {
        memcpy(f->bytes, bytes.data, bytes.len);
    }
    km_ns at = w->sim.now + DELAY + sim_between(&w->sim, 0, w->spread);
    at = at > wire->last[from] ? at : wire->last[from] + 1;
    wire->last[from] = at;
    wire->on_way++;
    sim_post(&w->sim, at - w->sim.now, arrive, f);
}

static inline struct node *node_at(struct world *w, const char *address)
{
    for (unsigned i = 0; i < w->count; i++) {
        if (strcmp(w->nodes[i].address, address) == 0) {
            return &w->nodes[i];
        }
    }
    return NULL;
}

static inline kama_status env_dial(void *arg, struct km_sync_out *out,
                                   const char *address, void **ret_use)
{
    struct node *n = arg;
    struct wire *wire = test_calloc(1, sizeof *wire);
    wire->world = n->world;
    wire->from = n;
    wire->to = node_at(n->world, address);
    wire->out = out;
    km_list_push_back(&n->world->wires, &wire->node);
    post_flight(wire, CALLER, OPEN, KAMA_OK, KM_LIT(""));
    *ret_use = wire;
    return KAMA_OK;
}

static inline kama_status env_send(void *arg, void *use, kama_bytes head,
                                   kama_value *body)
{
    struct wire *wire = use;
    struct world *w = wire->world;
    assert_ptr_equal(arg, wire->from);
    assert_null(body);
    assert_true(head.len <= KM_SYNC_FRAME_BYTES + 512);
    wire->queued += head.len;
    w->bytes += head.len;
    w->frames++;
    if (wire->queued > w->queued_max) {
        w->queued_max = wire->queued;
    }
    post_flight(wire, CALLER, MESSAGE, KAMA_OK, head);
    return KAMA_OK;
}

static inline bool env_can_send(void *arg, void *use)
{
    struct node *n = arg;
    struct wire *wire = use;
    bool can = !n->slow && wire->queued < KM_SYNC_QUEUED_BYTES;
    wire->is_blocked_out |= !can;
    return can;
}

static inline void env_hang_up(void *arg, void *use)
{
    struct wire *wire = use;
    assert_ptr_equal(arg, wire->from);
    assert_non_null(wire->out);
    wire->out = NULL;
    post_flight(wire, CALLER, END, KAMA_OK, KM_LIT(""));
}

static inline void env_reply(void *arg, void *in_use, kama_bytes message)
{
    struct wire *wire = in_use;
    assert_ptr_equal(arg, wire->to);
    wire->world->replies++;
    wire->world->reply_bytes += message.len;
    post_flight(wire, CALLED, MESSAGE, KAMA_OK, message);
}

static inline void free_in(void *arg)
{
    struct flight *f = arg;
    struct wire *wire = f->wire;
    wire->on_way--;
    free(f);
    if (wire->in != NULL) {
        km_sync_in_free(wire->in);
        wire->in = NULL;
    }
}

/* The structure is freed a moment later, as by a network with a thread of its own. */
static inline void env_refuse(void *arg, void *in_use, kama_status status,
                              const char *text)
{
    struct wire *wire = in_use;
    assert_ptr_equal(arg, wire->to);
    assert_non_null(text);
    post_flight(wire, CALLED, END, status, KM_LIT(""));
    struct flight *f = calloc(1, sizeof *f);
    f->wire = wire;
    wire->on_way++;
    sim_post(&wire->world->sim, 1, free_in, f);
}

static inline bool is_blocked(const struct flight *f)
{
    const struct wire *wire = f->wire;
    if (wire->to == NULL) {
        return false;
    }
    unsigned a = wire->from->index;
    unsigned b = wire->to->index;
    return f->from == CALLER ? wire->world->blocked[a][b]
                             : wire->world->blocked[b][a];
}

static inline void close_caller(struct wire *wire, kama_status status)
{
    struct km_sync_out *out = wire->out;
    wire->out = NULL;
    if (out != NULL) {
        km_sync_out_closed(out, status, "");
    }
}

static inline void close_called(struct wire *wire)
{
    if (wire->in != NULL) {
        km_sync_in_free(wire->in);
        wire->in = NULL;
    }
}

static inline void arrive_called(struct wire *wire, const struct flight *f)
{
    switch (f->what) {
    case OPEN:
        if (wire->to == NULL || !wire->to->is_up) {
            post_flight(wire, CALLED, END, KAMA_ERR_UNREACHABLE, KM_LIT(""));
        } else {
            wire->in = km_sync_in_new(wire->to->sync, wire);
        }
        break;
    case MESSAGE:
        wire->queued -= f->len;
        if (wire->in != NULL) {
            km_sync_in_message(wire->in, kama_bytes_make(f->bytes, f->len));
        }
        if (wire->is_blocked_out && wire->out != NULL && !wire->from->slow &&
            wire->queued < KM_SYNC_QUEUED_BYTES) {
            wire->is_blocked_out = false;
            km_sync_out_writable(wire->out);
        }
        break;
    case END:
        close_called(wire);
        break;
    }
}

static inline void arrive_caller(struct wire *wire, const struct flight *f)
{
    if (f->what == MESSAGE && wire->out != NULL) {
        km_sync_out_message(wire->out, kama_bytes_make(f->bytes, f->len));
    } else if (f->what == END) {
        close_caller(wire, f->status);
    }
}

static inline void arrive(void *arg)
{
    struct flight *f = arg;
    struct wire *wire = f->wire;
    if (f->epoch == wire->epoch &&
        (is_blocked(f) || f->number != wire->arrived[f->from])) {
        sim_post(&wire->world->sim, 10 * KM_NS_PER_MS, arrive, f);
        return;
    }
    wire->on_way--;
    if (f->epoch == wire->epoch) {
        wire->arrived[f->from]++;
        if (f->from == CALLER) {
            arrive_called(wire, f);
        } else {
            arrive_caller(wire, f);
        }
    }
    free(f);
}

/* Breaks all streams between two nodes; what is on its way is lost. */
static inline void cut(struct world *w, unsigned a, unsigned b)
{
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &w->wires) {
        struct wire *wire = KM_CONTAINER_OF(node, struct wire, node);
        if (wire->to == NULL ||
            !((wire->from->index == a && wire->to->index == b) ||
              (wire->from->index == b && wire->to->index == a)) ||
            (wire->out == NULL && wire->in == NULL)) {
            continue;
        }
        wire->epoch++;
        memcpy(wire->arrived, wire->posted, sizeof wire->arrived);
        wire->queued = 0;
        wire->is_blocked_out = false;
        close_called(wire);
        close_caller(wire, KAMA_ERR_DISCONNECTED);
    }
}

/* Messages that were blocked must not be overtaken by later ones. */
static inline void block(struct world *w, unsigned a, unsigned b, bool blocked)
{
    w->blocked[a][b] = blocked;
}

/* -- the node of a group ------------------------------------------------------------------- */

static inline void note_best(struct world *w, unsigned group, unsigned key,
                             struct km_version v, unsigned counter)
{
    struct best *best = &w->best[group][key];
    if (km_version_compare(v, best->version) > 0) {
        *best = (struct best){.version = v, .counter = counter};
    }
}

static inline enum km_sync_role on_enter(void *arg,
                                         struct km_snapshot_reader *reader)
{
    (void)arg;
    (void)reader;
    return KM_SYNC_ORIGINATES;
}

static inline void on_leave(void *arg, struct km_snapshot_reader *reader)
{
    (void)arg;
    (void)reader;
}

static inline struct km_version on_originate(void *arg, uint32_t number,
                                             const struct km_asking *asking,
                                             uint64_t *ret_seq)
{
    struct node *n = arg;
    struct world *w = n->world;
    struct km_version v = km_sync_log_append(n->log, number, asking, ret_seq);
    w->originated++;
    note_best(w, w->acting_group, (unsigned)w->acting_key, v,
              w->acting_counter);
    return v;
}

static inline bool on_merge(void *arg, uint64_t hlc)
{
    km_sync_log_merge(((struct node *)arg)->log, hlc);
    return true;
}

static inline bool on_learn(void *arg, struct km_version version)
{
    km_sync_log_merge(((struct node *)arg)->log, version.hlc);
    km_sync_told(((struct node *)arg)->origins, version);
    return true;
}

static inline struct km_version on_clear(void *arg, uint32_t number,
                                         uint64_t *ret_seq)
{
    struct node *n = arg;
    struct km_version v = km_sync_log_clear(n->log, number, ret_seq);
    n->world->originated++;
    for (unsigned k = 0; k < KEYS; k++) {
        note_best(n->world, n->world->acting_group, k, v, 0);
    }
    return v;
}

static inline void on_invalidate(void *arg, uint32_t number)
{
    km_sync_log_invalidate(((struct node *)arg)->log, number, 0);
}

static inline bool on_may_keep(void *arg, struct km_version version,
                               uint64_t view_id)
{
    return km_sync_may_keep(((struct node *)arg)->origins, version, view_id);
}

static inline uint32_t on_add(void *arg, const char *name,
                              struct km_store *store)
{
    return km_sync_log_add(((struct node *)arg)->log, name, store);
}

static const struct km_group_sync_ops world_sync_ops = {
    .enter = on_enter,
    .leave = on_leave,
    .originate = on_originate,
    .merge = on_merge,
    .learn = on_learn,
    .clear = on_clear,
    .invalidate = on_invalidate,
    .may_keep = on_may_keep};

static inline void on_ask(void *owner, uint32_t slot,
                          struct km_owner_answer *ret)
{
    (void)owner;
    (void)slot;
    *ret = (struct km_owner_answer){.place = KM_OWNER_HERE, .adoption = 1};
}

static const struct km_owner_ops world_owner_ops = {.ask = on_ask};

/* -- what the machine does on its node ------------------------------------------------------- */

static inline kama_group *on_group(void *owner, kama_bytes name)
{
    struct node *n = owner;
    for (unsigned g = 0; g < GROUPS; g++) {
        char text[8];
        (void)snprintf(text, sizeof text, "g%u", g);
        if (km_bytes_eq(name, kama_bytes_str(text)) &&
            (n->hidden >> g & 1) == 0) {
            return n->groups[g];
        }
    }
    return NULL;
}

static inline bool on_strategy(void *owner, uint32_t i,
                               struct km_sync_strategy *ret)
{
    static const char *const names[GROUPS] = {"g0", "g1"};
    const struct node *n = owner;
    for (unsigned g = 0; g < GROUPS; g++) {
        if ((n->hidden >> g & 1) == 0 && i-- == 0) {
            *ret = (struct km_sync_strategy){.group = names[g],
                                             .text = n->strategies[g] != NULL
                                                         ? n->strategies[g]
                                                         : "broadcast"};
            return true;
        }
    }
    return false;
}

static inline void on_lost_member(void *owner, uint64_t hlc, const char *why)
{
    struct node *n = owner;
    assert_non_null(why);
    n->invalidations++;
    if (!n->world->has_no_loader) {
        km_sync_log_invalidate(n->log, UINT32_MAX, hlc);
    }
}

static inline bool on_gets_value(void *owner, kama_group *group, kama_bytes key,
                                 const struct km_member_id *member)
{
    const struct node *n = owner;
    unsigned bits = 0;
    assert_non_null(group);
    assert_true(key.len > 0);
    for (unsigned i = 0; i < n->world->count; i++) {
        bits |=
            km_member_id_equal(&n->world->nodes[i].id, member) ? 1u << i : 0;
    }
    return (n->drops_to & bits) == 0;
}

static inline void on_line(void *owner, int level, const char *name,
                           const char *address, const char *text)
{
    struct node *n = owner;
    assert_string_equal(name, "sync");
    assert_non_null(address);
    if (getenv("KAMA_LINES") != NULL) {
        (void)fprintf(stderr, "%8.3f %s %d %s\n",
                      (double)(n->world->sim.now % (1000 * KM_NS_PER_S)) / 1e9,
                      n->address, level, text);
    }
    if (level >= KM_LOG_INFO) {
        n->lines++;
        (void)snprintf(n->last_line, sizeof n->last_line, "%s", text);
    }
}

static inline void on_said_goodbye(void *owner)
{
    ((struct node *)owner)->goodbyes++;
}

static const struct km_sync_events world_events = {
    .group = on_group,
    .strategy = on_strategy,
    .lost_member = on_lost_member,
    .gets_value = on_gets_value,
    .log = on_line,
    .said_goodbye = on_said_goodbye};

/* -- nodes -------------------------------------------------------------------------------------- */

static inline void group_open(struct node *n, unsigned g)
{
    char name[8];
    kama_group_options options;
    (void)snprintf(name, sizeof name, "g%u", g);
    kama_group_options_init(&options);
    options.name = name;
    options.sync = "broadcast";
    options.max_bytes = UINT64_C(256) << 20;
    options.max_value_bytes = 16u << 20;
    options.sync_ack = g == 1 ? "all" : "async";
    const struct km_group_env env = {
        .clock = &n->clock,
        .pool = n->pool,
        .seed = 7,
        .owner = {.ops = &world_owner_ops, .arg = n},
        .sync = {.ops = &world_sync_ops, .arg = n, .add = on_add}};
    assert_int_equal(km_group_new(&options, &env, &n->groups[g]), KAMA_OK);
    n->numbers[g] = g;
}

static inline void sync_open(struct node *n)
{
    const struct km_sync_options options = {.mem = &n->probe.allocator,
                                            .env = {.now = node_mono,
                                                    .wall_ms = node_wall,
                                                    .arm = env_arm,
                                                    .disarm = env_disarm,
                                                    .dial = env_dial,
                                                    .send = env_send,
                                                    .can_send = env_can_send,
                                                    .hang_up = env_hang_up,
                                                    .reply = env_reply,
                                                    .refuse = env_refuse,
                                                    .arg = n},
                                            .events = &world_events,
                                            .owner = n,
                                            .log = n->log,
                                            .origins = n->origins,
                                            .cluster = "c",
                                            .service = "s"};
    assert_int_equal(km_sync_new(&options, &n->sync), KAMA_OK);
}

/* The reader is another turn of the loop. */
static inline void tell_grew(void *arg)
{
    struct flight *f = arg;
    struct node *n = (struct node *)(void *)f->wire;
    free(f);
    if (n->is_up) {
        km_sync_grew(n->sync);
    }
}

static inline void on_grew(void *arg)
{
    struct flight *f = calloc(1, sizeof *f);
    f->wire = arg; /* the node */
    sim_post(&((struct node *)arg)->world->sim, 0, tell_grew, f);
}

static inline void node_open(struct node *n)
{
    struct world *w = n->world;
    n->clock = (struct km_clock){
        .mono = node_mono, .coarse = node_mono, .wall_ms = node_wall, .arg = n};
    const struct km_sync_log_options options = {.mem = &n->probe.allocator,
                                                .clock = &n->clock,
                                                .ring_bytes = w->ring_bytes,
                                                .grew = on_grew,
                                                .arg = n};
    km_mem_probe_init(&n->probe);
    n->hidden = 0;
    assert_int_equal(km_pool_new_manual(km_mem_default(), &n->clock, &n->pool),
                     KAMA_OK);
    assert_int_equal(km_sync_log_new(&options, &n->log), KAMA_OK);
    assert_int_equal(
        km_sync_origins_new(&n->probe.allocator, n->log, &n->origins), KAMA_OK);
    for (unsigned g = 0; g < GROUPS; g++) {
        group_open(n, g);
    }
    sync_open(n);
    n->is_up = true;
}

/* Ends a process: its streams break, and nothing is said. */
static inline void node_close(struct node *n)
{
    struct world *w = n->world;
    struct km_list *node;
    struct km_list *tmp;
    n->is_up = false;
    km_sync_check(n->sync);
    km_sync_close(n->sync);
    KM_LIST_FOREACH(node, tmp, &w->wires) {
        struct wire *wire = KM_CONTAINER_OF(node, struct wire, node);
        if (wire->to == n) {
            close_called(wire);
        }
    }
    km_sync_free(n->sync);
    km_sync_origins_free(n->origins);
    for (unsigned g = 0; g < GROUPS; g++) {
        km_group_free(n->groups[g]);
    }
    km_sync_log_free(n->log);
    km_pool_free(n->pool);
    assert_int_equal(atomic_load(&n->probe.live_blocks), 0);
}

/* -- the registry --------------------------------------------------------------------------------- */

static inline struct km_view *world_view(struct world *w)
{
    struct km_view *view = NULL;
    assert_int_equal(km_view_new_counted(km_mem_default(), w->members,
                                         w->member_count, w->joins, &view),
                     KAMA_OK);
    return view;
}

static inline void learn(struct node *n)
{
    struct km_view *view = world_view(n->world);
    km_sync_notice(n->sync, view);
    km_sync_adopt(n->sync, view);
    km_view_unref(view);
}

static inline void learn_all(struct world *w)
{
    for (unsigned i = 0; i < w->count; i++) {
        if (w->nodes[i].is_up) {
            learn(&w->nodes[i]);
        }
    }
}

static inline struct km_member *record_of(struct node *n)
{
    struct world *w = n->world;
    for (size_t i = 0; i < w->member_count; i++) {
        if (strcmp(w->members[i].address, n->address) == 0) {
            return &w->members[i];
        }
    }
    return NULL;
}

/* Writes the record of a node, with a new id. */
static inline void register_node(struct node *n, uint64_t seq)
{
    struct world *w = n->world;
    struct km_member *record = record_of(n);
    if (record == NULL) {
        record = &w->members[w->member_count++];
    }
    for (unsigned i = 0; i < KM_MEMBER_ID_BYTES; i++) {
        n->id.bytes[i] = (uint8_t)sim_random(&w->sim);
    }
    *record = (struct km_member){.id = n->id,
                                 .address = n->address,
                                 .admin = "",
                                 .version = "",
                                 .state = KM_MEMBER_ACTIVE,
                                 .weight = 1};
    w->joins++;
    km_sync_set_self(n->sync, &n->id, n->address, seq);
}

static inline void unregister_node(struct node *n)
{
    struct world *w = n->world;
    struct km_member *record = record_of(n);
    assert_non_null(record);
    *record = w->members[--w->member_count];
}

static inline struct node *node_add(struct world *w)
{
    struct node *n = &w->nodes[w->count++];
    n->world = w;
    n->index = w->count - 1;
    (void)snprintf(n->address, sizeof n->address, "n%u:1", n->index);
    node_open(n);
    return n;
}

static inline void world_run(struct world *w, km_ns span)
{
    sim_run_for(&w->sim, span);
    for (unsigned i = 0; i < w->count; i++) {
        if (w->nodes[i].is_up) {
            km_sync_check(w->nodes[i].sync);
        }
    }
}

/* Makes a world of so many members, whose streams stand. */
static inline struct world *world_new_with(uint64_t seed, unsigned count,
                                           size_t ring_bytes)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    sim_world_init(&w->sim, seed);
    km_list_init(&w->wires);
    w->spread = KM_NS_PER_MS / 4;
    w->ring_bytes = ring_bytes;
    km_sync_broken = 0;
    for (unsigned i = 0; i < count; i++) {
        register_node(node_add(w), 0);
    }
    learn_all(w);
    world_run(w, 100 * KM_NS_PER_MS);
    return w;
}

static inline struct world *world_new(uint64_t seed, unsigned count)
{
    return world_new_with(seed, count, 0);
}

static inline void world_free(struct world *w)
{
    struct km_list *node;
    km_sync_broken = 0;
    for (unsigned i = 0; i < w->count; i++) {
        if (w->nodes[i].is_up) {
            node_close(&w->nodes[i]);
        }
    }
    sim_run_for(&w->sim, 120 * KM_NS_PER_S);
    sim_world_fini(&w->sim);
    while ((node = km_list_pop_front(&w->wires)) != NULL) {
        struct wire *wire = KM_CONTAINER_OF(node, struct wire, node);
        assert_null(wire->in);
        assert_null(wire->out);
        test_free(wire);
    }
    free(w);
}

/* -- clients ------------------------------------------------------------------------------------------ */

static inline kama_bytes key_of(char buf[16], unsigned k)
{
    return kama_bytes_make(buf, (size_t)snprintf(buf, 16, "key-%u", k));
}

static inline void act_as(struct node *n, unsigned g, int k, unsigned counter)
{
    struct world *w = n->world;
    w->acting = n;
    w->acting_group = g;
    w->acting_key = k;
    w->acting_counter = counter;
}

/* Sets a key of a group to a value of its own, which begins with a number. */
static inline void set_in(struct node *n, unsigned g, unsigned k, size_t bytes,
                          int64_t ttl_ms)
{
    char buf[16];
    kama_set_options options;
    unsigned counter = ++n->world->counter;
    uint8_t *value = malloc(bytes + 4);
    assert_non_null(value);
    memset(value, (int)counter, bytes + 4);
    memcpy(value, &counter, 4);
    kama_set_options_init(&options);
    options.ttl_ms = ttl_ms;
    act_as(n, g, (int)k, counter);
    assert_int_equal(kama_set(n->groups[g], key_of(buf, k),
                              kama_bytes_make(value, bytes + 4), &options),
                     KAMA_OK);
    free(value);
}

static inline void set(struct node *n, unsigned k)
{
    set_in(n, 0, k, 96, KAMA_TTL_FOREVER);
}

static inline void del_in(struct node *n, unsigned g, unsigned k)
{
    char buf[16];
    act_as(n, g, (int)k, 0);
    kama_status st = kama_del(n->groups[g], key_of(buf, k), NULL);
    assert_true(st == KAMA_OK || st == KAMA_MISS);
}

static inline void del(struct node *n, unsigned k)
{
    del_in(n, 0, k);
}

/* A caller that waits for the newest mutation of a node. */
struct waiter {
    struct km_sync_wait wait;
    unsigned ended;
    struct km_unsynced *unsynced; /* a reference */
};

static inline void on_acknowledged(struct km_sync_wait *wait,
                                   struct km_unsynced *unsynced)
{
    struct waiter *waiter = KM_CONTAINER_OF(wait, struct waiter, wait);
    waiter->ended++;
    waiter->unsynced = unsynced;
}

static inline void await_ack(struct node *n, struct waiter *waiter,
                             enum km_sync_ack ack, km_ns span)
{
    struct km_sync_log_state log;
    km_sync_log_get(n->log, &log);
    *waiter = (struct waiter){
        .wait = {.version = {.hlc = log.newest, .origin = log.origin},
                 .seq = log.seq,
                 .ack = ack,
                 .until = n->world->sim.now + span,
                 .done = on_acknowledged}};
    km_sync_await(n->sync, &waiter->wait);
}

/* Asserts that a wait has ended with so many members, and gives the list back. */
static inline void expect_ended(struct waiter *waiter, size_t unsynced)
{
    assert_int_equal(waiter->ended, 1);
    assert_int_equal(km_unsynced_count(waiter->unsynced), unsynced);
    km_unsynced_unref(waiter->unsynced);
    waiter->unsynced = NULL;
}

/* Returns the number of the value that a node has of a key; 0: none. */
static inline unsigned shown_in(struct node *n, unsigned g, unsigned k)
{
    char buf[16];
    kama_ctx ctx;
    kama_value *value = NULL;
    unsigned counter = 0;
    kama_ctx_init(&ctx);
    ctx.flags = KAMA_NO_LOAD | KAMA_LOCAL_ONLY;
    if (kama_get(n->groups[g], key_of(buf, k), &ctx, &value) == KAMA_OK) {
        kama_bytes bytes = kama_value_bytes(value);
        assert_true(bytes.len >= 4);
        memcpy(&counter, bytes.data, 4);
        for (size_t i = 4; i < bytes.len; i++) {
            assert_int_equal(((const uint8_t *)bytes.data)[i],
                             (uint8_t)counter);
        }
        kama_value_unref(value);
    }
    return counter;
}

static inline void touch_in(struct node *n, unsigned g, unsigned k,
                            int64_t ttl_ms)
{
    char buf[16];
    act_as(n, g, (int)k, shown_in(n, g, k));
    kama_status st = kama_touch(n->groups[g], key_of(buf, k), ttl_ms, NULL);
    assert_true(st == KAMA_OK || st == KAMA_MISS);
}

static inline void clear(struct node *n, unsigned g)
{
    act_as(n, g, -1, 0);
    (void)on_clear(n, n->numbers[g], NULL);
}

static inline unsigned shown(struct node *n, unsigned k)
{
    return shown_in(n, 0, k);
}

/* -- oracles -------------------------------------------------------------------------------------------- */

/* Returns whether every node that is up shows the newest value of each key, or nothing.
 * `wholly`: nothing is allowed only where the newest mutation is a deletion. */
enum strictness { OR_NOTHING, WHOLLY };

static inline bool is_converged(struct world *w, enum strictness strictness)
{
    for (unsigned i = 0; i < w->count; i++) {
        for (unsigned g = 0; w->nodes[i].is_up && g < GROUPS; g++) {
            for (unsigned k = 0; k < KEYS; k++) {
                unsigned counter = shown_in(&w->nodes[i], g, k);
                if (counter != w->best[g][k].counter &&
                    (counter != 0 || strictness == WHOLLY)) {
                    if (getenv("KAMA_LINES") != NULL) {
                        (void)fprintf(stderr,
                                      "node %u group %u key %u: %u, not %u\n",
                                      i, g, k, counter, w->best[g][k].counter);
                    }
                    return false;
                }
            }
        }
    }
    return true;
}

static inline void check_all_equal(struct world *w)
{
    assert_true(is_converged(w, WHOLLY));
}

/* The numbers of a node about another one. */
struct info_request {
    struct km_member_id id;
    struct km_sync_member_info info;
    bool found;
};

static inline void on_info(void *arg, const struct km_sync_member_info *info)
{
    struct info_request *request = arg;
    if (km_member_id_equal(&info->id, &request->id)) {
        request->info = *info;
        request->found = true;
    }
}

static inline struct km_sync_member_info info_of_member(struct node *n,
                                                        struct node *other)
{
    struct info_request request = {.id = other->id};
    km_sync_visit(n->sync, on_info, &request);
    assert_true(request.found);
    return request.info;
}

static inline struct km_sync_member *member_of(struct node *n,
                                               struct node *other)
{
    struct km_sync_member *member = km_sync_member_find(n->sync, &other->id);
    assert_non_null(member);
    return member;
}

/* Returns the live wire from a node to another one. */
static inline struct wire *wire_of(struct node *from, struct node *to)
{
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &from->world->wires) {
        struct wire *wire = KM_CONTAINER_OF(node, struct wire, node);
        if (wire->from == from && wire->to == to && wire->in != NULL &&
            wire->out != NULL) {
            return wire;
        }
    }
    return NULL;
}
