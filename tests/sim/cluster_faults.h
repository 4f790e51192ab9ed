/* SPDX-License-Identifier: MIT */
/*
 * What breaks in a simulated cluster (sim/cluster_clients.h), drawn by the seed:
 *
 *     registry   it is slow, cut off or silent for one node; a lease is revoked,
 *                all data is lost, changes are compacted
 *     network    nodes are parted, in one or both directions, or silent
 *     processes  they are started, stopped and killed
 *     pauses     a process stands still for up to 20 s
 *     late       a schedule that the rules of the turn are for: one node learns
 *                for seconds nothing of the registry, meanwhile another one joins
 *                or ends, gets go to the new one and writes to the late one; or
 *                the late one loses its lease at the same time, and what the
 *                others tell it takes up to 0.6 s
 *     alone      a node reaches neither the registry nor another node, perhaps for
 *                longer than its lease; writes go to it. This begins only when all
 *                nodes have one view: docs/CLUSTER.md 5 names the case in which the
 *                node has missed the last change, and the promise does not hold
 *
 * Threads: one. Errors: the process ends without memory.
 */
#pragma once

#include "sim/cluster_clients.h"

enum cf_kind {
    CF_REGISTRY = 1,
    CF_NETWORK = 2,
    CF_PROCESSES = 4,
    CF_PAUSES = 8,
    CF_LATE = 16,
    CF_ALONE = 32
};

#define CF_KINDS 6u

struct cf_faults {
    unsigned kinds; /* enum cf_kind */
    bool forgetful; /* processes end also while somebody was removed unawares */
    bool wiped;     /* the registry has lost its data */
    unsigned counts[CF_KINDS];
};

/* -- processes --------------------------------------------------------------- */

static inline bool cf_is_free(struct cc_run *r, unsigned place)
{
    for (unsigned i = 0; i < r->cw.node_count; i++) {
        const struct cw_node *node = &r->cw.nodes[i];
        if (node->place == place && node->net->health != SIM_DOWN) {
            return false;
        }
    }
    return true;
}

static inline bool cf_is_registered(const struct cw_node *node)
{
    char key[128];
    (void)snprintf(key, sizeof key, "/kamacache/v1/kama-cache/members/%s",
                   node->net->address);
    return sim_registry_find(&node->cw->registry, key) != NULL;
}

static inline bool cf_all_are_registered(struct cc_run *r)
{
    for (unsigned i = 0; i < r->cw.node_count; i++) {
        const struct cw_node *node = &r->cw.nodes[i];
        if (node->phase == CW_RUNS && node->has_adopted &&
            !cf_is_registered(node)) {
            return false;
        }
    }
    return true;
}

/* No process ends while another one was removed and may not have been told:
 * docs/CLUSTER.md 5 names this case, in which the promise does not hold. */
static inline bool cf_may_end(struct cc_run *r, const struct cf_faults *f)
{
    return (f->forgetful || cf_all_are_registered(r)) &&
           cc_count_running(r) > 2;
}

/* No process starts while the registry has lost its data, and not all have
 * registered again: docs/CLUSTER.md 5 names this case too. */
static inline bool cf_may_start(struct cc_run *r, struct cf_faults *f)
{
    f->wiped = f->wiped && !cf_all_are_registered(r);
    return f->forgetful || !f->wiped;
}

static inline struct cw_node *cf_start_any(struct cc_run *r)
{
    for (unsigned place = 0; place < CW_PLACES; place++) {
        if (r->cw.node_count + 1 < CW_PROCESSES && cf_is_free(r, place)) {
            return cw_start(&r->cw, place);
        }
    }
    return NULL;
}

static inline void cf_end(struct cc_run *r, struct cw_node *node)
{
    if (sim_chance(&r->cw.world, 500)) {
        cw_kill(node);
    } else {
        cw_stop(node);
    }
}

static inline void cf_process(struct cc_run *r, struct cf_faults *f)
{
    struct sim_world *w = &r->cw.world;
    unsigned place = (unsigned)sim_between(w, 0, CW_PLACES - 1);
    struct cw_node *node = cc_running_at(r, place);
    if (r->cw.node_count + 1 >= CW_PROCESSES) {
        return;
    }
    if (node == NULL) {
        if (cf_is_free(r, place) && cf_may_start(r, f)) {
            (void)cw_start(&r->cw, place);
        }
    } else if (!cw_is_still(node) && cf_may_end(r, f) && sim_chance(w, 500)) {
        cf_end(r, node);
    }
}

