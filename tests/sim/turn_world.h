/* SPDX-License-Identifier: MIT */
/*
 * A cluster in one thread, for the rules of the turn of a view (docs/CLUSTER.md
 * 5). Each node has a real store with real fills and a real turn; owners come
 * from real placements. The registry is an array of views, the database one
 * number for each key, and each step that a node makes is a function call:
 *
 *     registry    views[0] --> views[1] --> ...       each node adopts later ones
 *     node        standing | view | turn | store | one load for each key
 *     mutations   via a node --> the owner in the view of that node
 *
 * A load reads the database in one step and ends in another one. A mutation
 * follows a write to the database, and its client tries again until an owner has
 * carried it out. The promise: when nothing is under way, the owner of the last
 * view has nothing older than the database.
 *
 * Every rule can be broken, to see that it is needed. One thing is assumed: no
 * process ends while another node was removed and has not been told. If everybody
 * who knew the removed node has ended, a new member has nobody to learn it from.
 */
#pragma once

#include "base/clock.h"
#include "base/hash.h"
#include "base/limits.h"
#include "peers/placement.h"
#include "peers/turn.h"
#include "store/fake_clock.h"
#include "store/policy.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WORLD_NODES 4u
#define WORLD_KEYS 2u
#define WORLD_VIEWS 8u
#define WORLD_MUTATIONS 8u
#define WORLD_IDS 24u
#define WORLD_SUBSETS (1u << WORLD_NODES)

/* The rules that a test may break. */
enum world_rule {
    WORLD_KEEP_ALL = 0,
    WORLD_NO_SETTLED = 1,     /* every node thinks that it is settled */
    WORLD_SETTLED_AT_END = 2, /* what counts is the end of a load */
    WORLD_NO_OVERTAKING = 4,  /* loads of lost slots go on */
    WORLD_LAST_TWO_VIEWS = 8, /* nobody waits for members of older views */
    WORLD_IGNORE_GONE = 16,   /* who is told "gone" goes on as an owner */
    WORLD_NO_TURNING = 32     /* a node does not say that it waits for members
                               * which are not in the view */
};

struct world_view {
    struct km_view view;
    struct km_member members[WORLD_NODES];
    unsigned nodes[WORLD_NODES]; /* of each member */
    unsigned active;             /* one bit for each active node */
};

struct world_load {
    struct km_fill fill;
    uint64_t value; /* that it has read */
    bool is_running;
    bool may_keep;
};

struct world_node {
    bool is_alive;
    enum km_standing standing; /* NONE: it has not adopted a view yet */
    struct km_member_id id;
    unsigned view;  /* the one that it has adopted */
    unsigned floor; /* it may adopt views from this one on */
    struct km_turn *turn;
    struct km_store *store;
    struct world_load loads[WORLD_KEYS];
};

/* A Set or a Delete that no owner has carried out yet. */
struct world_mutation {
    unsigned key;
    bool is_set;
    uint64_t value;
    unsigned via;
    unsigned target;
    struct km_member_id via_id;
    struct km_member_id target_id;
};

/* An id that was given to a node, and whether it can act no more. */
struct world_id {
    struct km_member_id id;
    unsigned node;
};

struct world {
    unsigned broken; /* enum world_rule */
    bool is_loud;    /* prints each step */
    struct km_placement *const *placements;
    struct fake_clock clock;
    struct world_view views[WORLD_VIEWS];
    unsigned view_count;
    struct world_node nodes[WORLD_NODES];
    struct world_id ids[WORLD_IDS];
    unsigned id_count;
    uint64_t database[WORLD_KEYS];
    char keys[WORLD_KEYS][16];
    uint32_t slots[WORLD_KEYS];
    struct world_mutation mutations[WORLD_MUTATIONS];
    unsigned mutation_count;
};

static const char *const world_addresses[WORLD_NODES] = {"a:1", "b:1", "c:1",
                                                         "d:1"};

#define WORLD_SAY(w, ...)                                                      \
    do {                                                                       \
        if ((w)->is_loud) {                                                    \
            (void)printf(__VA_ARGS__);                                         \
        }                                                                      \
    } while (0)

/* -- placements ------------------------------------------------------------ */

