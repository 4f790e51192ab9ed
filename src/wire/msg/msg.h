/* SPDX-License-Identifier: MIT */
/*
 * The messages of proto/ and of the standard gRPC services, as structs and
 * tables for pb.h. The .proto files say what the fields mean.
 *
 *     km_msg_*           kama.v2
 *     km_msg_v1_*        kama.v1
 *     km_msg_health_*    grpc.health.v1
 *     km_msg_reflect_*   grpc.reflection.v1 and v1alpha
 *     km_msg_desc_*      the parts of google.protobuf's descriptors that name
 *                        symbols, which reflection searches
 *
 *     struct km_msg_get_request request;
 *     kama_status status =
 *         km_pb_decode(&km_msg_get_request_pb, message, &request);
 *
 * A field that is written by itself has its number as a macro: a value that is
 * sent without a copy (km_pb_write_prefix), and an element of a list
 * (km_pb_append_element). tests/wire/msg_test.c compares every table with the
 * .proto files.
 *
 * Threads: the tables are constant. Ownership: see pb.h.
 */
#pragma once

#include "wire/msg/pb.h"
#include "wire/msg/pb_encode.h"

/* A message without fields. Decoding it checks the input and fills nothing. */
extern const struct km_pb_message km_msg_empty_pb;

/* -- kama.v1 ------------------------------------------------------------- */

/* GetRequest, SetRequest and DeleteRequest are prefixes of one another. Keys
 * may be any bytes, and so may v1's "string key". */
#define KM_MSG_V1_REQUEST(X, M)                                                \
    X(M, 1, BYTES, group, _)                                                   \
    X(M, 2, BYTES, key, _)                                                     \
    X(M, 3, BYTES, value, _)
KM_PB_DECLARE(km_msg_v1_request, km_msg_v1_request_pb, KM_MSG_V1_REQUEST);

#define KM_MSG_V1_GET_RESPONSE(X, M) X(M, 1, BYTES, value, _)
KM_PB_DECLARE(km_msg_v1_get_response, km_msg_v1_get_response_pb,
              KM_MSG_V1_GET_RESPONSE);
#define KM_MSG_V1_VALUE 1

#define KM_MSG_V1_DELETE_RESPONSE(X, M) X(M, 1, BOOL, value, _)
KM_PB_DECLARE(km_msg_v1_delete_response, km_msg_v1_delete_response_pb,
              KM_MSG_V1_DELETE_RESPONSE);

/* -- kama.v2: one key ---------------------------------------------------- */

#define KM_MSG_GET_REQUEST(X, M)                                               \
    X(M, 1, BYTES, group, _)                                                   \
    X(M, 2, BYTES, key, _)                                                     \
    X(M, 3, BOOL, no_load, _)                                                  \
    X(M, 4, BOOL, local_only, _)                                               \
    X(M, 5, BOOL, want_etag, _)
KM_PB_DECLARE(km_msg_get_request, km_msg_get_request_pb, KM_MSG_GET_REQUEST);

/* The number of GetResponse.value and of MGetItem.value. */
#define KM_MSG_VALUE 15

#define KM_MSG_GET_RESPONSE(X, M)                                              \
    X(M, 1, BOOL, found, _)                                                    \
    X(M, 2, SINT64, ttl_ms, _)                                                 \
    X(M, 3, UINT64, version, _)                                                \
    X(M, 4, INT32, source, _)                                                  \
    X(M, 5, BYTES, etag, _)                                                    \
    X(M, 15, BYTES, value, _)
KM_PB_DECLARE(km_msg_get_response, km_msg_get_response_pb, KM_MSG_GET_RESPONSE);

#define KM_MSG_SET_REQUEST(X, M)                                               \
    X(M, 1, BYTES, group, _)                                                   \
    X(M, 2, BYTES, key, _)                                                     \
    X(M, 3, BYTES, value, _)                                                   \
    X(M, 4, SINT64, ttl_ms, _)                                                 \
    X(M, 5, INT32, condition, _)                                               \
    X(M, 6, BYTES, if_match, _)                                                \
    X(M, 7, INT32, ack, _)                                                     \
    X(M, 8, BOOL, want_etag, _)
KM_PB_DECLARE(km_msg_set_request, km_msg_set_request_pb, KM_MSG_SET_REQUEST);

/* The numbers of kama.v2.Condition and of kama.peer.v1.Condition. */
enum km_msg_condition {
    KM_MSG_CONDITION_NONE = 0,
    KM_MSG_CONDITION_ABSENT = 1,
    KM_MSG_CONDITION_PRESENT = 2,
    KM_MSG_CONDITION_MATCH = 3
};

