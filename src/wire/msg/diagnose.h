/* SPDX-License-Identifier: MIT */
/*
 * The messages of kama.v2 with which a person finds a key and the faults of a
 * cluster: Explain and Doctor. The .proto file says what the fields
 * mean; the rules of the tables are those of msg.h.
 *
 * Threads: the tables are constant. Ownership: see pb.h.
 */
#pragma once

#include "wire/msg/msg.h"

/* -- Explain --------------------------------------------------------------- */

#define KM_MSG_EXPLAIN_REQUEST(X, M)                                           \
    X(M, 1, BYTES, group, _)                                                   \
    X(M, 2, BYTES, key, _)                                                     \
    X(M, 3, BOOL, local_only, _)
KM_PB_DECLARE(km_msg_explain_request, km_msg_explain_request_pb,
              KM_MSG_EXPLAIN_REQUEST);

/* The numbers of kama.v2.CopyAbsence and kama.v2.GetAction that this version
 * sends. */
enum km_msg_absence {
    KM_MSG_ABSENCE_UNKNOWN = 0,
    KM_MSG_ABSENCE_EVICTED = 1,
    KM_MSG_ABSENCE_EXPIRED = 2,
    KM_MSG_ABSENCE_DELETED = 3
};
enum km_msg_get_action {
    KM_MSG_GET_UNKNOWN = 0,
    KM_MSG_GET_HIT = 1,
    KM_MSG_GET_NEGATIVE = 2,
    KM_MSG_GET_JOIN = 3,
    KM_MSG_GET_FILL = 4,
    KM_MSG_GET_LOAD = 5,
    KM_MSG_GET_MISS = 6,
    KM_MSG_GET_REFUSE = 7
};

/* The numbers of kama.v2.CopyKind. */
enum km_msg_copy_kind {
    KM_MSG_COPY_UNKNOWN = 0,
    KM_MSG_COPY_FILLED = 1,
    KM_MSG_COPY_EXPLICIT = 2
};

#define KM_MSG_VERSION(X, M)                                                   \
    X(M, 1, UINT64, unix_ms, _)                                                \
    X(M, 2, UINT32, counter, _)                                                \
    X(M, 3, BYTES, origin, _)                                                  \
    X(M, 4, BYTES, address, _)
KM_PB_DECLARE(km_msg_version, km_msg_version_pb, KM_MSG_VERSION);
#define KM_MSG_VERSION_ORIGIN_BYTES 8

#define KM_MSG_KEY_RECORD(X, M)                                                \
    X(M, 1, BYTES, operation, _)                                               \
    X(M, 2, BYTES, origin, _)                                                  \
    X(M, 3, UINT64, age_ms, _)                                                 \
    X(M, 4, MESSAGE, version, (km_msg_version, km_msg_version_pb))             \
    X(M, 5, UINT64, seq, _)
KM_PB_DECLARE(km_msg_key_record, km_msg_key_record_pb, KM_MSG_KEY_RECORD);

#define KM_MSG_COPY(X, M)                                                      \
    X(M, 1, BYTES, address, _)                                                 \
    X(M, 2, INT32, status, _)                                                  \
    X(M, 3, INT32, kind, _)                                                    \
    X(M, 4, BYTES, etag, _)                                                    \
    X(M, 5, UINT64, version, _)                                                \
    X(M, 6, UINT64, value_bytes, _)                                            \
    X(M, 7, SINT64, ttl_ms, _)                                                 \
    X(M, 8, UINT64, age_ms, _)                                                 \
    X(M, 9, UINT64, load_ns, _)                                                \
    X(M, 10, FIXED64, view_id, _)                                              \
    X(M, 11, BYTES, id, _)                                                     \
    X(M, 12, INT32, state, _)                                                  \
    X(M, 13, UINT32, rank, _)                                                  \
    X(M, 14, INT32, absence, _)                                                \
    X(M, 15, MESSAGE, record, (km_msg_key_record, km_msg_key_record_pb))       \
    X(M, 16, INT32, get, _)                                                    \
    X(M, 17, BYTES, get_peer, _)                                               \
    X(M, 18, INT32, get_status, _)                                             \
    X(M, 19, BYTES, reason, _)                                                 \
    X(M, 20, BOOL, loading, _)                                                 \
    X(M, 21, UINT32, waiters, _)                                               \
    X(M, 22, MESSAGE, stamp, (km_msg_version, km_msg_version_pb))
