/* SPDX-License-Identifier: MIT */
/*
 * The cluster as a node knows it, for all parts that show it: the methods of
 * kama.v2 (members.h) and the public API. node/ fills in a table of functions,
 * the source, and says when something has changed. A node without a source is
 * alone, and is shown as a cluster of itself (alone.h).
 *
 *     Members, WatchMembers, Node, Owner, Ping          kama_node_members, ...
 *                  |                                            |
 *                  +------> km_cluster_view, _node, _owner <----+
 *                                |                 |
 *                       source.ops            no ops: alone.c
 *
 * km_cluster_changed ends the wait of km_cluster_wait_ready, and wakes the
 * streams of WatchMembers. A source calls it after each change of what its
 * functions say.
 *
 * Threads: any thread. The functions do not block, except
 * km_cluster_wait_ready, which must not run on a thread of the node.
 * Ownership: texts and arrays are borrowed until the callback returns.
 * Errors: only km_cluster_wait_ready has any.
 * Cost: O(members).
 */
#pragma once

#include "base/clock.h"
#include "base/histogram.h"
#include "base/metric.h"
#include "base/version.h"
#include "view/member.h"

/* How a node reaches a member. */
enum km_cluster_reach {
    KM_CLUSTER_REACH_UNKNOWN,     /* it was not asked yet */
    KM_CLUSTER_REACH_SELF,        /* it is the node itself */
    KM_CLUSTER_REACH_UP,          /* it answers */
    KM_CLUSTER_REACH_UNREACHABLE, /* it does not answer */
    KM_CLUSTER_REACH_REFUSED      /* it says that the node is no member */
};

/* Returns "unknown", "self", "up", "unreachable" or "refused". */
const char *km_cluster_reach_name(enum km_cluster_reach reach);

/* The streams of mutations between the node and a member, as they are shown; up to
 * a quarter of a second old. */
struct km_cluster_stream {
    /* How far the member has the mutations of the node: "in_sync", "lagging",
     * "unsynced", "gapped" or "down" (sync/peer_state.h); NULL: it is the node itself,
     * or the node has no streams. */
    const char *sync_state;
    bool up; /* mutations of the node flow to the member */
    uint64_t
        sync_lag_ns; /* age of the oldest mutation of this node that the member
                           * has not acknowledged; 0: there is none */
    uint64_t sync_queue; /* how many it has not acknowledged */
    uint64_t acked;      /* number of the newest one that it has acknowledged */
    uint64_t applied; /* number of the member's newest mutation applied here */
    uint64_t sent, received;
    uint64_t duplicates;                 /* mutations that came a second time */
    uint64_t bytes_sent, bytes_received; /* of the messages of both streams */
    uint64_t gaps_sent, gaps_received;
    uint64_t gap_age_ms; /* of the newest one that was received; 0: none */
    /* It has acknowledged nothing for longer than sync_timeout. */
    bool unsynced;
    bool
        quarantined; /* its mutations are refused, because its clock is ahead */
    uint32_t differing; /* groups that have another strategy there */
};

/* A member, as it is shown. */
struct km_cluster_member {
    const char *address;
    const char *admin;   /* "" if it has none */
    const char *version; /* of its program */
    uint8_t id[KM_MEMBER_ID_BYTES];
    enum km_member_state state;
    const char *const *labels;
    size_t label_count;
    uint32_t weight;
    uint32_t share_ppm; /* of the keys, in millionths */
    bool self;
    enum km_cluster_reach reach;
    uint64_t latency_ns; /* of its last answer; 0: not known */
    uint64_t since_ms;   /* for how long `reach` has been so */
    /* Requests to it, those that it did not answer, and its own that this node
     * has answered. */
    uint64_t fills, fills_failed;
    uint64_t mutations, mutations_failed;
    uint64_t served;
    struct km_cluster_stream stream; /* all zero if the node has no streams */
};

/* The members, as they are shown. */
struct km_cluster_view {
    const char *cluster;
    const char *service;
    uint64_t view_id; /* of the view that the node has adopted */
    bool settled;
    bool registry_up;
    const struct km_cluster_member *members; /* sorted by address */
    size_t count;
};

