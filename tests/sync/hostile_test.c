/* SPDX-License-Identifier: MIT */
/*
 * What a stream must not believe, and memory that is not there:
 *
 *     hello          wrong cluster, id, protocol; something else first
 *     order          a seq that is not the next one ends the stream
 *     malformed      kinds, keys, groups, clocks, chunks, gaps, goodbyes
 *     quarantine     a clock that is far ahead is not merged
 *     answers        a welcome of another node, an acknowledgement ahead of what was sent
 *     random bytes   every message with bytes changed, cut and mixed
 *     no memory      each allocation fails once; the streams go on
 */
#include "sync_world.h"

/* Node 0 gets the messages of this test, as if they came from node 1. */
struct attack {
    struct world *w;
    struct node *victim;
    struct node *as;
    struct wire *wire;
    struct km_buf message;
};

/* Begins a stream in the place of the one of node 1. */
static void attack_open(struct attack *a)
{
    struct wire *wire = test_calloc(1, sizeof *wire);
    wire->world = a->w;
    wire->from = a->as;
    wire->to = a->victim;
    km_list_push_back(&a->w->wires, &wire->node);
    wire->in = km_sync_in_new(a->victim->sync, wire);
    assert_non_null(wire->in);
    a->wire = wire;
}

static void attack_init(struct attack *a)
{
    a->w = world_new(5, 2);
    a->victim = &a->w->nodes[0];
    a->as = &a->w->nodes[1];
    set(a->victim, 1);
    set(a->as, 2);
    world_run(a->w, 100 * KM_NS_PER_MS);
    node_close(a->as); /* its own streams must not disturb */
    world_run(a->w, 100 * KM_NS_PER_MS);
    km_buf_init(&a->message, NULL, SIZE_MAX);
    attack_open(a);
}

static void attack_fini(struct attack *a)
{
    km_buf_fini(&a->message);
    world_free(a->w);
}

static void deliver(struct attack *a)
{
    assert_non_null(a->wire->in);
    km_sync_in_message(a->wire->in, km_buf_bytes(&a->message));
    km_sync_check(a->victim->sync);
}

static bool is_live(const struct attack *a)
{
    return a->wire->in->state == KM_SYNC_IN_LIVE;
}

static struct km_msg_sync_hello hello_of(const struct attack *a)
{
    return (struct km_msg_sync_hello){
        .sender = {.cluster = KM_LIT("c"),
                   .service = KM_LIT("s"),
                   .id = kama_bytes_make(a->as->id.bytes, KM_MEMBER_ID_BYTES)},
        .expected_id = kama_bytes_make(a->victim->id.bytes, KM_MEMBER_ID_BYTES),
        .proto_min = 1,
        .proto_max = 1};
}

static void field(struct attack *a, uint32_t number,
                  const struct km_pb_message *table, const void *message)
{
    a->message.len = 0;
    assert_int_equal(km_pb_append_element(&a->message, number, table, message),
                     KAMA_OK);
}

static void say_hello(struct attack *a, const struct km_msg_sync_hello *hello)
{
    field(a, KM_SYNC_FIELD_HELLO, &km_msg_sync_hello_pb, hello);
    deliver(a);
}

/* Begins a stream that is live. */
static void attack_live(struct attack *a)
{
    world_run(a->w, KM_NS_PER_MS);
    attack_open(a);
    struct km_msg_sync_hello hello = hello_of(a);
    say_hello(a, &hello);
    assert_true(is_live(a));
}

/* -- hello -------------------------------------------------------------------------------------- */

static void refused(struct attack *a, struct km_msg_sync_hello hello)
{
    attack_open(a);
    say_hello(a, &hello);
    assert_int_equal(a->wire->in->state, KM_SYNC_IN_OVER);
    world_run(a->w, KM_NS_PER_MS);
    assert_null(a->wire->in);
}

