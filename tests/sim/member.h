/* SPDX-License-Identifier: MIT */
/*
 * One membership in the virtual world, with its clock and its connection to the
 * registry, and what it has said.
 *
 *     sim_member_start(&member, &world, &registry, &(struct sim_member_plan){
 *                          .address = "10.0.0.1:8001"});
 *     sim_run_for(&world, KM_NS_PER_S);
 *     member.view->count ...
 *     sim_member_kill(&member);     as a crash does: the record stays
 *     sim_member_fini(&member);
 *
 * Probes are answered after 5 ms with `probe_answer`; by default, this process
 * answers, as it does when a node was restarted on its address.
 */
#pragma once

#include "sim/registry.h"

struct sim_member_plan {
    const char *address; /* NULL: the local address of the connection */
    const char *admin;   /* NULL: "" */
    const char *cluster; /* NULL: "default" */
    const char *service; /* NULL: "kama-cache" */
    const kama_allocator *mem;
    km_ns origin;       /* of its clock */
    bool stays_joining; /* it is not activated when it is registered */
};

struct sim_member {
    struct sim_world *world;
    struct sim_clock clock;
    struct sim_client client;
    struct km_membership *membership; /* NULL after fini */
    struct sim_member_plan plan;
    struct km_member_id nonce;
    enum km_probe_answer probe_answer;
    bool answers_probes;
    /* What it has said. */
    struct km_view *view;    /* the last one */
    size_t first_view_count; /* its members */
    unsigned goodbyes; /* views that were told for the goodbye of a member */
    unsigned views, registered, activated, leaving, forgets, probes, failed,
        closed, logs, junk_logs;
    struct km_member_id id;
    /* How its next life says that the one before has ended, but for the id; and the
     * id that membership has asked for last. */
    struct km_member_goodbye life;
    unsigned lives;
    enum km_membership_lease lease;
    unsigned lease_events;
    unsigned kept; /* times that the lease was prolonged, and the last one */
    int64_t kept_ttl_ms;
    km_ns kept_sent_at;
    kama_status failed_status;
    char failed_text[512];
    km_ns waiting_until;
    char log_text[512]; /* the last line that is a warning or an error */
};

/* Makes and starts a membership. Returns false without memory. */
bool sim_member_start(struct sim_member *member, struct sim_world *world,
                      struct sim_registry *registry,
                      const struct sim_member_plan *plan);
/* Closes the membership while its link is cut, so that its record stays. */
void sim_member_kill(struct sim_member *member);
/* Closes it. The world is to be run for up to 2 s before fini. */
void sim_member_close(struct sim_member *member);
/* Runs the world until the membership is closed, and frees it. Closes it
 * before, if nobody has. */
void sim_member_fini(struct sim_member *member);
/* Returns whether it is registered and its view has so many members. */
bool sim_member_sees(const struct sim_member *member, size_t count);
/* Returns the key of its record. Valid until the next call. */
const char *sim_member_key(const struct sim_member *member);
