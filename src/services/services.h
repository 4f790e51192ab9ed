/* SPDX-License-Identifier: MIT */
/*
 * The gRPC services of a node, as rows for km_server: kama.v1, kama.v2,
 * health and reflection.
 *
 * The env is what handlers know of the node; the server gets it as its arg:
 *
 *   km_service_env_init
 *     server made, km_service_env_open, listening        NOT_SERVING
 *     km_service_env_ready                               SERVING
 *     km_service_env_close      NOT_SERVING, told to all who watch; streams
 *                               that would never end are ended
 *     km_server_drain ... drained
 *     km_service_env_settle     nothing of a pool thread is on its way any
 *                               more; only then may the loops be stopped
 *   km_service_env_fini
 *
 * Thread-safety: ready, close and settle any thread; the rest setup.
 * Errors: KAMA_ERR_THREADS.
 */
#pragma once

#include "base/list.h"
#include "base/sync.h"
#include "group/registry.h"
#include "rpc/server.h"

/* One row per method of every service. */
extern const struct km_server_method km_services[];
extern const size_t km_service_count;

struct km_service_env {
    const kama_allocator *mem;
    const struct km_clock *clock;
    const struct km_registry *registry;
    const char *service;      /* known to health checks; borrowed */
    struct km_server *server; /* NULL: not there yet */
    atomic_uint mget_keys;    /* of all MGets that run */

    struct km_mutex lock; /* the rest */
    struct km_cond settled;
    bool serving;
    bool closing;
    km_ns serving_since;
    struct km_list long_calls; /* calls that end with the node */
    int parked; /* gets that pool threads will answer; -1 when one does so
                 * before it is counted */
};

/* Everything is borrowed until fini. */
KAMA_NODISCARD kama_status
km_service_env_init(struct km_service_env *env, const kama_allocator *mem,
                    const struct km_clock *clock,
                    const struct km_registry *registry, const char *service);
/* settle was called, or no server was ever there. */
void km_service_env_fini(struct km_service_env *env);

/* The server that will serve; before it listens. */
void km_service_env_open(struct km_service_env *env, struct km_server *server);
/* Health says SERVING from now on. */
void km_service_env_ready(struct km_service_env *env);
/* Health says NOT_SERVING, for good; watches and reflection streams end. */
void km_service_env_close(struct km_service_env *env);
/* Waits for pool threads that are about to post mail to the loops. */
void km_service_env_settle(struct km_service_env *env);
