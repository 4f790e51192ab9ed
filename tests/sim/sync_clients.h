/* SPDX-License-Identifier: MIT */
/*
 * Clients of synchronized groups (sim/sync_world.h), and what they may expect:
 *
 *     always             a get is not older than what was acknowledged by the same node
 *                        (read-your-writes)
 *     while all is well  nor than what any node has acknowledged half a second ago, or
 *                        with sync_ack=all than what was acknowledged by all
 *     sync_ack           when a mutation is acknowledged, so many members of the view of
 *                        its node have it; with `all`, none of them shows anything older
 *     when all is idle   the nodes have one explicit value of a key or none, and it is that
 *                        of the largest version; what is loaded is in the database
 *
 * The clients are those of sim/cluster_clients.h. The database gets each value before it is
 * set, or the key deleted. The first half of the keys is only ever deleted, and the
 * promises hold for them whatever the clocks do. Of two nodes with different clocks, the
 * one that sets a key later may have the smaller version; and a touch of a filled value is
 * a set of what may be an old one. So the other keys are held against the database only
 * in runs without either.
 *
 * Threads: one. Errors: the process ends without memory.
 */
#pragma once

#include "sim/cluster_faults.h"
#include "sim/cluster_promise.h"
#include "sim/sync_world.h"
#include "sync/sync_internal.h"

#define SC_ACKS 16u
#define SC_LAG (500 * CW_MS)
/* A request may wait in a process that stands still for 12 s. */
#define SC_LATE_SET (13 * KM_NS_PER_S)
#define SC_DELETED_KEYS (CW_KEYS / 2)

struct sc_ack {
    km_ns at;
    uint64_t target;
    unsigned process;
    bool is_by_all;
};

struct sc_run {
    struct cc_run cc; /* the first member */
    struct sw sw;
    bool is_ordered; /* the versions of a key grow with its values */
    bool is_well;    /* everything was mended for long enough */
    unsigned
        deaths; /* of a thousand acknowledgements, how many are the last thing
                      * that their node does */
    uint64_t own[CW_PROCESSES][CW_KEYS]; /* acknowledged by each process */
    struct sc_ack acks[CW_KEYS][SC_ACKS];
    unsigned ack_count[CW_KEYS];
};

static inline bool sc_is_held(const struct sc_run *r, unsigned key)
{
    return key < r->cc.deleted_keys || r->is_ordered;
}

static inline void sc_acknowledged(struct cc_run *cc,
                                   const struct cw_node *node, unsigned key,
                                   uint64_t target)
{
    struct sc_run *r = (struct sc_run *)cc;
    uint64_t *own = &r->own[node->net->index][key];
    *own = target > *own ? target : *own;
    r->acks[key][r->ack_count[key]++ % SC_ACKS] =
        (struct sc_ack){cc->cw.world.now, target, node->net->index,
                        r->sw.plan.ack == KM_SYNC_ACK_ALL && !cc->is_unsynced};
}

/* If nothing is dropped when a node dies, then what only that node knew is missed until
 * the next write. */
static inline bool sc_counts(const struct sc_run *r, const struct sc_ack *ack)
{
    km_ns lag = ack->is_by_all ? 0 : SC_LAG;
    return ack->at + lag <= r->cc.cw.world.now &&
           (sw_drops(&r->sw.plan) ||
            r->cc.cw.nodes[ack->process].phase == CW_RUNS);
}

static inline uint64_t sc_floor_of(struct cc_run *cc,
                                   const struct cw_node *node, unsigned key)
{
    const struct sc_run *r = (const struct sc_run *)cc;
    if (!sc_is_held(r, key)) {
        return 0;
    }
    uint64_t floor = r->own[node->net->index][key];
    for (unsigned i = 0; r->is_well && i < SC_ACKS; i++) {
        const struct sc_ack *ack = &r->acks[key][i];
        if (sc_counts(r, ack) && ack->target > floor) {
            floor = ack->target;
        }
    }
    return floor;
}

/* -- acknowledgements -------------------------------------------------------------- */

/* A member shows nothing that is older than the mutation. */
static inline void sc_expect_fresh(struct sc_run *r, const struct cw_node *node,
                                   unsigned key, const struct sw_mutation *m)
{
    struct sw_entry entry = sw_look(node, key);
    bool is_explicit = km_version_is_set(entry.version);
    bool is_old = is_explicit
                      ? km_version_compare(entry.version, m->version) < 0
                      : sc_is_held(r, key) && entry.value < m->value;
    if (entry.is_there && is_old) {
        cc_violate(&r->cc,
                   "k%u at node %u is %llu (%s), and a later %s of node %u was "
                   "acknowledged by all",
                   key, node->place, (unsigned long long)entry.value,
                   is_explicit ? "set" : "filled", m->is_set ? "set" : "delete",
                   r->cc.cw.nodes[m->process].place);
    }
}

