/* SPDX-License-Identifier: MIT */
/*
 * The fan-out of Explain: the order of the rows, and what a member that does not
 * answer, answers nonsense or is another one becomes. The cluster is a source of
 * the test. What one node knows is tests/group/explain_test.c.
 */
#include "services/explain.h"

#include "base/container.h"
#include "base/status.h"
#include "helpers/failmalloc.h"
#include "wire/msg/diagnose.h"

#include <string.h>

#define SELF "10.0.0.2:1"
#define ROWS_MAX 8

/* -- a cluster that does what the test says -------------------------------- */

/* What one other member says. */
struct other {
    const char *address;
    uint8_t id;         /* by which the view knows it */
    uint8_t answers_as; /* the id in its answer; 0: nonsense */
    kama_status status;
    const char *text;
};

static const char *const ranks[] = {"10.0.0.3:1", SELF, "10.0.0.1:1"};

struct world {
    struct km_registry registry;
    struct km_service_env env;
    kama_group *group;
    const struct other *others;
    size_t count;
    unsigned asked;
    struct km_cluster_record record; /* of this node */
    kama_bytes operation;            /* of the others; empty: "set" */
    /* the response */
    unsigned done;
    kama_status status;
    struct km_buf buf;
    struct km_msg_explain_response response;
    struct km_msg_copy rows[ROWS_MAX];
    size_t row_count;
};

static void fake_view(void *arg, km_cluster_view_fn cb, void *cb_arg)
{
    const struct km_cluster_member self = {
        .address = SELF, .id = {9}, .state = KM_MEMBER_ACTIVE, .self = true};
    const struct km_cluster_view view = {.members = &self, .count = 1};
    (void)arg;
    cb(cb_arg, &view);
}

static void fake_node(void *arg, km_cluster_node_fn cb, void *cb_arg)
{
    const struct km_cluster_node node = {
        .advertise = SELF, .id = {9}, .view_id = 5};
    (void)arg;
    cb(cb_arg, &node);
}

static void fake_owner(void *arg, const char *group, kama_bytes key,
                       km_cluster_owner_fn cb, void *cb_arg)
{
    const struct km_cluster_owner_info info = {
        .addresses = ranks, .count = 3, .owner_id = {3}, .view_id = 5};
    (void)arg;
    (void)group;
    (void)key;
    cb(cb_arg, &info);
}

static void fake_record(void *arg, const char *group, kama_bytes key,
                        struct km_cluster_record *ret_record)
{
    const struct world *w = arg;
    assert_string_equal(group, "g");
    assert_true(km_bytes_eq(key, KAMA_STR("k")));
    *ret_record = w->record;
}

/* The origins of versions, which are the first 8 bytes of an id. */
#define SELF_ORIGIN KM_LIT("\x09\0\0\0\0\0\0\0")
#define GONE_ORIGIN KM_LIT("\x77\0\0\0\0\0\0\0")

/* Encodes the answer that a member gives for itself. */
static kama_status answer_of(const struct world *w, const struct other *other,
                             struct km_buf *buf)
{
    uint8_t id[KM_MEMBER_ID_BYTES] = {other->answers_as};
    const struct km_msg_copy copy = {
        .address = KM_LIT("of its own"),
        .id = kama_bytes_make(id, sizeof id),
        .value_bytes = 7,
        .rank = 4,
        .kind = KM_MSG_COPY_EXPLICIT,
        .stamp = {.unix_ms = 5,
                  .counter = 6,
                  .origin = SELF_ORIGIN,
                  .address = KM_LIT("a lie")},
        .record = {.operation = w->operation,
                   .origin = GONE_ORIGIN,
                   .seq = 8,
                   .version = {.unix_ms = 7, .origin = GONE_ORIGIN}},
        .get = KM_MSG_GET_HIT,
        .reason = KM_LIT("a\xff"
                         "b")};
    return other->answers_as == 0
               ? km_buf_append(buf, "\x0a\x7f", 2)
               : km_pb_append_element(buf, KM_MSG_EXPLAIN_COPIES,
                                      &km_msg_copy_pb, &copy);
}

