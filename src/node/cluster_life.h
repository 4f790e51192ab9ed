/* SPDX-License-Identifier: MIT */
/*
 * How the lives of a node follow each other (R12). A node that has lost its lease goes
 * on, and registers again with a new id: that is a new life. Its record says how the
 * life before has ended, so that members that have all of its mutations keep what they
 * have.
 *
 *     kept, kept, ..            the lease is prolonged: until then nobody has given the
 *                               node up
 *     lost                      it has ended, nobody knows when
 *     km_cluster_life_end       number and clock of the last mutation, and whether it came
 *                               after the lease may have ended
 *
 *     km_cluster_life_renew     the log begins the new life
 *
 * Mutations that come between the last two are covered by no record, and no stream will
 * tell them as part of the new life. So that begins one number later for them, which no
 * member counts as one that it has: each of them gets a Gap.
 *
 * Threads: the control loop, and km_cluster_life_renew the sync loop. Errors: none. Ownership: plain data; the log is borrowed.
 */
#pragma once

#include "base/clock.h"
#include "view/member.h"

#include <stdbool.h>

struct km_sync_log;

struct km_cluster_life {
    struct km_sync_log *log;
    uint64_t
        kept_ms; /* the wall clock when the registry was asked for the last time
                        * with success to prolong the lease */
    uint64_t kept_hlc;          /* the clock of the log when it had answered */
    uint64_t next_ms, next_hlc; /* likewise of the lease of the next life */
    bool lost;
    struct km_member_goodbye prev; /* as the record has it; id: none before the
                                    * first km_cluster_life_end */
};

/* The lease was granted or prolonged by a request that is `age` old; it is wall_ms. */
void km_cluster_life_kept(struct km_cluster_life *life, uint64_t wall_ms,
                          km_ns age);
/* The lease is lost: the next one that is kept is another one. */
void km_cluster_life_lose(struct km_cluster_life *life);
/* The node is about to register again: says how this life ends. prev->id is set. */
void km_cluster_life_end(struct km_cluster_life *life,
                         struct km_member_goodbye *prev);
/* Begins a life in the log, behind the one whose end the record tells. prev->id: none if
 * there was none. */
void km_cluster_life_renew(struct km_sync_log *log, uint64_t origin,
                           const struct km_member_goodbye *prev);
/* It has registered again, under the lease that was kept last. */
void km_cluster_life_begin(struct km_cluster_life *life);