/* The node itself, as it is shown. */
struct km_cluster_node {
    const char *listen;    /* "" before it listens */
    const char *advertise; /* the address that others use; "" before that */
    const char *admin; /* the address of the admin port; "" if it has none */
    const char *cluster;
    const char *service;
    const char *etcd; /* the endpoints, "" if there are none */
    uint8_t id[KM_MEMBER_ID_BYTES];
    int64_t lease_id;         /* 0: none */
    bool lease_held;          /* it has a lease that cannot have expired yet */
    const char *registration; /* "none", "joining", "active", "leaving" or
                               * "lost" */
    uint64_t view_id;
    uint32_t peer_count; /* other members of the view */
    bool settled;
    bool ready;                 /* exactly if no step is missing */
    const char *const *missing; /* steps: "listen", "register", "view",
                                 * "peers", "streams", "dialback", "clock", "lease" */
    size_t missing_count;
    const char *degraded; /* "" or a reason: "lease", "given up" */
    /* "" or a sentence about a group that has another strategy on a member. */
    const char *sync_differs;
};

/* The reason of a node of which another member says that it was given up. */
#define KM_CLUSTER_GIVEN_UP "given up"

/* Who owns a key. */
struct km_cluster_owner_info {
    const char *const *addresses; /* the owner first, then in rank order; none
                                   * if no member is active */
    size_t count;
    uint8_t owner_id[KM_MEMBER_ID_BYTES];
    uint32_t slot;
    uint64_t view_id;
    bool self;
};

/* The registry, as it is shown. */
struct km_cluster_registry {
    bool exists; /* the node has one */
    bool up;
    uint64_t lease_ttl_ms; /* 0: the node has no lease */
    uint64_t
        lease_age_ms;    /* since the request was sent that prolonged it last */
    uint64_t latency_ns; /* of the answer to that; 0: not known */
};

/* The log of the mutations that begin on this node, as it is shown. */
struct km_cluster_log {
    bool exists;        /* the node has one */
    uint64_t seq;       /* number of its newest mutation; 0: there was none */
    uint64_t entries;   /* mutations that members can still read from it */
    uint64_t bytes;     /* the memory of these */
    uint64_t oldest_ns; /* the age of the oldest of these; 0: there is none */
};

/* The newest mutation of a key, or of all keys of its group, in that log. */
struct km_cluster_record {
    /* "set", "drop", "delete", "touch", "clear"; "none" if there is no mutation; ""
     * if there is no log of the group. */
    const char *operation;
    uint64_t seq;
    struct km_version version;
    uint64_t age_ns;
};

/* The counters of the cluster, one row each, which Stats shows behind those of
 * the server. */
enum {
    KM_CLUSTER_M_PEERS,          /* gauge */
    KM_CLUSTER_M_PEERS_UP,       /* gauge */
    KM_CLUSTER_M_SETTLED,        /* gauge */
    KM_CLUSTER_M_REGISTRY_UP,    /* gauge */
    KM_CLUSTER_M_HELD_ADDRESSES, /* gauge */
    KM_CLUSTER_M_VIEWS_ADOPTED,
    KM_CLUSTER_M_REGISTRATIONS,
    KM_CLUSTER_M_REGISTRY_READS,
    KM_CLUSTER_M_REGISTRY_WATCHES,
    KM_CLUSTER_M_JUNK_RECORDS,
    KM_CLUSTER_M_FOREIGN_RECORDS,
    KM_CLUSTER_M_COUNT
};
/* The names, kinds and sentences of the counters. */
extern const struct km_metric km_cluster_metric_rows[KM_CLUSTER_M_COUNT];

/* The requests to one other member since this node knows it. */
struct km_cluster_requests {
    const char *address;
    /* Keys by their code of gRPC: KM_STATUS_GRPC_CODES of them. */
    const _Atomic uint64_t *fill_codes, *mutation_codes;
    const struct km_histogram *times; /* of the calls; they go on meanwhile */
};

typedef void (*km_cluster_view_fn)(void *arg,
                                   const struct km_cluster_view *view);
typedef void (*km_cluster_node_fn)(void *arg,
                                   const struct km_cluster_node *node);
typedef void (*km_cluster_owner_fn)(void *arg,
                                    const struct km_cluster_owner_info *info);