static inline void sc_dies(void *a, void *b)
{
    struct cw_node *node = a;
    (void)b;
    if (node->phase == CW_RUNS) {
        cw_kill(node);
    }
}

/* The life of a node that its streams are of: it may have a newer id already. */
static inline const struct km_member_id *sc_life(const struct cw_node *node)
{
    return &sw_node_of(node)->sync->self;
}

/* Returns whether a process runs and is another member of the view that the node has
 * noticed. */
static inline bool sc_is_witness(const struct cw_node *node,
                                 const struct cw_node *other)
{
    const struct km_view *view = sw_node_of(node)->sync->noticed;
    return other != node && other->phase == CW_RUNS && view != NULL &&
           km_view_find_id(view, sc_life(other)) != NULL;
}

static inline bool sc_has(const struct cw_node *other,
                          const struct cw_node *node,
                          const struct sw_mutation *m)
{
    const struct km_sync_need need = {.id = *sc_life(node),
                                      .clock = m->version.hlc};
    return km_sync_has(sw_node_of(other)->origins, &need);
}

/* As many members have applied the mutation as `sync_ack` says. If one of them is gone by
 * now, then it may be the one that had. */
static inline void sc_expect_applied(struct sc_run *r,
                                     const struct cw_node *node,
                                     const struct sw_mutation *m)
{
    const struct sw *sw = &r->sw;
    size_t witnesses = 0;
    size_t have = 0;
    for (unsigned i = 0; i < sw->cw->node_count; i++) {
        const struct cw_node *other = &sw->cw->nodes[i];
        if (sc_is_witness(node, other)) {
            witnesses++;
            have += sc_has(other, node, m);
        }
    }
    bool is_all = sw->plan.ack == KM_SYNC_ACK_ALL;
    if (witnesses == sw_node_of(node)->sync->others &&
        have < (is_all ? witnesses : witnesses > 0)) {
        cc_violate(&r->cc,
                   "a %s of k%u at node %u was acknowledged, and %zu of %zu "
                   "members have it",
                   m->is_set ? "set" : "delete", m->key, node->place, have,
                   witnesses);
    }
}

static inline void sc_expect_fresh_everywhere(struct sc_run *r,
                                              const struct cw_node *node,
                                              const struct sw_mutation *m)
{
    for (unsigned i = 0; i < r->cc.cw.node_count; i++) {
        const struct cw_node *other = &r->cc.cw.nodes[i];
        bool looks = sc_is_witness(node, other) && other->group != NULL;
        for (unsigned key = 0; looks && key < CW_KEYS; key++) {
            if (m->key == key || m->key == CW_KEYS) {
                sc_expect_fresh(r, other, key, m);
            }
        }
    }
}

static inline void sc_on_acknowledged(struct sw *sw, struct cw_node *node,
                                      const struct sw_mutation *m)
{
    struct sc_run *r = KM_CONTAINER_OF(sw, struct sc_run, sw);
    sc_expect_applied(r, node, m);
    if (sw->plan.ack == KM_SYNC_ACK_ALL) {
        sc_expect_fresh_everywhere(r, node, m);
    }
    if (r->deaths > 0 && cc_count_running(&r->cc) > 2 &&
        sim_chance(&sw->cw->world, r->deaths)) {
        cw_at(node, 0, sc_dies, node, NULL);
    }
}

/* -- a run ------------------------------------------------------------------------- */

static inline void sc_begin(struct sc_run *r, uint64_t seed, unsigned broken,
                            const struct sw_plan *plan)
{
    memset(r, 0, sizeof *r);
    cw_init(&r->cc.cw, seed, broken);
    r->sw.plan = *plan;
    sw_init(&r->sw, &r->cc.cw);
    r->sw.on_acknowledged = sc_on_acknowledged;
    r->cc.strict = true;
    r->cc.uses_leavers = true;
    r->cc.floor_of = sc_floor_of;
    r->cc.acknowledged = sc_acknowledged;
    r->cc.rest = 3 * CW_MS; /* so that the clocks have gone on */
    r->cc.late_set = SC_LATE_SET;
    r->cc.deleted_keys = SC_DELETED_KEYS;
    r->is_ordered = plan->skew_ms == 0;
    for (unsigned i = 0; i < CC_OPS; i++) {
        r->cc.ops[i].run = &r->cc;
    }
}

static inline void sc_end(struct sc_run *r)
{
    sw_fini(&r->sw);
}

