/* SPDX-License-Identifier: MIT */
/*
 * The messages of kama.peer.v1, as structs and tables for pb.h. The .proto file
 * says what the fields mean.
 *
 *     struct km_msg_peer_fill_request request;
 *     kama_status status =
 *         km_pb_decode(&km_msg_peer_fill_request_pb, message, &request);
 *
 * The value is the last field of each message that has one, and such a message
 * is the last field of the message around it, so that a message can be sent as
 * a head and the bytes of a value without a copy (km_pb_write_prefix).
 *
 * A sint32 has the kind SINT64: both are written with the same bytes.
 *
 * Threads: the tables are constant. Ownership: see pb.h.
 */
#pragma once

#include "wire/msg/pb.h"
#include "wire/msg/pb_encode.h"

#define KM_MSG_PEER_SENDER(X, M)                                               \
    X(M, 1, BYTES, cluster, _)                                                 \
    X(M, 2, BYTES, service, _)                                                 \
    X(M, 3, BYTES, id, _)                                                      \
    X(M, 4, FIXED64, view_id, _)
KM_PB_DECLARE(km_msg_peer_sender, km_msg_peer_sender_pb, KM_MSG_PEER_SENDER);

#define KM_MSG_PEER_HELLO_REQUEST(X, M)                                        \
    X(M, 1, MESSAGE, sender, (km_msg_peer_sender, km_msg_peer_sender_pb))      \
    X(M, 2, BYTES, address, _)                                                 \
    X(M, 3, BYTES, expected_id, _)                                             \
    X(M, 4, INT32, standing, _)                                                \
    X(M, 5, UINT32, proto_min, _)                                              \
    X(M, 6, UINT32, proto_max, _)                                              \
    X(M, 7, UINT64, wall_ms, _)
KM_PB_DECLARE(km_msg_peer_hello_request, km_msg_peer_hello_request_pb,
              KM_MSG_PEER_HELLO_REQUEST);

#define KM_MSG_PEER_HELLO_RESPONSE(X, M)                                       \
    X(M, 1, BYTES, id, _)                                                      \
    X(M, 2, BYTES, nonce, _)                                                   \
    X(M, 3, BYTES, address, _)                                                 \
    X(M, 4, BYTES, cluster, _)                                                 \
    X(M, 5, BYTES, service, _)                                                 \
    X(M, 6, FIXED64, view_id, _)                                               \
    X(M, 7, INT32, standing, _)                                                \
    X(M, 8, INT32, welcome, _)                                                 \
    X(M, 9, UINT32, proto_min, _)                                              \
    X(M, 10, UINT32, proto_max, _)                                             \
    X(M, 11, UINT64, wall_ms, _)                                               \
    X(M, 12, BYTES, version, _)
KM_PB_DECLARE(km_msg_peer_hello_response, km_msg_peer_hello_response_pb,
              KM_MSG_PEER_HELLO_RESPONSE);

/* The number of the value in FillResponse and in Mutation. */
#define KM_MSG_PEER_VALUE 15

#define KM_MSG_PEER_NEED(X, M)                                                 \
    X(M, 1, BYTES, member_id, _)                                               \
    X(M, 2, FIXED64, clock, _)                                                 \
    X(M, 3, BOOL, at_once, _)
KM_PB_DECLARE(km_msg_peer_need, km_msg_peer_need_pb, KM_MSG_PEER_NEED);

#define KM_MSG_PEER_FILL_REQUEST(X, M)                                         \
    X(M, 1, MESSAGE, sender, (km_msg_peer_sender, km_msg_peer_sender_pb))      \
    X(M, 2, BYTES, group, _)                                                   \
    X(M, 3, BYTES, key, _)                                                     \
    X(M, 4, BYTES, traceparent, _)                                             \
    X(M, 5, LIST, needs, _)                                                    \
    X(M, 6, BOOL, peek, _)
KM_PB_DECLARE(km_msg_peer_fill_request, km_msg_peer_fill_request_pb,
              KM_MSG_PEER_FILL_REQUEST);