#define KM_MSG_SET_RESPONSE(X, M)                                              \
    X(M, 1, BYTES, etag, _)                                                    \
    X(M, 2, LIST, unsynced, _)
KM_PB_DECLARE(km_msg_set_response, km_msg_set_response_pb, KM_MSG_SET_RESPONSE);

#define KM_MSG_DELETE_REQUEST(X, M)                                            \
    X(M, 1, BYTES, group, _)                                                   \
    X(M, 2, BYTES, key, _)                                                     \
    X(M, 3, BYTES, if_match, _)                                                \
    X(M, 4, INT32, ack, _)
KM_PB_DECLARE(km_msg_delete_request, km_msg_delete_request_pb,
              KM_MSG_DELETE_REQUEST);

#define KM_MSG_DELETE_RESPONSE(X, M)                                           \
    X(M, 1, BOOL, removed, _)                                                  \
    X(M, 2, LIST, unsynced, _)
KM_PB_DECLARE(km_msg_delete_response, km_msg_delete_response_pb,
              KM_MSG_DELETE_RESPONSE);

#define KM_MSG_TOUCH_RESPONSE(X, M)                                            \
    X(M, 1, BOOL, found, _)                                                    \
    X(M, 2, LIST, unsynced, _)
KM_PB_DECLARE(km_msg_touch_response, km_msg_touch_response_pb,
              KM_MSG_TOUCH_RESPONSE);

/* The number of `unsynced` in the answers of Set, Delete, Touch, MSet and MDelete. */
#define KM_MSG_UNSYNCED 2

#define KM_MSG_TTL_RESPONSE(X, M)                                              \
    X(M, 1, BOOL, found, _)                                                    \
    X(M, 2, SINT64, ttl_ms, _)
KM_PB_DECLARE(km_msg_ttl_response, km_msg_ttl_response_pb, KM_MSG_TTL_RESPONSE);

#define KM_MSG_TTL_REQUEST(X, M)                                               \
    X(M, 1, BYTES, group, _)                                                   \
    X(M, 2, BYTES, key, _)
KM_PB_DECLARE(km_msg_ttl_request, km_msg_ttl_request_pb, KM_MSG_TTL_REQUEST);

#define KM_MSG_TOUCH_REQUEST(X, M)                                             \
    X(M, 1, BYTES, group, _)                                                   \
    X(M, 2, BYTES, key, _)                                                     \
    X(M, 3, SINT64, ttl_ms, _)                                                 \
    X(M, 4, INT32, ack, _)
KM_PB_DECLARE(km_msg_touch_request, km_msg_touch_request_pb,
              KM_MSG_TOUCH_REQUEST);

/* -- kama.v2: many keys -------------------------------------------------- */

#define KM_MSG_EXISTS_REQUEST(X, M)                                            \
    X(M, 1, BYTES, group, _)                                                   \
    X(M, 2, LIST, keys, _)
KM_PB_DECLARE(km_msg_exists_request, km_msg_exists_request_pb,
              KM_MSG_EXISTS_REQUEST);

#define KM_MSG_MDELETE_REQUEST(X, M)                                           \
    X(M, 1, BYTES, group, _)                                                   \
    X(M, 2, LIST, keys, _)                                                     \
    X(M, 3, INT32, ack, _)
KM_PB_DECLARE(km_msg_mdelete_request, km_msg_mdelete_request_pb,
              KM_MSG_MDELETE_REQUEST);
#define KM_MSG_KEYS 2 /* the number of keys in both */

#define KM_MSG_MSET_ENTRY(X, M)                                                \
    X(M, 1, BYTES, key, _)                                                     \
    X(M, 2, BYTES, value, _)                                                   \
    X(M, 3, SINT64, ttl_ms, _)
KM_PB_DECLARE(km_msg_mset_entry, km_msg_mset_entry_pb, KM_MSG_MSET_ENTRY);

#define KM_MSG_MSET_REQUEST(X, M)                                              \
    X(M, 1, BYTES, group, _)                                                   \
    X(M, 2, LIST, entries, _)                                                  \
    X(M, 3, INT32, ack, _)
KM_PB_DECLARE(km_msg_mset_request, km_msg_mset_request_pb, KM_MSG_MSET_REQUEST);
#define KM_MSG_MSET_ENTRIES 2

/* ExistsResponse.exists, which are bools, and the kama_status numbers of
 * MSetResponse.statuses and MDeleteResponse.statuses: one number for each
 * key. ExistsResponse has no `unsynced`. */
#define KM_MSG_NUMBERS_RESPONSE(X, M)                                          \
    X(M, 1, VLIST, numbers, _)                                                 \
    X(M, 2, LIST, unsynced, _)
