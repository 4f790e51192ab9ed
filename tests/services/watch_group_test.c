/* SPDX-License-Identifier: MIT */
/* Watch over gRPC, with a feed of the test. What real nodes send is
 * tests/scenario/95_watch.py. */
#include "base/status.h"
#include "base/sync.h"
#include "node/node.h"
#include "rpc/client.h"
#include "services/watch_group.h"
#include "wire/msg/msg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define PATIENCE_MS 20000
#define FEED 0x0102030405060708u
#define EVENTS 500

/* -- a feed that does what the test says ------------------------------------ */

/* The positions are 1 to `count`. Behind them nothing new comes, or everything is
 * lost. Every third event is a delete of "b", and the others are sets of "a". */
struct fake {
    struct km_mutex lock;
    uint64_t begins_at; /* the newest position when a watch begins */
    uint64_t count;
    enum km_feed_result behind;
    kama_status status; /* of begin */
    int watchers;
};

static kama_status fake_begin(void *arg, const char *group,
                              struct km_feed_place *ret_place)
{
    struct fake *fake = arg;
    assert_string_equal(group, "users");
    km_mutex_lock(&fake->lock);
    kama_status status = fake->status;
    fake->watchers += status == KAMA_OK ? 1 : 0;
    *ret_place = (struct km_feed_place){
        .feed = FEED, .position = fake->begins_at, .number = 3};
    km_mutex_unlock(&fake->lock);
    return status == KAMA_OK ? status : km_fail(status, "as the test says");
}

static void fake_end(void *arg)
{
    struct fake *fake = arg;
    km_mutex_lock(&fake->lock);
    fake->watchers--;
    km_mutex_unlock(&fake->lock);
}

static bool fake_has(void *arg, uint64_t position)
{
    (void)arg;
    return position >= 10;
}

static enum km_feed_result fake_read(void *arg, struct km_feed_place *place,
                                     struct km_feed_event *ret_event)
{
    struct fake *fake = arg;
    km_mutex_lock(&fake->lock);
    uint64_t count = fake->count;
    enum km_feed_result behind = fake->behind;
    km_mutex_unlock(&fake->lock);
    assert_int_equal(place->number, 3);
    if (place->position >= count) {
        return behind;
    }
    uint64_t n = ++place->position;
    ret_event->operation =
        n % 3 == 0 ? KM_MSG_OPERATION_DELETE : KM_MSG_OPERATION_SET;
    ret_event->version = (struct km_version){.hlc = n << 16, .origin = 77};
    ret_event->key_len = 1;
    ret_event->key[0] = n % 3 == 0 ? 'b' : 'a';
    return n % 5 == 0 ? KM_FEED_MORE : KM_FEED_EVENT;
}

static const struct km_service_feed_ops fake_ops = {
    .begin = fake_begin, .end = fake_end, .has = fake_has, .read = fake_read};

/* -- nodes and calls -------------------------------------------------------- */

static kama_node *node_new(struct fake *fake)
{
    kama_node *node = NULL;
    kama_node_options options;
    kama_group_options group;
    *fake = (struct fake){.behind = KM_FEED_NONE};
    assert_true(km_mutex_init(&fake->lock, KM_RANK_WAITER));
    kama_node_options_init(&options);
    options.listen = "127.0.0.1:0";
    options.threads = 1;
    assert_int_equal(kama_node_new(&options, &node), KAMA_OK);
    node->services.feed = (struct km_service_feed){&fake_ops, fake};
    kama_group_options_init(&group);
    group.name = "users";
    assert_int_equal(kama_node_add_group(node, &group, NULL), KAMA_OK);
    assert_int_equal(kama_node_start(node), KAMA_OK);
    return node;
}

static void node_free(kama_node *node, struct fake *fake)
{
    kama_node_free(node);
    assert_int_equal(fake->watchers, 0);
    km_mutex_fini(&fake->lock);
}

/* What a watch has received, until it has seen `enough` events. */
struct seen {
    unsigned enough;
    unsigned count, gaps, deletes, drops;
    uint64_t last_ms;
    uint8_t cursor[16];
};

static kama_status on_event(void *arg, kama_bytes message)
{
    struct seen *seen = arg;
    struct km_msg_watch_event event;
    if (km_pb_decode(&km_msg_watch_event_pb, message, &event) != KAMA_OK ||
        event.cursor.len != sizeof seen->cursor) {
        return KAMA_ERR_MALFORMED;
    }
    seen->count++;
    seen->gaps += event.gap;
    seen->deletes += event.operation == KM_MSG_OPERATION_DELETE;
    seen->drops += event.operation == KM_MSG_OPERATION_DROP;
    seen->last_ms = event.unix_ms;
    memcpy(seen->cursor, event.cursor.data, sizeof seen->cursor);
    return seen->count == seen->enough ? KAMA_ERR_CANCELLED : KAMA_OK;
}