#define KM_MSG_PEER_FILL_RESPONSE(X, M)                                        \
    X(M, 1, INT32, outcome, _)                                                 \
    X(M, 2, SINT64, status, _)                                                 \
    X(M, 3, BYTES, message, _)                                                 \
    X(M, 4, SINT64, ttl_ms, _)                                                 \
    X(M, 5, UINT64, version, _)                                                \
    X(M, 6, FIXED64, view_id, _)                                               \
    X(M, 7, BOOL, from_memory, _)                                              \
    X(M, 8, BOOL, current, _)                                                  \
    X(M, 9, UINT64, current_us, _)                                             \
    X(M, 10, FIXED64, etag_key, _)                                             \
    X(M, 11, FIXED64, clock, _)                                                \
    X(M, 12, FIXED64, origin, _)                                               \
    X(M, 13, MESSAGE, lacking, (km_msg_peer_need, km_msg_peer_need_pb))        \
    X(M, 15, BYTES, value, _)
KM_PB_DECLARE(km_msg_peer_fill_response, km_msg_peer_fill_response_pb,
              KM_MSG_PEER_FILL_RESPONSE);

#define KM_MSG_PEER_FILL_MANY_REQUEST(X, M)                                    \
    X(M, 1, MESSAGE, sender, (km_msg_peer_sender, km_msg_peer_sender_pb))      \
    X(M, 2, BYTES, group, _)                                                   \
    X(M, 3, LIST, keys, _)                                                     \
    X(M, 4, BYTES, traceparent, _)                                             \
    X(M, 5, LIST, needs, _)                                                    \
    X(M, 6, BOOL, peek, _)
KM_PB_DECLARE(km_msg_peer_fill_many_request, km_msg_peer_fill_many_request_pb,
              KM_MSG_PEER_FILL_MANY_REQUEST);
/* The number of the keys in FillManyRequest and in PeekRequest, that of the needs, and
 * that of the flag of a fill that only looks. */
#define KM_MSG_PEER_KEYS 3
#define KM_MSG_PEER_NEEDS 5
#define KM_MSG_PEER_PEEK 6

#define KM_MSG_PEER_FILL_MANY_RESPONSE(X, M)                                   \
    X(M, 1, UINT32, index, _)                                                  \
    X(M, 2, MESSAGE, answer,                                                   \
      (km_msg_peer_fill_response, km_msg_peer_fill_response_pb))
KM_PB_DECLARE(km_msg_peer_fill_many_response, km_msg_peer_fill_many_response_pb,
              KM_MSG_PEER_FILL_MANY_RESPONSE);
#define KM_MSG_PEER_INDEX 1
#define KM_MSG_PEER_ANSWER 2

#define KM_MSG_PEER_PEEK_REQUEST(X, M)                                         \
    X(M, 1, MESSAGE, sender, (km_msg_peer_sender, km_msg_peer_sender_pb))      \
    X(M, 2, BYTES, group, _)                                                   \
    X(M, 3, LIST, keys, _)                                                     \
    X(M, 5, LIST, needs, _)
KM_PB_DECLARE(km_msg_peer_peek_request, km_msg_peer_peek_request_pb,
              KM_MSG_PEER_PEEK_REQUEST);

#define KM_MSG_PEER_PEEK_ITEM(X, M)                                            \
    X(M, 1, INT32, outcome, _)                                                 \
    X(M, 2, SINT64, status, _)                                                 \
    X(M, 3, SINT64, ttl_ms, _)
KM_PB_DECLARE(km_msg_peer_peek_item, km_msg_peer_peek_item_pb,
              KM_MSG_PEER_PEEK_ITEM);

/* PeekResponse and MutateResponse: a list, and the view. */
#define KM_MSG_PEER_ITEMS_RESPONSE(X, M)                                       \
    X(M, 1, LIST, items, _)                                                    \
    X(M, 2, FIXED64, view_id, _)
KM_PB_DECLARE(km_msg_peer_items_response, km_msg_peer_items_response_pb,
              KM_MSG_PEER_ITEMS_RESPONSE);
#define KM_MSG_PEER_ITEMS 1

#define KM_MSG_PEER_MUTATION(X, M)                                             \
    X(M, 1, INT32, kind, _)                                                    \
    X(M, 2, BYTES, key, _)                                                     \
    X(M, 3, SINT64, ttl_ms, _)                                                 \
    X(M, 4, INT32, condition, _)                                               \
    X(M, 5, FIXED64, if_etag, _)                                               \
    X(M, 15, BYTES, value, _)
