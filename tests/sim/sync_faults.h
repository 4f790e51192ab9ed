/* SPDX-License-Identifier: MIT */
/*
 * What breaks in a run of synchronized groups (sim/sync_clients.h), drawn by the seed:
 *
 *     streams     connections are cut
 *     network     nodes are parted in halves, one node is isolated, one direction is
 *                 blocked
 *     processes   they are started, stopped and killed
 *     registry    a lease is revoked; views are learned seconds late
 *     pauses      a process stands still for up to 12 s
 *     evictions   keys are evicted somewhere
 *     conflicts   nodes are parted, and shortly before the network is mended one of them
 *                 evicts what it has set meanwhile
 *     late        a process gets its group seconds after its start
 *
 * The faults have numbers, and whether one happens is independent of the others, so that
 * a schedule that violates something can be made shorter by leaving faults out.
 *
 * Threads: one. Errors: the process ends without memory.
 */
#pragma once

#include "sim/sync_clients.h"

enum sf_kind {
    SF_STREAMS = 1,
    SF_NETWORK = 2,
    SF_PROCESSES = 4,
    SF_REGISTRY = 8,
    SF_PAUSES = 16,
    SF_EVICTIONS = 32,
    SF_LATE = 64,
    SF_CONFLICTS = 128
};
#define SF_KINDS 8u
#define SF_FAULTS 128u

struct sf_faults {
    unsigned kinds;
    struct sim_world dice; /* of which only the random bits are used */
    unsigned count;
    bool skipped[SF_FAULTS];
    char said[SF_FAULTS][80]; /* what has happened */
    unsigned counts[SF_KINDS];
};

#define SF_SAY(r, f, ...)                                                      \
    do {                                                                       \
        (void)snprintf((f)->said[(f)->count], sizeof(f)->said[0],              \
                       __VA_ARGS__);                                           \
        CW_SAY(&(r)->cc.cw, "FAULT %u: %s", (f)->count,                        \
               (f)->said[(f)->count]);                                         \
    } while (0)

static inline struct cw_node *sf_any(struct sc_run *r, struct sf_faults *f)
{
    unsigned first = (unsigned)sim_between(&f->dice, 0, CW_PLACES - 1);
    for (unsigned i = 0; i < CW_PLACES; i++) {
        struct cw_node *node = cc_running_at(&r->cc, (first + i) % CW_PLACES);
        if (node != NULL && !cw_is_still(node)) {
            return node;
        }
    }
    return NULL;
}

static inline void sf_streams(struct sc_run *r, struct sf_faults *f,
                              struct cw_node *a)
{
    struct cw_node *b = sf_any(r, f);
    bool is_all = a == b || sim_chance(&f->dice, 300);
    SF_SAY(r, f,
           is_all ? "all connections of %u are cut"
                  : "connections of %u and %u are cut",
           a->place, b->place);
    sim_streams_cut(&r->sw.streams, a->net, is_all ? NULL : b->net);
    if (is_all) {
        sim_net_cut(&r->cc.cw.net, a->net->address);
    }
}

/* Nodes are on the side that their bit says. */
static inline void sf_part(struct sc_run *r, unsigned sides)
{
    for (unsigned i = 0; i < r->cc.cw.node_count; i++) {
        for (unsigned k = 0; k < r->cc.cw.node_count; k++) {
            const struct cw_node *a = &r->cc.cw.nodes[i];
            const struct cw_node *b = &r->cc.cw.nodes[k];
            if ((sides >> a->place & 1) != (sides >> b->place & 1)) {
                r->cc.cw.net.blocked[a->net->index][b->net->index] = true;
            }
        }
    }
}

static inline void sf_network(struct sc_run *r, struct sf_faults *f,
                              struct cw_node *a)
{
    struct cw_node *b = sf_any(r, f);
    unsigned sides = (unsigned)sim_between(&f->dice, 1, 30);
    switch (sim_between(&f->dice, 0, 6)) {
    case 0:
        SF_SAY(r, f, "parted by %x", sides);
        sf_part(r, sides);
        break;
    case 1:
        SF_SAY(r, f, "%u is isolated", a->place);
        sf_part(r, 1u << a->place);
        break;
    case 2:
        SF_SAY(r, f, "%u does not reach %u", a->place, b->place);
        r->cc.cw.net.blocked[a->net->index][b->net->index] = true;
        break;
    case 3:
        SF_SAY(r, f, "%u is far", a->place);
        a->net->far = sim_between(&f->dice, 10, 300) * CW_MS;
        break;
    default:
        SF_SAY(r, f, "the network is mended");
        cf_mend_network(&r->cc);
        a->net->far = 0;
        break;
    }
}

static inline void sf_start(struct sc_run *r, struct sf_faults *f,
                            unsigned place)
{
    if (r->cc.cw.node_count + 1 < CW_PROCESSES && cf_is_free(&r->cc, place)) {
        SF_SAY(r, f, "%u starts", place);
        (void)cw_start(&r->cc.cw, place);
    }
}

static inline void sf_process(struct sc_run *r, struct sf_faults *f)
{
    unsigned place = (unsigned)sim_between(&f->dice, 0, CW_PLACES - 1);
    struct cw_node *node = cc_running_at(&r->cc, place);
    bool is_kill = sim_chance(&f->dice, 600);
    if (node == NULL) {
        sf_start(r, f, place);
    } else if (cc_count_running(&r->cc) > 2 && !cw_is_still(node)) {
        SF_SAY(r, f, is_kill ? "%u is killed" : "%u is stopped", place);
        if (is_kill) {
            cw_kill(node);
        } else {
            cw_stop(node);
        }
    }
}

