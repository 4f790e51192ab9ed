/* SPDX-License-Identifier: MIT */
/* What a node shows of its cluster: over gRPC with a source that the test
 * moves, and of a node alone, which is a cluster of itself. */
#include "base/assert.h"
#include "base/status.h"
#include "base/sync.h"
#include "helpers/failmalloc.h"
#include "node/node.h"
#include "rpc/client.h"
#include "wire/msg/msg.h"

#include <pthread.h>
#include <stdio.h>

#define PATIENCE_MS 20000
#define MANY_MEMBERS 600

/* -- a cluster that does what the test says ------------------------------ */

struct fake {
    struct km_mutex lock;
    struct km_cond cond;
    uint64_t version; /* also the view id */
    size_t count;     /* of members */
    bool ready;
    unsigned messages; /* of a watch, and what its last one said */
    uint64_t last_view_id;
    size_t last_count;
    bool watch_is_held; /* the client of the watch reads nothing */
};

static const char *const labels[] = {"zone-a", "ssd"};
static const char *const ranks[] = {"10.0.0.2:1", "10.0.0.1:1"};
static const char *const steps[] = {"view", "lease"};

static void fake_view(void *arg, km_cluster_view_fn cb, void *cb_arg)
{
    static struct km_cluster_member members[MANY_MEMBERS];
    struct fake *fake = arg;
    km_mutex_lock(&fake->lock);
    size_t count = fake->count;
    uint64_t version = fake->version;
    km_mutex_unlock(&fake->lock);
    for (size_t i = 0; i < MANY_MEMBERS; i++) {
        members[i] = (struct km_cluster_member){
            .address = i == 0 ? ranks[1] : ranks[0],
            .admin = "",
            .version = "9.8.7",
            .id = {(uint8_t)(i + 1)},
            .state = i == 0 ? KM_MEMBER_ACTIVE : KM_MEMBER_JOINING,
            .labels = labels,
            .label_count = 2,
            .weight = 3,
            .share_ppm = 500000,
            .self = i == 0,
            .reach =
                i == 0 ? KM_CLUSTER_REACH_SELF : KM_CLUSTER_REACH_UNREACHABLE,
            .latency_ns = 7,
            .since_ms = 8,
        };
        if (i > 0) {
            members[i].stream = (struct km_cluster_stream){
                .sync_state = "in_sync",
                .up = true,
                .sync_lag_ns = 10,
                .sync_queue = 11,
                .acked = 12,
                .applied = 13,
                .sent = 14,
                .received = 15,
                .duplicates = 16,
                .gaps_sent = 17,
                .gaps_received = 18,
                .gap_age_ms = 19,
                .unsynced = true,
                .quarantined = true,
                .differing = 20,
                .bytes_sent = 21,
                .bytes_received = 22,
            };
        }
    }
    const struct km_cluster_view view = {.cluster = "blue",
                                         .service = "cache",
                                         .view_id = version,
                                         .settled = true,
                                         .members = members,
                                         .count = count};
    cb(cb_arg, &view);
}

static void fake_node(void *arg, km_cluster_node_fn cb, void *cb_arg)
{
    struct fake *fake = arg;
    km_mutex_lock(&fake->lock);
    bool ready = fake->ready;
    uint64_t version = fake->version;
    km_mutex_unlock(&fake->lock);
    const struct km_cluster_node node = {
        .listen = "0.0.0.0:1",
        .advertise = "10.0.0.1:1",
        .admin = "10.0.0.1:9",
        .cluster = "blue",
        .service = "cache",
        .etcd = "http://127.0.0.1:2379",
        .id = {1},
        .lease_id = 77,
        .registration = "active",
        .view_id = version,
        .peer_count = 1,
        .ready = ready,
        .missing = steps,
        .missing_count = ready ? 0 : 2,
        .degraded = "lease",
        .sync_differs = "group g",
    };
    cb(cb_arg, &node);
}

static void fake_owner(void *arg, const char *group, kama_bytes key,
                       km_cluster_owner_fn cb, void *cb_arg)
{
    (void)arg;
    (void)key;
    const struct km_cluster_owner_info info = {.addresses = ranks,
                                               .count = 2,
                                               .owner_id = {2},
                                               .slot = (uint32_t)strlen(group),
                                               .view_id = 5};
    cb(cb_arg, &info);
}