static kama_status watch(kama_node *node,
                         const struct km_msg_watch_request *message,
                         struct seen *seen)
{
    struct km_client *client = NULL;
    uint8_t bytes[4096];
    const struct km_channel_options options = {.clock = km_clock_system(),
                                               .mem = km_mem_default(),
                                               .address =
                                                   kama_node_address(node)};
    assert_true(km_pb_size(&km_msg_watch_request_pb, message) <= sizeof bytes);
    uint8_t *end = km_pb_write(&km_msg_watch_request_pb, message, bytes);
    const struct km_client_request request = {
        .path = "/kama.v2.Cache/Watch",
        .message = kama_bytes_make(bytes, (size_t)(end - bytes)),
        .timeout_ms = PATIENCE_MS};
    assert_int_equal(km_client_new(&options, &client), KAMA_OK);
    kama_status status = km_client_stream(client, &request, on_event, seen);
    km_client_free(client);
    return status;
}

/* -- tests ------------------------------------------------------------------- */

/* More events than one turn has. Every fifth reading finds none of the group. The sets
 * are drops, because their value is not in memory. */
static void test_all_events_are_sent(void **state)
{
    (void)state;
    struct fake fake;
    struct seen seen = {.enough = EVENTS - EVENTS / 5};
    kama_node *node = node_new(&fake);
    fake.count = EVENTS;
    const struct km_msg_watch_request request = {.group = KM_LIT("users")};
    assert_int_equal(watch(node, &request, &seen), KAMA_ERR_CANCELLED);
    assert_int_equal(seen.gaps, 0);
    assert_int_equal(seen.deletes, EVENTS / 3 - EVENTS / 15);
    assert_int_equal(seen.deletes + seen.drops, seen.count);
    assert_int_equal(seen.last_ms, EVENTS - 1);
    node_free(node, &fake);
}

static void test_only_keys_that_match(void **state)
{
    (void)state;
    struct fake fake;
    struct seen seen = {.enough = 10};
    kama_node *node = node_new(&fake);
    fake.count = EVENTS;
    const struct km_msg_watch_request request = {.group = KM_LIT("users"),
                                                 .glob = KM_LIT("b*")};
    assert_int_equal(watch(node, &request, &seen), KAMA_ERR_CANCELLED);
    assert_int_equal(seen.deletes, 10);
    node_free(node, &fake);
}

/* A client that is too slow gets what is still there, and then the end. */
static void test_a_slow_client_is_ended(void **state)
{
    (void)state;
    struct fake fake;
    struct seen seen = {.enough = UINT32_MAX};
    kama_node *node = node_new(&fake);
    fake.count = 4;
    fake.behind = KM_FEED_LOST;
    const struct km_msg_watch_request request = {.group = KM_LIT("users")};
    assert_int_equal(watch(node, &request, &seen), KAMA_ERR_OVERLOADED);
    assert_non_null(strstr(km_last_error(), "too slowly"));
    assert_int_equal(seen.count, 4);
    node_free(node, &fake);
}

/* A cursor that is remembered goes on there; any other one begins with a gap. */
static void test_cursors(void **state)
{
    (void)state;
    static const uint8_t known[] = {1, 2, 3, 4, 5, 6, 7, 8,
                                    0, 0, 0, 0, 0, 0, 0, 12};
    struct fake fake;
    uint8_t cursor[16];
    kama_node *node = node_new(&fake);
    fake.begins_at = 20;
    fake.count = 24;
    struct km_msg_watch_request request = {.group = KM_LIT("users")};
    memcpy(cursor, known, sizeof cursor);
    request.cursor = kama_bytes_make(cursor, sizeof cursor);
    struct seen seen = {.enough = 1};
    assert_int_equal(watch(node, &request, &seen), KAMA_ERR_CANCELLED);
    assert_int_equal(seen.last_ms, 13);
    cursor[15]++;
    assert_memory_equal(seen.cursor, cursor, sizeof cursor);
    static const struct {
        unsigned byte;
        uint8_t value;
    } changes[] = {{15, 9}, {0, 9}}; /* forgotten; of another feed */
    for (unsigned i = 0; i < 2; i++) {
        memcpy(cursor, known, sizeof cursor);
        cursor[changes[i].byte] = changes[i].value;
        seen = (struct seen){.enough = 2};
        assert_int_equal(watch(node, &request, &seen), KAMA_ERR_CANCELLED);
        assert_int_equal(seen.gaps, 1);
        assert_int_equal(seen.last_ms, 21);
    }
    node_free(node, &fake);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    struct fake fake;
    struct seen seen = {.enough = 1};
    kama_node *node = node_new(&fake);
    struct km_msg_watch_request request = {.group = KM_LIT("users"),
                                           .cursor = KM_LIT("short")};
    assert_int_equal(watch(node, &request, &seen), KAMA_ERR_INVALID);
    request.cursor = KM_LIT("");
    request.group = KM_LIT("none");
    assert_int_equal(watch(node, &request, &seen), KAMA_ERR_NO_GROUP);
    request.group = KM_LIT("users");
    fake.status = KAMA_ERR_STATE;
    assert_int_equal(watch(node, &request, &seen), KAMA_ERR_STATE);
    assert_non_null(strstr(km_last_error(), "as the test says"));
    assert_int_equal(seen.count, 0);
    node_free(node, &fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_events_are_sent),
        cmocka_unit_test(test_only_keys_that_match),
        cmocka_unit_test(test_a_slow_client_is_ended),
        cmocka_unit_test(test_cursors),
        cmocka_unit_test(test_what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
