/* SPDX-License-Identifier: MIT */
/*
 * Membership: registers this node, keeps its lease, and says who the members
 * are. docs/CLUSTER.md 2 and 3 have the rules.
 *
 *     km_membership_new(&options, &membership);
 *     km_membership_start(membership);            -> events
 *     km_membership_activate(membership);         the node serves
 *     km_membership_leave(membership);            the node stops
 *     km_membership_close(membership);            -> events->closed
 *
 * It is a state machine: time, the registry, timers and random bits come in
 * through tables of functions, so that the simulator can run many of them in
 * one thread.
 *
 *     IDLE -> GRANTING -> CLAIMING --> REGISTERED -> LEAVING -> REVOKING -> OVER
 *                ^           |  ^           |
 *                |           v  |           |
 *                |        PROBING/WAITING   |
 *                +-------- lease lost ------+
 *
 * (membership_internal.h has the states in detail.) A request to the registry
 * that fails is sent again after 100 ms x 1.6 up to 3 s, for ever; running out
 * of memory is treated in the same way.
 *
 * Threads: one loop. Errors: KAMA_ERR_NO_MEMORY and KAMA_ERR_INVALID from new;
 * everything else is an event. Events come from timers and from the registry,
 * and never from inside a call of the owner, except `log`, and the outcome of
 * km_membership_probed. Ownership: the options' texts are copied, the tables
 * borrowed. Cost: a few messages per second at most; O(members) for each
 * change.
 */
#pragma once

#include "base/timer.h"
#include "membership/registry.h"
#include "view/view.h"

struct km_membership;

/* Timers, clocks and random bits, of the loop or of the simulator. */
struct km_membership_env {
    km_ns (*now)(void *arg);  /* monotonic */
    km_ns (*boot)(void *arg); /* runs on while the machine is suspended */
    uint64_t (*wall_ms)(void *arg);
    void (*arm)(void *arg, struct km_timer *timer, km_ns at);
    void (*disarm)(void *arg, struct km_timer *timer);
    void (*random)(void *arg, void *buf, size_t len);
    void *arg;
};

enum km_membership_lease {
    KM_LEASE_NONE, /* not registered yet */
    KM_LEASE_HELD,
    KM_LEASE_DOUBTFUL, /* it may have expired */
    KM_LEASE_LOST      /* it has expired; the node registers again */
};

/* The process that answers at an address. */
enum km_probe_answer {
    KM_PROBE_NOBODY,
    KM_PROBE_SELF,    /* this process */
    KM_PROBE_ANOTHER, /* a node of another process; id may be none */
};

struct km_membership_events {
    /* The registry has told another view. It is noticed, and is to be adopted.
     * The view is borrowed. The first view comes when this node is registered
     * and is in it; later ones may lack this node, which is then about to
     * register again. */
    void (*view)(void *owner, struct km_view *view);
    /* R11. A member has written its goodbye into its record (final_seq and clock).
     * The view has the same id as before, and this member in it. A goodbye that
     * comes together with another change is in the view that is told for that. May
     * be NULL. */
    void (*goodbye)(void *owner, struct km_view *view);
    /* This node is registered under an id: for the first time if registrations
     * is 1, else again with a new id, because the lease was lost or the record
     * was deleted: then the groups whose keys have owners must be cleared (R12: the
     * others are kept). The record says `active` at
     * once if it has said so before. A view with the new id follows. */
    void (*registered)(void *owner, const struct km_member_id *id,
                       unsigned registrations);
    /* R12. The node is about to register again: fills in how its life before has
     * ended. ret_prev->id is set already, the rest is 0. What begins on the node
     * from now on belongs to the next life, because no stream would tell it as part
     * of the one before. Each attempt to register asks again. This event must not
     * call membership. It may be NULL: then the record names no life before. */
    void (*life)(void *owner, struct km_member_goodbye *ret_prev);
    /* The record says `active` now (the answer to activate). It comes once, and
     * not again after a later registration. */
    void (*activated)(void *owner);
    /* The record says `leaving` now, or could not be written within 2 s, or
     * there is none (the answer to leave). */
    void (*leaving)(void *owner);
    /* All groups must be cleared; why is a sentence. */
    void (*forget)(void *owner, const char *why);
    /* The lease is in another state. A record that was deleted under a living
     * lease counts as a lost lease. */
    void (*lease)(void *owner, enum km_membership_lease lease);
    /* The lease was granted or prolonged for ttl_ms, by a request that was sent at
     * sent_at of the clock env.boot and is answered now. May be NULL. */
    void (*kept)(void *owner, int64_t ttl_ms, km_ns sent_at);
    /* The start cannot succeed; text says what to do. The membership does
     * nothing any more and is to be closed. It never comes after
     * `registered`. */
    void (*failed)(void *owner, kama_status status, const char *text);
    /* Asks who answers at an address; km_membership_probed is the answer, which
     * may come from inside this event. Without one within 5 s it is
     * KM_PROBE_NOBODY. */
    void (*probe)(void *owner, const char *address);
    /* The registration waits for a held address: start_timeout is put off until
     * `until`. */
    void (*waiting)(void *owner, km_ns until);
    /* All records were read, and the view that follows from them was told. The
     * read began at sent_at, of env.now. May be NULL. */
    void (*read)(void *owner, km_ns sent_at);
    /* The registry can be reached (KAMA_OK), or cannot any more. May be NULL. */
    void (*registry)(void *owner, kama_status status, const char *text);
    /* A line for the log. level as in kama_node_event. */
    void (*log)(void *owner, int level, const char *name, const char *text);
    void (*closed)(void *owner);
};