static uint64_t fake_version(void *arg)
{
    struct fake *fake = arg;
    km_mutex_lock(&fake->lock);
    uint64_t version = fake->version;
    km_mutex_unlock(&fake->lock);
    return version;
}

static void fake_counters(void *arg, uint64_t values[KM_CLUSTER_M_COUNT])
{
    (void)arg;
    for (unsigned i = 0; i < KM_CLUSTER_M_COUNT; i++) {
        values[i] = i;
    }
}

static const struct km_cluster_ops fake_ops = {.view = fake_view,
                                               .node = fake_node,
                                               .owner = fake_owner,
                                               .version = fake_version,
                                               .counters = fake_counters};

static void fake_init(struct fake *fake)
{
    *fake = (struct fake){.version = 1, .count = 2};
    assert_true(km_mutex_init(&fake->lock, KM_RANK_WAITER));
    assert_true(km_cond_init(&fake->cond));
}

static void fake_fini(struct fake *fake)
{
    km_cond_fini(&fake->cond);
    km_mutex_fini(&fake->lock);
}

static void fake_move(struct fake *fake, kama_node *node)
{
    km_mutex_lock(&fake->lock);
    fake->version++;
    km_mutex_unlock(&fake->lock);
    km_cluster_changed(&node->services);
}

/* -- nodes and calls ----------------------------------------------------- */

/* fake: the source, or NULL for a node alone. */
static kama_node *node_new(struct fake *fake)
{
    kama_node *node = NULL;
    kama_node_options options;
    kama_node_options_init(&options);
    options.listen = "127.0.0.1:0";
    options.threads = 1;
    assert_int_equal(kama_node_new(&options, &node), KAMA_OK);
    if (fake != NULL) {
        km_service_env_set_cluster(
            &node->services,
            (struct km_cluster_source){.ops = &fake_ops, .arg = fake});
    }
    kama_group_options group;
    kama_group_options_init(&group);
    group.name = "users";
    assert_int_equal(kama_node_add_group(node, &group, NULL), KAMA_OK);
    assert_int_equal(kama_node_start(node), KAMA_OK);
    return node;
}

static struct km_client *client_new(kama_node *node)
{
    struct km_client *client = NULL;
    const struct km_channel_options options = {.clock = km_clock_system(),
                                               .mem = km_mem_default(),
                                               .address =
                                                   kama_node_address(node)};
    assert_int_equal(km_client_new(&options, &client), KAMA_OK);
    return client;
}

/* Calls a method and decodes the answer, which borrows buf. */
static kama_status ask(kama_node *node, const char *path, kama_bytes message,
                       struct km_buf *buf)
{
    struct km_client *client = client_new(node);
    const struct km_client_request request = {
        .path = path, .message = message, .timeout_ms = PATIENCE_MS};
    km_buf_init(buf, km_mem_default(), SIZE_MAX);
    kama_status status = km_client_unary(client, &request, buf);
    km_client_free(client);
    return status;
}

static void expect_text(kama_bytes bytes, const char *text)
{
    if (!km_bytes_eq(bytes, KAMA_STR(text))) {
        fail_msg("\"%.*s\" is not \"%s\"", (int)bytes.len,
                 (const char *)bytes.data, text);
    }
}

static void expect_texts(struct km_pb_list list, const char *const *texts,
                         size_t count)
{
    kama_bytes element;
    for (size_t i = 0; i < count; i++) {
        assert_true(km_pb_next(&list, &element));
        expect_text(element, texts[i]);
    }
    assert_false(km_pb_next(&list, &element));
}

/* Reads the next member of a list. */
static void next_member(struct km_pb_list *list, struct km_msg_member *ret)
{
    kama_bytes element;
    assert_true(km_pb_next(list, &element));
    assert_int_equal(km_pb_decode(&km_msg_member_pb, element, ret), KAMA_OK);
}

/* -- tests --------------------------------------------------------------- */