KM_PB_DECLARE(km_msg_numbers_response, km_msg_numbers_response_pb,
              KM_MSG_NUMBERS_RESPONSE);
#define KM_MSG_NUMBERS 1

#define KM_MSG_MGET_REQUEST(X, M)                                              \
    X(M, 1, BYTES, group, _)                                                   \
    X(M, 2, LIST, keys, _)                                                     \
    X(M, 3, BOOL, no_load, _)                                                  \
    X(M, 4, BOOL, local_only, _)                                               \
    X(M, 5, BOOL, want_etag, _)
KM_PB_DECLARE(km_msg_mget_request, km_msg_mget_request_pb, KM_MSG_MGET_REQUEST);
#define KM_MSG_MGET_KEY 2 /* the number of MGetRequest.keys */

/* The status is a kama_status. */
#define KM_MSG_MGET_ITEM(X, M)                                                 \
    X(M, 1, INT32, status, _)                                                  \
    X(M, 2, SINT64, ttl_ms, _)                                                 \
    X(M, 3, UINT64, version, _)                                                \
    X(M, 4, INT32, source, _)                                                  \
    X(M, 5, BYTES, etag, _)                                                    \
    X(M, 6, BYTES, message, _)                                                 \
    X(M, 15, BYTES, value, _)
KM_PB_DECLARE(km_msg_mget_item, km_msg_mget_item_pb, KM_MSG_MGET_ITEM);

#define KM_MSG_MGET_RESPONSE(X, M) X(M, 1, LIST, items, _)
KM_PB_DECLARE(km_msg_mget_response, km_msg_mget_response_pb,
              KM_MSG_MGET_RESPONSE);
#define KM_MSG_MGET_ITEMS 1

/* A message with one item, which is encoded by itself: its value is sent without
 * a copy. */
#define KM_MSG_MGET_STREAM_RESPONSE(X, M)                                      \
    X(M, 1, UINT32, index, _)                                                  \
    X(M, 2, MESSAGE, item, (km_msg_mget_item, km_msg_mget_item_pb))
KM_PB_DECLARE(km_msg_mget_stream_response, km_msg_mget_stream_response_pb,
              KM_MSG_MGET_STREAM_RESPONSE);
#define KM_MSG_MGET_STREAM_ITEM 2

#define KM_MSG_CLEAR_REQUEST(X, M)                                             \
    X(M, 1, BYTES, group, _)                                                   \
    X(M, 2, INT32, ack, _)
KM_PB_DECLARE(km_msg_clear_request, km_msg_clear_request_pb,
              KM_MSG_CLEAR_REQUEST);

#define KM_MSG_CLEAR_RESPONSE(X, M) X(M, 1, LIST, unsynced, _)
KM_PB_DECLARE(km_msg_clear_response, km_msg_clear_response_pb,
              KM_MSG_CLEAR_RESPONSE);
#define KM_MSG_CLEAR_UNSYNCED 1

#define KM_MSG_RESIZE_REQUEST(X, M)                                            \
    X(M, 1, BYTES, group, _)                                                   \
    X(M, 2, UINT64, max_bytes, _)
KM_PB_DECLARE(km_msg_resize_request, km_msg_resize_request_pb,
              KM_MSG_RESIZE_REQUEST);

#define KM_MSG_RESIZE_RESPONSE(X, M)                                           \
    X(M, 1, UINT64, old_max_bytes, _)                                          \
    X(M, 2, UINT64, bytes, _)
KM_PB_DECLARE(km_msg_resize_response, km_msg_resize_response_pb,
              KM_MSG_RESIZE_RESPONSE);

#define KM_MSG_SCAN_REQUEST(X, M)                                              \
    X(M, 1, BYTES, group, _)                                                   \
    X(M, 2, BYTES, glob, _)                                                    \
    X(M, 3, UINT64, limit, _)                                                  \
    X(M, 4, BYTES, cursor, _)
KM_PB_DECLARE(km_msg_scan_request, km_msg_scan_request_pb, KM_MSG_SCAN_REQUEST);

#define KM_MSG_SCAN_ENTRY(X, M)                                                \
    X(M, 1, BYTES, key, _)                                                     \
    X(M, 2, UINT64, value_bytes, _)                                            \
    X(M, 3, UINT64, version, _)                                                \
    X(M, 4, SINT64, ttl_ms, _)
KM_PB_DECLARE(km_msg_scan_entry, km_msg_scan_entry_pb, KM_MSG_SCAN_ENTRY);

#define KM_MSG_SCAN_RESPONSE(X, M)                                             \
    X(M, 1, LIST, entries, _)                                                  \
    X(M, 2, BYTES, cursor, _)