/* Builds the placement of every set of active nodes. */
static inline void world_placements_new(struct km_placement **placements)
{
    for (unsigned set = 0; set < WORLD_SUBSETS; set++) {
        struct km_placement_member members[WORLD_NODES];
        size_t count = 0;
        for (unsigned n = 0; n < WORLD_NODES; n++) {
            if (set >> n & 1) {
                members[count].address = world_addresses[n];
                members[count++].weight = 1;
            }
        }
        assert_int_equal(km_placement_new(km_mem_default(), members, count,
                                          &placements[set]),
                         KAMA_OK);
    }
}

static inline void world_placements_free(struct km_placement **placements)
{
    for (unsigned set = 0; set < WORLD_SUBSETS; set++) {
        km_placement_unref(placements[set]);
    }
}

/* Returns the node that owns a slot if these nodes are active. */
static inline unsigned world_owner_among(struct km_placement *const *placements,
                                         unsigned set, uint32_t slot)
{
    const struct km_placement *p = placements[set];
    const char *address = km_placement_address(p, km_placement_owner(p, slot));
    return (unsigned)(address[0] - 'a');
}

static inline unsigned world_owner(const struct world *w, unsigned view,
                                   unsigned key)
{
    return world_owner_among(w->placements, w->views[view].active,
                             w->slots[key]);
}

/* -- the world ------------------------------------------------------------- */

static inline void world_init(struct world *w,
                              struct km_placement *const *placements,
                              unsigned broken)
{
    memset(w, 0, sizeof *w);
    w->placements = placements;
    w->broken = broken;
    fake_clock_init(&w->clock);
}

static inline void world_set_key(struct world *w, unsigned key, uint64_t number)
{
    (void)snprintf(w->keys[key], sizeof w->keys[key], "%u-%u", key,
                   (unsigned)(number % 1000000));
    w->slots[key] =
        km_owner_slot(km_owner_seed("sim"),
                      kama_bytes_make(w->keys[key], strlen(w->keys[key])));
}

static inline kama_bytes world_key(const struct world *w, unsigned key)
{
    return kama_bytes_make(w->keys[key], strlen(w->keys[key]));
}

