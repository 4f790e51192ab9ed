/* SPDX-License-Identifier: MIT */
/*
 * Compares the tables of the messages with recorded bytes. `wire_msg --recode`
 * is the other half of pb_oracle_test.py: it decodes the messages that it is
 * given and encodes them again.
 */
#include "wire/msg/diagnose.h"
#include "wire/msg/peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* -- messages by name ---------------------------------------------------- */

static const struct {
    const char *name;
    const struct km_pb_message *table;
} tables[] = {
    {"kama.v1.GetRequest", &km_msg_v1_request_pb},
    {"kama.v1.SetRequest", &km_msg_v1_request_pb},
    {"kama.v1.DeleteRequest", &km_msg_v1_request_pb},
    {"kama.v1.GetResponse", &km_msg_v1_get_response_pb},
    {"kama.v1.SetResponse", &km_msg_v1_get_response_pb},
    {"kama.v1.DeleteResponse", &km_msg_v1_delete_response_pb},
    {"kama.v2.GetRequest", &km_msg_get_request_pb},
    {"kama.v2.GetResponse", &km_msg_get_response_pb},
    {"kama.v2.SetRequest", &km_msg_set_request_pb},
    {"kama.v2.SetResponse", &km_msg_set_response_pb},
    {"kama.v2.DeleteRequest", &km_msg_delete_request_pb},
    {"kama.v2.DeleteResponse", &km_msg_delete_response_pb},
    {"kama.v2.TtlRequest", &km_msg_ttl_request_pb},
    {"kama.v2.TtlResponse", &km_msg_ttl_response_pb},
    {"kama.v2.TouchRequest", &km_msg_touch_request_pb},
    {"kama.v2.TouchResponse", &km_msg_touch_response_pb},
    {"kama.v2.ExistsRequest", &km_msg_exists_request_pb},
    {"kama.v2.ExistsResponse", &km_msg_numbers_response_pb},
    {"kama.v2.MSetEntry", &km_msg_mset_entry_pb},
    {"kama.v2.MSetRequest", &km_msg_mset_request_pb},
    {"kama.v2.MSetResponse", &km_msg_numbers_response_pb},
    {"kama.v2.MDeleteRequest", &km_msg_mdelete_request_pb},
    {"kama.v2.MDeleteResponse", &km_msg_numbers_response_pb},
    {"kama.v2.MGetRequest", &km_msg_mget_request_pb},
    {"kama.v2.MGetItem", &km_msg_mget_item_pb},
    {"kama.v2.MGetResponse", &km_msg_mget_response_pb},
    {"kama.v2.MGetStreamResponse", &km_msg_mget_stream_response_pb},
    {"kama.v2.ClearRequest", &km_msg_clear_request_pb},
    {"kama.v2.ClearResponse", &km_msg_clear_response_pb},
    {"kama.v2.ResizeRequest", &km_msg_resize_request_pb},
    {"kama.v2.ResizeResponse", &km_msg_resize_response_pb},
    {"kama.v2.ScanRequest", &km_msg_scan_request_pb},
    {"kama.v2.ScanEntry", &km_msg_scan_entry_pb},
    {"kama.v2.ScanResponse", &km_msg_scan_response_pb},
    {"kama.v2.PingRequest", &km_msg_ping_request_pb},
    {"kama.v2.PingResponse", &km_msg_ping_response_pb},
    {"kama.v2.StatsRequest", &km_msg_stats_request_pb},
    {"kama.v2.StatsResponse", &km_msg_stats_response_pb},
    {"kama.v2.GroupInfo", &km_msg_group_info_pb},
    {"kama.v2.GroupOption", &km_msg_group_option_pb},
    {"kama.v2.GroupsResponse", &km_msg_groups_response_pb},
    {"kama.v2.Latency", &km_msg_latency_pb},
    {"kama.v2.Metric", &km_msg_metric_pb},
    {"kama.peer.v1.Sender", &km_msg_peer_sender_pb},
    {"kama.peer.v1.HelloRequest", &km_msg_peer_hello_request_pb},
    {"kama.peer.v1.HelloResponse", &km_msg_peer_hello_response_pb},
    {"kama.peer.v1.Need", &km_msg_peer_need_pb},
    {"kama.peer.v1.FillRequest", &km_msg_peer_fill_request_pb},
    {"kama.peer.v1.FillResponse", &km_msg_peer_fill_response_pb},
    {"kama.peer.v1.FillManyRequest", &km_msg_peer_fill_many_request_pb},
    {"kama.peer.v1.FillManyResponse", &km_msg_peer_fill_many_response_pb},
    {"kama.peer.v1.PeekRequest", &km_msg_peer_peek_request_pb},
    {"kama.peer.v1.PeekItem", &km_msg_peer_peek_item_pb},
    {"kama.peer.v1.PeekResponse", &km_msg_peer_items_response_pb},
    {"kama.peer.v1.MutateResponse", &km_msg_peer_items_response_pb},
    {"kama.peer.v1.Mutation", &km_msg_peer_mutation_pb},
    {"kama.peer.v1.MutateRequest", &km_msg_peer_mutate_request_pb},
    {"kama.peer.v1.MutateResult", &km_msg_peer_mutate_result_pb},
    {"kama.peer.v1.SyncStrategy", &km_msg_sync_strategy_pb},
    {"kama.peer.v1.SyncHello", &km_msg_sync_hello_pb},
    {"kama.peer.v1.SyncWelcome", &km_msg_sync_welcome_pb},
    {"kama.peer.v1.SyncGroup", &km_msg_sync_group_pb},
    {"kama.peer.v1.SyncMutation", &km_msg_sync_mutation_pb},
    {"kama.peer.v1.SyncGap", &km_msg_sync_gap_pb},
    {"kama.peer.v1.SyncHeartbeat", &km_msg_sync_heartbeat_pb},
    {"kama.peer.v1.SyncView", &km_msg_sync_view_pb},
    {"kama.peer.v1.SyncBye", &km_msg_sync_bye_pb},
    {"kama.peer.v1.SyncChunk", &km_msg_sync_chunk_pb},
    {"kama.peer.v1.SyncRequest", &km_msg_sync_request_pb},
    {"kama.peer.v1.SyncResponse", &km_msg_sync_response_pb},
    {"kama.v2.NodeResponse", &km_msg_node_response_pb},
    {"kama.v2.MemberStream", &km_msg_member_stream_pb},
    {"kama.v2.Member", &km_msg_member_pb},
    {"kama.v2.MembersResponse", &km_msg_members_response_pb},
    {"kama.v2.OwnerRequest", &km_msg_owner_request_pb},
    {"kama.v2.OwnerResponse", &km_msg_owner_response_pb},
    {"kama.v2.WatchRequest", &km_msg_watch_request_pb},
    {"kama.v2.WatchEvent", &km_msg_watch_event_pb},
    {"kama.v2.HotKeysRequest", &km_msg_hot_keys_request_pb},
    {"kama.v2.HotKey", &km_msg_hot_key_pb},
    {"kama.v2.HotKeysResponse", &km_msg_hot_keys_response_pb},
    {"kama.v2.ExplainRequest", &km_msg_explain_request_pb},
    {"kama.v2.MutationVersion", &km_msg_version_pb},
    {"kama.v2.KeyRecord", &km_msg_key_record_pb},
    {"kama.v2.Copy", &km_msg_copy_pb},
    {"kama.v2.ExplainResponse", &km_msg_explain_response_pb},
    {"kama.v2.DoctorCheck", &km_msg_doctor_check_pb},
    {"kama.v2.HostFacts", &km_msg_host_facts_pb},
    {"kama.v2.RegistryFacts", &km_msg_registry_facts_pb},
    {"kama.v2.DoctorResponse", &km_msg_doctor_response_pb},
    {"grpc.health.v1.HealthCheckRequest", &km_msg_health_request_pb},
    {"grpc.health.v1.HealthCheckResponse", &km_msg_health_response_pb},
    {"grpc.reflection.v1.ErrorResponse", &km_msg_reflect_error_pb},
    {"grpc.reflection.v1.ServiceResponse", &km_msg_reflect_service_pb},
};