static void fake_survey(void *arg, struct km_cluster_survey *survey)
{
    struct world *w = arg;
    struct km_msg_explain_request request;
    assert_int_equal(
        km_pb_decode(&km_msg_explain_request_pb, survey->message, &request),
        KAMA_OK);
    assert_true(request.local_only);
    assert_true(km_bytes_eq(request.group, KAMA_STR("g")));
    for (size_t i = 0; i < w->count; i++) {
        const struct other *other = &w->others[i];
        uint8_t id[KM_MEMBER_ID_BYTES] = {other->id};
        struct km_buf buf;
        km_buf_init(&buf, km_mem_default(), SIZE_MAX);
        assert_int_equal(answer_of(w, other, &buf), KAMA_OK);
        const struct km_cluster_answer answer = {.address = other->address,
                                                 .id = id,
                                                 .state = KM_MEMBER_ACTIVE,
                                                 .status = other->status,
                                                 .text = other->text,
                                                 .message = km_buf_bytes(&buf)};
        w->asked++;
        survey->answer(survey, &answer);
        km_buf_fini(&buf);
    }
    survey->done(survey, KAMA_OK);
}

static const struct km_cluster_ops fake_ops = {.view = fake_view,
                                               .node = fake_node,
                                               .owner = fake_owner,
                                               .survey = fake_survey,
                                               .record = fake_record};

static kama_status world_open(struct world *w, const kama_allocator *mem)
{
    kama_group_options options;
    memset(w, 0, sizeof *w);
    kama_group_options_init(&options);
    options.name = "g";
    assert_int_equal(kama_group_new(&options, &w->group), KAMA_OK);
    assert_int_equal(km_registry_init(&w->registry, km_mem_default()), KAMA_OK);
    km_buf_init(&w->buf, km_mem_default(), SIZE_MAX);
    return km_service_env_init(&w->env, mem, km_clock_system(), &w->registry,
                               "kama");
}

static void world_close(struct world *w)
{
    km_buf_fini(&w->buf);
    km_service_env_fini(&w->env);
    km_registry_fini(&w->registry);
    kama_group_free(w->group);
}

static void world_join(struct world *w, const struct other *others,
                       size_t count)
{
    w->others = others;
    w->count = count;
    w->operation = KM_LIT("set");
    w->record = (struct km_cluster_record){.operation = "none"};
    km_service_env_set_cluster(
        &w->env, (struct km_cluster_source){.ops = &fake_ops, .arg = w});
}

/* -- questions ------------------------------------------------------------- */

struct question {
    struct km_explain_question q;
    struct world *world;
};

static void on_done(struct km_explain_question *q, kama_status status,
                    kama_bytes response)
{
    struct world *w = KM_CONTAINER_OF(q, struct question, q)->world;
    w->done++;
    w->status = status;
    if (status == KAMA_OK) {
        assert_int_equal(km_buf_append(&w->buf, response.data, response.len),
                         KAMA_OK);
    }
}

static void read_rows(struct world *w)
{
    kama_bytes element;
    assert_int_equal(km_pb_decode(&km_msg_explain_response_pb,
                                  km_buf_bytes(&w->buf), &w->response),
                     KAMA_OK);
    struct km_pb_list copies = w->response.copies;
    while (km_pb_next(&copies, &element)) {
        assert_true(w->row_count < ROWS_MAX);
        assert_int_equal(
            km_pb_decode(&km_msg_copy_pb, element, &w->rows[w->row_count++]),
            KAMA_OK);
    }
}

static kama_status explain(struct world *w, enum km_explain_reach reach)
{
    struct question question = {.q = {.env = &w->env,
                                      .group = w->group,
                                      .key = KAMA_STR("k"),
                                      .reach = reach,
                                      .done = on_done},
                                .world = w};
    w->done = 0;
    w->row_count = 0;
    km_buf_reset(&w->buf, SIZE_MAX);
    assert_int_equal(km_explain_start(&question.q), KAMA_OK);
    assert_int_equal(w->done, 1);
    if (w->status == KAMA_OK) {
        read_rows(w);
    }
    return w->status;
}

static void expect_row(const struct world *w, size_t at, const char *address,
                       uint32_t rank, kama_status status)
{
    const struct km_msg_copy *row = &w->rows[at];
    assert_true(at < w->row_count);
    assert_true(km_bytes_eq(row->address, KAMA_STR(address)));
    assert_int_equal(row->rank, rank);
    assert_int_equal(row->status, status);
}

/* -- tests ----------------------------------------------------------------- */

static void expect_bytes(kama_bytes bytes, kama_bytes expected)
{
    assert_int_equal(bytes.len, expected.len);
    assert_memory_equal(bytes.data, expected.data, expected.len);
}

/* The versions that a member tells come with the address of their origin as this node
 * knows it, and without one if it is no member. */