KM_PB_DECLARE(km_msg_scan_response, km_msg_scan_response_pb,
              KM_MSG_SCAN_RESPONSE);
#define KM_MSG_SCAN_ENTRIES 1
#define KM_MSG_SCAN_CURSOR 2

/* -- kama.v2: looking in ------------------------------------------------- */

#define KM_MSG_PING_REQUEST(X, M) X(M, 1, BYTES, payload, _)
KM_PB_DECLARE(km_msg_ping_request, km_msg_ping_request_pb, KM_MSG_PING_REQUEST);

#define KM_MSG_PING_RESPONSE(X, M)                                             \
    X(M, 1, BYTES, payload, _)                                                 \
    X(M, 2, BYTES, service, _)                                                 \
    X(M, 3, BYTES, version, _)                                                 \
    X(M, 4, UINT64, uptime_ms, _)                                              \
    X(M, 5, BYTES, member_id, _)                                               \
    X(M, 6, BYTES, address, _)
KM_PB_DECLARE(km_msg_ping_response, km_msg_ping_response_pb,
              KM_MSG_PING_RESPONSE);

#define KM_MSG_STATS_REQUEST(X, M)                                             \
    X(M, 1, BYTES, group, _)                                                   \
    X(M, 2, BOOL, all, _)
KM_PB_DECLARE(km_msg_stats_request, km_msg_stats_request_pb,
              KM_MSG_STATS_REQUEST);

#define KM_MSG_LATENCY(X, M)                                                   \
    X(M, 1, UINT64, count, _)                                                  \
    X(M, 2, UINT64, sum_ns, _)                                                 \
    X(M, 3, UINT64, p50_ns, _)                                                 \
    X(M, 4, UINT64, p90_ns, _)                                                 \
    X(M, 5, UINT64, p99_ns, _)                                                 \
    X(M, 6, UINT64, p999_ns, _)                                                \
    X(M, 7, UINT64, max_ns, _)
KM_PB_DECLARE(km_msg_latency, km_msg_latency_pb, KM_MSG_LATENCY);

/* The counters have the names and the order of those in kama_group_stats. */
#define KM_MSG_GROUP_STATS(X, M)                                               \
    X(M, 1, BYTES, name, _)                                                    \
    X(M, 2, UINT64, gets, _)                                                   \
    X(M, 3, UINT64, hits, _)                                                   \
    X(M, 4, UINT64, negative_hits, _)                                          \
    X(M, 5, UINT64, misses, _)                                                 \
    X(M, 6, UINT64, loads, _)                                                  \
    X(M, 7, UINT64, loads_coalesced, _)                                        \
    X(M, 8, UINT64, loads_missed, _)                                           \
    X(M, 9, UINT64, loads_failed, _)                                           \
    X(M, 10, UINT64, loads_overtaken, _)                                       \
    X(M, 11, UINT64, load_ns, _)                                               \
    X(M, 12, UINT64, loads_running, _)                                         \
    X(M, 13, UINT64, sets, _)                                                  \
    X(M, 14, UINT64, dels, _)                                                  \
    X(M, 15, UINT64, clears, _)                                                \
    X(M, 16, UINT64, evictions, _)                                             \
    X(M, 17, UINT64, expirations, _)                                           \
    X(M, 18, UINT64, entries, _)                                               \
    X(M, 19, UINT64, bytes, _)                                                 \
    X(M, 20, UINT64, value_bytes, _)                                           \
    X(M, 21, UINT64, pinned_bytes, _)                                          \
    X(M, 22, UINT64, max_bytes, _)                                             \
    X(M, 23, MESSAGE, load_latency, (km_msg_latency, km_msg_latency_pb))       \
    X(M, 24, UINT64, peer_gets, _)                                             \
    X(M, 25, UINT64, peer_hits, _)                                             \
    X(M, 26, UINT64, peer_errors, _)                                           \
    X(M, 28, UINT64, negative_entries, _)                                      \
    X(M, 29, UINT64, fills_served, _)                                          \
    X(M, 30, UINT64, mutations_forwarded, _)                                   \
    X(M, 31, UINT64, mutations_served, _)                                      \
    X(M, 32, UINT64, gets_loaded, _)                                           \
    X(M, 33, UINT64, gets_absent, _)                                           \
    X(M, 34, UINT64, gets_failed, _)                                           \
    X(M, 35, UINT64, loads_found, _)                                           \
    X(M, 36, UINT64, overhead_bytes, _)                                        \
    X(M, 37, UINT64, misses_absent, _)                                         \
    X(M, 38, UINT64, misses_expired, _)                                        \
    X(M, 39, UINT64, misses_evicted, _)                                        \
    X(M, 40, UINT64, misses_deleted, _)                                        \
    X(M, 41, UINT64, entries_deleted, _)                                       \
    X(M, 42, UINT64, entries_replaced, _)                                      \
    X(M, 43, UINT64, entries_cleared, _)                                       \
    X(M, 44, UINT64, entries_moved, _)                                         \
    X(M, 45, UINT64, live_bytes, _)                                            \
    X(M, 46, UINT64, hole_bytes, _)                                            \
    X(M, 47, UINT64, free_bytes, _)                                            \
    X(M, 48, UINT64, block_bytes, _)                                           \
    X(M, 49, UINT64, index_bytes, _)                                           \
    X(M, 50, UINT64, ghost_bytes, _)                                           \
    X(M, 51, UINT64, fixed_bytes, _)                                           \
    X(M, 52, UINT64, sync_originated, _)                                       \
    X(M, 53, UINT64, sync_applied, _)                                          \
    X(M, 54, UINT64, fills_kept, _)                                            \
    X(M, 55, UINT64, fills_not_kept, _)                                        \
    X(M, 56, UINT64, fence_waits, _)