/* -- the registry ------------------------------------------------------------ */

static inline void cf_delay(struct cw_node *node, km_ns min, km_ns max)
{
    node->client.delay_min = min;
    node->client.delay_max = max;
}

static inline void cf_mend_registry(struct cw_node *node)
{
    sim_client_mend(&node->client);
    node->client.drops_changes = false;
    cf_delay(node, CW_MS, 5 * CW_MS);
}

static inline void cf_revoke(struct cw_node *node)
{
    CW_SAY(node->cw, "%u loses its lease", node->place);
    sim_registry_revoke(&node->cw->registry,
                        km_membership_lease_id(node->membership));
}

static inline void cf_registry(struct cc_run *r, struct cf_faults *f)
{
    struct sim_world *w = &r->cw.world;
    struct cw_node *node = cc_any_node(r);
    switch (sim_between(w, 0, 9)) {
    case 0:
    case 1:
    case 2:
        CW_SAY(&r->cw, "%u has a slow registry", node->place);
        cf_delay(node, 200 * CW_MS, 3 * KM_NS_PER_S);
        break;
    case 3:
        CW_SAY(&r->cw, "%u has no registry", node->place);
        sim_client_cut(&node->client);
        break;
    case 4:
        node->client.drops_changes = true;
        break;
    case 5:
        cf_revoke(node);
        break;
    case 6:
        if (sim_chance(w, 200)) {
            CW_SAY(&r->cw, "the registry is wiped");
            sim_registry_wipe(&r->cw.registry);
            f->wiped = true;
        }
        break;
    case 7:
        sim_registry_compact(&r->cw.registry);
        sim_client_break(&node->client);
        break;
    default:
        CW_SAY(&r->cw, "%u has a good registry", node->place);
        cf_mend_registry(node);
        break;
    }
}

/* -- the network ------------------------------------------------------------- */

static inline void cf_mend_network(struct cc_run *r)
{
    memset(r->cw.net.blocked, 0, sizeof r->cw.net.blocked);
    for (unsigned i = 0; i < r->cw.node_count; i++) {
        if (r->cw.nodes[i].net->health == SIM_SILENT) {
            r->cw.nodes[i].net->health = SIM_UP;
        }
    }
}

static inline void cf_network(struct cc_run *r)
{
    struct cw_node *a = cc_any_node(r);
    struct cw_node *b = cc_any_node(r);
    switch (sim_between(&r->cw.world, 0, 5)) {
    case 0:
        CW_SAY(&r->cw, "%u and %u are parted", a->place, b->place);
        r->cw.net.blocked[a->net->index][b->net->index] = true;
        r->cw.net.blocked[b->net->index][a->net->index] = true;
        break;
    case 1:
        CW_SAY(&r->cw, "%u does not reach %u", a->place, b->place);
        r->cw.net.blocked[a->net->index][b->net->index] = true;
        break;
    case 2:
        if (a->net->health == SIM_UP) {
            CW_SAY(&r->cw, "%u is silent", a->place);
            a->net->health = SIM_SILENT;
        }
        break;
    case 3:
        sim_net_cut(&r->cw.net, a->net->address);
        break;
    default:
        CW_SAY(&r->cw, "the network is mended");
        cf_mend_network(r);
        break;
    }
}

/* -- schedules --------------------------------------------------------------- */

static inline void cf_late_is_over(void *a, void *b)
{
    struct cc_run *r = a;
    struct cw_node *node = b;
    r->late = NULL;
    r->early = NULL;
    node->net->far = 0;
    if (node->phase < CW_CLOSES) {
        cf_mend_registry(node);
    }
}

/* The node ends before it can come back. What the others have kept meanwhile then
 * stays: when it comes back, it gets its slots back, and they drop that. */
static inline void cf_ends(void *a, void *b)
{
    struct cc_run *r = a;
    struct cw_node *node = b;
    if (node->phase == CW_RUNS && cc_count_running(r) > 1) {
        cw_kill(node);
    }
    cf_late_is_over(a, b);
}

/* The change of members is drawn: one joins, one ends, or the late one is removed
 * and another one joins. */
