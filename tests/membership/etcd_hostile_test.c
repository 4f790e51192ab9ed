/* SPDX-License-Identifier: MIT */
/* ctest: timeout=180 */
/*
 * The registry against servers that are not etcd, or an etcd that has lost its
 * mind. Each one is an ordinary error with a sentence that names the endpoint,
 * and the next endpoint is asked.
 */
#include "membership/etcd.h"

#include "membership/etcd_encode.h"
#include "membership/etcd_endpoints.h"
#include "membership/etcd_kit.h"
#include "rpc/odd_server.h"
#include "wire/msg/etcd.h"

/* A short lease, so that an answer that never comes is missed soon. */
#define TTL_MS 1000

/* -- answers -------------------------------------------------------------- */

static const struct km_etcd_header header = {.revision = 5};

static void append(struct km_buf *out, const struct km_pb_message *table,
                   const void *message)
{
    assert_int_equal(km_pb_append(out, table, message), KAMA_OK);
}

static void append_kv(struct km_buf *out, uint32_t number, const char *key,
                      int64_t revision)
{
    const struct km_etcd_key_value kv = {.key = kama_bytes_str(key),
                                         .value = KM_LIT("v"),
                                         .mod_revision = revision};
    assert_int_equal(
        km_pb_append_element(out, number, &km_etcd_key_value_pb, &kv), KAMA_OK);
}

static void append_event(struct km_buf *out, const char *key, int64_t revision,
                         int32_t type)
{
    const struct km_etcd_event event = {
        .type = type,
        .kv = {.key = kama_bytes_str(key), .mod_revision = revision}};
    assert_int_equal(km_pb_append_element(out, KM_ETCD_WATCH_EVENTS,
                                          &km_etcd_event_pb, &event),
                     KAMA_OK);
}

static void junk(struct km_buf *out)
{
    assert_int_equal(km_buf_append(out, "\xff\xff\xff\xff", 4), KAMA_OK);
}

static void empty(struct km_buf *out)
{
    (void)out;
}

static void list_of_others(struct km_buf *out)
{
    const struct km_etcd_range_answer range = {.header = header, .count = 1};
    append(out, &km_etcd_range_answer_pb, &range);
    append_kv(out, 2, "/elsewhere", 3);
}

static void list_without_key(struct km_buf *out)
{
    const struct km_etcd_range_answer range = {.header = header, .count = 1};
    append(out, &km_etcd_range_answer_pb, &range);
    append_kv(out, 2, "", 3);
}

static void list_without_revisions(struct km_buf *out)
{
    const struct km_etcd_range_answer range = {.header = header, .count = 1};
    append(out, &km_etcd_range_answer_pb, &range);
    append_kv(out, 2, PREFIX "k", 0);
}

static void list_in_part(struct km_buf *out)
{
    const struct km_etcd_range_answer range = {.header = header, .more = true};
    append(out, &km_etcd_range_answer_pb, &range);
}

static void list_of_a_broken_record(struct km_buf *out)
{
    const struct km_etcd_range_answer range = {.header = header};
    append(out, &km_etcd_range_answer_pb, &range);
    assert_int_equal(km_pb_append_bytes(out, 2, KM_LIT("\x0a\x7f")), KAMA_OK);
}

static void list_good(struct km_buf *out)
{
    const struct km_etcd_range_answer range = {.header = header, .count = 1};
    append(out, &km_etcd_range_answer_pb, &range);
    append_kv(out, 2, PREFIX "k", 3);
}

static void lease(struct km_buf *out, int64_t id, int64_t ttl)
{
    const struct km_etcd_lease_answer answer = {
        .header = header, .id = id, .ttl = ttl};
    append(out, &km_etcd_lease_answer_pb, &answer);
}

static void lease_without_id(struct km_buf *out)
{
    lease(out, 0, 10);
}

static void lease_without_time(struct km_buf *out)
{
    lease(out, 7, 0);
}

static void lease_for_ages(struct km_buf *out)
{
    lease(out, 7, INT64_MAX);
}

static void lease_of_others(struct km_buf *out)
{
    lease(out, 8, 10);
}