/* Node, Members and Owner have everything that the source says. */
static void test_methods_say_what_the_source_says(void **state)
{
    (void)state;
    struct fake fake;
    struct km_buf buf;
    struct km_msg_node_response self;
    struct km_msg_members_response members;
    struct km_msg_member member;
    struct km_msg_owner_response owner;
    fake_init(&fake);
    kama_node *node = node_new(&fake);
    assert_int_equal(ask(node, "/kama.v2.Cache/Node", KM_LIT(""), &buf),
                     KAMA_OK);
    assert_int_equal(
        km_pb_decode(&km_msg_node_response_pb, km_buf_bytes(&buf), &self),
        KAMA_OK);
    expect_text(self.advertise, "10.0.0.1:1");
    expect_text(self.admin, "10.0.0.1:9");
    assert_int_equal(self.group_count, 1);
    expect_text(self.etcd, "http://127.0.0.1:2379");
    expect_text(self.registration, "active");
    expect_text(self.degraded, "lease");
    expect_text(self.sync_differs, "group g");
    expect_text(self.version, kama_version());
    expect_texts(self.missing, steps, 2);
    assert_int_equal(self.lease_id, 77);
    assert_false(self.ready);
    km_buf_fini(&buf);
    assert_int_equal(ask(node, "/kama.v2.Cache/Members", KM_LIT(""), &buf),
                     KAMA_OK);
    assert_int_equal(
        km_pb_decode(&km_msg_members_response_pb, km_buf_bytes(&buf), &members),
        KAMA_OK);
    expect_text(members.cluster, "blue");
    assert_int_equal(members.members.count, 2);
    assert_true(members.settled && !members.registry_up);
    next_member(&members.members, &member);
    next_member(&members.members, &member);
    expect_text(member.address, "10.0.0.2:1");
    expect_text(member.version, "9.8.7");
    expect_texts(member.labels, labels, 2);
    assert_int_equal(member.state, 1);
    assert_int_equal(member.reach, KM_MSG_REACH_UNREACHABLE);
    assert_int_equal(member.id.len, 16);
    assert_int_equal(member.since_ms, 8);
    km_buf_fini(&buf);
    assert_int_equal(
        ask(node, "/kama.v2.Cache/Owner", KM_LIT("\x0a\5users\x12\1k"), &buf),
        KAMA_OK);
    assert_int_equal(
        km_pb_decode(&km_msg_owner_response_pb, km_buf_bytes(&buf), &owner),
        KAMA_OK);
    expect_texts(owner.addresses, ranks, 2);
    assert_int_equal(owner.slot, 5); /* the name of the group has arrived */
    assert_false(owner.self);
    km_buf_fini(&buf);
    kama_node_free(node);
    fake_fini(&fake);
}

/* Members has the streams to and from each other member, and none of the node
 * itself. */
static void test_members_have_streams(void **state)
{
    (void)state;
    struct fake fake;
    struct km_buf buf;
    struct km_msg_members_response members;
    struct km_msg_member member;
    fake_init(&fake);
    kama_node *node = node_new(&fake);
    assert_int_equal(ask(node, "/kama.v2.Cache/Members", KM_LIT(""), &buf),
                     KAMA_OK);
    assert_int_equal(
        km_pb_decode(&km_msg_members_response_pb, km_buf_bytes(&buf), &members),
        KAMA_OK);
    next_member(&members.members, &member);
    assert_int_equal(member.stream.state.len, 0);
    assert_false(member.stream.up);
    next_member(&members.members, &member);
    expect_text(member.stream.state, "in_sync");
    assert_true(member.stream.up && member.stream.unsynced);
    assert_true(member.stream.quarantined);
    assert_int_equal(member.stream.differing, 20);
    assert_int_equal(member.stream.bytes_sent, 21);
    assert_int_equal(member.stream.bytes_received, 22);
    assert_int_equal(member.stream.lag_ns, 10);
    assert_int_equal(member.stream.lag_entries, 11);
    assert_int_equal(member.stream.acked, 12);
    assert_int_equal(member.stream.applied, 13);
    assert_int_equal(member.stream.sent, 14);
    assert_int_equal(member.stream.received, 15);
    assert_int_equal(member.stream.duplicates, 16);
    assert_int_equal(member.stream.gaps_sent, 17);
    assert_int_equal(member.stream.gaps, 18);
    assert_int_equal(member.stream.gap_age_ms, 19);
    km_buf_fini(&buf);
    kama_node_free(node);
    fake_fini(&fake);
}

/* Owner refuses a group that does not exist and a key that cannot be one. */
static void test_owner_refuses_wrong_requests(void **state)
{
    (void)state;
    struct km_buf buf;
    kama_node *node = node_new(NULL);
    assert_int_equal(
        ask(node, "/kama.v2.Cache/Owner", KM_LIT("\x0a\1x\x12\1k"), &buf),
        KAMA_ERR_NO_GROUP);
    km_buf_fini(&buf);
    assert_int_equal(
        ask(node, "/kama.v2.Cache/Owner", KM_LIT("\x0a\5users"), &buf),
        KAMA_ERR_INVALID);
    km_buf_fini(&buf);
    assert_int_equal(ask(node, "/kama.v2.Cache/Members", KM_LIT("\x0a"), &buf),
                     KAMA_ERR_MALFORMED);
    km_buf_fini(&buf);
    kama_node_free(node);
}