typedef void (*km_cluster_requests_fn)(
    void *arg, const struct km_cluster_requests *requests);

/* The answer of one other member. */
struct km_cluster_answer {
    const char *address;
    const uint8_t *id; /* KM_MEMBER_ID_BYTES of them */
    enum km_member_state state;
    kama_status status; /* KAMA_OK, its error, or why it was not asked */
    const char *text;   /* a sentence about an error, or "" */
    kama_bytes message; /* of its answer; with KAMA_OK */
};

/* One question to all other members at once. */
struct km_cluster_survey {
    const char *path;
    kama_bytes message;
    km_ns deadline; /* monotonic */
    /* Once for each other member of the view, borrowed until return. */
    void (*answer)(struct km_cluster_survey *survey,
                   const struct km_cluster_answer *answer);
    /* Once, behind the last answer; perhaps before km_cluster_survey returns.
     * Errors: KAMA_ERR_NO_MEMORY, and then no member was asked. */
    void (*done)(struct km_cluster_survey *survey, kama_status status);
    void *use[12]; /* of the source */
};

/* The functions of a source. Each one with a cb calls it once, unless it says
 * otherwise, before it returns, and holds no lock meanwhile. */
struct km_cluster_ops {
    void (*view)(void *cluster, km_cluster_view_fn cb, void *arg);
    void (*node)(void *cluster, km_cluster_node_fn cb, void *arg);
    /* group: the name of the group, terminated by a NUL. */
    void (*owner)(void *cluster, const char *group, kama_bytes key,
                  km_cluster_owner_fn cb, void *arg);
    /* Returns a number that grows with each change of what `view` says, except
     * of latencies and times. */
    uint64_t (*version)(void *cluster);
    void (*registry)(void *cluster, struct km_cluster_registry *ret_registry);
    /* Asks all other members. The callbacks run on any thread, one after the
     * other. */
    void (*survey)(void *cluster, struct km_cluster_survey *survey);
    /* Calls cb once for each other member of the view, in the order of their
     * addresses. A new view waits meanwhile, so cb must not block. */
    void (*requests)(void *cluster, km_cluster_requests_fn cb, void *arg);
    /* Writes the values of the counters. */
    void (*counters)(void *cluster, uint64_t ret_values[KM_CLUSTER_M_COUNT]);
    /* NULL: it has no log. */
    void (*log)(void *cluster, struct km_cluster_log *ret_log);
    /* For people: O(log). NULL: it has no log. */
    void (*record)(void *cluster, const char *group, kama_bytes key,
                   struct km_cluster_record *ret_record);
};

struct km_cluster_source {
    const struct km_cluster_ops *ops; /* NULL: the node is alone */
    void *arg;
};

struct km_service_env;

/* Ask the source of the node, or alone.c if it has none. */
void km_cluster_view(struct km_service_env *env, km_cluster_view_fn cb,
                     void *arg);
void km_cluster_node(struct km_service_env *env, km_cluster_node_fn cb,
                     void *arg);
void km_cluster_owner(struct km_service_env *env, const char *group,
                      kama_bytes key, km_cluster_owner_fn cb, void *arg);
uint64_t km_cluster_version(struct km_service_env *env);
void km_cluster_registry(struct km_service_env *env,
                         struct km_cluster_registry *ret_registry);

void km_cluster_log(struct km_service_env *env, struct km_cluster_log *ret_log);
void km_cluster_record(struct km_service_env *env, const char *group,
                       kama_bytes key, struct km_cluster_record *ret_record);

/* Asks all other members; a node alone has none. The survey, its path and its
 * message are the caller's memory until done has run. */
void km_cluster_survey(struct km_service_env *env,
                       struct km_cluster_survey *survey);

/* Says that the answers of the source have changed. The caller holds no
 * lock. */
void km_cluster_changed(struct km_service_env *env);

/* Waits until the node is ready, at most until the deadline. Errors:
 * KAMA_ERR_TIMEOUT with a sentence that names the missing steps,
 * KAMA_ERR_CLOSED if the node stops. */
KAMA_NODISCARD kama_status km_cluster_wait_ready(struct km_service_env *env,
                                                 km_ns deadline);