KM_PB_DECLARE(km_msg_group_stats, km_msg_group_stats_pb, KM_MSG_GROUP_STATS);

#define KM_MSG_METRIC(X, M)                                                    \
    X(M, 1, BYTES, name, _)                                                    \
    X(M, 2, BOOL, gauge, _)                                                    \
    X(M, 3, BYTES, unit, _)                                                    \
    X(M, 4, UINT64, value, _)
KM_PB_DECLARE(km_msg_metric, km_msg_metric_pb, KM_MSG_METRIC);

#define KM_MSG_STATS_RESPONSE(X, M)                                            \
    X(M, 1, LIST, groups, _)                                                   \
    X(M, 2, LIST, node, _)                                                     \
    X(M, 3, BYTES, version, _)                                                 \
    X(M, 4, UINT64, uptime_ms, _)                                              \
    X(M, 5, UINT64, rss_bytes, _)
KM_PB_DECLARE(km_msg_stats_response, km_msg_stats_response_pb,
              KM_MSG_STATS_RESPONSE);
#define KM_MSG_STATS_GROUPS 1
#define KM_MSG_STATS_NODE 2

#define KM_MSG_GROUP_INFO(X, M)                                                \
    X(M, 1, BYTES, name, _)                                                    \
    X(M, 2, UINT64, max_bytes, _)                                              \
    X(M, 3, UINT64, max_value_bytes, _)                                        \
    X(M, 4, SINT64, ttl_ms, _)                                                 \
    X(M, 5, SINT64, negative_ttl_ms, _)                                        \
    X(M, 6, BOOL, has_loader, _)                                               \
    X(M, 7, SINT64, loader_timeout_ms, _)                                      \
    X(M, 8, UINT32, loader_concurrency, _)                                     \
    X(M, 9, BYTES, policy, _)                                                  \
    X(M, 10, BYTES, sync, _)                                                   \
    X(M, 11, UINT64, entries, _)                                               \
    X(M, 12, UINT64, bytes, _)                                                 \
    X(M, 13, LIST, options, _)
KM_PB_DECLARE(km_msg_group_info, km_msg_group_info_pb, KM_MSG_GROUP_INFO);

#define KM_MSG_GROUP_OPTION(X, M)                                              \
    X(M, 1, BYTES, name, _)                                                    \
    X(M, 2, BYTES, value, _)
KM_PB_DECLARE(km_msg_group_option, km_msg_group_option_pb, KM_MSG_GROUP_OPTION);
#define KM_MSG_GROUP_OPTIONS 13

#define KM_MSG_GROUPS_RESPONSE(X, M) X(M, 1, LIST, groups, _)
KM_PB_DECLARE(km_msg_groups_response, km_msg_groups_response_pb,
              KM_MSG_GROUPS_RESPONSE);
#define KM_MSG_GROUPS_GROUPS 1

