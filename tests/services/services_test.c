/* SPDX-License-Identifier: MIT */
/* ctest: timeout=240 */
/* The services of a node seen through our own client: calls that are parked,
 * left and cut off while loads end on other threads; streams. Tests of their
 * messages on the wire are in tests/scenario. */
#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/status.h"
#include "base/sync.h"
#include "helpers/failmalloc.h"
#include "rpc/client.h"
#include "wire/msg/msg.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define PATIENCE_MS 20000

/* -- a node whose loads end when the test says so ------------------------ */

struct waiting {
    struct km_list node;
    kama_deferred *deferred;
};

struct world {
    kama_node *node;
    kama_group *group;
    struct km_mutex lock;
    struct km_cond cond;
    struct km_list waiting; /* loads, oldest first */
    unsigned count;         /* of these */
    unsigned loads;         /* ever */
    bool closed;            /* loads fail at once */
};

/* Runs on pool threads, where the assertions of cmocka do not work. */
static kama_status load_later(void *arg, const kama_load *req, kama_sink *out)
{
    struct world *world = arg;
    (void)req;
    km_mutex_lock(&world->lock);
    world->loads++;
    bool closed = world->closed;
    if (!closed) {
        struct waiting *w = malloc(sizeof *w);
        KM_ASSERT(w != NULL);
        w->deferred = kama_load_defer(out);
        KM_ASSERT(w->deferred != NULL);
        km_list_push_back(&world->waiting, &w->node);
        world->count++;
    }
    km_cond_broadcast(&world->cond);
    km_mutex_unlock(&world->lock);
    return closed ? KAMA_ERR_CANCELLED : KAMA_DEFERRED;
}

/* Ends the oldest load. Returns false if there is none. */
static bool finish_one(struct world *world)
{
    km_mutex_lock(&world->lock);
    struct km_list *node = km_list_pop_front(&world->waiting);
    world->count -= node != NULL;
    km_mutex_unlock(&world->lock);
    if (node == NULL) {
        return false;
    }
    struct waiting *w = KM_CONTAINER_OF(node, struct waiting, node);
    kama_load_finish(w->deferred, KAMA_OK, KM_LIT("late"), NULL);
    free(w);
    return true;
}

static void wait_for_loads(struct world *world, unsigned n)
{
    km_ns until = km_ns_after_ms(km_clock_mono(km_clock_system()), PATIENCE_MS);
    km_mutex_lock(&world->lock);
    while (world->count < n) {
        if (!km_cond_wait_until(&world->cond, &world->lock, until)) {
            fail_msg("waited for %u loads, have %u", n, world->count);
        }
    }
    km_mutex_unlock(&world->lock);
}

static unsigned count_of(struct world *world)
{
    km_mutex_lock(&world->lock);
    unsigned count = world->count;
    km_mutex_unlock(&world->lock);
    return count;
}

static void world_open(struct world *world, int64_t drain_timeout_ms)
{
    memset(world, 0, sizeof *world);
    km_list_init(&world->waiting);
    assert_true(km_mutex_init(&world->lock, KM_RANK_WAITER));
    assert_true(km_cond_init(&world->cond));
    kama_node_options options;
    kama_node_options_init(&options);
    options.listen = "127.0.0.1:0";
    options.threads = 2;
    options.drain_timeout_ms = drain_timeout_ms;
    assert_int_equal(kama_node_new(&options, &world->node), KAMA_OK);
    kama_group_options group;
    kama_group_options_init(&group);
    group.name = "g";
    group.loader = load_later;
    group.loader_arg = world;
    group.loader_timeout_ms = PATIENCE_MS;
    assert_int_equal(kama_node_add_group(world->node, &group, &world->group),
                     KAMA_OK);
    assert_int_equal(kama_node_start(world->node), KAMA_OK);
}

static void world_close(struct world *world)
{
    km_mutex_lock(&world->lock);
    world->closed = true;
    km_mutex_unlock(&world->lock);
    while (finish_one(world)) {
    }
    kama_node_free(world->node);
    km_cond_fini(&world->cond);
    km_mutex_fini(&world->lock);
}

/* -- calls --------------------------------------------------------------- */

