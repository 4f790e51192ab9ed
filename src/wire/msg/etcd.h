/* SPDX-License-Identifier: MIT */
/*
 * The messages of etcd's API, version 3, of which the registry makes use:
 * etcdserverpb (KV, Watch, Lease, Auth) and mvccpb.
 *
 *     struct km_etcd_range range = {.key = prefix, .range_end = end};
 *     kama_status status = km_pb_append(&out, &km_etcd_range_pb, &range);
 *
 * Only the fields that are used have a row; others are skipped when they
 * arrive. A transaction contains transactions in etcd's schema, which would
 * make decoding recursive. These tables leave that row out, so that the depth of
 * an answer is bounded by the tables.
 *
 * The member of a `oneof` that is 0 must be written all the same, which a table
 * does not do (pb_encode.h). Such members have no row in km_etcd_compare, and
 * are appended by their number.
 *
 * Threads: the tables are constant. Ownership: see pb.h. Cost: see pb.h. Errors:
 * KAMA_ERR_MALFORMED from decoding.
 */
#pragma once

#include "wire/msg/pb.h"
#include "wire/msg/pb_encode.h"

/* -- common -------------------------------------------------------------- */

#define KM_ETCD_HEADER(X, M)                                                   \
    X(M, 1, UINT64, cluster_id, _)                                             \
    X(M, 2, UINT64, member_id, _)                                              \
    X(M, 3, INT64, revision, _)                                                \
    X(M, 4, UINT64, raft_term, _)
KM_PB_DECLARE(km_etcd_header, km_etcd_header_pb, KM_ETCD_HEADER);

#define KM_ETCD_KEY_VALUE(X, M)                                                \
    X(M, 1, BYTES, key, _)                                                     \
    X(M, 2, INT64, create_revision, _)                                         \
    X(M, 3, INT64, mod_revision, _)                                            \
    X(M, 4, INT64, version, _)                                                 \
    X(M, 5, BYTES, value, _)                                                   \
    X(M, 6, INT64, lease, _)
KM_PB_DECLARE(km_etcd_key_value, km_etcd_key_value_pb, KM_ETCD_KEY_VALUE);

/* -- KV ------------------------------------------------------------------ */

#define KM_ETCD_RANGE(X, M)                                                    \
    X(M, 1, BYTES, key, _)                                                     \
    X(M, 2, BYTES, range_end, _)                                               \
    X(M, 3, INT64, limit, _)
KM_PB_DECLARE(km_etcd_range, km_etcd_range_pb, KM_ETCD_RANGE);

/* kvs holds key_values. */
#define KM_ETCD_RANGE_ANSWER(X, M)                                             \
    X(M, 1, MESSAGE, header, (km_etcd_header, km_etcd_header_pb))              \
    X(M, 2, LIST, kvs, _)                                                      \
    X(M, 3, BOOL, more, _)                                                     \
    X(M, 4, INT64, count, _)
KM_PB_DECLARE(km_etcd_range_answer, km_etcd_range_answer_pb,
              KM_ETCD_RANGE_ANSWER);

#define KM_ETCD_PUT(X, M)                                                      \
    X(M, 1, BYTES, key, _)                                                     \
    X(M, 2, BYTES, value, _)                                                   \
    X(M, 3, INT64, lease, _)
KM_PB_DECLARE(km_etcd_put, km_etcd_put_pb, KM_ETCD_PUT);

#define KM_ETCD_DELETE(X, M)                                                   \
    X(M, 1, BYTES, key, _)                                                     \
    X(M, 2, BYTES, range_end, _)
KM_PB_DECLARE(km_etcd_delete, km_etcd_delete_pb, KM_ETCD_DELETE);

/* One step of a transaction: exactly one of the three has a key. */
#define KM_ETCD_STEP(X, M)                                                     \
    X(M, 1, MESSAGE, range, (km_etcd_range, km_etcd_range_pb))                 \
    X(M, 2, MESSAGE, put, (km_etcd_put, km_etcd_put_pb))                       \
    X(M, 3, MESSAGE, remove, (km_etcd_delete, km_etcd_delete_pb))
KM_PB_DECLARE(km_etcd_step, km_etcd_step_pb, KM_ETCD_STEP);

#define KM_ETCD_STEP_ANSWER(X, M)                                              \
    X(M, 1, MESSAGE, range, (km_etcd_range_answer, km_etcd_range_answer_pb))
KM_PB_DECLARE(km_etcd_step_answer, km_etcd_step_answer_pb, KM_ETCD_STEP_ANSWER);

/* The condition "equal"; the number to compare with is appended by hand. */
#define KM_ETCD_COMPARE(X, M)                                                  \
    X(M, 1, INT32, result, _)                                                  \
    X(M, 2, INT32, target, _)                                                  \
    X(M, 3, BYTES, key, _)
KM_PB_DECLARE(km_etcd_compare, km_etcd_compare_pb, KM_ETCD_COMPARE);

/* The part of a record that is compared, and the numbers of the fields that hold
 * the other side. */
enum km_etcd_target {
    KM_ETCD_TARGET_VERSION = 0,
    KM_ETCD_TARGET_CREATE = 1,
    KM_ETCD_TARGET_MOD = 2,
    KM_ETCD_TARGET_VALUE = 3,
    KM_ETCD_TARGET_LEASE = 4
};
#define KM_ETCD_COMPARE_CREATE_REVISION 5
#define KM_ETCD_COMPARE_MOD_REVISION 6
#define KM_ETCD_COMPARE_LEASE 8