static inline void cf_late(struct cc_run *r, const struct cf_faults *f)
{
    struct sim_world *w = &r->cw.world;
    struct cw_node *node = cc_any_node(r);
    struct cw_node *other = cc_any_node(r);
    uint64_t kind = sim_between(w, 0, 3);
    if (r->late != NULL || !node->has_adopted) {
        return;
    }
    CW_SAY(&r->cw, "%u is late", node->place);
    cf_delay(node, 2 * KM_NS_PER_S, 3 * KM_NS_PER_S);
    r->late = node;
    if (kind == 0 && other != node && cf_may_end(r, f)) {
        cf_end(r, other);
    } else {
        if (kind == 1) {
            node->net->far = sim_between(w, 100, 600) * CW_MS;
            cf_revoke(node);
        }
        r->early = cf_start_any(r);
    }
    if (kind == 1 && sim_chance(w, 700)) {
        sim_at(&r->cw.net, w->now + sim_between(w, 500, 1500) * CW_MS, cf_ends,
               r, node);
    } else {
        sim_at(&r->cw.net, w->now + sim_between(w, 1000, 4000) * CW_MS,
               cf_late_is_over, r, node);
    }
}

static inline void cf_alone_is_over(void *a, void *b)
{
    struct cc_run *r = a;
    if (sim_chance(&r->cw.world, 500)) {
        cf_ends(a, b);
    } else {
        cf_late_is_over(a, b);
    }
    cf_mend_network(r);
}

static inline void cf_take_routing(void *arg,
                                   const struct km_peers_routing *routing)
{
    *(struct km_peers_routing *)arg = *routing;
}

/* Returns whether all nodes are settled members of one view of all of them. */
static inline bool cf_is_calm(struct cc_run *r)
{
    uint64_t id = 0;
    for (unsigned i = 0; i < r->cw.node_count; i++) {
        struct cw_node *node = &r->cw.nodes[i];
        struct km_peers_routing routing;
        if (node->phase == CW_OVER) {
            continue;
        }
        km_peers_routing(node->peers, cf_take_routing, &routing);
        if (node->phase != CW_RUNS || routing.view == NULL ||
            !routing.settled || routing.standing != KM_STANDING_MEMBER ||
            routing.view->count != cc_count_running(r) ||
            (id != 0 && id != routing.view->id)) {
            return false;
        }
        id = routing.view->id;
    }
    return true;
}

static inline void cf_alone(struct cc_run *r)
{
    struct sim_world *w = &r->cw.world;
    struct cw_node *node = cc_any_node(r);
    if (r->late != NULL || !cf_is_calm(r)) {
        return;
    }
    CW_SAY(&r->cw, "%u is alone", node->place);
    sim_client_cut(&node->client);
    for (unsigned i = 0; i < SIM_NODES; i++) {
        r->cw.net.blocked[node->net->index][i] = true;
        r->cw.net.blocked[i][node->net->index] = true;
    }
    r->late = node;
    uint64_t least = sim_chance(w, 500) ? 2000 : 13000;
    sim_at(&r->cw.net, w->now + sim_between(w, least, 18000) * CW_MS,
           cf_alone_is_over, r, node);
}

/* -- one fault --------------------------------------------------------------- */

static inline void cf_step(struct cc_run *r, struct cf_faults *f)
{
    struct sim_world *w = &r->cw.world;
    unsigned number = (unsigned)sim_between(w, 0, CF_KINDS - 1);
    enum cf_kind kind = 1u << number;
    if ((f->kinds & (unsigned)kind) == 0 || cc_any_node(r) == NULL) {
        return;
    }
    f->counts[number]++;
    switch (kind) {
    case CF_REGISTRY:
        cf_registry(r, f);
        break;
    case CF_NETWORK:
        cf_network(r);
        break;
    case CF_PROCESSES:
        cf_process(r, f);
        break;
    case CF_PAUSES:
        cw_pause(cc_any_node(r), sim_between(w, 500, 20000) * CW_MS);
        break;
    case CF_LATE:
        cf_late(r, f);
        break;
    case CF_ALONE:
        cf_alone(r);
        break;
    }
}

/* Mends everything; processes that have failed to start end. Those that stand
 * still go on by themselves. */
static inline void cf_mend(struct cc_run *r)
{
    CW_SAY(&r->cw, "everything is mended");
    cf_mend_network(r);
    r->late = NULL;
    r->early = NULL;
    for (unsigned i = 0; i < r->cw.node_count; i++) {
        struct cw_node *node = &r->cw.nodes[i];
        node->net->far = 0;
        if (node->phase == CW_RUNS && node->has_failed && !cw_is_still(node)) {
            cw_kill(node);
        }
        if (node->phase < CW_CLOSES) {
            cf_mend_registry(node);
        }
    }
}