KM_PB_DECLARE(km_msg_peer_mutation, km_msg_peer_mutation_pb,
              KM_MSG_PEER_MUTATION);

#define KM_MSG_PEER_MUTATE_REQUEST(X, M)                                       \
    X(M, 1, MESSAGE, sender, (km_msg_peer_sender, km_msg_peer_sender_pb))      \
    X(M, 2, BYTES, group, _)                                                   \
    X(M, 3, LIST, mutations, _)                                                \
    X(M, 7, FIXED64, clock, _)
KM_PB_DECLARE(km_msg_peer_mutate_request, km_msg_peer_mutate_request_pb,
              KM_MSG_PEER_MUTATE_REQUEST);
#define KM_MSG_PEER_MUTATIONS 3

#define KM_MSG_PEER_MUTATE_RESULT(X, M)                                        \
    X(M, 1, INT32, outcome, _)                                                 \
    X(M, 2, SINT64, status, _)                                                 \
    X(M, 3, BYTES, message, _)                                                 \
    X(M, 4, FIXED64, etag_key, _)                                              \
    X(M, 5, FIXED64, clock, _)                                                 \
    X(M, 6, FIXED64, origin, _)                                                \
    X(M, 7, LIST, unsynced, _)
KM_PB_DECLARE(km_msg_peer_mutate_result, km_msg_peer_mutate_result_pb,
              KM_MSG_PEER_MUTATE_RESULT);
#define KM_MSG_PEER_UNSYNCED 7

/* -- the stream of mutations ----------------------------------------------- */

#define KM_MSG_SYNC_STRATEGY(X, M)                                             \
    X(M, 1, FIXED64, group, _)                                                 \
    X(M, 2, FIXED64, digest, _)                                                \
    X(M, 3, BYTES, text, _)
KM_PB_DECLARE(km_msg_sync_strategy, km_msg_sync_strategy_pb,
              KM_MSG_SYNC_STRATEGY);

#define KM_MSG_SYNC_HELLO(X, M)                                                \
    X(M, 1, MESSAGE, sender, (km_msg_peer_sender, km_msg_peer_sender_pb))      \
    X(M, 2, BYTES, expected_id, _)                                             \
    X(M, 3, UINT32, proto_min, _)                                              \
    X(M, 4, UINT32, proto_max, _)                                              \
    X(M, 5, UINT64, wall_ms, _)                                                \
    X(M, 6, FIXED64, clock, _)                                                 \
    X(M, 8, LIST, strategies, _)
KM_PB_DECLARE(km_msg_sync_hello, km_msg_sync_hello_pb, KM_MSG_SYNC_HELLO);

#define KM_MSG_SYNC_WELCOME(X, M)                                              \
    X(M, 1, INT32, welcome, _)                                                 \
    X(M, 2, BYTES, id, _)                                                      \
    X(M, 3, BOOL, knows, _)                                                    \
    X(M, 4, UINT64, applied, _)                                                \
    X(M, 5, UINT64, wall_ms, _)                                                \
    X(M, 6, FIXED64, clock, _)                                                 \
    X(M, 7, FIXED64, view_id, _)                                               \
    X(M, 8, LIST, strategies, _)
KM_PB_DECLARE(km_msg_sync_welcome, km_msg_sync_welcome_pb, KM_MSG_SYNC_WELCOME);

#define KM_MSG_SYNC_GROUP(X, M)                                                \
    X(M, 1, UINT32, number, _)                                                 \
    X(M, 2, BYTES, name, _)
KM_PB_DECLARE(km_msg_sync_group, km_msg_sync_group_pb, KM_MSG_SYNC_GROUP);

#define KM_MSG_SYNC_MUTATION(X, M)                                             \
    X(M, 1, INT32, kind, _)                                                    \
    X(M, 2, UINT32, group, _)                                                  \
    X(M, 3, BYTES, key, _)                                                     \
    X(M, 4, UINT64, clock, _)                                                  \
    X(M, 5, UINT64, ttl_ms, _)                                                 \
    X(M, 6, FIXED64, base_clock, _)                                            \
    X(M, 7, FIXED64, base_origin, _)                                           \
    X(M, 15, BYTES, value, _)
KM_PB_DECLARE(km_msg_sync_mutation, km_msg_sync_mutation_pb,
              KM_MSG_SYNC_MUTATION);

