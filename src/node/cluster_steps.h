/* SPDX-License-Identifier: MIT */
/*
 * The steps that a node takes before it is ready.
 *
 *     listen    the server listens (before the cluster starts)
 *     register  the record of this node stands in the registry
 *     view      the first full view was adopted
 *     peers     each member has answered Hello, or 2 s have passed
 *     streams   the streams of mutations to and from each active member stand, or 2 s have
 *               passed. What they have to say first makes this node drop everything, which
 *               must not include what is set on it
 *     dialback  a Hello to the own advertised address was answered by this node
 *     clock     the clocks of the others agree with the own one; done until Hello
 *               has found the opposite
 *     lease     the lease is held
 *
 *     register, view --> peers --> streams --> dialback --> membership writes `active`
 *                                           --> the view says `active`: ready
 *
 * `lease` and `register` can be missing again later, when the lease is lost; a
 * node that was ready once stays so and says that it is degraded.
 *
 * Threads: the control loop. Errors: a dial-back that somebody else answers
 * fails the start. Ownership: part of struct km_cluster.
 */
#pragma once

#include "base/timer.h"
#include "peers/peers.h"

struct km_cluster;

enum km_cluster_step {
    KM_STEP_LISTEN,
    KM_STEP_REGISTER,
    KM_STEP_VIEW,
    KM_STEP_PEERS,
    KM_STEP_STREAMS,
    KM_STEP_DIALBACK,
    KM_STEP_CLOCK,
    KM_STEP_LEASE,
    KM_STEP_COUNT
};

/* The dial-back. */
enum km_dialback { KM_DIALBACK_IDLE, KM_DIALBACK_RUNS, KM_DIALBACK_DONE };

struct km_cluster_steps {
    unsigned done; /* a bit for each step */
    enum km_dialback dialback;
    struct km_peers_probe probe;
    struct km_timer timer; /* of `peers`, `streams` and the next dial-back */
    km_ns peers_until;     /* 0: the first view was not adopted yet */
    km_ns streams_until;   /* 0: `peers` is not done yet */
    km_ns dial_until;      /* 0: not dialed yet */
};

/* The steps that are done before anything has happened. */
#define KM_STEPS_AT_FIRST (1u << KM_STEP_CLOCK)

/* Writes the names of steps, which are bits of `missing`. Returns how many. */
size_t km_cluster_steps_name(unsigned missing,
                             const char *ret_names[KM_STEP_COUNT]);

/* Notes that a step is done, or is missing again, and takes the next ones. */
void km_cluster_step_done(struct km_cluster *cluster,
                          enum km_cluster_step step);
void km_cluster_step_undone(struct km_cluster *cluster,
                            enum km_cluster_step step);
/* Looks whether the step `peers` is done: a peer has answered, or the view has
 * changed. */
void km_cluster_steps_look(struct km_cluster *cluster);
/* Stops the timer and ignores the answer of a dial-back. */
void km_cluster_steps_stop(struct km_cluster *cluster);
