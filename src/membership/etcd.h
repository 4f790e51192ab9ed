/* SPDX-License-Identifier: MIT */
/*
 * etcd as the registry of membership (membership/registry.h).
 *
 *     km_etcd_new(loop, &options, &etcd);
 *     km_etcd_bind(etcd, &events, owner);
 *     ops->grant(etcd, 10000);                    -> events.granted
 *     ops->close(etcd);                           -> events.closed; etcd is gone
 *
 * Two connections go to one of the endpoints each:
 *
 *     main    transactions, reads, leases; one stream of keepalives
 *     watch   the watch alone, which a large read must not hold up
 *
 * A failure moves the connection to the next endpoint, and the request is made
 * again there, until each endpoint was tried once (and once more after a
 * connection that was lost). A request is given half of lease_ttl_ms on each
 * endpoint. A transaction that is made again may have been carried out before;
 * its condition is false then, and the answer says what is there.
 *
 * Besides the errors that registry.h lists, requests end with
 * KAMA_ERR_PROTOCOL or KAMA_ERR_MALFORMED (the server is not etcd),
 * KAMA_ERR_TOO_LARGE (more than KM_ETCD_RECORDS_MAX records, or
 * KM_ETCD_ANSWER_BYTES_MAX), KAMA_ERR_STATE (a claim whose lease is gone) and
 * KAMA_ERR_NO_MEMORY. Revoking a lease that is gone is a success.
 *
 * Threads: the loop's, except new and bind, which may also run in setup.
 * Ownership: texts are copied; loop, clock, allocator and events are borrowed
 * until `closed`. Errors: see each function. Cost: two connections.
 */
#pragma once

#include "membership/registry.h"

struct km_loop;
struct km_etcd;

struct km_etcd_options {
    const kama_allocator *mem;
    const struct km_clock *clock;
    const char *endpoints;      /* "http://host:port,..." */
    const char *user;           /* NULL: none */
    const char *password;       /* of the user; NULL stands for "" */
    int64_t lease_ttl_ms;       /* 0: KM_ETCD_LEASE_TTL_MS_DEFAULT */
    int64_t connect_timeout_ms; /* 0: 5000 */
};

/* Makes a registry that connects to nothing yet. Errors: KAMA_ERR_INVALID and
 * KAMA_ERR_UNSUPPORTED with a sentence (an endpoint), KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status km_etcd_new(struct km_loop *loop,
                                       const struct km_etcd_options *options,
                                       struct km_etcd **ret_etcd);
/* Says who hears of the events. Must precede the first request. */
void km_etcd_bind(struct km_etcd *etcd, const struct km_registry_events *events,
                  void *owner);
/* Frees a registry that has never been given a request. Passing NULL does
 * nothing. */
void km_etcd_free(struct km_etcd *etcd);

/* The requests; their `registry` is a struct km_etcd. */
extern const struct km_registry_ops km_etcd_ops;
