/* SPDX-License-Identifier: MIT */
/* The tables of msg.h. The struct of each is declared there, by the same
 * rows. */
#include "wire/msg/msg.h"

static const struct km_pb_field no_fields[1];
const struct km_pb_message km_msg_empty_pb = {no_fields, 0, 0};

KM_PB_DEFINE(km_msg_v1_request, km_msg_v1_request_pb, KM_MSG_V1_REQUEST)
KM_PB_DEFINE(km_msg_v1_get_response, km_msg_v1_get_response_pb,
             KM_MSG_V1_GET_RESPONSE)
KM_PB_DEFINE(km_msg_v1_delete_response, km_msg_v1_delete_response_pb,
             KM_MSG_V1_DELETE_RESPONSE)
KM_PB_DEFINE(km_msg_get_request, km_msg_get_request_pb, KM_MSG_GET_REQUEST)
KM_PB_DEFINE(km_msg_get_response, km_msg_get_response_pb, KM_MSG_GET_RESPONSE)
KM_PB_DEFINE(km_msg_set_request, km_msg_set_request_pb, KM_MSG_SET_REQUEST)
KM_PB_DEFINE(km_msg_set_response, km_msg_set_response_pb, KM_MSG_SET_RESPONSE);
KM_PB_DEFINE(km_msg_delete_request, km_msg_delete_request_pb,
             KM_MSG_DELETE_REQUEST)
KM_PB_DEFINE(km_msg_delete_response, km_msg_delete_response_pb,
             KM_MSG_DELETE_RESPONSE)
KM_PB_DEFINE(km_msg_ttl_request, km_msg_ttl_request_pb, KM_MSG_TTL_REQUEST)
KM_PB_DEFINE(km_msg_ttl_response, km_msg_ttl_response_pb, KM_MSG_TTL_RESPONSE)
KM_PB_DEFINE(km_msg_touch_request, km_msg_touch_request_pb,
             KM_MSG_TOUCH_REQUEST)
KM_PB_DEFINE(km_msg_touch_response, km_msg_touch_response_pb,
             KM_MSG_TOUCH_RESPONSE)
KM_PB_DEFINE(km_msg_exists_request, km_msg_exists_request_pb,
             KM_MSG_EXISTS_REQUEST)
KM_PB_DEFINE(km_msg_mdelete_request, km_msg_mdelete_request_pb,
             KM_MSG_MDELETE_REQUEST)
KM_PB_DEFINE(km_msg_mset_entry, km_msg_mset_entry_pb, KM_MSG_MSET_ENTRY)
KM_PB_DEFINE(km_msg_mset_request, km_msg_mset_request_pb, KM_MSG_MSET_REQUEST)
KM_PB_DEFINE(km_msg_numbers_response, km_msg_numbers_response_pb,
             KM_MSG_NUMBERS_RESPONSE)
KM_PB_DEFINE(km_msg_mget_request, km_msg_mget_request_pb, KM_MSG_MGET_REQUEST)
KM_PB_DEFINE(km_msg_mget_item, km_msg_mget_item_pb, KM_MSG_MGET_ITEM)
KM_PB_DEFINE(km_msg_mget_response, km_msg_mget_response_pb,
             KM_MSG_MGET_RESPONSE)
KM_PB_DEFINE(km_msg_mget_stream_response, km_msg_mget_stream_response_pb,
             KM_MSG_MGET_STREAM_RESPONSE)
KM_PB_DEFINE(km_msg_clear_request, km_msg_clear_request_pb,
             KM_MSG_CLEAR_REQUEST)
KM_PB_DEFINE(km_msg_clear_response, km_msg_clear_response_pb,
             KM_MSG_CLEAR_RESPONSE)
KM_PB_DEFINE(km_msg_resize_request, km_msg_resize_request_pb,
             KM_MSG_RESIZE_REQUEST)
KM_PB_DEFINE(km_msg_resize_response, km_msg_resize_response_pb,
             KM_MSG_RESIZE_RESPONSE)
KM_PB_DEFINE(km_msg_scan_request, km_msg_scan_request_pb, KM_MSG_SCAN_REQUEST)
KM_PB_DEFINE(km_msg_scan_entry, km_msg_scan_entry_pb, KM_MSG_SCAN_ENTRY)
KM_PB_DEFINE(km_msg_scan_response, km_msg_scan_response_pb,
             KM_MSG_SCAN_RESPONSE)