static inline void sf_registry(struct sc_run *r, struct sf_faults *f,
                               struct cw_node *node)
{
    switch (sim_between(&f->dice, 0, 4)) {
    case 0:
    case 1:
        SF_SAY(r, f, "%u loses its lease", node->place);
        cf_revoke(node);
        break;
    case 2:
        SF_SAY(r, f, "%u learns late", node->place);
        cf_delay(node, 200 * CW_MS, 3 * KM_NS_PER_S);
        break;
    case 3:
        SF_SAY(r, f, "%u has no registry", node->place);
        sim_client_cut(&node->client);
        break;
    default:
        SF_SAY(r, f, "%u has a good registry", node->place);
        cf_mend_registry(node);
        break;
    }
}

static inline void sf_evict_keys(const struct cw_node *node, unsigned keys)
{
    for (unsigned key = 0; node->group != NULL && key < CW_KEYS; key++) {
        if ((keys >> key & 1) != 0) {
            sw_evict(node, key);
        }
    }
}

static inline void sf_evict(struct sc_run *r, struct sf_faults *f,
                            struct cw_node *node)
{
    unsigned keys = (unsigned)sim_between(&f->dice, 1, (1u << CW_KEYS) - 1);
    SF_SAY(r, f, "%u evicts the keys %x", node->place, keys);
    sf_evict_keys(node, keys);
}

struct sf_conflict {
    struct sc_run *run;
    unsigned process;
    unsigned keys;
};

static inline void sf_conflict_ends(void *arg)
{
    struct sf_conflict *conflict = arg;
    struct cw_node *node = &conflict->run->cc.cw.nodes[conflict->process];
    if (node->phase == CW_RUNS) {
        CW_SAY(node->cw, "%u evicts, and the network is mended", node->place);
        sf_evict_keys(node, conflict->keys);
    }
    cf_mend_network(&conflict->run->cc);
    free(conflict);
}

static inline void sf_conflict(struct sc_run *r, struct sf_faults *f,
                               const struct cw_node *node)
{
    struct sf_conflict *conflict = malloc(sizeof *conflict);
    KM_ASSERT(conflict != NULL);
    *conflict = (struct sf_conflict){
        .run = r,
        .process = node->net->index,
        .keys = (unsigned)sim_between(&f->dice, 1, (1u << CW_KEYS) - 1)};
    SF_SAY(r, f, "%u is isolated, and evicts the keys %x", node->place,
           conflict->keys);
    sf_part(r, 1u << node->place);
    sim_post(&r->cc.cw.world, sim_between(&f->dice, 200, 1200) * CW_MS,
             sf_conflict_ends, conflict);
}

static inline void sf_on_late_group(void *a, void *b)
{
    struct cw_node *node = a;
    (void)b;
    if (node->phase == CW_RUNS && node->group == NULL) {
        CW_SAY(node->cw, "%u gets its group", node->place);
        sw_add_late(node);
    }
}

static inline void sf_late(struct sc_run *r, struct sf_faults *f)
{
    unsigned place = (unsigned)sim_between(&f->dice, 0, CW_PLACES - 1);
    uint64_t ms = sim_between(&f->dice, 100, 4000);
    if (r->cc.cw.node_count + 1 < CW_PROCESSES && cf_is_free(&r->cc, place)) {
        SF_SAY(r, f, "%u starts, and gets its group %u ms later", place,
               (unsigned)ms);
        struct cw_node *node = cw_start_bare(&r->cc.cw, place);
        km_membership_start(node->membership);
        cw_at(node, ms * CW_MS, sf_on_late_group, node, NULL);
    }
}

static inline void sf_happens(struct sc_run *r, struct sf_faults *f,
                              enum sf_kind kind, struct cw_node *node)
{
    switch (kind) {
    case SF_STREAMS:
        sf_streams(r, f, node);
        break;
    case SF_NETWORK:
        sf_network(r, f, node);
        break;
    case SF_PROCESSES:
        sf_process(r, f);
        break;
    case SF_REGISTRY:
        sf_registry(r, f, node);
        break;
    case SF_PAUSES:
        SF_SAY(r, f, "%u stands still", node->place);
        cw_pause(node, sim_between(&f->dice, 300, 12000) * CW_MS);
        break;
    case SF_EVICTIONS:
        sf_evict(r, f, node);
        break;
    case SF_LATE:
        sf_late(r, f);
        break;
    case SF_CONFLICTS:
        sf_conflict(r, f, node);
        break;
    }
}

/* Draws the next fault, which happens if it is not skipped. Its own dice depend on the
 * seed and on its number only. */
static inline void sf_step(struct sc_run *r, struct sf_faults *f, uint64_t seed)
{
    if (f->count >= SF_FAULTS) {
        return;
    }
    f->dice.random =
        (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) + f->count * 7919u;
    (void)sim_random(&f->dice);
    unsigned number = (unsigned)sim_between(&f->dice, 0, SF_KINDS - 1);
    struct cw_node *node = sf_any(r, f);
    f->said[f->count][0] = '\0';
    if ((f->kinds & 1u << number) != 0 && node != NULL &&
        !f->skipped[f->count]) {
        f->counts[number]++;
        sf_happens(r, f, (enum sf_kind)(1u << number), node);
    }
    f->count++;
}

/* Mends everything. Processes without a group get it; those that stand still go on by
 * themselves. */
static inline void sf_mend(struct sc_run *r)
{
    cf_mend(&r->cc);
    for (unsigned i = 0; i < r->cc.cw.node_count; i++) {
        struct cw_node *node = &r->cc.cw.nodes[i];
        sf_on_late_group(node, NULL);
    }
}