static void txn_of_a_broken_step(struct km_buf *out)
{
    const struct km_etcd_txn_answer txn = {.header = header};
    append(out, &km_etcd_txn_answer_pb, &txn);
    assert_int_equal(km_pb_append_bytes(out, 3, KM_LIT("\x0a\x7f")), KAMA_OK);
}

static void watch_created(struct km_buf *out)
{
    const struct km_etcd_watch_answer watch = {.header = header,
                                               .created = true};
    append(out, &km_etcd_watch_answer_pb, &watch);
}

static void watch_of_others(struct km_buf *out)
{
    watch_created(out);
    append_event(out, "/elsewhere", 7, KM_ETCD_EVENT_PUT);
}

static void watch_backwards(struct km_buf *out)
{
    watch_created(out);
    append_event(out, PREFIX "k", 7, KM_ETCD_EVENT_PUT);
    append_event(out, PREFIX "k", 6, KM_ETCD_EVENT_PUT);
}

static void watch_of_a_third_kind(struct km_buf *out)
{
    watch_created(out);
    append_event(out, PREFIX "k", 7, 2);
}

static void watch_without_revision(struct km_buf *out)
{
    watch_created(out);
    append_event(out, PREFIX "k", 0, KM_ETCD_EVENT_PUT);
}

static void watch_canceled(struct km_buf *out)
{
    const struct km_etcd_watch_answer watch = {
        .created = true,
        .canceled = true,
        .cancel_reason = KM_LIT("etcdserver: \x1b[31mbecause\n")};
    append(out, &km_etcd_watch_answer_pb, &watch);
}

static void watch_not_created(struct km_buf *out)
{
    const struct km_etcd_watch_answer watch = {.header = header};
    append(out, &km_etcd_watch_answer_pb, &watch);
    append_event(out, PREFIX "k", 7, KM_ETCD_EVENT_PUT);
}

/* A gRPC message in its frame, on stream 1. */
static void put_message(struct km_buf *out, const struct km_buf *message)
{
    struct km_buf framed;
    const uint8_t prefix[5] = {
        0, (uint8_t)(message->len >> 24), (uint8_t)(message->len >> 16),
        (uint8_t)(message->len >> 8), (uint8_t)message->len};
    km_buf_init(&framed, km_mem_default(), SIZE_MAX);
    raw_bytes(&framed, prefix, sizeof prefix);
    raw_bytes(&framed, message->data, message->len);
    for (size_t at = 0; at < framed.len; at += 16384) {
        size_t len = framed.len - at < 16384 ? framed.len - at : 16384;
        data(out, 1, 0, (const char *)framed.data + at, len);
    }
    km_buf_fini(&framed);
}

static void put_made(struct km_buf *out, void (*make)(struct km_buf *out))
{
    struct km_buf message;
    km_buf_init(&message, km_mem_default(), SIZE_MAX);
    make(&message);
    put_message(out, &message);
    km_buf_fini(&message);
}

/* -- one answer, one status ----------------------------------------------- */

static void begin(struct registry *r, const char *endpoints)
{
    const struct km_etcd_options options = {
        .endpoints = endpoints, .lease_ttl_ms = TTL_MS, .user = NULL};
    assert_int_equal(registry_try(r, &options), KAMA_OK);
}

static struct seen *ask_one(struct registry *r, enum event event)
{
    if (event == CLAIMED) {
        return get(r, claim_of(7, "v", 0));
    }
    if (event == WATCH_ENDED) {
        (void)ask(r, make_ask(CHANGED, PREFIX, NULL, 7));
        wait_for(r, WATCH_ENDED, 1);
        return &r->seen[WATCH_ENDED];
    }
    return get(r, make_ask(event, PREFIX, "v", 7));
}