/* A node alone is its only member, is ready, and owns every key. */
static void test_a_node_alone_is_a_cluster_of_itself(void **state)
{
    (void)state;
    struct km_buf buf;
    struct km_buf buf2;
    struct km_msg_members_response members;
    struct km_msg_member member;
    struct km_msg_owner_response owner;
    kama_bytes element;
    kama_node *node = node_new(NULL);
    assert_int_equal(ask(node, "/kama.v2.Cache/Members", KM_LIT(""), &buf),
                     KAMA_OK);
    assert_int_equal(
        km_pb_decode(&km_msg_members_response_pb, km_buf_bytes(&buf), &members),
        KAMA_OK);
    assert_int_equal(members.members.count, 1);
    expect_text(members.cluster, "default");
    assert_int_not_equal(members.view_id, 0);
    assert_true(km_pb_next(&members.members, &element));
    assert_int_equal(km_pb_decode(&km_msg_member_pb, element, &member),
                     KAMA_OK);
    expect_text(member.address, kama_node_address(node));
    assert_true(member.self && member.share_ppm == 1000000);
    assert_int_equal(
        ask(node, "/kama.v2.Cache/Owner", KM_LIT("\x0a\5users\x12\1k"), &buf2),
        KAMA_OK);
    assert_int_equal(
        km_pb_decode(&km_msg_owner_response_pb, km_buf_bytes(&buf2), &owner),
        KAMA_OK);
    const char *const address[] = {kama_node_address(node)};
    expect_texts(owner.addresses, address, 1);
    assert_true(owner.self);
    assert_int_equal(owner.view_id, members.view_id);
    assert_true(km_bytes_eq(owner.owner_id, member.id));
    km_buf_fini(&buf2);
    km_buf_fini(&buf);
    kama_node_free(node);
}

/* -- WatchMembers -------------------------------------------------------- */

/* Runs on the thread of the client. */
static kama_status on_members(void *arg, kama_bytes message)
{
    struct fake *fake = arg;
    struct km_msg_members_response response;
    KM_ASSERT(km_pb_decode(&km_msg_members_response_pb, message, &response) ==
              KAMA_OK);
    km_mutex_lock(&fake->lock);
    fake->messages++;
    fake->last_view_id = response.view_id;
    fake->last_count = response.members.count;
    km_cond_broadcast(&fake->cond);
    while (fake->watch_is_held) {
        km_cond_wait(&fake->cond, &fake->lock);
    }
    km_mutex_unlock(&fake->lock);
    return KAMA_OK;
}

struct watch {
    pthread_t thread;
    struct fake *fake;
    kama_node *node;
    kama_status status;
};

static void *watch_run(void *arg)
{
    struct watch *watch = arg;
    struct km_client *client = client_new(watch->node);
    const struct km_client_request request = {
        .path = "/kama.v2.Cache/WatchMembers", .timeout_ms = 3 * PATIENCE_MS};
    watch->status = km_client_stream(client, &request, on_members, watch->fake);
    km_client_free(client);
    return NULL;
}

static void watch_start(struct watch *watch, struct fake *fake, kama_node *node)
{
    *watch = (struct watch){.fake = fake, .node = node};
    assert_int_equal(pthread_create(&watch->thread, NULL, watch_run, watch), 0);
}

/* Waits until the watch has received the view of that id. */
static void wait_for_view(struct fake *fake, uint64_t view_id)
{
    km_ns until = km_ns_after_ms(km_clock_mono(km_clock_system()), PATIENCE_MS);
    km_mutex_lock(&fake->lock);
    while (fake->last_view_id != view_id) {
        if (!km_cond_wait_until(&fake->cond, &fake->lock, until)) {
            fail_msg("the watch has seen view %llu of %llu",
                     (unsigned long long)fake->last_view_id,
                     (unsigned long long)view_id);
        }
    }
    km_mutex_unlock(&fake->lock);
}

/* A watch sends the members at once and at each change, nothing when nothing has
 * changed, and ends with the node. */
