/* SPDX-License-Identifier: MIT */
/*
 * The registry as membership sees it: a store of small records under leases, of
 * which etcd is one (membership/etcd.h) and the simulator's another
 * (tests/sim/).
 *
 *     membership ---- km_registry_ops ----> registry
 *                <--- km_registry_events --
 *
 * A registry has one owner. At most one request of each kind is under way,
 * except keep_alive, whose answers come in the order of the requests. Each
 * request is answered by its event exactly once, never from inside the call;
 * after `close` no event comes any more. Requests find an endpoint that works by
 * themselves, and fail with KAMA_ERR_UNREACHABLE, KAMA_ERR_TIMEOUT,
 * KAMA_ERR_UNAUTHENTICATED or KAMA_ERR_PERMISSION and a sentence that names the
 * endpoint. A registry that answers nonsense is KAMA_ERR_PROTOCOL or
 * KAMA_ERR_MALFORMED, one that holds too much below the prefix is
 * KAMA_ERR_TOO_LARGE, and a claim under a lease that is gone is KAMA_ERR_STATE:
 * another lease is needed. Revoking a lease that is gone is a success. The owner
 * decides when to try again.
 *
 * Keys are whole ("/kamacache/v1/kama-cache/members/10.0.0.1:8001").
 *
 * Threads: one loop. Ownership: everything that is passed is borrowed until the
 * call returns. Cost: one message each way.
 */
#pragma once

#include "base/clock.h"

#include <kamacache/kamacache.h>
#include <stdbool.h>

struct km_registry_record {
    kama_bytes key;
    kama_bytes value; /* empty for a deletion */
    int64_t create_revision;
    int64_t mod_revision;
    int64_t version; /* how often the key was written since it was created */
    int64_t lease;   /* 0: none */
    bool deleted;    /* of an event of a watch */
};

/* How a request has ended. text is "" or a sentence. */
struct km_registry_result {
    kama_status status;
    const char *text;
};

/* The keys of one registration. */
struct km_registry_claim {
    kama_bytes member_key, member_value;
    kama_bytes sister_key, sister_value; /* empty: left out */
    kama_bytes joins_key;
    kama_bytes prefix; /* of the keys that the same step reads */
    int64_t lease;
    /* 0: the member key must not exist. Otherwise the record with this
     * mod_revision is replaced. */
    int64_t expected_mod_revision;
};

/* The keys and values that an update writes. */
struct km_registry_update {
    kama_bytes member_key, member_value;
    /* The sister key is put, or deleted if its value is empty. */
    kama_bytes sister_key, sister_value;
    int64_t lease;
};

enum km_registry_verdict {
    KM_REGISTRY_DONE,   /* written */
    KM_REGISTRY_REFUSED /* the condition was not true */
};

struct km_registry_ops {
    /* Writes key = value if the key does not exist. -> stamped */
    void (*stamp)(void *registry, kama_bytes key, kama_bytes value);
    /* Asks for a lease. -> granted */
    void (*grant)(void *registry, int64_t ttl_ms);
    /* -> kept */
    void (*keep_alive)(void *registry, int64_t lease);
    /* Ends a lease and deletes its keys. -> revoked */
    void (*revoke)(void *registry, int64_t lease);
    /* Asks how long a lease lasts. -> left */
    void (*time_left)(void *registry, int64_t lease);
    /* Puts the member's record, the sister key and joins, and reads the prefix,
     * in one transaction; if the condition is not true, returns the record that
     * is there. -> claimed */
    void (*claim)(void *registry, const struct km_registry_claim *claim);
    /* Writes the member's record under the lease, if it has that lease, and
     * puts or deletes the sister key in the same transaction. -> updated */
    void (*update)(void *registry, const struct km_registry_update *update);
    /* Deletes a key, if it has that lease. -> removed */
    void (*remove)(void *registry, kama_bytes key, int64_t lease);
    /* Reads all records of the prefix in one step. -> listed */
    void (*list)(void *registry, kama_bytes prefix);
    /* Follows the prefix from a revision on, on a connection of its own, instead
     * of an earlier watch. -> changed, and at the end watch_ended */
    void (*watch)(void *registry, kama_bytes prefix, int64_t from_revision);
    /* Drops the watch: watch_ended does not follow. */
    void (*unwatch)(void *registry);
    /* Ends everything. `closed` is the last sign of the registry. */
    void (*close)(void *registry);
};

struct km_registry_events {
    void (*stamped)(void *owner, const struct km_registry_result *result);
    void (*granted)(void *owner, const struct km_registry_result *result,
                    int64_t lease, int64_t ttl_ms);
    /* ttl_ms: 0 if the lease is gone. sent_at: when the request was sent, of
     * the clock that runs on in a suspended machine. */
    void (*kept)(void *owner, const struct km_registry_result *result,
                 int64_t ttl_ms, km_ns sent_at);
    void (*revoked)(void *owner, const struct km_registry_result *result);
    /* ttl_ms: -1 if there is no such lease. */
    void (*left)(void *owner, const struct km_registry_result *result,
                 int64_t ttl_ms);
    /* Done: all records of the prefix, with those of the claim, as of its
     * revision. Refused: the record of the member key, if there is one. */
    void (*claimed)(void *owner, const struct km_registry_result *result,
                    enum km_registry_verdict verdict,
                    const struct km_registry_record *records, size_t count,
                    int64_t revision);
    void (*updated)(void *owner, const struct km_registry_result *result,
                    enum km_registry_verdict verdict);
    void (*removed)(void *owner, const struct km_registry_result *result);
    void (*listed)(void *owner, const struct km_registry_result *result,
                   const struct km_registry_record *records, size_t count,
                   int64_t revision);
    /* All changes of one revision, in one call. */
    void (*changed)(void *owner, int64_t revision,
                    const struct km_registry_record *records, size_t count);
    /* The watch is over: its connection was lost, or the registry has ended it,
     * which is KAMA_ERR_TRY_AGAIN or an error of the user. compact_revision is
     * not 0 if the revision that was asked for is gone. */
    void (*watch_ended)(void *owner, const struct km_registry_result *result,
                        int64_t compact_revision);
    /* A connection for requests was made. local is this machine's address on
     * it, without the port. */
    void (*connected)(void *owner, const char *endpoint, const char *local);
    /* The registry cannot be reached any more, after it could be. */
    void (*disconnected)(void *owner, const char *text);
    void (*closed)(void *owner);
};