static void test_versions_of_others(void **state)
{
    static const struct other others[] = {{"10.0.0.3:1", 3, 3, KAMA_OK, ""}};
    struct world w;
    (void)state;
    assert_int_equal(world_open(&w, km_mem_default()), KAMA_OK);
    world_join(&w, others, 1);
    assert_int_equal(explain(&w, KM_EXPLAIN_CLUSTER), KAMA_OK);
    const struct km_msg_copy *row = &w.rows[0];
    assert_int_equal(row->kind, KM_MSG_COPY_EXPLICIT);
    assert_int_equal(row->stamp.unix_ms, 5);
    assert_int_equal(row->stamp.counter, 6);
    expect_bytes(row->stamp.origin, SELF_ORIGIN);
    expect_bytes(row->stamp.address, KAMA_STR(SELF));
    expect_bytes(row->record.operation, KM_LIT("set"));
    assert_int_equal(row->record.seq, 8);
    assert_int_equal(row->record.version.unix_ms, 7);
    expect_bytes(row->record.version.origin, GONE_ORIGIN);
    assert_int_equal(row->record.version.address.len, 0);
    w.operation = KM_LIT("a\x1bn odd word");
    assert_int_equal(explain(&w, KM_EXPLAIN_CLUSTER), KAMA_OK);
    assert_int_equal(w.rows[0].record.operation.len, 0);
    assert_int_equal(w.rows[0].record.version.origin.len, 0);
    world_close(&w);
}

/* A key without an entry says why there is none; one with an entry does not. */
static void test_absence(void **state)
{
    struct world w;
    (void)state;
    assert_int_equal(world_open(&w, km_mem_default()), KAMA_OK);
    assert_int_equal(explain(&w, KM_EXPLAIN_CLUSTER), KAMA_OK);
    assert_int_equal(w.rows[0].absence, KM_MSG_ABSENCE_UNKNOWN);
    assert_int_equal(kama_set(w.group, KAMA_STR("k"), KAMA_STR("v"), NULL),
                     KAMA_OK);
    assert_int_equal(explain(&w, KM_EXPLAIN_CLUSTER), KAMA_OK);
    assert_int_equal(w.rows[0].absence, KM_MSG_ABSENCE_UNKNOWN);
    assert_int_equal(kama_del(w.group, KAMA_STR("k"), NULL), KAMA_OK);
    assert_int_equal(explain(&w, KM_EXPLAIN_CLUSTER), KAMA_OK);
    assert_int_equal(w.rows[0].status, KAMA_WOULD_LOAD);
    assert_int_equal(w.rows[0].absence, KM_MSG_ABSENCE_DELETED);
    world_close(&w);
}

/* The record in the log of this node, with its id; "none"; and nothing on a node that
 * has no log. */
static void test_own_record(void **state)
{
    struct world w;
    (void)state;
    assert_int_equal(world_open(&w, km_mem_default()), KAMA_OK);
    assert_int_equal(explain(&w, KM_EXPLAIN_CLUSTER), KAMA_OK);
    assert_int_equal(w.rows[0].record.operation.len, 0);
    world_join(&w, NULL, 0);
    assert_int_equal(explain(&w, KM_EXPLAIN_CLUSTER), KAMA_OK);
    expect_bytes(w.rows[0].record.operation, KM_LIT("none"));
    assert_int_equal(w.rows[0].record.origin.len, 0);
    assert_int_equal(w.rows[0].record.version.origin.len, 0);
    w.record = (struct km_cluster_record){
        .operation = "delete",
        .seq = 12,
        .version = {.hlc = 1000u << 16 | 3, .origin = UINT64_C(9) << 56},
        .age_ns = 2500 * KM_NS_PER_MS};
    assert_int_equal(explain(&w, KM_EXPLAIN_CLUSTER), KAMA_OK);
    const struct km_msg_key_record *record = &w.rows[0].record;
    expect_bytes(record->operation, KM_LIT("delete"));
    assert_int_equal(record->age_ms, 2500);
    assert_int_equal(record->seq, 12);
    assert_int_equal(record->origin.len, KM_MEMBER_ID_BYTES);
    assert_int_equal(record->version.unix_ms, 1000);
    assert_int_equal(record->version.counter, 3);
    expect_bytes(record->version.origin, SELF_ORIGIN);
    expect_bytes(record->version.address, KAMA_STR(SELF));
    world_close(&w);
}

/* The owner comes first, then the others by their rank and their address. The
 * address, the state and the rank are those of the asking node's view; only what a
 * member can know itself is taken from its answer. */