static void test_hello(void **state)
{
    (void)state;
    struct attack a;
    attack_init(&a);
    struct km_msg_sync_hello good = hello_of(&a);
    struct km_msg_sync_hello bad = good;
    bad.sender.cluster = KM_LIT("d");
    refused(&a, bad);
    bad = good;
    bad.sender.service = KM_LIT("");
    refused(&a, bad);
    bad = good;
    bad.sender.id = KM_LIT("short");
    refused(&a, bad);
    bad = good;
    bad.expected_id = good.sender.id;
    refused(&a, bad);
    bad = good;
    bad.proto_min = 2;
    bad.proto_max = 3;
    refused(&a, bad);
    attack_open(&a);
    const struct km_msg_sync_view view = {.noticed_id = 1};
    field(&a, KM_SYNC_FIELD_VIEW, &km_msg_sync_view_pb, &view);
    deliver(&a);
    assert_false(is_live(&a));
    attack_live(&a);
    say_hello(&a, &good); /* twice */
    assert_false(is_live(&a));
    attack_fini(&a);
}

/* -- records -------------------------------------------------------------------------------------- */

/* Makes a message with one mutation of the group g0, whose number on the wire is 1. */
static void mutation(struct attack *a, uint64_t seq, uint64_t clock,
                     const struct km_msg_sync_mutation *m)
{
    const struct km_msg_sync_request head = {.first_seq = seq,
                                             .first_clock = clock};
    const struct km_msg_sync_group group = {.number = 1, .name = KM_LIT("g0")};
    a->message.len = 0;
    assert_int_equal(km_pb_append(&a->message, &km_msg_sync_request_pb, &head),
                     KAMA_OK);
    assert_int_equal(km_pb_append_element(&a->message, KM_MSG_SYNC_GROUPS,
                                          &km_msg_sync_group_pb, &group),
                     KAMA_OK);
    assert_int_equal(km_pb_append_element(&a->message, KM_MSG_SYNC_MUTATIONS,
                                          &km_msg_sync_mutation_pb, m),
                     KAMA_OK);
}

static uint64_t clock_now(const struct attack *a)
{
    return node_wall(a->victim) << 16;
}

static const struct km_msg_sync_mutation good_delete = {
    .kind = KM_SYNC_DELETE, .group = 1, .key = {"key-2", 5}};

static void test_order(void **state)
{
    (void)state;
    for (unsigned broken = 0; broken < 2; broken++) {
        struct attack a;
        attack_init(&a);
        km_sync_broken = broken != 0 ? KM_SYNC_R2_ORDER : 0;
        attack_live(&a);
        mutation(&a, 2, clock_now(&a), &good_delete);
        deliver(&a);
        assert_true(is_live(&a));
        mutation(&a, 2, clock_now(&a), &good_delete); /* again */
        deliver(&a);
        assert_int_equal(is_live(&a), broken != 0);
        if (broken == 0) {
            assert_int_equal(member_of(a.victim, a.as)->duplicates, 1);
            attack_live(&a);
            mutation(&a, 4, clock_now(&a), &good_delete); /* one is missing */
            deliver(&a);
            assert_false(is_live(&a));
            assert_int_equal(member_of(a.victim, a.as)->duplicates, 1);
            assert_int_equal(member_of(a.victim, a.as)->applied, 2);
            attack_live(&a);
            const struct km_msg_sync_heartbeat beat = {.seq = 3, .clock = 1};
            field(&a, KM_SYNC_FIELD_HEARTBEAT, &km_msg_sync_heartbeat_pb,
                  &beat);
            deliver(&a);
            assert_false(is_live(&a));
        }
        attack_fini(&a);
    }
}

static void wrong_mutation(struct attack *a, struct km_msg_sync_mutation m)
{
    attack_live(a);
    mutation(a, member_of(a->victim, a->as)->applied + 1, clock_now(a), &m);
    deliver(a);
    assert_false(is_live(a));
}

