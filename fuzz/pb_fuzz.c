/* SPDX-License-Identifier: MIT */
/*
 * Decodes arbitrary bytes as each of the messages that come from the network. A
 * message that is accepted must lie inside the input, and its encoding must
 * mean the same: decoding and encoding it once more changes nothing.
 */
#include "base/assert.h"
#include "wire/msg/msg.h"
#include "wire/msg/peer.h"

#include <stdlib.h>

static const struct km_pb_message *const tables[] = {
    &km_msg_v1_request_pb,
    &km_msg_get_request_pb,
    &km_msg_get_response_pb,
    &km_msg_set_request_pb,
    &km_msg_delete_request_pb,
    &km_msg_mget_request_pb,
    &km_msg_mget_response_pb,
    &km_msg_mget_item_pb,
    &km_msg_clear_request_pb,
    &km_msg_scan_request_pb,
    &km_msg_scan_response_pb,
    &km_msg_scan_entry_pb,
    &km_msg_stats_request_pb,
    &km_msg_stats_response_pb,
    &km_msg_group_stats_pb,
    &km_msg_groups_response_pb,
    &km_msg_group_info_pb,
    &km_msg_ping_request_pb,
    &km_msg_ping_response_pb,
    &km_msg_health_request_pb,
    &km_msg_reflect_request_pb,
    &km_msg_reflect_response_pb,
    &km_msg_desc_set_pb,
    &km_msg_desc_file_pb,
    &km_msg_desc_message_pb,
    &km_msg_desc_owner_pb,
    &km_msg_empty_pb,
    &km_msg_peer_sender_pb,
    &km_msg_peer_hello_request_pb,
    &km_msg_peer_hello_response_pb,
    &km_msg_peer_need_pb,
    &km_msg_peer_fill_request_pb,
    &km_msg_peer_fill_response_pb,
    &km_msg_peer_fill_many_request_pb,
    &km_msg_peer_fill_many_response_pb,
    &km_msg_peer_peek_request_pb,
    &km_msg_peer_peek_item_pb,
    &km_msg_peer_items_response_pb,
    &km_msg_peer_mutation_pb,
    &km_msg_peer_mutate_request_pb,
    &km_msg_peer_mutate_result_pb,
    &km_msg_sync_strategy_pb,
    &km_msg_sync_hello_pb,
    &km_msg_sync_welcome_pb,
    &km_msg_sync_group_pb,
    &km_msg_sync_mutation_pb,
    &km_msg_sync_gap_pb,
    &km_msg_sync_heartbeat_pb,
    &km_msg_sync_view_pb,
    &km_msg_sync_bye_pb,
    &km_msg_sync_chunk_pb,
    &km_msg_sync_request_pb,
    &km_msg_sync_response_pb,
};
#define TABLES (sizeof tables / sizeof tables[0])

/* Memory that is aligned for any struct of msg.h and larger than each. */
union any_message {
    struct km_msg_group_stats stats;
    struct km_msg_group_info info;
    struct km_msg_peer_hello_response hello;
    uint64_t words[64];
};

static void check_list(const struct km_pb_list *list, kama_bytes input)
{
    struct km_pb_list walk = *list;
    const uint8_t *begin = input.data;
    kama_bytes element;
    uint32_t count = 0;
    while (km_pb_next(&walk, &element)) {
        const uint8_t *data = element.data;
        KM_ASSERT(data >= begin && data + element.len <= begin + input.len);
        count++;
    }
    KM_ASSERT(count == list->count);
}

static void check_fields(const struct km_pb_message *table, const char *message,
                         kama_bytes input)
{
    const uint8_t *begin = input.data;
    for (unsigned i = 0; i < table->field_count; i++) {
        const void *member = message + table->fields[i].offset;
        if (table->fields[i].kind == KM_PB_BYTES) {
            const kama_bytes *bytes = member;
            const uint8_t *data = bytes->data;
            KM_ASSERT(data == NULL || (data >= begin &&
                                       data + bytes->len <= begin + input.len));
        } else if (table->fields[i].kind == KM_PB_LIST) {
            check_list(member, input);
        }
    }
}

static kama_bytes encode(const struct km_pb_message *table,
                         const union any_message *message)
{
    size_t size = km_pb_size(table, message);
    uint8_t *out = malloc(size + 1);
    if (out == NULL) {
        abort();
    }
    KM_ASSERT(km_pb_write(table, message, out) == out + size);
    return kama_bytes_make(out, size);
}

static void check_table(const struct km_pb_message *table, kama_bytes input)
{
    union any_message message;
    KM_ASSERT(table->bytes <= sizeof message);
    if (km_pb_decode(table, input, &message) != KAMA_OK) {
        return;
    }
    check_fields(table, (const char *)&message, input);
    kama_bytes once = encode(table, &message);
    KM_ASSERT(km_pb_decode(table, once, &message) == KAMA_OK);
    kama_bytes twice = encode(table, &message);
    KM_ASSERT(km_bytes_eq(once, twice));
    free((void *)(uintptr_t)once.data);
    free((void *)(uintptr_t)twice.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < TABLES; i++) {
        check_table(tables[i], kama_bytes_make(data, size));
    }
    return 0;
}