struct km_membership_options {
    const kama_allocator *mem;
    struct km_membership_env env;
    const struct km_registry_ops *registry_ops;
    void *registry;
    const struct km_membership_events *events;
    void *owner;
    const char *cluster;
    const char *service;
    const char *address; /* advertised, canonical; NULL: the local address of
                          * the registry's connection, with `port` */
    uint16_t port;
    const char *admin;
    const char *const *labels;
    size_t label_count;
    uint32_t weight;
    struct km_member_id nonce; /* of the process */
    int64_t lease_ttl_ms;      /* 0: 10 s */
};

/* Makes a membership. Errors: KAMA_ERR_NO_MEMORY, and KAMA_ERR_INVALID for a
 * name, a label, a weight or an address outside its limits (base/limits.h). */
KAMA_NODISCARD kama_status
km_membership_new(const struct km_membership_options *options,
                  struct km_membership **ret_membership);
/* The table that the registry is made with; its owner is the membership. */
extern const struct km_registry_events km_membership_registry_events;

/* Begins to register and to follow the members. */
void km_membership_start(struct km_membership *membership);
/* Writes `active`, at once or when the node is registered. ->
 * events->activated */
void km_membership_activate(struct km_membership *membership);
/* Writes `leaving`, which takes at most 2 s. The node does not register any
 * more, whatever happens to its lease. -> events->leaving */
void km_membership_leave(struct km_membership *membership);
/* R11. Writes into the record of a node that leaves how its life has ended: the number
 * and the clock of its last mutation. It is called between leave and close, and does
 * nothing if there is no record any more. A clock of 0 is written as 1, because 0
 * stands for no goodbye. */
void km_membership_set_goodbye(struct km_membership *membership,
                               uint64_t final_seq, uint64_t clock);
/* Waits at most 0.5 s until the goodbye is written, if there is one. Revokes the
 * lease, or deletes nothing if all that takes more than 1 s, and ends. It may be
 * called in any state, and once more does nothing. -> events->closed */
void km_membership_close(struct km_membership *membership);
/* Frees a membership after `closed`, or one that was never started. NULL does
 * nothing. */
void km_membership_free(struct km_membership *membership);

/* The answer to events->probe. id: of the node that answered, or NULL. */
void km_membership_probed(struct km_membership *membership,
                          enum km_probe_answer answer,
                          const struct km_member_id *id);
/* Another node has adopted a view that is unknown here: reads the registry, at
 * most twice a second. */
void km_membership_refresh(struct km_membership *membership);
/* A member says that this node was given up: it is behind until it has
 * registered again. Checks the lease. */
void km_membership_told_gone(struct km_membership *membership);

/* Questions. The id is that of the last registration, and "none" before the
 * first; the address is "" while it is not known; the lease id is 0 for
 * none. */
const struct km_member_id *km_membership_id(const struct km_membership *m);
const char *km_membership_address(const struct km_membership *m);
enum km_membership_lease km_membership_lease_state(
    const struct km_membership *m);
int64_t km_membership_lease_id(const struct km_membership *m);

/* Counters of the membership, for metrics and tests. */
struct km_membership_stats {
    uint64_t junk_records;    /* each writing of one counts once */
    uint64_t foreign_records; /* of another cluster */
    uint64_t lists;
    uint64_t watches;
    uint64_t registrations;
    uint64_t held; /* addresses that are held in the view now */
};
void km_membership_stats_get(const struct km_membership *membership,
                             struct km_membership_stats *ret_stats);