static const struct row {
    enum event event;
    void (*make)(struct km_buf *out);
    kama_status status;
} rows[] = {
    {LISTED, junk, KAMA_ERR_MALFORMED},
    {LISTED, empty, KAMA_ERR_PROTOCOL},
    {LISTED, list_of_others, KAMA_ERR_PROTOCOL},
    {LISTED, list_without_key, KAMA_ERR_PROTOCOL},
    {LISTED, list_without_revisions, KAMA_ERR_PROTOCOL},
    {LISTED, list_in_part, KAMA_ERR_PROTOCOL},
    {LISTED, list_of_a_broken_record, KAMA_ERR_MALFORMED},
    {GRANTED, junk, KAMA_ERR_MALFORMED},
    {GRANTED, lease_without_id, KAMA_ERR_PROTOCOL},
    {GRANTED, lease_without_time, KAMA_ERR_PROTOCOL},
    {GRANTED, lease_for_ages, KAMA_ERR_PROTOCOL},
    {LEFT, lease_of_others, KAMA_ERR_PROTOCOL},
    {KEPT, junk, KAMA_ERR_MALFORMED},
    {KEPT, lease_of_others, KAMA_ERR_PROTOCOL},
    {KEPT, lease_for_ages, KAMA_ERR_PROTOCOL},
    {REVOKED, junk, KAMA_ERR_MALFORMED},
    {STAMPED, junk, KAMA_ERR_MALFORMED},
    {UPDATED, empty, KAMA_ERR_PROTOCOL},
    {REMOVED, empty, KAMA_ERR_PROTOCOL},
    {CLAIMED, txn_of_a_broken_step, KAMA_ERR_MALFORMED},
    {WATCH_ENDED, junk, KAMA_ERR_MALFORMED},
    {WATCH_ENDED, watch_of_others, KAMA_ERR_PROTOCOL},
    {WATCH_ENDED, watch_backwards, KAMA_ERR_PROTOCOL},
    {WATCH_ENDED, watch_of_a_third_kind, KAMA_ERR_PROTOCOL},
    {WATCH_ENDED, watch_without_revision, KAMA_ERR_PROTOCOL},
    {WATCH_ENDED, watch_not_created, KAMA_ERR_PROTOCOL},
    {WATCH_ENDED, watch_canceled, KAMA_ERR_TRY_AGAIN},
};

static void an_answer_that_is_not_etcds_is_an_error(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct odd odd;
        struct registry r;
        odd_init(&odd);
        odd.answer_count = 1;
        good_headers(&odd.answers[0], 1);
        put_made(&odd.answers[0], rows[i].make);
        odd_start(&odd);
        begin(&r, odd.address);
        const struct seen *seen = ask_one(&r, rows[i].event);
        if (seen->status != rows[i].status ||
            strncmp(seen->text, odd.address, strlen(odd.address)) != 0 ||
            strpbrk(seen->text, "\x1b\n") != NULL) {
            fail_msg("row %zu: %s, \"%s\"", i, kama_status_name(seen->status),
                     seen->text);
        }
        registry_end(&r);
        odd_fini(&odd);
    }
}

/* -- ends ----------------------------------------------------------------- */

static void end_502(struct km_buf *out)
{
    headers(out, 1, RAW_END_STREAM, FIELDS(":status", "502"));
}

static void end_unknown_method(struct km_buf *out)
{
    headers(out, 1, RAW_END_STREAM, FIELDS(GRPC, "grpc-status", "12"));
}

static void end_no_leader(struct km_buf *out)
{
    headers(out, 1, RAW_END_STREAM,
            FIELDS(GRPC, "grpc-status", "14", "grpc-message",
                   "etcdserver: no leader"));
}

static void end_denied(struct km_buf *out)
{
    headers(out, 1, RAW_END_STREAM, FIELDS(GRPC, "grpc-status", "7"));
}

static void end_no_user(struct km_buf *out)
{
    headers(out, 1, RAW_END_STREAM,
            FIELDS(GRPC, "grpc-status", "3", "grpc-message",
                   "etcdserver: user name is empty"));
}

static void end_reset(struct km_buf *out)
{
    raw_u32_frame(out, RAW_RST_STREAM, 1, 2);
}

static void end_goaway(struct km_buf *out)
{
    static const uint8_t payload[] = "\0\0\0\1\0\0\0\x0btoo_many_pings";
    raw_frame(out, RAW_GOAWAY, 0, 0,
              kama_bytes_make(payload, sizeof payload - 1));
    raw_u32_frame(out, RAW_RST_STREAM, 1, 8);
}

static void end_of_nothing(struct km_buf *out)
{
    good_headers(out, 1);
    good_trailers(out, 1);
}