static void test_rows_are_in_order(void **state)
{
    static const struct other others[] = {
        {"10.0.0.9:1", 1, 1, KAMA_OK, ""},
        {"10.0.0.1:1", 2, 2, KAMA_OK, ""},
        {"10.0.0.4:1", 4, 4, KAMA_OK, ""},
        {"10.0.0.3:1", 3, 3, KAMA_OK, ""},
    };
    struct world w;
    (void)state;
    assert_int_equal(world_open(&w, km_mem_default()), KAMA_OK);
    world_join(&w, others, 4);
    assert_int_equal(explain(&w, KM_EXPLAIN_CLUSTER), KAMA_OK);
    assert_int_equal(w.row_count, 5);
    expect_row(&w, 0, "10.0.0.3:1", 1, KAMA_OK);
    expect_row(&w, 1, SELF, 2, KAMA_WOULD_LOAD);
    expect_row(&w, 2, "10.0.0.1:1", 3, KAMA_OK);
    expect_row(&w, 3, "10.0.0.4:1", 0, KAMA_OK);
    expect_row(&w, 4, "10.0.0.9:1", 0, KAMA_OK);
    assert_int_equal(w.rows[0].value_bytes, 7);
    assert_int_equal(w.rows[0].get, KM_MSG_GET_HIT);
    assert_true(km_bytes_is_utf8(w.rows[0].reason)); /* it was not, there */
    assert_int_equal(w.rows[1].get, KM_MSG_GET_MISS);
    assert_int_equal(w.rows[1].view_id, 5);
    assert_int_equal(w.response.owner.addresses.count, 3);
    world_close(&w);
}

/* A member that did not answer is a row with the reason, and so is one that
 * answers nonsense or with another id. */
static void test_members_that_cannot_be_asked(void **state)
{
    static const struct other others[] = {
        {"10.0.0.1:1", 1, 1, KAMA_ERR_PEER, "the time of the call is over"},
        {"10.0.0.3:1", 3, 0, KAMA_OK, ""},
        {"10.0.0.4:1", 4, 5, KAMA_OK, ""},
    };
    struct world w;
    (void)state;
    assert_int_equal(world_open(&w, km_mem_default()), KAMA_OK);
    world_join(&w, others, 3);
    assert_int_equal(explain(&w, KM_EXPLAIN_CLUSTER), KAMA_OK);
    expect_row(&w, 0, "10.0.0.3:1", 1, KAMA_ERR_PROTOCOL);
    expect_row(&w, 2, "10.0.0.1:1", 3, KAMA_ERR_PEER);
    expect_row(&w, 3, "10.0.0.4:1", 0, KAMA_ERR_PEER);
    assert_true(km_bytes_eq(w.rows[2].reason,
                            KAMA_STR("the time of the call is over")));
    assert_true(km_bytes_eq(w.rows[3].reason,
                            KAMA_STR("another node answers at its address")));
    assert_int_equal(w.rows[3].get, KM_MSG_GET_UNKNOWN);
    world_close(&w);
}

/* With NODE the others are not asked, and a node alone has none. */
static void test_one_node(void **state)
{
    static const struct other others[] = {{"10.0.0.1:1", 1, 1, KAMA_OK, ""}};
    struct world w;
    (void)state;
    assert_int_equal(world_open(&w, km_mem_default()), KAMA_OK);
    assert_int_equal(explain(&w, KM_EXPLAIN_CLUSTER), KAMA_OK);
    assert_int_equal(w.row_count, 1);
    world_join(&w, others, 1);
    assert_int_equal(explain(&w, KM_EXPLAIN_NODE), KAMA_OK);
    assert_int_equal(w.asked, 0);
    assert_int_equal(w.row_count, 1);
    expect_row(&w, 0, SELF, 2, KAMA_WOULD_LOAD);
    world_close(&w);
}

static kama_status scenario(const kama_allocator *mem, void *arg)
{
    static const struct other others[] = {{"10.0.0.1:1", 1, 1, KAMA_OK, ""},
                                          {"10.0.0.3:1", 3, 3, KAMA_OK, ""}};
    struct world w;
    kama_status st = world_open(&w, mem);
    (void)arg;
    if (st == KAMA_OK) {
        world_join(&w, others, 2);
        st = explain(&w, KM_EXPLAIN_CLUSTER);
    }
    world_close(&w);
    return st;
}

/* Each allocation may fail: the question ends with KAMA_ERR_NO_MEMORY then, once,
 * and nothing is lost. */
static void test_failmalloc(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(scenario, NULL) >= 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_in_order),
        cmocka_unit_test(test_versions_of_others),
        cmocka_unit_test(test_absence),
        cmocka_unit_test(test_own_record),
        cmocka_unit_test(test_members_that_cannot_be_asked),
        cmocka_unit_test(test_one_node),
        cmocka_unit_test(test_failmalloc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
