/* SPDX-License-Identifier: MIT */
/* The tables of peer.h. The struct of each is declared there, by the same
 * rows. */
#include "wire/msg/peer.h"

KM_PB_DEFINE(km_msg_peer_sender, km_msg_peer_sender_pb, KM_MSG_PEER_SENDER)
KM_PB_DEFINE(km_msg_peer_hello_request, km_msg_peer_hello_request_pb,
             KM_MSG_PEER_HELLO_REQUEST)
KM_PB_DEFINE(km_msg_peer_hello_response, km_msg_peer_hello_response_pb,
             KM_MSG_PEER_HELLO_RESPONSE)
KM_PB_DEFINE(km_msg_peer_need, km_msg_peer_need_pb, KM_MSG_PEER_NEED)
KM_PB_DEFINE(km_msg_peer_fill_request, km_msg_peer_fill_request_pb,
             KM_MSG_PEER_FILL_REQUEST)
KM_PB_DEFINE(km_msg_peer_fill_response, km_msg_peer_fill_response_pb,
             KM_MSG_PEER_FILL_RESPONSE)
KM_PB_DEFINE(km_msg_peer_fill_many_request, km_msg_peer_fill_many_request_pb,
             KM_MSG_PEER_FILL_MANY_REQUEST)
KM_PB_DEFINE(km_msg_peer_fill_many_response, km_msg_peer_fill_many_response_pb,
             KM_MSG_PEER_FILL_MANY_RESPONSE)
KM_PB_DEFINE(km_msg_peer_peek_request, km_msg_peer_peek_request_pb,
             KM_MSG_PEER_PEEK_REQUEST)
KM_PB_DEFINE(km_msg_peer_peek_item, km_msg_peer_peek_item_pb,
             KM_MSG_PEER_PEEK_ITEM)
KM_PB_DEFINE(km_msg_peer_items_response, km_msg_peer_items_response_pb,
             KM_MSG_PEER_ITEMS_RESPONSE)
KM_PB_DEFINE(km_msg_peer_mutation, km_msg_peer_mutation_pb,
             KM_MSG_PEER_MUTATION)
KM_PB_DEFINE(km_msg_peer_mutate_request, km_msg_peer_mutate_request_pb,
             KM_MSG_PEER_MUTATE_REQUEST)
KM_PB_DEFINE(km_msg_peer_mutate_result, km_msg_peer_mutate_result_pb,
             KM_MSG_PEER_MUTATE_RESULT)
KM_PB_DEFINE(km_msg_sync_strategy, km_msg_sync_strategy_pb,
             KM_MSG_SYNC_STRATEGY)
KM_PB_DEFINE(km_msg_sync_hello, km_msg_sync_hello_pb, KM_MSG_SYNC_HELLO)
KM_PB_DEFINE(km_msg_sync_welcome, km_msg_sync_welcome_pb, KM_MSG_SYNC_WELCOME)
KM_PB_DEFINE(km_msg_sync_group, km_msg_sync_group_pb, KM_MSG_SYNC_GROUP)
KM_PB_DEFINE(km_msg_sync_mutation, km_msg_sync_mutation_pb,
             KM_MSG_SYNC_MUTATION)
KM_PB_DEFINE(km_msg_sync_gap, km_msg_sync_gap_pb, KM_MSG_SYNC_GAP)
KM_PB_DEFINE(km_msg_sync_heartbeat, km_msg_sync_heartbeat_pb,
             KM_MSG_SYNC_HEARTBEAT)
KM_PB_DEFINE(km_msg_sync_view, km_msg_sync_view_pb, KM_MSG_SYNC_VIEW)
KM_PB_DEFINE(km_msg_sync_bye, km_msg_sync_bye_pb, KM_MSG_SYNC_BYE)
KM_PB_DEFINE(km_msg_sync_chunk, km_msg_sync_chunk_pb, KM_MSG_SYNC_CHUNK)
KM_PB_DEFINE(km_msg_sync_request, km_msg_sync_request_pb, KM_MSG_SYNC_REQUEST)
KM_PB_DEFINE(km_msg_sync_response, km_msg_sync_response_pb,
             KM_MSG_SYNC_RESPONSE)