static struct km_client *client_open(const char *address)
{
    struct km_client *client = NULL;
    struct km_channel_options options = {.clock = km_clock_system(),
                                         .mem = km_mem_default(),
                                         .address = address};
    assert_int_equal(km_client_new(&options, &client), KAMA_OK);
    return client;
}

static kama_status unary(struct km_client *client, const char *path,
                         kama_bytes message, int64_t timeout_ms,
                         struct km_buf *reply)
{
    struct km_client_request request = {
        .path = path, .message = message, .timeout_ms = timeout_ms};
    return km_client_unary(client, &request, reply);
}

/* A caller on a thread of its own, for one Get or MGet. */
struct caller {
    pthread_t thread;
    struct world *world;
    const char *path;
    kama_bytes message;
    int64_t timeout_ms;
    kama_status status;
    struct km_buf reply;
};

static void *call_once(void *arg)
{
    struct caller *caller = arg;
    struct km_client *client =
        client_open(kama_node_address(caller->world->node));
    caller->status = unary(client, caller->path, caller->message,
                           caller->timeout_ms, &caller->reply);
    km_client_free(client);
    return NULL;
}

static void caller_start(struct caller *caller, struct world *world,
                         const char *path, kama_bytes message)
{
    *caller = (struct caller){.world = world,
                              .path = path,
                              .message = message,
                              .timeout_ms = PATIENCE_MS};
    km_buf_init(&caller->reply, km_mem_default(), SIZE_MAX);
    assert_int_equal(pthread_create(&caller->thread, NULL, call_once, caller),
                     0);
}

static kama_status caller_join(struct caller *caller)
{
    assert_int_equal(pthread_join(caller->thread, NULL), 0);
    return caller->status;
}

/* MGet of n keys that are not there. */
static void make_mget(struct km_buf *out, unsigned n)
{
    km_buf_init(out, km_mem_default(), SIZE_MAX);
    assert_int_equal(km_pb_append_bytes(out, 1, KM_LIT("g")), KAMA_OK);
    for (unsigned i = 0; i < n; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key%u", i);
        assert_int_equal(
            km_pb_append_bytes(out, KM_MSG_MGET_KEY, KAMA_STR(key)), KAMA_OK);
    }
}

/* -- tests --------------------------------------------------------------- */

/* A parked get is answered when another thread ends the load. */
static void test_parked(void **state)
{
    (void)state;
    struct world world;
    struct caller caller;
    struct km_msg_v1_get_response response;
    world_open(&world, PATIENCE_MS);
    caller_start(&caller, &world, "/kama.v1.KamaCacheService/Get",
                 KM_LIT("\x0a\1g\x12\1k"));
    wait_for_loads(&world, 1);
    assert_true(finish_one(&world));
    assert_int_equal(caller_join(&caller), KAMA_OK);
    assert_int_equal(km_pb_decode(&km_msg_v1_get_response_pb,
                                  km_buf_bytes(&caller.reply), &response),
                     KAMA_OK);
    assert_true(km_bytes_eq(response.value, KM_LIT("late")));
    km_buf_fini(&caller.reply);
    world_close(&world);
}

/* At most KM_MGET_PARALLEL keys of one MGet wait at a time. Each answer lets
 * the next key start, and no key is forgotten. */
static void test_mget_window(void **state)
{
    (void)state;
    enum { KEYS = 3 * KM_MGET_PARALLEL + 5 };
    struct world world;
    struct caller caller;
    struct km_buf message;
    world_open(&world, PATIENCE_MS);
    make_mget(&message, KEYS);
    caller_start(&caller, &world, "/kama.v2.Cache/MGet",
                 km_buf_bytes(&message));
    for (unsigned left = KEYS; left > 0; left--) {
        unsigned most = left < KM_MGET_PARALLEL ? left : KM_MGET_PARALLEL;
        wait_for_loads(&world, most);
        assert_int_equal(count_of(&world), most);
        assert_true(finish_one(&world));
    }
    assert_int_equal(caller_join(&caller), KAMA_OK);
    struct km_msg_mget_response response;
    struct km_msg_mget_item item;
    kama_bytes bytes;
    assert_int_equal(km_pb_decode(&km_msg_mget_response_pb,
                                  km_buf_bytes(&caller.reply), &response),
                     KAMA_OK);
    assert_int_equal(response.items.count, KEYS);
    while (km_pb_next(&response.items, &bytes)) {
        assert_int_equal(km_pb_decode(&km_msg_mget_item_pb, bytes, &item),
                         KAMA_OK);
        assert_int_equal(item.status, KAMA_OK);
        assert_true(km_bytes_eq(item.value, KM_LIT("late")));
    }
    km_buf_fini(&caller.reply);
    km_buf_fini(&message);
    world_close(&world);
}

