/* SPDX-License-Identifier: MIT */
/*
 * The node, as the admin port shows it: a table of functions that node/ fills in
 * (node/node_admin.h). Everything is read-only. The structures of the public API
 * carry the answers, so that the port, the API and the client say the same.
 *
 *     HTTP --> admin/ --source.ops--> node/ --> services, peers, loops
 *                |
 *                +--source.registry--> group/
 *
 * Threads: the functions are called on the thread of the admin port, from before
 * the node starts until it has stopped. They hold no lock while a callback runs,
 * and never wait for a loop.
 * Ownership: the arguments of a callback are borrowed until it returns.
 * Errors: none, except of `owner` and `metrics`.
 * Cost: O(members) or O(loops).
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "base/metric_text.h"
#include "net/pulse.h"

#include <kamacache/kamacache.h>

struct km_registry;

/* The life of a node, as /readyz needs it. */
enum km_admin_phase { KM_ADMIN_STARTING, KM_ADMIN_SERVING, KM_ADMIN_DRAINING };

/* The facts about all members together. */
struct km_admin_view {
    const char *cluster;
    const char *service;
    uint64_t view_id;
    bool settled;
    bool registry_up;
};

/* The log of the mutations that begin on the node. */
struct km_admin_log {
    bool exists;        /* it is in a cluster */
    uint64_t seq;       /* number of the newest mutation; 0: there was none */
    uint64_t entries;   /* mutations that members can still read from it */
    uint64_t bytes;     /* the memory of these */
    uint64_t oldest_ns; /* the age of the oldest of these; 0: there is none */
};

/* `view` is called once, and then `member` for each member. */
struct km_admin_visitor {
    void (*view)(void *arg, const struct km_admin_view *view);
    void (*member)(void *arg, const kama_member *member);
    void *arg;
};

typedef void (*km_admin_explained_fn)(void *arg, kama_status status,
                                      kama_bytes response);

struct km_admin_ops {
    enum km_admin_phase (*phase)(void *arg);
    uint64_t (*uptime_ms)(void *arg);
    /* Asks each loop whether it turns; called every KM_ADMIN_TICK_MS. */
    void (*ask_loops)(void *arg, km_ns now);
    /* As km_pulse_late. */
    size_t (*late_loops)(void *arg, km_ns now, km_ns limit,
                         struct km_pulse_late *ret_late, size_t cap);
    void (*node)(void *arg, kama_node_info_fn fn, void *fn_arg);
    void (*members)(void *arg, const struct km_admin_visitor *visitor);
    void (*log)(void *arg, struct km_admin_log *ret_log);
    kama_status (*owner)(void *arg, const char *group, kama_bytes key,
                         kama_owner_fn fn, void *fn_arg);
    /* Asks all members where a key lives, for at most 2 s. done gets an encoded
     * kama.v2.ExplainResponse if the status is KAMA_OK; it runs once, on any thread,
     * perhaps before the function returns. After an error it does not run. */
    kama_status (*explain)(void *arg, kama_group *group, kama_bytes key,
                           km_admin_explained_fn done, void *done_arg);
    /* Appends all metrics. After an error a part of them. */
    kama_status (*metrics)(void *arg, enum km_metric_format format,
                           struct km_buf *out);
};

struct km_admin_source {
    const struct km_admin_ops *ops;
    void *arg;
    const struct km_registry *registry;
};
