/* SPDX-License-Identifier: MIT */
/*
 * What holds at the end of a run of a simulated cluster (sim/cluster_clients.h), when
 * everything was mended: one view, an answer for each call, and at every node the values
 * of the database.
 *
 * Threads: one. Errors: what does not hold is written into the run (cc_violate).
 */
#pragma once

#include "sim/cluster_clients.h"

static inline void cp_take_routing(void *arg,
                                   const struct km_peers_routing *routing)
{
    *(struct km_peers_routing *)arg = *routing;
}

static inline void cp_expect_one_view(struct cc_run *r)
{
    uint64_t id = 0;
    for (unsigned i = 0; i < r->cw.node_count; i++) {
        struct cw_node *node = &r->cw.nodes[i];
        struct km_peers_routing routing;
        if (node->phase != CW_RUNS) {
            continue;
        }
        km_peers_routing(node->peers, cp_take_routing, &routing);
        if (routing.view == NULL ||
            routing.view->count != cc_count_running(r) ||
            (id != 0 && routing.view->id != id)) {
            cc_violate(r, "node %u has another view", node->place);
        } else if (!routing.settled || routing.standing != KM_STANDING_MEMBER) {
            cc_violate(r, "node %u is not settled, or stands as %d",
                       node->place, routing.standing);
        } else if (!node->is_mutable || node->lease != KM_LEASE_HELD) {
            cc_violate(r, "node %u has no lease", node->place);
        }
        id = routing.view != NULL ? routing.view->id : id;
    }
}

static inline void cp_expect_answers(struct cc_run *r)
{
    for (unsigned i = 0; i < CC_OPS; i++) {
        if (r->ops[i].busy) {
            const struct cc_op *op = &r->ops[i];
            cc_violate(
                r,
                "a %s of k%u has no answer: node %u (phase %d), state %d, "
                "status %d, refused %u times",
                op->kind == CC_GET ? "get" : "write", op->key, op->at->place,
                op->at->phase, op->mutate.state, op->status,
                op->mutate.refusals);
        }
    }
}

/* Reads each key through each node at the same time. */
static inline void cp_read_all(struct cc_run *r, const char *when)
{
    for (unsigned key = 0; key < CW_KEYS; key++) {
        struct cc_op *ops = r->ops;
        unsigned count = 0;
        for (unsigned place = 0; place < CW_PLACES; place++) {
            if (cc_running_at(r, place) != NULL) {
                cc_get(&ops[count++], cc_running_at(r, place), key, 0);
            }
        }
        cw_run(&r->cw, 3 * KM_NS_PER_S);
        cp_expect_answers(r);
        for (unsigned i = 0; i < count; i++) {
            r->stale |=
                ops[i].status == KAMA_OK && ops[i].value < r->cw.db[key];
            if (ops[i].status != KAMA_OK || ops[i].value != r->cw.db[key]) {
                cc_violate(r,
                           "%s: k%u through node %u is %llu (status %d), and "
                           "the database has %llu",
                           when, key, ops[i].at->place,
                           (unsigned long long)ops[i].value, ops[i].status,
                           (unsigned long long)r->cw.db[key]);
            }
        }
    }
}