/* The drain cuts off parked calls. Their loads end when no caller is left: some
 * of them before the node is freed, and some while it is. */
static void test_cut_off(void **state)
{
    (void)state;
    enum { CALLERS = 8 };
    struct world world;
    struct caller callers[CALLERS];
    struct km_buf message;
    world_open(&world, 20);
    make_mget(&message, 100);
    for (unsigned i = 0; i < CALLERS; i++) {
        bool many = i % 2 == 0;
        caller_start(&callers[i], &world,
                     many ? "/kama.v2.Cache/MGet" : "/kama.v2.Cache/Get",
                     many ? km_buf_bytes(&message) : KM_LIT("\x0a\1g\x12\1k"));
    }
    wait_for_loads(&world, KM_MGET_PARALLEL);
    assert_int_equal(kama_node_stop(world.node), KAMA_ERR_TIMEOUT);
    for (unsigned i = 0; i < CALLERS; i++) {
        assert_int_not_equal(caller_join(&callers[i]), KAMA_OK);
        km_buf_fini(&callers[i].reply);
    }
    km_buf_fini(&message);
    world_close(&world);
}

/* Ends loads as they come, a little later each time. */
static void *finish_all(void *arg)
{
    struct world *world = arg;
    bool closed = false;
    for (unsigned turn = 0; !closed; turn++) {
        for (unsigned i = 0; i < turn % 64; i++) {
            (void)sched_yield();
        }
        if (!finish_one(world)) {
            km_mutex_lock(&world->lock);
            closed = world->closed;
            km_mutex_unlock(&world->lock);
        }
    }
    return NULL;
}

static void *call_often(void *arg)
{
    struct caller *caller = arg;
    struct km_client *client =
        client_open(kama_node_address(caller->world->node));
    for (int i = 0; i < 150; i++) {
        caller->reply.len = 0;
        kama_status st = unary(client, caller->path, caller->message, 1 + i % 3,
                               &caller->reply);
        if (st != KAMA_OK && st != KAMA_ERR_TIMEOUT) {
            caller->status = st;
        }
        if (i % 8 == 0) {
            KM_ASSERT(kama_group_clear(caller->world->group) == KAMA_OK);
        }
    }
    km_client_free(client);
    return NULL;
}

/* Deadlines of callers pass while the load ends. Each call ends once, and
 * afterwards the drain finds no call to wait for. */
static void test_leaving_races_with_answers(void **state)
{
    (void)state;
    enum { CALLERS = 4 };
    struct world world;
    struct caller callers[CALLERS];
    struct km_buf message;
    pthread_t finisher;
    world_open(&world, PATIENCE_MS);
    make_mget(&message, 90);
    assert_int_equal(pthread_create(&finisher, NULL, finish_all, &world), 0);
    for (unsigned i = 0; i < CALLERS; i++) {
        struct caller *caller = &callers[i];
        *caller = (struct caller){
            .world = &world,
            .path = i % 2 == 0 ? "/kama.v2.Cache/MGet" : "/kama.v2.Cache/Get",
            .message = i % 2 == 0 ? km_buf_bytes(&message)
                                  : KM_LIT("\x0a\1g\x12\4key1")};
        km_buf_init(&caller->reply, km_mem_default(), SIZE_MAX);
        assert_int_equal(
            pthread_create(&caller->thread, NULL, call_often, caller), 0);
    }
    for (unsigned i = 0; i < CALLERS; i++) {
        assert_int_equal(caller_join(&callers[i]), KAMA_OK);
        km_buf_fini(&callers[i].reply);
    }
    assert_int_equal(kama_node_stop(world.node), KAMA_OK);
    km_mutex_lock(&world.lock);
    world.closed = true;
    km_mutex_unlock(&world.lock);
    assert_int_equal(pthread_join(finisher, NULL), 0);
    km_buf_fini(&message);
    world_close(&world);
}