KM_PB_DECLARE(km_msg_copy, km_msg_copy_pb, KM_MSG_COPY);

#define KM_MSG_EXPLAIN_RESPONSE(X, M)                                          \
    X(M, 1, MESSAGE, owner, (km_msg_owner_response, km_msg_owner_response_pb)) \
    X(M, 2, LIST, copies, _)
KM_PB_DECLARE(km_msg_explain_response, km_msg_explain_response_pb,
              KM_MSG_EXPLAIN_RESPONSE);
/* Whether the member has an entry of the key, which may say that it does not
 * exist; and whether it has said so or the opposite. */
static inline bool km_msg_copy_is_held(const struct km_msg_copy *copy)
{
    return copy->status == KAMA_OK || copy->status == KAMA_MISS;
}
static inline bool km_msg_copy_is_known(const struct km_msg_copy *copy)
{
    return km_msg_copy_is_held(copy) || copy->status == KAMA_WOULD_LOAD;
}

/* Return the words for the numbers of kama.v2.CopyKind, CopyAbsence and GetAction;
 * "unknown" for 0, and for numbers of later versions. */
const char *km_msg_copy_kind_name(int32_t kind);
const char *km_msg_absence_name(int32_t absence);
const char *km_msg_get_action_name(int32_t action);

#define KM_MSG_EXPLAIN_OWNER 1
#define KM_MSG_EXPLAIN_COPIES 2

/* -- Doctor ---------------------------------------------------------------- */

/* The numbers of kama.v2.CheckResult. */
enum km_msg_check_result {
    KM_MSG_CHECK_UNKNOWN = 0,
    KM_MSG_CHECK_OK = 1,
    KM_MSG_CHECK_WARN = 2,
    KM_MSG_CHECK_FAIL = 3
};

#define KM_MSG_DOCTOR_CHECK(X, M)                                              \
    X(M, 1, BYTES, name, _)                                                    \
    X(M, 2, INT32, result, _)                                                  \
    X(M, 3, BYTES, text, _)                                                    \
    X(M, 4, BYTES, advice, _)
KM_PB_DECLARE(km_msg_doctor_check, km_msg_doctor_check_pb, KM_MSG_DOCTOR_CHECK);

#define KM_MSG_HOST_FACTS(X, M)                                                \
    X(M, 1, UINT64, descriptors_max, _)                                        \
    X(M, 2, UINT64, connections_max, _)                                        \
    X(M, 3, UINT64, memory_limit_bytes, _)                                     \
    X(M, 4, UINT64, groups_max_bytes, _)                                       \
    X(M, 5, UINT32, overcommit_memory, _)                                      \
    X(M, 6, UINT64, commit_limit_bytes, _)
KM_PB_DECLARE(km_msg_host_facts, km_msg_host_facts_pb, KM_MSG_HOST_FACTS);

#define KM_MSG_REGISTRY_FACTS(X, M)                                            \
    X(M, 1, BOOL, up, _)                                                       \
    X(M, 2, UINT64, lease_ttl_ms, _)                                           \
    X(M, 3, UINT64, lease_age_ms, _)                                           \
    X(M, 4, UINT64, latency_ns, _)
KM_PB_DECLARE(km_msg_registry_facts, km_msg_registry_facts_pb,
              KM_MSG_REGISTRY_FACTS);

#define KM_MSG_DOCTOR_RESPONSE(X, M)                                           \
    X(M, 1, LIST, checks, _)                                                   \
    X(M, 2, UINT64, wall_ms, _)                                                \
    X(M, 3, MESSAGE, node, (km_msg_node_response, km_msg_node_response_pb))    \
    X(M, 4, MESSAGE, members,                                                  \
      (km_msg_members_response, km_msg_members_response_pb))                   \
    X(M, 5, LIST, groups, _)                                                   \
    X(M, 6, MESSAGE, host, (km_msg_host_facts, km_msg_host_facts_pb))          \
    X(M, 7, MESSAGE, registry,                                                 \
      (km_msg_registry_facts, km_msg_registry_facts_pb))
KM_PB_DECLARE(km_msg_doctor_response, km_msg_doctor_response_pb,
              KM_MSG_DOCTOR_RESPONSE);
#define KM_MSG_DOCTOR_CHECKS 1
#define KM_MSG_DOCTOR_NODE 3
#define KM_MSG_DOCTOR_MEMBERS 4
#define KM_MSG_DOCTOR_GROUPS 5