#define KM_MSG_SYNC_GAP(X, M)                                                  \
    X(M, 1, UINT64, seq, _)                                                    \
    X(M, 2, FIXED64, clock, _)                                                 \
    X(M, 3, BOOL, all_groups, _)                                               \
    X(M, 4, LIST, groups, _)
KM_PB_DECLARE(km_msg_sync_gap, km_msg_sync_gap_pb, KM_MSG_SYNC_GAP);

#define KM_MSG_SYNC_HEARTBEAT(X, M)                                            \
    X(M, 1, UINT64, seq, _)                                                    \
    X(M, 2, FIXED64, clock, _)                                                 \
    X(M, 3, FIXED64, view_id, _)                                               \
    X(M, 4, FIXED64, stable, _)
KM_PB_DECLARE(km_msg_sync_heartbeat, km_msg_sync_heartbeat_pb,
              KM_MSG_SYNC_HEARTBEAT);

#define KM_MSG_SYNC_VIEW(X, M) X(M, 1, FIXED64, noticed_id, _)
KM_PB_DECLARE(km_msg_sync_view, km_msg_sync_view_pb, KM_MSG_SYNC_VIEW);

#define KM_MSG_SYNC_BYE(X, M)                                                  \
    X(M, 1, UINT64, final_seq, _)                                              \
    X(M, 2, FIXED64, clock, _)
KM_PB_DECLARE(km_msg_sync_bye, km_msg_sync_bye_pb, KM_MSG_SYNC_BYE);

#define KM_MSG_SYNC_CHUNK(X, M)                                                \
    X(M, 1, MESSAGE, mutation,                                                 \
      (km_msg_sync_mutation, km_msg_sync_mutation_pb))                         \
    X(M, 2, UINT64, value_bytes, _)                                            \
    X(M, 15, BYTES, part, _)
KM_PB_DECLARE(km_msg_sync_chunk, km_msg_sync_chunk_pb, KM_MSG_SYNC_CHUNK);

#define KM_MSG_SYNC_REQUEST(X, M)                                              \
    X(M, 1, BYTES, hello, _)                                                   \
    X(M, 2, FIXED64, view_id, _)                                               \
    X(M, 3, UINT64, first_seq, _)                                              \
    X(M, 4, FIXED64, first_clock, _)                                           \
    X(M, 5, LIST, groups, _)                                                   \
    X(M, 6, LIST, mutations, _)                                                \
    X(M, 7, BYTES, gap, _)                                                     \
    X(M, 8, BYTES, heartbeat, _)                                               \
    X(M, 9, BYTES, view, _)                                                    \
    X(M, 10, BYTES, bye, _)                                                    \
    X(M, 11, BYTES, chunk, _)
KM_PB_DECLARE(km_msg_sync_request, km_msg_sync_request_pb, KM_MSG_SYNC_REQUEST);
#define KM_MSG_SYNC_GROUPS 5
#define KM_MSG_SYNC_MUTATIONS 6

#define KM_MSG_SYNC_RESPONSE(X, M)                                             \
    X(M, 1, BYTES, welcome, _)                                                 \
    X(M, 2, UINT64, applied, _)
KM_PB_DECLARE(km_msg_sync_response, km_msg_sync_response_pb,
              KM_MSG_SYNC_RESPONSE);

/* -- the numbers of enums ------------------------------------------------- */

enum km_msg_peer_standing {
    KM_MSG_PEER_STANDING_MEMBER = 1,
    KM_MSG_PEER_STANDING_BEHIND = 2,
    KM_MSG_PEER_STANDING_TURNING = 3
};

enum km_msg_peer_welcome {
    KM_MSG_PEER_WELCOME_MEMBER = 1,
    KM_MSG_PEER_WELCOME_UNKNOWN = 2,
    KM_MSG_PEER_WELCOME_GONE = 3
};

enum km_msg_peer_outcome {
    KM_MSG_PEER_ANSWERED = 1,
    KM_MSG_PEER_NOT_OWNER = 2,
    KM_MSG_PEER_BEHIND = 3
};

enum km_msg_peer_mutation_kind {
    KM_MSG_PEER_SET = 1,
    KM_MSG_PEER_DELETE = 2,
    KM_MSG_PEER_EXPIRE = 3,
    KM_MSG_PEER_CLEAR = 4,
    KM_MSG_PEER_SET_IF = 5
};