static void test_mutations(void **state)
{
    (void)state;
    struct attack a;
    static char long_key[KM_KEY_BYTES_MAX + 1];
    attack_init(&a);
    struct km_msg_sync_mutation m = good_delete;
    m.kind = 5;
    wrong_mutation(&a, m);
    m.kind = -1;
    wrong_mutation(&a, m);
    m = good_delete;
    m.key.len = 0;
    wrong_mutation(&a, m);
    m.key = kama_bytes_make(long_key, sizeof long_key);
    wrong_mutation(&a, m);
    m = good_delete;
    m.kind = KM_SYNC_CLEAR; /* with a key */
    wrong_mutation(&a, m);
    m = good_delete;
    m.group = 0; /* none was before */
    wrong_mutation(&a, m);
    m.group = 2;
    wrong_mutation(&a, m);
    m.group = UINT32_MAX;
    wrong_mutation(&a, m);
    m = good_delete;
    m.clock = UINT64_MAX; /* with the clock of the first one it overflows */
    wrong_mutation(&a, m);
    assert_int_equal(member_of(a.victim, a.as)->applied, 1);
    attack_live(&a);
    mutation(&a, 2, clock_now(&a), &good_delete);
    deliver(&a);
    assert_true(is_live(&a));
    assert_int_equal(shown(a.victim, 2), 0);
    attack_fini(&a);
}

/* Two chunks of a value whose length is said to be `bytes`. Returns whether the stream still
 * stands. */
static bool chunks(struct attack *a, uint64_t bytes, size_t first,
                   size_t second)
{
    static char part[70000];
    attack_live(a);
    struct km_msg_sync_chunk chunk = {
        .mutation = {.group = 1, .key = {"key-2", 5}},
        .value_bytes = bytes,
        .part = kama_bytes_make(part, first)};
    mutation(a, 0, 0, &good_delete);
    a->message.len = 0;
    const struct km_msg_sync_request head = {
        .first_seq = member_of(a->victim, a->as)->applied + 1,
        .first_clock = clock_now(a)};
    const struct km_msg_sync_group group = {.number = 1, .name = KM_LIT("g0")};
    assert_int_equal(km_pb_append(&a->message, &km_msg_sync_request_pb, &head),
                     KAMA_OK);
    assert_int_equal(km_pb_append_element(&a->message, KM_MSG_SYNC_GROUPS,
                                          &km_msg_sync_group_pb, &group),
                     KAMA_OK);
    assert_int_equal(km_pb_append_element(&a->message, KM_SYNC_FIELD_CHUNK,
                                          &km_msg_sync_chunk_pb, &chunk),
                     KAMA_OK);
    deliver(a);
    if (!is_live(a)) {
        return false;
    }
    const struct km_msg_sync_chunk last = {.part =
                                               kama_bytes_make(part, second)};
    field(a, KM_SYNC_FIELD_CHUNK, &km_msg_sync_chunk_pb, &last);
    deliver(a);
    return is_live(a);
}

static void test_chunks(void **state)
{
    (void)state;
    struct attack a;
    attack_init(&a);
    assert_true(chunks(&a, 100000, 60000, 40000));
    assert_false(chunks(&a, 100000, 60000, 40001));
    assert_false(chunks(&a, 100000, 60000, 0));
    assert_false(chunks(&a, 100, 60000, 1));
    assert_true(chunks(&a, UINT64_MAX, 60000, 40000)); /* counted, not kept */
    assert_int_equal(a.victim->sync->large_bytes, 0);
    assert_true(chunks(&a, 60u << 20, 60000, 40000));
    assert_int_equal(a.victim->sync->large_bytes, 60u << 20);
    const struct km_msg_sync_bye bye = {.final_seq = 2};
    field(&a, KM_SYNC_FIELD_BYE, &km_msg_sync_bye_pb, &bye);
    deliver(&a); /* in the middle of a value */
    assert_false(is_live(&a));
    assert_int_equal(a.victim->sync->large_bytes, 0);
    attack_fini(&a);
}

static void test_gaps_and_goodbyes(void **state)
{
    (void)state;
    struct attack a;
    attack_init(&a);
    attack_live(&a);
    const struct km_msg_sync_gap back = {.seq = 0, .clock = 5};
    field(&a, KM_SYNC_FIELD_GAP, &km_msg_sync_gap_pb, &back);
    deliver(&a);
    assert_false(is_live(&a));
    attack_live(&a);
    const struct km_msg_sync_bye early = {.final_seq = 7};
    field(&a, KM_SYNC_FIELD_BYE, &km_msg_sync_bye_pb, &early);
    deliver(&a);
    assert_false(is_live(&a));
    attack_live(&a);
    const struct km_msg_sync_gap huge = {.seq = UINT64_MAX, .clock = 5};
    field(&a, KM_SYNC_FIELD_GAP, &km_msg_sync_gap_pb, &huge);
    deliver(&a);
    assert_true(is_live(&a));
    mutation(&a, 0, clock_now(&a), &good_delete);
    deliver(&a);
    km_sync_check(a.victim->sync);
    attack_fini(&a);
}