#define KM_MSG_NODE_RESPONSE(X, M)                                             \
    X(M, 1, BYTES, listen, _)                                                  \
    X(M, 2, BYTES, advertise, _)                                               \
    X(M, 3, BYTES, cluster, _)                                                 \
    X(M, 4, BYTES, service, _)                                                 \
    X(M, 5, BYTES, etcd, _)                                                    \
    X(M, 6, BYTES, id, _)                                                      \
    X(M, 7, INT64, lease_id, _)                                                \
    X(M, 8, BYTES, registration, _)                                            \
    X(M, 9, FIXED64, view_id, _)                                               \
    X(M, 10, UINT32, peer_count, _)                                            \
    X(M, 11, BOOL, ready, _)                                                   \
    X(M, 12, LIST, missing, _)                                                 \
    X(M, 13, BYTES, degraded, _)                                               \
    X(M, 14, BYTES, version, _)                                                \
    X(M, 15, UINT64, uptime_ms, _)                                             \
    X(M, 16, BOOL, settled, _)                                                 \
    X(M, 17, BYTES, admin, _)                                                  \
    X(M, 18, UINT32, group_count, _)                                           \
    X(M, 19, UINT64, start_ms, _)                                              \
    X(M, 20, BYTES, sync_differs, _)
KM_PB_DECLARE(km_msg_node_response, km_msg_node_response_pb,
              KM_MSG_NODE_RESPONSE);
#define KM_MSG_NODE_MISSING 12

/* The numbers of kama.v2.Reach. */
enum km_msg_reach {
    KM_MSG_REACH_UNSPECIFIED = 0,
    KM_MSG_REACH_SELF = 1,
    KM_MSG_REACH_UP = 2,
    KM_MSG_REACH_UNREACHABLE = 3,
    KM_MSG_REACH_REFUSED = 4
};

#define KM_MSG_MEMBER_STREAM(X, M)                                             \
    X(M, 1, BOOL, up, _)                                                       \
    X(M, 2, UINT64, lag_entries, _)                                            \
    X(M, 5, UINT64, gaps, _)                                                   \
    X(M, 6, BYTES, state, _)                                                   \
    X(M, 7, UINT64, lag_ns, _)                                                 \
    X(M, 8, BOOL, unsynced, _)                                                 \
    X(M, 9, UINT64, acked, _)                                                  \
    X(M, 10, UINT64, applied, _)                                               \
    X(M, 11, UINT64, sent, _)                                                  \
    X(M, 12, UINT64, received, _)                                              \
    X(M, 13, UINT64, duplicates, _)                                            \
    X(M, 14, UINT64, gaps_sent, _)                                             \
    X(M, 15, UINT64, gap_age_ms, _)                                            \
    X(M, 16, BOOL, quarantined, _)                                             \
    X(M, 17, UINT32, differing, _)                                             \
    X(M, 18, UINT64, bytes_sent, _)                                            \
    X(M, 19, UINT64, bytes_received, _)
KM_PB_DECLARE(km_msg_member_stream, km_msg_member_stream_pb,
              KM_MSG_MEMBER_STREAM);

#define KM_MSG_MEMBER(X, M)                                                    \
    X(M, 1, BYTES, address, _)                                                 \
    X(M, 2, BYTES, admin_address, _)                                           \
    X(M, 3, BYTES, id, _)                                                      \
    X(M, 4, INT32, state, _)                                                   \
    X(M, 5, LIST, labels, _)                                                   \
    X(M, 6, UINT32, weight, _)                                                 \
    X(M, 7, BYTES, version, _)                                                 \
    X(M, 8, UINT32, share_ppm, _)                                              \
    X(M, 9, BOOL, self, _)                                                     \
    X(M, 10, MESSAGE, stream, (km_msg_member_stream, km_msg_member_stream_pb)) \
    X(M, 11, INT32, reach, _)                                                  \
    X(M, 12, UINT64, latency_ns, _)                                            \
    X(M, 13, UINT64, since_ms, _)                                              \
    X(M, 14, UINT64, fills, _)                                                 \
    X(M, 15, UINT64, fills_failed, _)                                          \
    X(M, 16, UINT64, mutations, _)                                             \
    X(M, 17, UINT64, mutations_failed, _)                                      \
    X(M, 18, UINT64, served, _)
KM_PB_DECLARE(km_msg_member, km_msg_member_pb, KM_MSG_MEMBER);

/* Returns the word for a number of kama.v2.MemberState: "joining", "active",
 * "leaving", or "unknown" for any other one. */
const char *km_msg_member_state_name(int32_t state);
#define KM_MSG_MEMBER_LABELS 5

#define KM_MSG_MEMBERS_RESPONSE(X, M)                                          \
    X(M, 1, BYTES, cluster, _)                                                 \
    X(M, 2, BYTES, service, _)                                                 \
    X(M, 3, FIXED64, view_id, _)                                               \
    X(M, 4, LIST, members, _)                                                  \
    X(M, 5, BOOL, registry_up, _)                                              \
    X(M, 6, BOOL, settled, _)
KM_PB_DECLARE(km_msg_members_response, km_msg_members_response_pb,
              KM_MSG_MEMBERS_RESPONSE);