static const struct km_pb_message *find_table(const char *name)
{
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        if (strcmp(tables[i].name, name) == 0) {
            return tables[i].table;
        }
    }
    return NULL;
}

/* Memory that is large enough for every struct of msg.h. */
union any_message {
    struct km_msg_group_stats stats;
    struct km_msg_group_info info;
    struct km_msg_set_request set;
    struct km_msg_peer_hello_response hello;
    struct km_msg_node_response node;
    struct km_msg_member member;
    struct km_msg_copy copy;
    struct km_msg_explain_response explain;
    struct km_msg_doctor_response doctor;
};

static kama_status recode(const struct km_pb_message *table, kama_bytes bytes,
                          struct km_buf *out)
{
    union any_message message;
    assert_true(table->bytes <= sizeof message);
    kama_status st = km_pb_decode(table, bytes, &message);
    return st == KAMA_OK ? km_pb_append(out, table, &message) : st;
}

/* -- golden bytes -------------------------------------------------------- */

static size_t parse_hex(const char *hex, uint8_t *out)
{
    size_t n = 0;
    unsigned byte;
    while (sscanf(hex + 2 * n, "%2x", &byte) == 1) {
        out[n++] = (uint8_t)byte;
    }
    return n;
}

static void check_golden(const char *name, const char *hex)
{
    uint8_t bytes[256];
    struct km_buf out;
    size_t len = parse_hex(hex, bytes);
    const struct km_pb_message *table = find_table(name);
    assert_non_null(table);
    km_buf_init(&out, km_mem_default(), SIZE_MAX);
    assert_int_equal(recode(table, kama_bytes_make(bytes, len), &out), KAMA_OK);
    assert_int_equal(out.len, len);
    assert_true(km_bytes_eq(km_buf_bytes(&out), kama_bytes_make(bytes, len)));
    km_buf_fini(&out);
}