static void end_4_gib(struct km_buf *out)
{
    good_headers(out, 1);
    data(out, 1, 0, "\0\xff\xff\xff\xffhi", 7);
}

static const struct end_row {
    void (*make)(struct km_buf *out); /* NULL: the answer never comes */
    kama_status unary, stream;
} ends[] = {
    {end_502, KAMA_ERR_UNREACHABLE, KAMA_ERR_UNREACHABLE},
    {end_unknown_method, KAMA_ERR_PROTOCOL, KAMA_ERR_PROTOCOL},
    {end_no_leader, KAMA_ERR_UNREACHABLE, KAMA_ERR_UNREACHABLE},
    {end_denied, KAMA_ERR_PERMISSION, KAMA_ERR_PERMISSION},
    {end_no_user, KAMA_ERR_UNAUTHENTICATED, KAMA_ERR_UNAUTHENTICATED},
    {end_reset, KAMA_ERR_PROTOCOL, KAMA_ERR_PROTOCOL},
    {end_of_nothing, KAMA_ERR_PROTOCOL, KAMA_ERR_TIMEOUT},
    {end_4_gib, KAMA_ERR_TOO_LARGE, KAMA_ERR_TOO_LARGE},
    {NULL, KAMA_ERR_TIMEOUT, KAMA_ERR_TIMEOUT},
};

static void an_end_is_an_error_with_a_name(void **state)
{
    (void)state;
    static const enum event events[] = {LISTED, KEPT, WATCH_ENDED};
    for (size_t i = 0; i < 3 * (sizeof ends / sizeof ends[0]); i++) {
        const struct end_row *row = &ends[i / 3];
        enum event event = events[i % 3];
        struct odd odd;
        struct registry r;
        odd_init(&odd);
        odd.answer_count = row->make != NULL ? 1 : 2;
        if (row->make != NULL) {
            row->make(&odd.answers[0]);
        }
        odd_start(&odd);
        begin(&r, odd.address);
        const struct seen *seen = ask_one(&r, event);
        kama_status expected = event == LISTED ? row->unary : row->stream;
        if (seen->status != expected ||
            strncmp(seen->text, odd.address, strlen(odd.address)) != 0) {
            fail_msg("end %zu: %s, \"%s\"", i, kama_status_name(seen->status),
                     seen->text);
        }
        registry_end(&r);
        odd_fini(&odd);
    }
}

/* A connection that is ended in order, or with too_many_pings, is replaced. */
static void a_goaway_is_forgiven_once(void **state)
{
    (void)state;
    struct odd odd;
    struct registry r;
    odd_init(&odd);
    odd.answer_count = 2;
    end_goaway(&odd.answers[0]);
    good_headers(&odd.answers[1], 1);
    put_made(&odd.answers[1], list_good);
    good_trailers(&odd.answers[1], 1);
    odd_start(&odd);
    begin(&r, odd.address);
    struct seen *seen = get(&r, make_ask(LISTED, PREFIX, NULL, 0));
    if (seen->status != KAMA_OK) {
        fail_msg("%s, \"%s\"", kama_status_name(seen->status), seen->text);
    }
    registry_end(&r);
    odd_fini(&odd);
}

static void a_bad_answer_is_asked_for_elsewhere(void **state)
{
    (void)state;
    struct odd bad;
    struct odd good;
    struct registry r;
    char endpoints[160];
    odd_init(&bad);
    bad.answer_count = 1;
    good_headers(&bad.answers[0], 1);
    put_made(&bad.answers[0], junk);
    odd_init(&good);
    good.answer_count = 1;
    good_headers(&good.answers[0], 1);
    put_made(&good.answers[0], list_good);
    good_trailers(&good.answers[0], 1);
    odd_start(&bad);
    odd_start(&good);
    (void)snprintf(endpoints, sizeof endpoints, "%s,%s", bad.address,
                   good.address);
    begin(&r, endpoints);
    struct seen *seen = get_ok(&r, make_ask(LISTED, PREFIX, NULL, 0));
    assert_string_equal(seen->records, PREFIX "k=v ");
    assert_int_equal(atomic_load(&bad.requests), 1);
    registry_end(&r);
    odd_fini(&bad);
    odd_fini(&good);
}