#define KM_MSG_MEMBERS_MEMBERS 4

#define KM_MSG_OWNER_REQUEST(X, M)                                             \
    X(M, 1, BYTES, group, _)                                                   \
    X(M, 2, BYTES, key, _)
KM_PB_DECLARE(km_msg_owner_request, km_msg_owner_request_pb,
              KM_MSG_OWNER_REQUEST);

#define KM_MSG_OWNER_RESPONSE(X, M)                                            \
    X(M, 1, LIST, addresses, _)                                                \
    X(M, 2, BYTES, owner_id, _)                                                \
    X(M, 3, UINT32, slot, _)                                                   \
    X(M, 4, FIXED64, view_id, _)                                               \
    X(M, 5, BOOL, self, _)
KM_PB_DECLARE(km_msg_owner_response, km_msg_owner_response_pb,
              KM_MSG_OWNER_RESPONSE);
#define KM_MSG_OWNER_ADDRESSES 1

/* The numbers of kama.v2.HotKeysOrder. */
enum km_msg_hot_keys_order {
    KM_MSG_HOT_KEYS_UNSPECIFIED = 0,
    KM_MSG_HOT_KEYS_GETS = 1,
    KM_MSG_HOT_KEYS_VALUE_BYTES = 2
};

#define KM_MSG_HOT_KEYS_REQUEST(X, M)                                          \
    X(M, 1, BYTES, group, _)                                                   \
    X(M, 2, UINT32, limit, _)                                                  \
    X(M, 3, INT32, order, _)
KM_PB_DECLARE(km_msg_hot_keys_request, km_msg_hot_keys_request_pb,
              KM_MSG_HOT_KEYS_REQUEST);

/* The rates are the bits of doubles (km_msg_double). */
#define KM_MSG_HOT_KEY(X, M)                                                   \
    X(M, 1, BYTES, key, _)                                                     \
    X(M, 2, FIXED64, gets_per_s, _)                                            \
    X(M, 3, FIXED64, error_per_s, _)                                           \
    X(M, 4, UINT64, value_bytes, _)
KM_PB_DECLARE(km_msg_hot_key, km_msg_hot_key_pb, KM_MSG_HOT_KEY);

#define KM_MSG_HOT_KEYS_RESPONSE(X, M) X(M, 1, LIST, keys, _)
KM_PB_DECLARE(km_msg_hot_keys_response, km_msg_hot_keys_response_pb,
              KM_MSG_HOT_KEYS_RESPONSE);
#define KM_MSG_HOT_KEYS_KEYS 1

/* Return the bits of a double, which are a fixed64 on the wire, and the double of
 * such bits. */