/* A recorded message comes out of the encoder as it went in. */
static void test_golden(void **state)
{
    (void)state;
    char path[512];
    const char *root = getenv("KAMA_SOURCE_DIR");
    (void)snprintf(path, sizeof path, "%s/tests/wire/golden/messages.txt",
                   root != NULL ? root : ".");
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char line[1024];
    unsigned count = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        char name[128];
        char hex[512];
        if (line[0] != '#' && sscanf(line, "%127s %511s", name, hex) == 2) {
            check_golden(name, strcmp(hex, "-") == 0 ? "" : hex);
            count++;
        }
    }
    (void)fclose(file);
    assert_true(count >= 20);
}

/* The fields of Set(default, Tom, 630), and of a reply with a field that we do
 * not know, the expiry that other caches send. */
static void test_golden_fields(void **state)
{
    (void)state;
    static const uint8_t set[] = "\x0a\x07"
                                 "default\x12\x03"
                                 "Tom\x1a\x03"
                                 "630";
    static const uint8_t reply[] = "\x0a\x03"
                                   "630\x18\x80\x80\xa8\xb1\xe3\x9f\xe7\xcb"
                                   "\x17";
    struct km_msg_v1_request request;
    struct km_msg_v1_get_response response;
    assert_int_equal(km_pb_decode(&km_msg_v1_request_pb,
                                  kama_bytes_make(set, sizeof set - 1),
                                  &request),
                     KAMA_OK);
    assert_true(km_bytes_eq(request.group, KM_LIT("default")));
    assert_true(km_bytes_eq(request.key, KM_LIT("Tom")));
    assert_true(km_bytes_eq(request.value, KM_LIT("630")));
    assert_ptr_equal(request.key.data, set + 11);
    assert_int_equal(km_pb_decode(&km_msg_v1_get_response_pb,
                                  kama_bytes_make(reply, sizeof reply - 1),
                                  &response),
                     KAMA_OK);
    assert_true(km_bytes_eq(response.value, KM_LIT("630")));
}

/* Rows are sorted by number, and no two are the same. */
static void test_tables_sorted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        const struct km_pb_message *table = tables[i].table;
        for (unsigned f = 1; f < table->field_count; f++) {
            assert_true(table->fields[f - 1].number < table->fields[f].number);
        }
    }
}

/* -- the oracle's other half --------------------------------------------- */

static bool read_block(uint8_t *block, uint32_t *ret_len)
{
    if (fread(ret_len, 1, 4, stdin) != 4 || *ret_len > 1u << 20) {
        return false;
    }
    return fread(block, 1, *ret_len, stdin) == *ret_len;
}

/* Reads pairs of a name and a message from stdin, each behind a 32-bit length.
 * For each pair it writes to stdout whether the message was accepted (1 or 0),
 * and the encoded message behind its length. */
static int recode_all(void)
{
    static uint8_t name[1 << 20];
    static uint8_t bytes[1 << 20];
    uint32_t len;
    while (read_block(name, &len)) {
        name[len] = '\0';
        const struct km_pb_message *table = find_table((const char *)name);
        if (table == NULL || !read_block(bytes, &len)) {
            return 1;
        }
        struct km_buf out;
        km_buf_init(&out, km_mem_default(), SIZE_MAX);
        kama_status st = recode(table, kama_bytes_make(bytes, len), &out);
        uint8_t accepted = st == KAMA_OK;
        uint32_t out_bytes = (uint32_t)out.len;
        (void)fwrite(&accepted, 1, 1, stdout);
        (void)fwrite(&out_bytes, 1, 4, stdout);
        if (out.len > 0) {
            (void)fwrite(out.data, 1, out.len, stdout);
        }
        km_buf_fini(&out);
    }
    return fflush(stdout) == 0 ? 0 : 1;
}

/* The words for numbers; a number of a later version is not known. */
static void test_words(void **state)
{
    (void)state;
    assert_string_equal(km_msg_member_state_name(3), "leaving");
    assert_string_equal(km_msg_copy_kind_name(2), "explicit");
    assert_string_equal(km_msg_absence_name(2), "expired");
    assert_string_equal(km_msg_get_action_name(KM_MSG_GET_REFUSE), "refuse");
    static const int32_t others[] = {0, -1, 8, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_string_equal(km_msg_member_state_name(others[i]), "unknown");
        assert_string_equal(km_msg_copy_kind_name(others[i]), "unknown");
        assert_string_equal(km_msg_absence_name(others[i]), "unknown");
        assert_string_equal(km_msg_get_action_name(others[i]), "unknown");
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--recode") == 0) {
        return recode_all();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_golden_fields),
        cmocka_unit_test(test_tables_sorted),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