/* -- streams ------------------------------------------------------------- */

struct stream {
    unsigned messages;
    unsigned stop_after;
    kama_bytes first; /* copied into buf */
    uint8_t buf[16384];
};

static kama_status on_stream_message(void *arg, kama_bytes message)
{
    struct stream *stream = arg;
    if (stream->messages == 0 && message.len <= sizeof stream->buf) {
        memcpy(stream->buf, message.data, message.len);
        stream->first = kama_bytes_make(stream->buf, message.len);
    }
    stream->messages++;
    return stream->messages == stream->stop_after ? KAMA_ERR_CANCELLED
                                                  : KAMA_OK;
}

static kama_status follow(struct km_client *client, const char *path,
                          kama_bytes message, struct stream *stream)
{
    struct km_client_request request = {
        .path = path, .message = message, .timeout_ms = PATIENCE_MS};
    return km_client_stream(client, &request, on_stream_message, stream);
}

#define WATCH "/grpc.health.v1.Health/Watch"
#define REFLECT "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"

/* A watch says SERVING and goes on until it is left. */
static void test_watch(void **state)
{
    (void)state;
    struct world world;
    struct km_msg_health_response response;
    world_open(&world, PATIENCE_MS);
    struct km_client *client = client_open(kama_node_address(world.node));
    struct stream stream = {.stop_after = 1};
    assert_int_equal(follow(client, WATCH, KM_LIT(""), &stream),
                     KAMA_ERR_CANCELLED);
    assert_int_equal(
        km_pb_decode(&km_msg_health_response_pb, stream.first, &response),
        KAMA_OK);
    assert_int_equal(response.status, KM_MSG_HEALTH_SERVING);
    km_client_free(client);
    world_close(&world);
}

/* The half-close ends a reflection stream after its answer. */
static void test_reflection(void **state)
{
    (void)state;
    struct world world;
    struct km_msg_reflect_response response;
    world_open(&world, PATIENCE_MS);
    struct km_client *client = client_open(kama_node_address(world.node));
    struct stream stream = {0};
    assert_int_equal(
        follow(client, REFLECT, KM_LIT("\x22\x0dkama.v2.Cache"), &stream),
        KAMA_OK);
    assert_int_equal(stream.messages, 1);
    assert_int_equal(
        km_pb_decode(&km_msg_reflect_response_pb, stream.first, &response),
        KAMA_OK);
    assert_true(response.file_descriptor_response.len > 1000);
    assert_true(km_bytes_eq(response.original_request,
                            KM_LIT("\x22\x0dkama.v2.Cache")));
    km_client_free(client);
    world_close(&world);
}

static kama_status use_streams(const char *address)
{
    struct km_client *client = client_open(address);
    struct stream watch = {.stop_after = 1};
    struct stream reflect = {0};
    kama_status watched = follow(client, WATCH, KM_LIT(""), &watch);
    kama_status reflected =
        follow(client, REFLECT, KM_LIT("\x3a\x00"), &reflect);
    km_client_free(client);
    assert_int_not_equal(watched, KAMA_ERR_TIMEOUT);
    assert_int_not_equal(reflected, KAMA_ERR_TIMEOUT);
    return watch.messages == 1 && reflected == KAMA_OK ? KAMA_OK
                                                       : KAMA_ERR_NO_MEMORY;
}

static kama_status stream_scenario(const kama_allocator *mem, void *arg)
{
    (void)arg;
    kama_node_options options;
    kama_node *node;
    kama_node_options_init(&options);
    options.listen = "127.0.0.1:0";
    options.threads = 1;
    options.allocator = mem;
    kama_status status = kama_node_new(&options, &node);
    if (status != KAMA_OK) {
        return status;
    }
    status = kama_node_start(node);
    if (status == KAMA_OK) {
        status = use_streams(kama_node_address(node));
    }
    kama_node_free(node);
    return status;
}

/* Each allocation of the node fails in turn: a stream then ends, and never
 * hangs. */
static void test_streams_without_memory(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(stream_scenario, NULL) > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parked),
        cmocka_unit_test(test_mget_window),
        cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_leaving_races_with_answers),
        cmocka_unit_test(test_watch),
        cmocka_unit_test(test_reflection),
        cmocka_unit_test(test_streams_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
