/* SPDX-License-Identifier: MIT */
/*
 * A node forgets the keys that it does not hold any more (R10, R5): in a group with
 * sync=shard:R, a minute after the adoption of the view that has taken them away. Until then
 * it answers the node that has got a key and asks for it (R9).
 *
 *     IDLE --adoption--> WAITS --a minute--> RUNS, on the pool --> IDLE
 *                          ^                   |  there was an adoption meanwhile
 *                          +-------------------+
 *
 * Gets on this node are answered from these entries in that minute as well: the node hears
 * of every mutation, so that they are as true as those that it holds. To refuse them would
 * cost every hit a look into the table of the slots.
 *
 * Threads: the control loop, but for the job. Errors: without memory, it is tried again a
 * minute later. Ownership: part of struct km_cluster. Cost: one job for each adoption,
 * which looks at every slot and every bucket of the groups, a bounded number at a time.
 */
#pragma once

#include "base/pool.h"
#include "base/timer.h"
#include "net/loop.h"

struct km_cluster;

struct km_cluster_forget {
    enum { KM_FORGET_IDLE, KM_FORGET_WAITS, KM_FORGET_RUNS } stage;
    struct km_timer timer;
    struct km_job job;
    struct km_mail mail;
    km_ns due; /* a minute after the last adoption */
    bool
        has_failed; /* the job had no memory; written by it, read behind its mail */
    bool is_closed; /* no more jobs */
};

/* A view was adopted. */
void km_cluster_forget_later(struct km_cluster *cluster);
/* Begins no job any more. Returns whether none runs; if one does, its end may be the end of
 * the cluster (km_cluster_look_end). */
bool km_cluster_forget_stop(struct km_cluster *cluster);