static inline uint64_t km_msg_double_bits(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}
static inline double km_msg_double(uint64_t bits)
{
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

/* -- kama.v2: following -------------------------------------------------- */

#define KM_MSG_WATCH_REQUEST(X, M)                                             \
    X(M, 1, BYTES, group, _)                                                   \
    X(M, 2, BYTES, glob, _)                                                    \
    X(M, 3, BYTES, cursor, _)                                                  \
    X(M, 4, BOOL, values, _)
KM_PB_DECLARE(km_msg_watch_request, km_msg_watch_request_pb,
              KM_MSG_WATCH_REQUEST);

/* The numbers of kama.v2.Operation that a watch sends. */
enum km_msg_operation {
    KM_MSG_OPERATION_UNSPECIFIED = 0,
    KM_MSG_OPERATION_SET = 2,
    KM_MSG_OPERATION_DELETE = 3,
    KM_MSG_OPERATION_CLEAR = 4,
    KM_MSG_OPERATION_EXPIRE = 5,
    KM_MSG_OPERATION_DROP = 6
};

#define KM_MSG_WATCH_EVENT(X, M)                                               \
    X(M, 1, BYTES, cursor, _)                                                  \
    X(M, 2, INT32, operation, _)                                               \
    X(M, 3, BYTES, key, _)                                                     \
    X(M, 4, SINT64, ttl_ms, _)                                                 \
    X(M, 5, BYTES, etag, _)                                                    \
    X(M, 6, BYTES, origin, _)                                                  \
    X(M, 7, BOOL, gap, _)                                                      \
    X(M, 8, UINT64, unix_ms, _)                                                \
    X(M, 15, BYTES, value, _)
KM_PB_DECLARE(km_msg_watch_event, km_msg_watch_event_pb, KM_MSG_WATCH_EVENT);

/* -- grpc.health.v1 ------------------------------------------------------ */

#define KM_MSG_HEALTH_REQUEST(X, M) X(M, 1, BYTES, service, _)
KM_PB_DECLARE(km_msg_health_request, km_msg_health_request_pb,
              KM_MSG_HEALTH_REQUEST);

enum km_msg_health {
    KM_MSG_HEALTH_SERVING = 1,
    KM_MSG_HEALTH_NOT_SERVING = 2,
    KM_MSG_HEALTH_SERVICE_UNKNOWN = 3
};
#define KM_MSG_HEALTH_RESPONSE(X, M) X(M, 1, INT32, status, _)
KM_PB_DECLARE(km_msg_health_response, km_msg_health_response_pb,
              KM_MSG_HEALTH_RESPONSE);

/* -- grpc.reflection.v1, v1alpha ----------------------------------------- */

/* The fields are a oneof: the one whose data is not NULL and lies last in the
 * input is set. */
#define KM_MSG_REFLECT_REQUEST(X, M)                                           \
    X(M, 1, BYTES, host, _)                                                    \
    X(M, 3, BYTES, file_by_filename, _)                                        \
    X(M, 4, BYTES, file_containing_symbol, _)                                  \
    X(M, 5, BYTES, file_containing_extension, _)                               \
    X(M, 6, BYTES, all_extension_numbers_of_type, _)                           \
    X(M, 7, BYTES, list_services, _)
KM_PB_DECLARE(km_msg_reflect_request, km_msg_reflect_request_pb,
              KM_MSG_REFLECT_REQUEST);

#define KM_MSG_REFLECT_ERROR(X, M)                                             \
    X(M, 1, INT32, error_code, _)                                              \
    X(M, 2, BYTES, error_message, _)
KM_PB_DECLARE(km_msg_reflect_error, km_msg_reflect_error_pb,
              KM_MSG_REFLECT_ERROR);

/* ServiceResponse. */
#define KM_MSG_REFLECT_SERVICE(X, M) X(M, 1, BYTES, name, _)
KM_PB_DECLARE(km_msg_reflect_service, km_msg_reflect_service_pb,
              KM_MSG_REFLECT_SERVICE);

/* The number of the repeated field in FileDescriptorResponse and in
 * ListServiceResponse. */
#define KM_MSG_REFLECT_ELEMENT 1

#define KM_MSG_REFLECT_RESPONSE(X, M)                                          \
    X(M, 1, BYTES, valid_host, _)                                              \
    X(M, 2, BYTES, original_request, _)                                        \
    X(M, 4, BYTES, file_descriptor_response, _)                                \
    X(M, 6, BYTES, list_services_response, _)                                  \
    X(M, 7, MESSAGE, error_response,                                           \
      (km_msg_reflect_error, km_msg_reflect_error_pb))
KM_PB_DECLARE(km_msg_reflect_response, km_msg_reflect_response_pb,
              KM_MSG_REFLECT_RESPONSE);

/* -- google.protobuf descriptors ----------------------------------------- */

#define KM_MSG_DESC_SET(X, M) X(M, 1, LIST, files, _)
KM_PB_DECLARE(km_msg_desc_set, km_msg_desc_set_pb, KM_MSG_DESC_SET);

#define KM_MSG_DESC_FILE(X, M)                                                 \
    X(M, 1, BYTES, name, _)                                                    \
    X(M, 2, BYTES, package, _)                                                 \
    X(M, 4, LIST, messages, _)                                                 \
    X(M, 5, LIST, enums, _)                                                    \
    X(M, 6, LIST, services, _)
KM_PB_DECLARE(km_msg_desc_file, km_msg_desc_file_pb, KM_MSG_DESC_FILE);

/* DescriptorProto. */
#define KM_MSG_DESC_MESSAGE(X, M)                                              \
    X(M, 1, BYTES, name, _)                                                    \
    X(M, 2, LIST, fields, _)                                                   \
    X(M, 3, LIST, messages, _)                                                 \
    X(M, 4, LIST, enums, _)
KM_PB_DECLARE(km_msg_desc_message, km_msg_desc_message_pb, KM_MSG_DESC_MESSAGE);

/* ServiceDescriptorProto, whose members are methods, and EnumDescriptorProto,
 * whose members are values. */
#define KM_MSG_DESC_OWNER(X, M)                                                \
    X(M, 1, BYTES, name, _)                                                    \
    X(M, 2, LIST, members, _)
KM_PB_DECLARE(km_msg_desc_owner, km_msg_desc_owner_pb, KM_MSG_DESC_OWNER);

/* Every descriptor has its name in field 1. */
#define KM_MSG_DESC_NAMED(X, M) X(M, 1, BYTES, name, _)
KM_PB_DECLARE(km_msg_desc_named, km_msg_desc_named_pb, KM_MSG_DESC_NAMED);
