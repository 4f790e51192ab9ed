/* SPDX-License-Identifier: MIT */
/*
 * The environment of the handlers: the parts of the node that they use (its
 * groups, its clock, its allocator), and the phase that the node is in. The
 * gRPC server carries it as its `arg`, and a handler gets it back with
 * km_service_env_of.
 *
 * The phases of a node, each with the answer of health:
 *
 *     init, open          ready           close
 *      STARTING --------> SERVING -------> CLOSING, drain, settle, fini
 *     NOT_SERVING         SERVING         NOT_SERVING
 *          |                                 ^
 *          +------------- close -------------+
 *
 * A stop can overtake the end of a start that runs on another thread. So close
 * may come before ready, and CLOSING is never left.
 *
 * A drain ends while other threads may still be about to answer gets and changes
 * of calls that were cut off. Each such answer is a mail to a loop, so the loops
 * may be stopped only after km_service_env_settle has returned. For that the
 * handlers count their parked operations here.
 *
 * Threads: ready, close, settle, park, unpark and the questions: any thread.
 * init, open and fini: setup.
 * Errors: KAMA_ERR_THREADS if the system has no resources for a lock.
 * Ownership: everything that init and open get is borrowed until fini.
 */
#pragma once

#include "base/list.h"
#include "base/sync.h"
#include "group/registry.h"
#include "rpc/server_call.h"
#include "services/alone.h"
#include "services/feed_source.h"
#include "services/peer_source.h"
#include "services/sync_source.h"

enum km_service_phase {
    KM_SERVICE_STARTING,
    KM_SERVICE_SERVING,
    KM_SERVICE_CLOSING
};

struct km_service_env {
    const kama_allocator *mem;
    const struct km_clock *clock;
    const struct km_registry *registry;
    const char *service;      /* name of the node's own service, for health */
    struct km_server *server; /* NULL before open; never NULL in a handler */
    uint64_t process_started_ns; /* since 1970; 0: not known */
    atomic_uint mget_keys;       /* keys of all MGets that run now */
    _Atomic km_ns
        peeked_at;         /* a fill that peeks was begun last then; 0: never */
    struct km_alone alone; /* shown without a cluster */
    /* Set before the server listens; without ops the node is in no cluster. */
    struct km_service_peers peers;
    struct km_service_sync sync;
    struct km_service_feed feed;

    struct km_mutex lock; /* of all members below */
    struct km_cond settled;
    struct km_cluster_source cluster; /* without ops: the node is alone */
    enum km_service_phase phase;
    km_ns opened_at;           /* the start has begun; 0: not yet */
    km_ns serving_since;       /* 0: not yet */
    struct km_list long_calls; /* calls that end with the node */
    struct km_cond changed;    /* `changes` has grown */
    uint64_t changes;          /* of the phase and of the cluster */
    int parked;                /* operations that other threads will answer */
};

/* Prepares *env for a node whose own service has the name `service`. */
KAMA_NODISCARD kama_status
km_service_env_init(struct km_service_env *env, const kama_allocator *mem,
                    const struct km_clock *clock,
                    const struct km_registry *registry, const char *service);

/* Ends *env. Either km_service_env_settle has returned, or no server has ever
 * been opened. */
void km_service_env_fini(struct km_service_env *env);

/* Names the server that will serve, before it listens. NULL takes it away
 * again, when it could not listen. */
void km_service_env_open(struct km_service_env *env, struct km_server *server);

/* From now on health answers SERVING, and the uptime runs. */
void km_service_env_ready(struct km_service_env *env);

/* From now on and for good health answers NOT_SERVING; long calls end. */
void km_service_env_close(struct km_service_env *env);

/* Goes back to the phase STARTING, after a start that has failed was undone:
 * the services are closed and settled, and the server is gone. Setup. */
void km_service_env_reopen(struct km_service_env *env);

/* Waits until no other thread is about to post a mail to a loop. Call it after
 * the server has drained. */
void km_service_env_settle(struct km_service_env *env);

/* The environment of the node that serves the call. */
struct km_service_env *km_service_env_of(struct km_server_call *call);

/* Names the source that shows the cluster, before the server is opened. Another
 * thread may be asking already. */
void km_service_env_set_cluster(struct km_service_env *env,
                                struct km_cluster_source source);
/* Returns the source. */
struct km_cluster_source km_service_env_cluster(struct km_service_env *env);

/* Wakes everything that waits for a change: long calls, and threads that wait
 * until the node is ready. The caller holds env->lock. */
void km_service_env_changed_locked(struct km_service_env *env);

/* Returns the phase at this moment. */
enum km_service_phase km_service_env_phase(struct km_service_env *env);

/* Returns whether the node is between ready and close. */
bool km_service_env_is_serving(struct km_service_env *env);

/* Returns whether close was called. */
bool km_service_env_is_closing(struct km_service_env *env);

/* Milliseconds since the node began to serve; 0 before that. */
uint64_t km_service_env_uptime_ms(struct km_service_env *env);

/* Milliseconds from the begin of the start until the node began to serve; 0
 * before that. */
uint64_t km_service_env_start_ms(struct km_service_env *env);

/* Counts one more operation that another thread will answer. That thread may have
 * answered already: the count may be below zero for a moment. */
void km_service_env_park(struct km_service_env *env);

/* Takes back one park: the mail was posted, or the operation was called off. */
void km_service_env_unpark(struct km_service_env *env);