/* compare holds compares; success and failure hold steps. */
#define KM_ETCD_TXN(X, M)                                                      \
    X(M, 1, LIST, compare, _)                                                  \
    X(M, 2, LIST, success, _)                                                  \
    X(M, 3, LIST, failure, _)
KM_PB_DECLARE(km_etcd_txn, km_etcd_txn_pb, KM_ETCD_TXN);
#define KM_ETCD_TXN_COMPARE 1
#define KM_ETCD_TXN_SUCCESS 2
#define KM_ETCD_TXN_FAILURE 3

/* answers holds step_answers. */
#define KM_ETCD_TXN_ANSWER(X, M)                                               \
    X(M, 1, MESSAGE, header, (km_etcd_header, km_etcd_header_pb))              \
    X(M, 2, BOOL, succeeded, _)                                                \
    X(M, 3, LIST, answers, _)
KM_PB_DECLARE(km_etcd_txn_answer, km_etcd_txn_answer_pb, KM_ETCD_TXN_ANSWER);

/* -- Watch --------------------------------------------------------------- */

#define KM_ETCD_WATCH_CREATE(X, M)                                             \
    X(M, 1, BYTES, key, _)                                                     \
    X(M, 2, BYTES, range_end, _)                                               \
    X(M, 3, INT64, start_revision, _)                                          \
    X(M, 4, BOOL, progress_notify, _)                                          \
    X(M, 8, BOOL, fragment, _)
KM_PB_DECLARE(km_etcd_watch_create, km_etcd_watch_create_pb,
              KM_ETCD_WATCH_CREATE);

#define KM_ETCD_WATCH(X, M)                                                    \
    X(M, 1, MESSAGE, create, (km_etcd_watch_create, km_etcd_watch_create_pb))
KM_PB_DECLARE(km_etcd_watch, km_etcd_watch_pb, KM_ETCD_WATCH);

/* events holds events. */
#define KM_ETCD_WATCH_ANSWER(X, M)                                             \
    X(M, 1, MESSAGE, header, (km_etcd_header, km_etcd_header_pb))              \
    X(M, 2, INT64, watch_id, _)                                                \
    X(M, 3, BOOL, created, _)                                                  \
    X(M, 4, BOOL, canceled, _)                                                 \
    X(M, 5, INT64, compact_revision, _)                                        \
    X(M, 6, BYTES, cancel_reason, _)                                           \
    X(M, 7, BOOL, fragment, _)                                                 \
    X(M, 11, LIST, events, _)
KM_PB_DECLARE(km_etcd_watch_answer, km_etcd_watch_answer_pb,
              KM_ETCD_WATCH_ANSWER);
#define KM_ETCD_WATCH_EVENTS 11

/* type: 0 for a write, 1 for a deletion. */
#define KM_ETCD_EVENT(X, M)                                                    \
    X(M, 1, INT32, type, _)                                                    \
    X(M, 2, MESSAGE, kv, (km_etcd_key_value, km_etcd_key_value_pb))
KM_PB_DECLARE(km_etcd_event, km_etcd_event_pb, KM_ETCD_EVENT);
enum km_etcd_event_type { KM_ETCD_EVENT_PUT = 0, KM_ETCD_EVENT_DELETE = 1 };

/* -- Lease --------------------------------------------------------------- */

/* ttl is in seconds. */
#define KM_ETCD_LEASE_GRANT(X, M)                                              \
    X(M, 1, INT64, ttl, _)                                                     \
    X(M, 2, INT64, id, _)
KM_PB_DECLARE(km_etcd_lease_grant, km_etcd_lease_grant_pb, KM_ETCD_LEASE_GRANT);

/* The answers of LeaseGrant, LeaseKeepAlive and LeaseTimeToLive, which begin
 * with the same three fields. LeaseRevoke answers with the first one alone. */
#define KM_ETCD_LEASE_ANSWER(X, M)                                             \
    X(M, 1, MESSAGE, header, (km_etcd_header, km_etcd_header_pb))              \
    X(M, 2, INT64, id, _)                                                      \
    X(M, 3, INT64, ttl, _)
KM_PB_DECLARE(km_etcd_lease_answer, km_etcd_lease_answer_pb,
              KM_ETCD_LEASE_ANSWER);

/* The requests of LeaseRevoke, LeaseKeepAlive and LeaseTimeToLive. */
#define KM_ETCD_LEASE(X, M) X(M, 1, INT64, id, _)
KM_PB_DECLARE(km_etcd_lease, km_etcd_lease_pb, KM_ETCD_LEASE);

/* -- Auth ---------------------------------------------------------------- */

#define KM_ETCD_AUTHENTICATE(X, M)                                             \
    X(M, 1, BYTES, name, _)                                                    \
    X(M, 2, BYTES, password, _)
KM_PB_DECLARE(km_etcd_authenticate, km_etcd_authenticate_pb,
              KM_ETCD_AUTHENTICATE);

#define KM_ETCD_AUTHENTICATE_ANSWER(X, M)                                      \
    X(M, 1, MESSAGE, header, (km_etcd_header, km_etcd_header_pb))              \
    X(M, 2, BYTES, token, _)
KM_PB_DECLARE(km_etcd_authenticate_answer, km_etcd_authenticate_answer_pb,
              KM_ETCD_AUTHENTICATE_ANSWER);