/* -- watches -------------------------------------------------------------- */

static void fragment(struct km_buf *out, bool more, int64_t first, int64_t last)
{
    const struct km_etcd_watch_answer answer = {.header = header,
                                                .fragment = more};
    struct km_buf message;
    km_buf_init(&message, km_mem_default(), SIZE_MAX);
    append(&message, &km_etcd_watch_answer_pb, &answer);
    append_event(&message, PREFIX "a", first, KM_ETCD_EVENT_PUT);
    append_event(&message, PREFIX "b", last, KM_ETCD_EVENT_DELETE);
    put_message(out, &message);
    km_buf_fini(&message);
}

/* A revision that is divided among three answers is one change. */
static void a_revision_in_fragments_is_one_change(void **state)
{
    (void)state;
    struct odd odd;
    struct registry r;
    odd_init(&odd);
    odd.answer_count = 1;
    good_headers(&odd.answers[0], 1);
    put_made(&odd.answers[0], watch_created);
    fragment(&odd.answers[0], true, 6, 7);
    fragment(&odd.answers[0], true, 7, 7);
    fragment(&odd.answers[0], false, 7, 8);
    odd_start(&odd);
    begin(&r, odd.address);
    (void)ask(&r, make_ask(CHANGED, PREFIX, NULL, 6));
    wait_for(&r, CHANGED, 3);
    assert_string_equal(r.history,
                        PREFIX "a= | " PREFIX "b! " PREFIX "a= " PREFIX
                               "b! " PREFIX "a= | " PREFIX "b! | ");
    registry_end(&r);
    odd_fini(&odd);
}

/* Fragments without an end must not fill the memory. */
static void endless_fragments_are_refused(void **state)
{
    (void)state;
    struct odd odd;
    struct registry r;
    struct km_buf message;
    char *value = calloc(1, 1u << 20);
    const struct km_etcd_watch_answer answer = {.header = header,
                                                .fragment = true};
    const struct km_etcd_event event = {
        .kv = {.key = KM_LIT(PREFIX "k"),
               .value = kama_bytes_make(value, 1u << 20),
               .mod_revision = 7}};
    odd_init(&odd);
    odd.answer_count = 1;
    good_headers(&odd.answers[0], 1);
    put_made(&odd.answers[0], watch_created);
    km_buf_init(&message, km_mem_default(), SIZE_MAX);
    append(&message, &km_etcd_watch_answer_pb, &answer);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(km_pb_append_element(&message, KM_ETCD_WATCH_EVENTS,
                                              &km_etcd_event_pb, &event),
                         KAMA_OK);
    }
    for (int i = 0; i < 25; i++) {
        put_message(&odd.answers[0], &message);
    }
    km_buf_fini(&message);
    odd_start(&odd);
    begin(&r, odd.address);
    (void)ask(&r, make_ask(CHANGED, PREFIX, NULL, 6));
    wait_for(&r, WATCH_ENDED, 1);
    assert_int_equal(r.seen[WATCH_ENDED].status, KAMA_ERR_TOO_LARGE);
    assert_int_equal(count_of(&r, CHANGED), 0);
    registry_end(&r);
    odd_fini(&odd);
    free(value);
}

/* 300,000 records are more than any cluster has. */
static void too_many_records_are_refused(void **state)
{
    (void)state;
    struct odd odd;
    struct registry r;
    struct km_buf message;
    const struct km_etcd_range_answer range = {.header = header};
    const struct km_etcd_options options = {.lease_ttl_ms = 40000,
                                            .endpoints = odd.address};
    odd_init(&odd);
    odd.answer_count = 1;
    good_headers(&odd.answers[0], 1);
    km_buf_init(&message, km_mem_default(), SIZE_MAX);
    append(&message, &km_etcd_range_answer_pb, &range);
    for (int i = 0; i < 300000; i++) {
        append_kv(&message, 2, PREFIX "k", 3);
    }
    put_message(&odd.answers[0], &message);
    km_buf_fini(&message);
    odd_start(&odd);
    assert_int_equal(registry_try(&r, &options), KAMA_OK);
    struct seen *seen = get(&r, make_ask(LISTED, PREFIX, NULL, 0));
    assert_int_equal(seen->status, KAMA_ERR_TOO_LARGE);
    assert_non_null(strstr(seen->text, "262144"));
    registry_end(&r);
    odd_fini(&odd);
}