/* -- what holds when all is idle ------------------------------------------------------ */

/* Returns whether nobody may ever hear of a mutation: its node was given up before it
 * began, and has ended since. */
static inline bool sc_is_lost(const struct sc_run *r,
                              const struct sw_mutation *mutation)
{
    const struct cw_node *node = &r->cc.cw.nodes[mutation->process];
    return mutation->is_unknown && node->phase > CW_STOPS &&
           r->sw.nodes[mutation->process].lives == mutation->life;
}

static inline const struct sw_mutation *sc_find(const struct sc_run *r,
                                                struct km_version version)
{
    for (unsigned i = 0; i < r->sw.mutation_count; i++) {
        if (km_version_compare(r->sw.mutations[i].version, version) == 0) {
            return &r->sw.mutations[i];
        }
    }
    return NULL;
}

/* Nothing that was acknowledged is undone: of the mutations that have begun after the one
 * that is visible, none is newer than it. */
static inline void sc_expect_newest(struct sc_run *r,
                                    const struct cw_node *node, unsigned key,
                                    const struct sw_entry *entry)
{
    const struct sw_mutation *m = sc_find(r, entry->version);
    const struct sw_mutation *end = &r->sw.mutations[r->sw.mutation_count];
    if (m == NULL) {
        cc_violate(&r->cc, "k%u at node %u has a version that nobody has made",
                   key, node->place);
        return;
    }
    for (; m < end; m++) {
        if ((m->key == key || m->key == CW_KEYS) && !sc_is_lost(r, m) &&
            km_version_compare(m->version, entry->version) > 0) {
            cc_violate(&r->cc,
                       "k%u at node %u is %llu, and a later %s of node %u is "
                       "undone",
                       key, node->place, (unsigned long long)entry->value,
                       m->is_set ? "set" : "delete",
                       r->cc.cw.nodes[m->process].place);
            return;
        }
    }
}

static inline void sc_expect_same(struct sc_run *r, unsigned key)
{
    struct sw_entry first = {.version = {0, 0}};
    unsigned at = 0;
    for (unsigned place = 0; place < CW_PLACES; place++) {
        struct cw_node *node = cc_running_at(&r->cc, place);
        if (node == NULL) {
            continue;
        }
        struct sw_entry entry = sw_look(node, key);
        if (!km_version_is_set(entry.version)) {
            continue;
        }
        if (sw_drops(&r->sw.plan)) {
            sc_expect_newest(r, node, key, &entry);
        }
        if (!km_version_is_set(first.version)) {
            first = entry;
            at = place;
        } else if (km_version_compare(first.version, entry.version) != 0) {
            cc_violate(&r->cc, "k%u is %llu at node %u and %llu at node %u",
                       key, (unsigned long long)first.value, at,
                       (unsigned long long)entry.value, place);
        }
    }
}

/* All nodes have the same explicit values or none, and no visible value is older than
 * the database. */
static inline void sc_expect_agreement(struct sc_run *r)
{
    for (unsigned key = 0; key < CW_KEYS; key++) {
        if (r->cc.writing[key]) {
            continue;
        }
        sc_expect_same(r, key);
        for (unsigned place = 0; place < CW_PLACES; place++) {
            struct cw_node *node = cc_running_at(&r->cc, place);
            struct sw_entry entry = {.is_there = false};
            if (node != NULL) {
                entry = sw_look(node, key);
            }
            if (entry.is_there && sw_drops(&r->sw.plan) && sc_is_held(r, key) &&
                entry.value != r->cc.cw.db[key]) {
                cc_violate(&r->cc,
                           "k%u at node %u is %llu (%s), and the database has "
                           "%llu",
                           key, place, (unsigned long long)entry.value,
                           km_version_is_set(entry.version) ? "set" : "filled",
                           (unsigned long long)r->cc.cw.db[key]);
            }
        }
    }
}

/* Deletes the keys once more of which a mutation was lost with its node. */
static inline void sc_repeat_lost(struct sc_run *r)
{
    for (unsigned key = 0; key < CW_KEYS; key++) {
        bool is_lost = false;
        for (unsigned i = 0; i < r->sw.mutation_count; i++) {
            const struct sw_mutation *m = &r->sw.mutations[i];
            is_lost |= (m->key == key || m->key == CW_KEYS) && sc_is_lost(r, m);
        }
        for (unsigned i = 0; is_lost && i < CC_OPS; i++) {
            if (!r->cc.ops[i].busy && !r->cc.writing[key]) {
                cc_write(&r->cc.ops[i], CC_DELETE, key);
                break;
            }
        }
    }
}