KM_PB_DEFINE(km_msg_ping_request, km_msg_ping_request_pb, KM_MSG_PING_REQUEST)
KM_PB_DEFINE(km_msg_ping_response, km_msg_ping_response_pb,
             KM_MSG_PING_RESPONSE)
KM_PB_DEFINE(km_msg_stats_request, km_msg_stats_request_pb,
             KM_MSG_STATS_REQUEST)
KM_PB_DEFINE(km_msg_latency, km_msg_latency_pb, KM_MSG_LATENCY)
KM_PB_DEFINE(km_msg_group_stats, km_msg_group_stats_pb, KM_MSG_GROUP_STATS)
KM_PB_DEFINE(km_msg_metric, km_msg_metric_pb, KM_MSG_METRIC)
KM_PB_DEFINE(km_msg_stats_response, km_msg_stats_response_pb,
             KM_MSG_STATS_RESPONSE)
KM_PB_DEFINE(km_msg_group_info, km_msg_group_info_pb, KM_MSG_GROUP_INFO)
KM_PB_DEFINE(km_msg_group_option, km_msg_group_option_pb, KM_MSG_GROUP_OPTION)
KM_PB_DEFINE(km_msg_groups_response, km_msg_groups_response_pb,
             KM_MSG_GROUPS_RESPONSE)
KM_PB_DEFINE(km_msg_node_response, km_msg_node_response_pb,
             KM_MSG_NODE_RESPONSE)
KM_PB_DEFINE(km_msg_member_stream, km_msg_member_stream_pb,
             KM_MSG_MEMBER_STREAM)
KM_PB_DEFINE(km_msg_member, km_msg_member_pb, KM_MSG_MEMBER)
KM_PB_DEFINE(km_msg_members_response, km_msg_members_response_pb,
             KM_MSG_MEMBERS_RESPONSE)
KM_PB_DEFINE(km_msg_owner_request, km_msg_owner_request_pb,
             KM_MSG_OWNER_REQUEST)
KM_PB_DEFINE(km_msg_owner_response, km_msg_owner_response_pb,
             KM_MSG_OWNER_RESPONSE)
KM_PB_DEFINE(km_msg_hot_keys_request, km_msg_hot_keys_request_pb,
             KM_MSG_HOT_KEYS_REQUEST)
KM_PB_DEFINE(km_msg_hot_key, km_msg_hot_key_pb, KM_MSG_HOT_KEY)
KM_PB_DEFINE(km_msg_hot_keys_response, km_msg_hot_keys_response_pb,
             KM_MSG_HOT_KEYS_RESPONSE)
KM_PB_DEFINE(km_msg_watch_request, km_msg_watch_request_pb,
             KM_MSG_WATCH_REQUEST)
KM_PB_DEFINE(km_msg_watch_event, km_msg_watch_event_pb, KM_MSG_WATCH_EVENT)

KM_PB_DEFINE(km_msg_health_request, km_msg_health_request_pb,
             KM_MSG_HEALTH_REQUEST)
KM_PB_DEFINE(km_msg_health_response, km_msg_health_response_pb,
             KM_MSG_HEALTH_RESPONSE)
KM_PB_DEFINE(km_msg_reflect_request, km_msg_reflect_request_pb,
             KM_MSG_REFLECT_REQUEST)
KM_PB_DEFINE(km_msg_reflect_error, km_msg_reflect_error_pb,
             KM_MSG_REFLECT_ERROR)
KM_PB_DEFINE(km_msg_reflect_service, km_msg_reflect_service_pb,
             KM_MSG_REFLECT_SERVICE)
KM_PB_DEFINE(km_msg_reflect_response, km_msg_reflect_response_pb,
             KM_MSG_REFLECT_RESPONSE)
KM_PB_DEFINE(km_msg_desc_set, km_msg_desc_set_pb, KM_MSG_DESC_SET)
KM_PB_DEFINE(km_msg_desc_file, km_msg_desc_file_pb, KM_MSG_DESC_FILE)
KM_PB_DEFINE(km_msg_desc_message, km_msg_desc_message_pb, KM_MSG_DESC_MESSAGE)
KM_PB_DEFINE(km_msg_desc_owner, km_msg_desc_owner_pb, KM_MSG_DESC_OWNER)
KM_PB_DEFINE(km_msg_desc_named, km_msg_desc_named_pb, KM_MSG_DESC_NAMED)

const char *km_msg_member_state_name(int32_t state)
{
    static const char *const names[] = {"unknown", "joining", "active",
                                        "leaving"};
    return state >= 0 && state < 4 ? names[state] : names[0];
}