/* -- clocks ------------------------------------------------------------------------------------------ */

static void test_quarantine(void **state)
{
    (void)state;
    for (unsigned broken = 0; broken < 2; broken++) {
        struct attack a;
        struct km_sync_log_state log;
        attack_init(&a);
        km_sync_broken = broken != 0 ? KM_SYNC_QUARANTINE : 0;
        attack_live(&a);
        uint64_t ahead = clock_now(&a) + (UINT64_C(61000) << 16);
        mutation(&a, 2, ahead, &good_delete);
        deliver(&a);
        km_sync_log_get(a.victim->log, &log);
        assert_int_equal(log.hlc >= ahead, broken != 0);
        assert_int_equal(is_live(&a), broken != 0);
        if (broken == 0) {
            assert_int_equal(member_of(a.victim, a.as)->applied, 1);
            assert_non_null(strstr(a.victim->last_line, "60 s ahead"));
            refused(&a, hello_of(&a));
            world_run(a.w, 61 * KM_NS_PER_S);
            attack_live(&a);
            mutation(&a, 2, clock_now(&a) + (UINT64_C(59000) << 16),
                     &good_delete);
            deliver(&a);
            assert_true(is_live(&a));
            struct km_msg_sync_hello hello = hello_of(&a);
            hello.clock = clock_now(&a) + (UINT64_C(61000) << 16);
            refused(&a, hello);
        }
        attack_fini(&a);
    }
}

/* -- answers ------------------------------------------------------------------------------------------- */

/* Node 0 gets wrong answers from node 1. */
static void test_answers(void **state)
{
    (void)state;
    struct world *w = world_new(5, 2);
    struct node *n = w->nodes;
    struct km_sync_out *out = &member_of(&n[0], &n[1])->out;
    struct km_buf message;
    km_buf_init(&message, NULL, SIZE_MAX);
    set(&n[0], 1);
    world_run(w, 100 * KM_NS_PER_MS);
    const struct km_msg_sync_response ahead = {.applied = 2};
    assert_int_equal(km_pb_append(&message, &km_msg_sync_response_pb, &ahead),
                     KAMA_OK);
    km_sync_out_message(out, km_buf_bytes(&message));
    assert_int_equal(out->state, KM_SYNC_OUT_DOWN);
    world_run(w, 100 * KM_NS_PER_MS);
    assert_int_equal(out->state, KM_SYNC_OUT_LIVE);
    km_sync_out_message(out, KM_LIT("\xff\xff\xff"));
    assert_int_equal(out->state, KM_SYNC_OUT_DOWN);
    world_run(w, 40 * KM_NS_PER_MS);
    for (unsigned i = 0; i < 4; i++) {
        while (out->state != KM_SYNC_OUT_HELLO) {
            world_run(w, KM_NS_PER_MS / 4);
        }
        struct km_msg_sync_welcome welcome = {
            .welcome =
                i == 0 ? KM_MSG_PEER_WELCOME_GONE : KM_MSG_PEER_WELCOME_MEMBER,
            .id = kama_bytes_make((i == 1 ? &n[0] : &n[1])->id.bytes, 16),
            .knows = true,
            .applied = i == 2 ? 2 : 1,
            .wall_ms = node_wall(&n[0]) + (i == 3 ? 61000 : 0)};
        message.len = 0;
        assert_int_equal(km_pb_append_element(&message, KM_SYNC_FIELD_WELCOME,
                                              &km_msg_sync_welcome_pb,
                                              &welcome),
                         KAMA_OK);
        km_sync_out_message(out, km_buf_bytes(&message));
        assert_int_equal(out->state, KM_SYNC_OUT_DOWN);
    }
    world_run(w, 3 * KM_NS_PER_S);
    assert_int_equal(out->state, KM_SYNC_OUT_LIVE);
    check_all_equal(w);
    km_buf_fini(&message);
    world_free(w);
}

/* -- random bytes ------------------------------------------------------------------------------------------ */