static inline bool world_same(const struct km_member_id *a,
                              const struct km_member_id *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static inline struct world_view *world_last(struct world *w)
{
    return &w->views[w->view_count - 1];
}

/* Returns the number of a member with this id in a view, or -1. */
static inline int world_find(const struct world_view *view,
                             const struct km_member_id *id)
{
    for (size_t i = 0; i < view->view.count; i++) {
        if (world_same(&view->members[i].id, id)) {
            return (int)i;
        }
    }
    return -1;
}

static inline bool world_is_in(const struct world *w, unsigned view, unsigned n)
{
    return world_find(&w->views[view], &w->nodes[n].id) >= 0;
}

/* Starts the process of a node: nothing in memory, no view. */
static inline void world_start(struct world *w, unsigned n)
{
    struct world_node *node = &w->nodes[n];
    struct km_store_options options = {.mem = km_mem_default(),
                                       .clock = &w->clock.clock,
                                       .policy = &km_policy_lru,
                                       .max_bytes = KM_GROUP_BYTES_MIN,
                                       .seed = 42};
    memset(node, 0, sizeof *node);
    assert_int_equal(km_store_new(&options, &node->store), KAMA_OK);
    assert_int_equal(km_turn_new(km_mem_default(), &node->turn), KAMA_OK);
    node->is_alive = true;
}

/* Ends the process of a node. */
static inline void world_stop(struct world *w, unsigned n)
{
    struct world_node *node = &w->nodes[n];
    for (unsigned k = 0; k < WORLD_KEYS; k++) {
        if (node->loads[k].is_running) {
            km_store_fill_cancel(node->store, &node->loads[k].fill);
        }
    }
    km_store_free(node->store);
    km_turn_free(node->turn);
    memset(node, 0, sizeof *node);
}

static inline void world_fini(struct world *w)
{
    for (unsigned n = 0; n < WORLD_NODES; n++) {
        if (w->nodes[n].is_alive) {
            world_stop(w, n);
        }
    }
}

/* Gives a node its next id. */
static inline void world_register(struct world *w, unsigned n)
{
    struct world_id *id = &w->ids[w->id_count++];
    assert_true(w->id_count <= WORLD_IDS);
    memset(id, 0, sizeof *id);
    id->id.bytes[0] = (uint8_t)w->id_count;
    id->node = n;
    w->nodes[n].id = id->id;
    w->nodes[n].floor = w->view_count; /* the view that will have it */
}

/* -- the registry ---------------------------------------------------------- */

/* Begins a view as a copy of the last one. */
static inline struct world_view *world_begin_view(struct world *w)
{
    assert_true(w->view_count < WORLD_VIEWS);
    struct world_view *view = &w->views[w->view_count];
    memset(view, 0, sizeof *view);
    if (w->view_count > 0) {
        *view = w->views[w->view_count - 1];
    }
    view->view.members = view->members;
    return view;
}

/* Publishes a view, whose id is a hash of its members, as that of km_view. */
static inline void world_publish(struct world *w, struct world_view *view)
{
    uint8_t bytes[WORLD_NODES * 2] = {0};
    view->active = 0;
    for (size_t i = 0; i < view->view.count; i++) {
        bytes[2 * i] = view->members[i].id.bytes[0];
        bytes[2 * i + 1] = (uint8_t)view->members[i].state;
        if (view->members[i].state == KM_MEMBER_ACTIVE) {
            view->active |= 1u << view->nodes[i];
        }
    }
    view->view.id = km_hash(kama_bytes_make(bytes, sizeof bytes), 1);
    w->view_count++;
    WORLD_SAY(w, "view %u: active %x\n", w->view_count - 1, view->active);
}

static inline void world_add_member(struct world *w, struct world_view *view,
                                    unsigned n)
{
    size_t i = view->view.count++;
    view->members[i] =
        (struct km_member){.id = w->nodes[n].id, .state = KM_MEMBER_ACTIVE};
    view->nodes[i] = n;
}

static inline void world_drop_member(struct world_view *view, size_t i)
{
    view->view.count--;
    view->members[i] = view->members[view->view.count];
    view->nodes[i] = view->nodes[view->view.count];
}

/* -- what nodes do --------------------------------------------------------- */

static inline bool world_settled_for(const struct world *w, unsigned n,
                                     unsigned key)
{
    const struct world_node *node = &w->nodes[n];
    const struct km_slot_map *gained = km_turn_gained(node->turn);
    return (w->broken & WORLD_NO_SETTLED) != 0 || gained == NULL ||
           !km_slot_map_has(gained, w->slots[key]);
}

static inline bool world_owns(const struct world *w, unsigned n, unsigned key)
{
    const struct world_node *node = &w->nodes[n];
    return node->is_alive && node->standing == KM_STANDING_MEMBER &&
           world_owner(w, node->view, key) == n;
}

/* Forgets a key that the node has lost, and overtakes its load. */
static inline void world_lose_key(struct world *w, unsigned n, unsigned key)
{
    struct world_node *node = &w->nodes[n];
    struct world_load *load = &node->loads[key];
    kama_bytes k = world_key(w, key);
    uint64_t hash = km_store_hash(node->store, k);
    assert_true(km_store_del(node->store, 0, hash, k) >= KAMA_OK);
    if (load->is_running && (w->broken & WORLD_NO_OVERTAKING)) {
        kama_value *none;
        km_store_fill_cancel(node->store, &load->fill);
        assert_int_equal(
            km_store_fill_begin(node->store, &load->fill, hash, k, &none),
            KAMA_WOULD_LOAD);
    }
}

/* Breaks the rule: makes the node forget members of older views. */
static inline void world_forget_older(struct world *w, unsigned n,
                                      unsigned before, unsigned view)
{
    for (unsigned i = 0; i < w->id_count; i++) {
        if (world_find(&w->views[view], &w->ids[i].id) < 0 &&
            world_find(&w->views[before], &w->ids[i].id) < 0) {
            km_turn_silent(w->nodes[n].turn, &w->ids[i].id);
        }
    }
}

/* A node reads the members in the step in which it registers. It waits for them,
 * also if its first view has them no more. */
static inline void world_notice(struct world *w, unsigned n)
{
    assert_int_equal(km_turn_adopt(w->nodes[n].turn, &world_last(w)->view,
                                   &w->nodes[n].id, NULL),
                     KAMA_OK);
}

static inline void world_adopt(struct world *w, unsigned n, unsigned view)
{
    static struct km_slot_map gained;
    struct world_node *node = &w->nodes[n];
    bool had[WORLD_KEYS];
    unsigned before = node->standing == KM_STANDING_MEMBER ? node->view : view;
    WORLD_SAY(w, "adopt %u view %u\n", n, view);
    memset(&gained, 0, sizeof gained);
    for (unsigned k = 0; k < WORLD_KEYS; k++) {
        had[k] = world_owns(w, n, k);
        if (!had[k] && world_owner(w, view, k) == n) {
            km_slot_map_add(&gained, w->slots[k]);
        }
    }
    assert_int_equal(
        km_turn_adopt(node->turn, &w->views[view].view, &node->id, &gained),
        KAMA_OK);
    km_turn_check(node->turn);
    node->view = view;
    node->floor = view + 1;
    node->standing = KM_STANDING_MEMBER;
    for (unsigned k = 0; k < WORLD_KEYS; k++) {
        if (had[k] && !world_owns(w, n, k)) {
            world_lose_key(w, n, k);
        }
    }
    if (w->broken & WORLD_LAST_TWO_VIEWS) {
        world_forget_older(w, n, before, view);
    }
}

/* A node has heard of the last view, and cannot learn it: it owns nothing until
 * it has learned it. It must not go back to the view that it had, because the
 * others do not wait for it any more. */
static inline void world_fall_behind(struct world *w, unsigned n)
{
    struct world_node *node = &w->nodes[n];
    if (!node->is_alive || node->standing != KM_STANDING_MEMBER ||
        node->view == w->view_count - 1) {
        return;
    }
    WORLD_SAY(w, "behind %u\n", n);
    for (unsigned k = 0; k < WORLD_KEYS; k++) {
        if (world_owns(w, n, k)) {
            world_lose_key(w, n, k);
        }
    }
    node->standing = KM_STANDING_BEHIND;
    node->floor = w->view_count - 1;
}

/* A node is told that it is no member any more. It must register again. */
static inline void world_tell_gone(struct world *w, unsigned n)
{
    WORLD_SAY(w, "gone %u\n", n);
    if (!(w->broken & WORLD_IGNORE_GONE) ||
        w->nodes[n].standing == KM_STANDING_NONE) {
        km_store_clear(w->nodes[n].store);
        w->nodes[n].standing = KM_STANDING_BEHIND;
        w->nodes[n].floor = WORLD_VIEWS;
    }
}

/* Returns whether a node has an id that is not in the last view. */
static inline bool world_is_removed(struct world *w, unsigned n)
{
    return w->nodes[n].is_alive && !world_is_in(w, w->view_count - 1, n);
}

/* Returns whether a node was removed that has not been told. */
static inline bool world_has_removed(struct world *w)
{
    for (unsigned n = 0; n < WORLD_NODES; n++) {
        if (world_is_removed(w, n) && w->nodes[n].floor != WORLD_VIEWS) {
            return true;
        }
    }
    return false;
}

/* What a node announces. A node that ignores "gone" says that it is behind
 * nevertheless. */
static inline enum km_standing world_standing(struct world *w, unsigned n)
{
    if ((w->broken & WORLD_IGNORE_GONE) && world_is_removed(w, n)) {
        return KM_STANDING_BEHIND;
    }
    if (w->broken & WORLD_NO_TURNING) {
        return w->nodes[n].standing;
    }
    return km_turn_standing(w->nodes[n].turn, w->nodes[n].standing);
}

/* One node hears what another one announces now. */
static inline void world_hear(struct world *w, unsigned n, unsigned from)
{
    struct world_node *node = &w->nodes[from];
    if (n == from || !w->nodes[n].is_alive || !node->is_alive ||
        node->standing == KM_STANDING_NONE) {
        return;
    }
    WORLD_SAY(w, "hear %u from %u\n", n, from);
    km_turn_heard(w->nodes[n].turn, &node->id, w->views[node->view].view.id,
                  world_standing(w, from));
    km_turn_check(w->nodes[n].turn);
}

/* A node finds out that an id does not answer any more: its process has ended,
 * or has another id now. */
static inline void world_miss(struct world *w, unsigned n, unsigned id)
{
    const struct world_node *holder = &w->nodes[w->ids[id].node];
    if (w->nodes[n].is_alive &&
        !(holder->is_alive && world_same(&holder->id, &w->ids[id].id))) {
        km_turn_silent(w->nodes[n].turn, &w->ids[id].id);
    }
}

/* -- loads ----------------------------------------------------------------- */

/* Reads the database for a key that is not in memory. */
static inline void world_begin_load(struct world *w, unsigned n, unsigned key)
{
    struct world_load *load = &w->nodes[n].loads[key];
    struct km_store *store = w->nodes[n].store;
    kama_bytes k = world_key(w, key);
    kama_value *found;
    if (load->is_running || !world_owns(w, n, key)) {
        return;
    }
    kama_status status = km_store_fill_begin(
        store, &load->fill, km_store_hash(store, k), k, &found);
    if (status == KAMA_OK) {
        kama_value_unref(found);
        return;
    }
    assert_int_equal(status, KAMA_WOULD_LOAD);
    load->is_running = true;
    load->value = w->database[key];
    load->may_keep =
        world_settled_for(w, n, key) || (w->broken & WORLD_SETTLED_AT_END) != 0;
    WORLD_SAY(w, "read %u key %u: %u%s\n", n, key, (unsigned)load->value,
              load->may_keep ? "" : ", not to be kept");
}

static inline kama_value *world_item(struct world *w, unsigned n, unsigned key,
                                     uint64_t value)
{
    struct km_item_spec spec = {
        .key = world_key(w, key),
        .value = kama_bytes_make(&value, sizeof value),
    };
    kama_value *item = km_store_item_new(w->nodes[n].store, &spec);
    assert_non_null(item);
    return item;
}

static inline void world_end_load(struct world *w, unsigned n, unsigned key)
{
    struct world_load *load = &w->nodes[n].loads[key];
    struct km_store *store = w->nodes[n].store;
    bool is_kept = false;
    if (!w->nodes[n].is_alive || !load->is_running) {
        return;
    }
    load->is_running = false;
    if (!load->may_keep || !world_owns(w, n, key) ||
        ((w->broken & WORLD_SETTLED_AT_END) && !world_settled_for(w, n, key))) {
        km_store_fill_cancel(store, &load->fill);
    } else {
        kama_value *item = world_item(w, n, key, load->value);
        is_kept = km_store_fill_commit(store, &load->fill, item);
        kama_value_unref(item);
    }
    WORLD_SAY(w, "end of load %u key %u: %s\n", n, key,
              is_kept ? "kept" : "not kept");
}

/* -- mutations ------------------------------------------------------------- */

/* Sends a mutation through a node, to the owner in its view. Returns false if
 * the node knows none. */
static inline bool world_send(struct world *w, struct world_mutation *m,
                              unsigned via)
{
    struct world_node *node = &w->nodes[via];
    if (!node->is_alive || node->standing != KM_STANDING_MEMBER) {
        return false;
    }
    const struct world_view *view = &w->views[node->view];
    m->via = via;
    m->via_id = node->id;
    m->target = world_owner(w, node->view, m->key);
    for (size_t i = 0; i < view->view.count; i++) {
        if (view->nodes[i] == m->target) {
            m->target_id = view->members[i].id;
        }
    }
    return true;
}

/* Writes to the database, and sends a Delete or a Set through a node. */
static inline void world_write(struct world *w, unsigned via, unsigned key,
                               bool is_set)
{
    struct world_mutation m = {.key = key, .is_set = is_set};
    for (unsigned i = 0; i < w->mutation_count; i++) {
        /* Two writers of one key must agree on their order themselves. */
        if (w->mutations[i].key == key && (is_set || w->mutations[i].is_set)) {
            return;
        }
    }
    if (w->mutation_count == WORLD_MUTATIONS || !world_send(w, &m, via)) {
        return;
    }
    m.value = ++w->database[key];
    w->mutations[w->mutation_count++] = m;
    WORLD_SAY(w, "write key %u: %u, %s via %u to %u\n", key, (unsigned)m.value,
              is_set ? "set" : "delete", via, m.target);
}

static inline void world_carry_out(struct world *w, unsigned i)
{
    struct world_mutation m = w->mutations[i];
    struct km_store *store = w->nodes[m.target].store;
    kama_bytes k = world_key(w, m.key);
    uint64_t hash = km_store_hash(store, k);
    WORLD_SAY(w, "mutation of key %u at %u\n", m.key, m.target);
    if (m.is_set) {
        assert_int_equal(km_store_put(store, 0, hash,
                                      world_item(w, m.target, m.key, m.value)),
                         KAMA_OK);
    } else {
        assert_true(km_store_del(store, 0, hash, k) >= KAMA_OK);
    }
    w->mutations[i] = w->mutations[--w->mutation_count];
}

/* Brings a mutation to its target. If it is not carried out, the client tries
 * again through the node `next`. Returns whether it was carried out. */
static inline bool world_deliver(struct world *w, unsigned i, unsigned next)
{
    struct world_mutation *m = &w->mutations[i];
    const struct world_node *target = &w->nodes[m->target];
    if (target->is_alive && world_same(&target->id, &m->target_id) &&
        world_owns(w, m->target, m->key) &&
        world_settled_for(w, m->target, m->key) &&
        world_find(&w->views[target->view], &m->via_id) >= 0) {
        world_carry_out(w, i);
        return true;
    }
    (void)world_send(w, m, next);
    return false;
}

/* -- the end --------------------------------------------------------------- */

/* Lets every node adopt the last view or learn that it is no member. */
static inline void world_catch_up(struct world *w)
{
    for (unsigned n = 0; n < WORLD_NODES; n++) {
        if (world_is_removed(w, n)) {
            world_tell_gone(w, n);
        } else if (w->nodes[n].is_alive &&
                   (w->nodes[n].standing != KM_STANDING_MEMBER ||
                    w->nodes[n].view != w->view_count - 1)) {
            world_adopt(w, n, w->view_count - 1);
        }
    }
}

/* Lets every node hear everybody. */
static inline void world_hear_all(struct world *w)
{
    for (unsigned n = 0; n < WORLD_NODES; n++) {
        for (unsigned from = 0; from < WORLD_NODES; from++) {
            world_hear(w, n, from);
        }
        for (unsigned id = 0; id < w->id_count; id++) {
            world_miss(w, n, id);
        }
    }
}

/* Lets everything that is under way come to its end. Nodes that were removed end
 * too; in a longer schedule they would register again. */
static inline void world_quiesce(struct world *w)
{
    world_catch_up(w);
    world_hear_all(w);
    for (unsigned n = 0; n < WORLD_NODES; n++) {
        for (unsigned k = 0; k < WORLD_KEYS; k++) {
            world_end_load(w, n, k);
        }
        if (world_is_removed(w, n)) {
            world_stop(w, n);
        }
    }
    for (unsigned i = 0; i < WORLD_NODES; i++) { /* until nobody is turning */
        world_hear_all(w);
    }
    for (unsigned i = 0; w->mutation_count > 0; i++) {
        assert_true(i < 1000); /* or a node is not settled for ever */
        (void)world_deliver(w, 0, i % WORLD_NODES);
    }
}

/* Returns whether the owner of a key holds nothing older than the database. */
static inline bool world_key_is_true(struct world *w, unsigned key)
{
    unsigned owner = world_owner(w, w->view_count - 1, key);
    struct km_store *store = w->nodes[owner].store;
    kama_bytes k = world_key(w, key);
    uint64_t value;
    size_t length;
    assert_true(w->nodes[owner].is_alive);
    if (km_store_copy(store, km_store_hash(store, k), k, &value, sizeof value,
                      &length) != KAMA_OK) {
        return true;
    }
    if (value != w->database[key]) {
        WORLD_SAY(w, "STALE: %u has %u of key %u\n", owner, (unsigned)value,
                  key);
    }
    return value == w->database[key];
}

static inline bool world_keeps_promise(struct world *w)
{
    bool is_kept = true;
    for (unsigned k = 0; k < WORLD_KEYS; k++) {
        is_kept &= world_key_is_true(w, k);
    }
    return is_kept;
}