static void test_watch_sends_each_change_and_ends_with_the_node(void **state)
{
    (void)state;
    struct fake fake;
    struct watch watch;
    fake_init(&fake);
    kama_node *node = node_new(&fake);
    watch_start(&watch, &fake, node);
    wait_for_view(&fake, 1);
    km_cluster_changed(&node->services); /* of something else */
    for (uint64_t view_id = 2; view_id <= 5; view_id++) {
        fake_move(&fake, node);
        wait_for_view(&fake, view_id);
    }
    assert_int_equal(fake.messages, 5);
    assert_int_equal(kama_node_stop(node), KAMA_OK);
    assert_int_equal(pthread_join(watch.thread, NULL), 0);
    assert_int_equal(watch.status, KAMA_ERR_CLOSED);
    kama_node_free(node);
    fake_fini(&fake);
}

/* While the client does not read, changes are joined: when it reads again it
 * receives the last view, and not all of those in between. */
static void test_watch_joins_changes_of_a_client_that_does_not_read(
    void **state)
{
    (void)state;
    enum { CHANGES = 400 };
    struct fake fake;
    struct watch watch;
    fake_init(&fake);
    fake.count = MANY_MEMBERS;
    fake.watch_is_held = true;
    kama_node *node = node_new(&fake);
    watch_start(&watch, &fake, node);
    wait_for_view(&fake, 1);
    for (unsigned i = 0; i < CHANGES; i++) {
        fake_move(&fake, node);
        struct km_buf buf; /* a turn of the loop, which sends the change */
        assert_int_equal(ask(node, "/kama.v2.Cache/Ping", KM_LIT(""), &buf),
                         KAMA_OK);
        km_buf_fini(&buf);
    }
    km_mutex_lock(&fake.lock);
    fake.watch_is_held = false;
    km_cond_broadcast(&fake.cond);
    km_mutex_unlock(&fake.lock);
    wait_for_view(&fake, CHANGES + 1);
    assert_true(fake.messages < CHANGES / 2);
    assert_int_equal(fake.last_count, MANY_MEMBERS);
    kama_node_free(node);
    assert_int_equal(pthread_join(watch.thread, NULL), 0);
    fake_fini(&fake);
}

/* -- readiness ----------------------------------------------------------- */

static void *wait_ready(void *arg)
{
    struct watch *watch = arg;
    km_ns until = km_ns_after_ms(km_clock_mono(km_clock_system()), PATIENCE_MS);
    watch->status = km_cluster_wait_ready(&watch->node->services, until);
    return NULL;
}

/* A thread that waits until the node is ready returns when it is, is told the
 * missing steps when its time is over, and leaves when the node stops. */
static void test_wait_ready_ends_with_the_last_step(void **state)
{
    (void)state;
    struct fake fake;
    struct watch watch = {.fake = &fake};
    fake_init(&fake);
    kama_node *node = node_new(&fake);
    watch.node = node;
    assert_int_equal(km_cluster_wait_ready(&node->services, 0),
                     KAMA_ERR_TIMEOUT);
    assert_non_null(strstr(km_last_error(), "missing: view lease"));
    assert_int_equal(pthread_create(&watch.thread, NULL, wait_ready, &watch),
                     0);
    km_mutex_lock(&fake.lock);
    fake.ready = true;
    km_mutex_unlock(&fake.lock);
    km_cluster_changed(&node->services);
    assert_int_equal(pthread_join(watch.thread, NULL), 0);
    assert_int_equal(watch.status, KAMA_OK);
    fake.ready = false;
    assert_int_equal(pthread_create(&watch.thread, NULL, wait_ready, &watch),
                     0);
    assert_int_equal(kama_node_stop(node), KAMA_OK);
    assert_int_equal(pthread_join(watch.thread, NULL), 0);
    assert_int_equal(watch.status, KAMA_ERR_CLOSED);
    kama_node_free(node);
    fake_fini(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_methods_say_what_the_source_says),
        cmocka_unit_test(test_members_have_streams),
        cmocka_unit_test(test_owner_refuses_wrong_requests),
        cmocka_unit_test(test_a_node_alone_is_a_cluster_of_itself),
        cmocka_unit_test(test_watch_sends_each_change_and_ends_with_the_node),
        cmocka_unit_test(
            test_watch_joins_changes_of_a_client_that_does_not_read),
        cmocka_unit_test(test_wait_ready_ends_with_the_last_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
