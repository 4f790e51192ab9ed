/* SPDX-License-Identifier: MIT */
/*
 * The knowledge of this node about one key, and the way that a get of it would take
 * now.
 *
 *     struct km_explain e;
 *     status = km_group_explain(group, key, &e);
 *
 * The rules are those of a get (group/get_place.h):
 *
 *     memory has the value                        HIT
 *     memory says that the key does not exist     NEGATIVE
 *     a load of the key runs and may be joined    JOIN
 *     another node owns the key and answers       FILL, from e.peer
 *     the owner asks the one before it, or, without a loader, the node that
 *     ranks next (R9); or a node without a loader asks that one because the
 *     owner does not answer                       FILL, from e.peer, with a reason
 *     otherwise, with a loader                    LOAD
 *     otherwise, if this node owns the key        MISS
 *     otherwise                                   REFUSE, with a status
 *
 * Nothing is loaded, nothing is counted, and nothing moves in the order of
 * eviction. The store, the flight and the owner are looked at one after the other,
 * so that a change in between may show in one of them only.
 *
 * Threads: any thread; it does not block. Cost: two locks of a shard, no allocation.
 * Errors: those of a key that is not within the limits. Ownership: texts are
 * copied.
 */
#pragma once

#include "base/limits.h"
#include "store/store_touch.h"

#define KM_EXPLAIN_PEER_BYTES 264 /* of the address of a member, with its NUL */

enum km_explain_get {
    KM_EXPLAIN_HIT,
    KM_EXPLAIN_NEGATIVE,
    KM_EXPLAIN_JOIN,
    KM_EXPLAIN_FILL,
    KM_EXPLAIN_LOAD,
    KM_EXPLAIN_MISS,
    KM_EXPLAIN_REFUSE
};

/* How the value came into memory. Only a synchronized group knows. */
enum km_explain_kind {
    KM_EXPLAIN_UNKNOWN,
    KM_EXPLAIN_FILLED,  /* from a loader, here or on another node */
    KM_EXPLAIN_EXPLICIT /* a caller has set it, here or on another node */
};

struct km_explain {
    enum km_store_presence presence;
    enum km_miss why; /* there is no entry, as far as that is remembered */
    enum km_explain_kind kind;
    struct km_version stamp; /* EXPLICIT: the version that all nodes compare */
    int64_t
        ttl_ms; /* that an entry has left; KAMA_TTL_FOREVER: never expires */
    uint64_t version; /* of the loader */
    uint64_t value_bytes;
    bool loading;     /* a load runs; the next get need not join it */
    uint32_t waiters; /* gets that wait for it */
    enum km_explain_get get;
    kama_status get_status;           /* REFUSE */
    char peer[KM_EXPLAIN_PEER_BYTES]; /* FILL; else "" */
    char reason[KM_ERROR_BYTES_MAX];  /* "" or a sentence about `get` */
};

KAMA_NODISCARD kama_status km_group_explain(kama_group *group, kama_bytes key,
                                            struct km_explain *ret_explain);