/* -- users ---------------------------------------------------------------- */

/* A token that would break a header is refused. */
static void a_token_must_be_a_header(void **state)
{
    (void)state;
    static const char *const tokens[] = {"", "a b", "a\r\nx: y", "\x7f"};
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        const struct km_etcd_authenticate_answer answer = {
            .header = header, .token = kama_bytes_str(tokens[i])};
        struct odd odd;
        struct registry r;
        struct km_buf message;
        odd_init(&odd);
        odd.answer_count = 1;
        good_headers(&odd.answers[0], 1);
        km_buf_init(&message, km_mem_default(), SIZE_MAX);
        append(&message, &km_etcd_authenticate_answer_pb, &answer);
        put_message(&odd.answers[0], &message);
        km_buf_fini(&message);
        odd_start(&odd);
        registry_begin(&r, odd.address, "user", "secret");
        struct seen *seen = get(&r, make_ask(LISTED, PREFIX, NULL, 0));
        assert_int_equal(seen->status, KAMA_ERR_PROTOCOL);
        registry_end(&r);
        odd_fini(&odd);
    }
}

/* -- endpoints ------------------------------------------------------------ */

static void endpoints_are_read(void **state)
{
    (void)state;
    struct km_etcd_endpoints list;
    assert_int_equal(
        km_etcd_endpoints_init(&list, NULL, "http://a:1, b:2 ,http://[::1]:3/"),
        KAMA_OK);
    assert_int_equal(list.count, 3);
    assert_string_equal(list.at[0], "a:1");
    assert_string_equal(list.at[1], "b:2");
    assert_string_equal(list.at[2], "[::1]:3");
    km_etcd_endpoints_fini(&list);
}

static void a_wrong_endpoint_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *named;
        kama_status status;
    } wrong[] = {
        {"", "\"\"", KAMA_ERR_INVALID},
        {"a:1,,b:2", "\"\"", KAMA_ERR_INVALID},
        {"http://a", "\"a\"", KAMA_ERR_INVALID},
        {"a:1,b:99999", "\"b:99999\"", KAMA_ERR_INVALID},
        {"a:0", "\"a:0\"", KAMA_ERR_INVALID},
        {":2379", "\":2379\"", KAMA_ERR_INVALID},
        {"http://a:1/v3", "\"a:1/v3\"", KAMA_ERR_INVALID},
        {"ftp://a:1", "\"ftp://a:1\"", KAMA_ERR_INVALID},
        {"a:1,https://b:2", "\"https://b:2\"", KAMA_ERR_UNSUPPORTED},
        {"a:1,a:2,a:3,a:4,a:5,a:6,a:7,a:8,a:9,a:10,a:11,a:12,a:13,a:14,a:15,"
         "a:16,a:17",
         "\"a:17\"", KAMA_ERR_INVALID},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct km_etcd_endpoints list;
        kama_status status = km_etcd_endpoints_init(&list, NULL, wrong[i].text);
        char text[KM_ERROR_BYTES_MAX];
        kama_last_error(text, sizeof text);
        if (status != wrong[i].status || strstr(text, wrong[i].named) == NULL) {
            fail_msg("\"%s\": %s, \"%s\"", wrong[i].text,
                     kama_status_name(status), text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_are_read),
        cmocka_unit_test(a_wrong_endpoint_is_named),
        cmocka_unit_test(an_answer_that_is_not_etcds_is_an_error),
        cmocka_unit_test(an_end_is_an_error_with_a_name),
        cmocka_unit_test(a_goaway_is_forgiven_once),
        cmocka_unit_test(a_bad_answer_is_asked_for_elsewhere),
        cmocka_unit_test(a_revision_in_fragments_is_one_change),
        cmocka_unit_test(endless_fragments_are_refused),
        cmocka_unit_test(too_many_records_are_refused),
        cmocka_unit_test(a_token_must_be_a_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
