/* SPDX-License-Identifier: MIT */
/*
 * A registry in memory that behaves as etcd does: revisions, versions, leases
 * whose time runs on the virtual clock, watches, compaction.
 *
 *     struct sim_registry registry;                     one
 *     struct sim_client client;                         one for each node
 *     sim_registry_init(&registry, &world);
 *     sim_client_init(&client, &registry, &clock, &km_membership_registry_events,
 *                     membership);
 *     options.registry_ops = &sim_client_ops;  options.registry = &client;
 *
 * What goes wrong is chosen by the test: delays, requests and answers that are
 * lost, a link that is cut, a watch that says nothing, a registry that is
 * stopped, restarted (each lease then lasts its full time again), emptied or
 * compacted, and leases, keys and records that somebody changes by hand.
 *
 * Clients check the contract of membership/registry.h: no second request of a
 * kind while one is under way, and none after close.
 *
 * Threads: one. Errors: the process ends without memory.
 */
#pragma once

#include "membership/registry.h"
#include "sim/world.h"

#define SIM_CLIENTS_MAX 64

struct sim_key {
    char *key;
    char *value;
    size_t value_len;
    int64_t create_revision;
    int64_t mod_revision;
    int64_t version;
    int64_t lease;
    bool deleted; /* of a change */
};

struct sim_lease {
    int64_t id;
    int64_t ttl_ms;
    km_ns ends_at;
};

/* A growing array. */
struct sim_keys {
    struct sim_key *items;
    size_t count;
    size_t cap;
};

struct sim_registry {
    struct sim_world *world;
    int64_t revision;
    int64_t compacted; /* changes below it are gone */
    int64_t last_lease;
    bool is_down;
    struct sim_keys keys;    /* sorted */
    struct sim_keys changes; /* all of them, by mod_revision */
    struct sim_lease leases[2 * SIM_CLIENTS_MAX];
    size_t lease_count;
    struct sim_client *clients[SIM_CLIENTS_MAX];
    size_t client_count;
    struct km_timer tick; /* ends leases, twice a second */
};

enum sim_request_kind {
    SIM_STAMP,
    SIM_GRANT,
    SIM_KEEP_ALIVE,
    SIM_REVOKE,
    SIM_TIME_LEFT,
    SIM_CLAIM,
    SIM_UPDATE,
    SIM_REMOVE,
    SIM_LIST,
    SIM_WATCH,
    SIM_CHANGED, /* these two only come from the registry */
    SIM_WATCH_ENDED,
    SIM_KINDS
};

struct sim_client {
    struct sim_registry *registry;
    struct sim_clock *clock;
    const struct km_registry_events *events;
    void *owner;
    /* Faults. */
    km_ns delay_min, delay_max;
    unsigned lose_request; /* of a thousand */
    unsigned lose_answer;
    bool is_cut;                    /* no connection can be made */
    bool drops_changes;             /* the watch stands and says nothing */
    km_ns still_since, still_until; /* its process stands still meanwhile */
    kama_status refuses; /* every request fails with it; KAMA_OK: none does */
    /* State. */
    bool is_connected;
    bool is_closed;
    unsigned busy[SIM_KINDS]; /* requests under way */
    unsigned requests[SIM_KINDS];
    unsigned watch; /* the number of the watch */
    bool is_watching;
    int64_t next_revision;
    km_ns last_kept, last_changed; /* the time of the last delivery */
};

extern const struct km_registry_ops sim_client_ops;

void sim_registry_init(struct sim_registry *registry, struct sim_world *world);
void sim_registry_fini(struct sim_registry *registry);
/* A client of a registry; the owner of the events may be set later. */
void sim_client_init(struct sim_client *client, struct sim_registry *registry,
                     struct sim_clock *clock,
                     const struct km_registry_events *events, void *owner);

/* Stops and starts the registry. Data and leases are kept. */
void sim_registry_stop(struct sim_registry *registry);
void sim_registry_start(struct sim_registry *registry);
/* Empties it, as a new etcd on an empty disk is: the revision begins again. */
void sim_registry_wipe(struct sim_registry *registry);
/* Forgets all changes up to now. */
void sim_registry_compact(struct sim_registry *registry);
/* What a person does by hand. */
void sim_registry_put(struct sim_registry *registry, const char *key,
                      kama_bytes value, int64_t lease);
void sim_registry_delete(struct sim_registry *registry, const char *key);
void sim_registry_revoke(struct sim_registry *registry, int64_t lease);
int64_t sim_registry_grant(struct sim_registry *registry, int64_t ttl_ms);
/* Returns a key, or NULL. */
const struct sim_key *sim_registry_find(const struct sim_registry *registry,
                                        const char *key);
/* Breaks the connections of a client; its watch ends. */
void sim_client_break(struct sim_client *client);
/* Cuts and mends its link. */
void sim_client_cut(struct sim_client *client);
void sim_client_mend(struct sim_client *client);