/* Makes a good message of a random kind. */
static void random_message(struct attack *a, uint64_t seq)
{
    struct sim_world *sim = &a->w->sim;
    const struct km_msg_sync_heartbeat beat = {.seq = seq - 1, .clock = 9};
    const struct km_msg_sync_gap gap = {.seq = seq, .clock = 9};
    const struct km_msg_sync_view view = {.noticed_id = 3};
    const struct km_msg_sync_chunk chunk = {
        .mutation = good_delete, .value_bytes = 9, .part = KM_LIT("123")};
    struct km_msg_sync_mutation m = good_delete;
    m.kind = (int32_t)sim_between(sim, 0, 4);
    m.key = m.kind == KM_SYNC_CLEAR ? KM_LIT("") : KM_LIT("key-3");
    m.value = KM_LIT("value");
    switch (sim_between(sim, 0, 5)) {
    case 0:
        field(a, KM_SYNC_FIELD_HEARTBEAT, &km_msg_sync_heartbeat_pb, &beat);
        break;
    case 1:
        field(a, KM_SYNC_FIELD_GAP, &km_msg_sync_gap_pb, &gap);
        break;
    case 2:
        field(a, KM_SYNC_FIELD_VIEW, &km_msg_sync_view_pb, &view);
        break;
    case 3:
        field(a, KM_SYNC_FIELD_CHUNK, &km_msg_sync_chunk_pb, &chunk);
        break;
    default:
        mutation(a, seq, clock_now(a), &m);
        break;
    }
}

static void test_random_bytes(void **state)
{
    (void)state;
    struct attack a;
    attack_init(&a);
    struct sim_world *sim = &a.w->sim;
    for (unsigned i = 0; i < 20000; i++) {
        if (a.wire == NULL || a.wire->in == NULL || !is_live(&a)) {
            attack_live(&a);
        }
        random_message(&a, member_of(a.victim, a.as)->applied + 1);
        for (uint64_t n = sim_between(sim, 0, 3); n > 0; n--) {
            size_t at = (size_t)sim_between(sim, 0, a.message.len - 1);
            a.message.data[at] ^= (uint8_t)sim_between(sim, 1, 255);
        }
        if (sim_chance(sim, 100)) {
            a.message.len = (size_t)sim_between(sim, 0, a.message.len);
        }
        deliver(&a);
        if (sim_chance(sim, 100)) {
            world_run(a.w, 10 * KM_NS_PER_MS);
        }
        member_of(a.victim, a.as)->quarantined_until = 0;
    }
    attack_fini(&a);
}

/* -- memory ------------------------------------------------------------------------------------------------- */

/* Each allocation of the machine fails once, in turn. Whatever it was for, the nodes show the
 * same in the end. */
static void test_no_memory(void **state)
{
    (void)state;
    for (long long fail = 1; fail < 120; fail++) {
        struct world *w = world_new(5, 3);
        struct node *n = w->nodes;
        atomic_store(&n[0].probe.allocs, 0);
        atomic_store(&n[0].probe.fail_at, fail);
        set(&n[0], 1);
        set_in(&n[1], 1, 2, 300000, KAMA_TTL_FOREVER);
        world_run(w, 100 * KM_NS_PER_MS);
        struct node *late = node_add(w);
        register_node(late, 0);
        learn_all(w);
        world_run(w, 3 * KM_NS_PER_S);
        cut(w, 0, 1);
        set_in(&n[0], 0, 3, 300000, KAMA_TTL_FOREVER);
        set(&n[1], 4);
        world_run(w, 5 * KM_NS_PER_S);
        assert_true(is_converged(w, OR_NOTHING));
        assert_true(info_of_member(&n[0], late).up);
        atomic_store(&n[0].probe.fail_at, 0);
        set(&n[0], 5);
        set(&n[1], 6);
        set(late, 7);
        world_run(w, 100 * KM_NS_PER_MS);
        assert_int_not_equal(shown(&n[0], 6), 0);
        assert_int_not_equal(shown(&n[0], 7), 0);
        assert_int_not_equal(shown(&n[1], 5), 0);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_gaps_and_goodbyes),
        cmocka_unit_test(test_quarantine),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
