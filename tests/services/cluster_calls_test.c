/* SPDX-License-Identifier: MIT */
/* ctest: timeout=120 */
/* The services of a node whose keys belong to another one: calls are parked
 * until the owner has answered, and their loop serves others meanwhile. The
 * other nodes are groups in this process (group/fake_owner.h). */
#include "group/fake_owner.h"
#include "group/fake_sync.h"

#include "base/status.h"
#include "group/registry.h"
#include "rpc/client.h"
#include "rpc/server.h"
#include "services/env.h"
#include "services/serve_env.h"
#include "wire/msg/msg.h"
#include "wire/msg/peer.h"

#include <sched.h>

#define PATIENCE_MS 20000
#define V1 "/kama.v1.KamaCacheService/"
#define V2 "/kama.v2.Cache/"
#define NAME KM_LIT("test")

/* -- a node that serves the group of the first fake node ------------------- */

struct world {
    struct fake_cluster *c;
    struct fake_node *a; /* this node */
    struct fake_node *b; /* the owner of all keys */
    struct km_mem_probe probe;
    struct km_loop *loop;
    struct km_registry registry;
    struct km_service_env env;
    struct km_server *server;
    struct km_client *client;
    struct km_buf reply;
    atomic_uint drained;
};

static struct km_client *client_open(struct world *w)
{
    struct km_client *client = NULL;
    struct km_channel_options channel = {.clock = km_clock_system(),
                                         .mem = km_mem_default(),
                                         .address =
                                             km_server_address(w->server)};
    assert_int_equal(km_client_new(&channel, &client), KAMA_OK);
    return client;
}

static void world_serve(struct world *w)
{
    assert_int_equal(km_loop_new(NULL, NULL, 0, &w->loop), KAMA_OK);
    assert_int_equal(km_loop_start(w->loop), KAMA_OK);
    assert_int_equal(km_registry_init(&w->registry, km_mem_default()), KAMA_OK);
    km_mem_probe_init(&w->probe);
    assert_int_equal(km_service_env_init(&w->env, &w->probe.allocator,
                                         km_clock_system(), &w->registry,
                                         "kama"),
                     KAMA_OK);
    km_registry_add(&w->registry, w->a->group);
    serve_env(&w->env, &w->loop, &w->server);
    w->client = client_open(w);
    km_buf_init(&w->reply, km_mem_default(), SIZE_MAX);
}

static void world_open(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->c = fake_open();
    w->a = &w->c->nodes[0];
    w->b = &w->c->nodes[1];
    world_serve(w);
}

static struct fake_log logs[FAKE_NODES];

/* Opens a world in which every mutation of this node waits, and c:1 is late. */
static void world_open_late(struct world *w)
{
    kama_group_options options;
    memset(w, 0, sizeof *w);
    w->c = fake_new();
    w->a = &w->c->nodes[0];
    w->b = &w->c->nodes[1];
    fake_options(w->c, &options);
    options.sync_ack = "all";
    fake_synced_open_with(w->c, logs, options);
    logs[0].verdict = "c:1";
    atomic_store(&logs[0].has_witnesses, true);
    world_serve(w);
}

static void on_drained(void *arg, unsigned cut)
{
    (void)cut;
    atomic_store(&((struct world *)arg)->drained, 1);
}

static void world_close(struct world *w)
{
    km_client_free(w->client);
    km_buf_fini(&w->reply);
    km_service_env_close(&w->env);
    km_server_drain(w->server, 1000, on_drained, w);
    AWAIT(atomic_load(&w->drained) != 0);
    km_service_env_settle(&w->env);
    km_loop_stop(w->loop);
    km_loop_join(w->loop);
    km_server_free(w->server);
    assert_int_equal(atomic_load(&w->probe.live_blocks), 0);
    atomic_store(&w->registry.count, 0); /* the fake cluster frees the group */
    km_registry_fini(&w->registry);
    km_service_env_fini(&w->env);
    km_loop_free(w->loop);
    fake_close(w->c);
}

/* -- calls ----------------------------------------------------------------- */

static kama_status ask_in(struct world *w, const char *path, kama_bytes message,
                          int64_t timeout_ms)
{
    km_buf_reset(&w->reply, SIZE_MAX);
    struct km_client_request request = {
        .path = path, .message = message, .timeout_ms = timeout_ms};
    return km_client_unary(w->client, &request, &w->reply);
}

/* Encodes the message and calls the method. */
static kama_status ask(struct world *w, const char *path,
                       const struct km_pb_message *table, const void *message)
{
    struct km_buf buf;
    km_buf_init(&buf, km_mem_default(), SIZE_MAX);
    assert_int_equal(km_pb_append(&buf, table, message), KAMA_OK);
    kama_status st = ask_in(w, path, km_buf_bytes(&buf), PATIENCE_MS);
    km_buf_fini(&buf);
    return st;
}

static void decode(struct world *w, const struct km_pb_message *table,
                   void *ret_message)
{
    assert_int_equal(km_pb_decode(table, km_buf_bytes(&w->reply), ret_message),
                     KAMA_OK);
}

static kama_status set(struct world *w, const char *key, const char *value)
{
    struct km_msg_set_request request = {
        .group = NAME, .key = KAMA_STR(key), .value = KAMA_STR(value)};
    return ask(w, V2 "Set", &km_msg_set_request_pb, &request);
}

/* Deletes a key; returns whether it was there. */
static bool delete_key(struct world *w, const char *key)
{
    struct km_msg_delete_request request = {.group = NAME,
                                            .key = KAMA_STR(key)};
    struct km_msg_delete_response response;
    assert_int_equal(ask(w, V2 "Delete", &km_msg_delete_request_pb, &request),
                     KAMA_OK);
    decode(w, &km_msg_delete_response_pb, &response);
    return response.removed;
}

/* Returns whether the key is there, and how long it lives. */
static bool ttl(struct world *w, const char *key, int64_t *ret_ttl_ms)
{
    struct km_msg_ttl_request request = {.group = NAME, .key = KAMA_STR(key)};
    struct km_msg_ttl_response response;
    assert_int_equal(ask(w, V2 "Ttl", &km_msg_ttl_request_pb, &request),
                     KAMA_OK);
    decode(w, &km_msg_ttl_response_pb, &response);
    *ret_ttl_ms = response.ttl_ms;
    return response.found;
}

static bool touch(struct world *w, const char *key, int64_t ttl_ms)
{
    struct km_msg_touch_request request = {
        .group = NAME, .key = KAMA_STR(key), .ttl_ms = ttl_ms};
    struct km_msg_ttl_response response;
    assert_int_equal(ask(w, V2 "Touch", &km_msg_touch_request_pb, &request),
                     KAMA_OK);
    decode(w, &km_msg_ttl_response_pb, &response);
    return response.found;
}

static void expect_sentence(const char *part)
{
    if (strstr(km_last_error(), part) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", part, km_last_error());
    }
}

/* A caller on a thread of its own. */
struct call {
    pthread_t thread;
    struct world *world;
    const char *path;
    struct km_buf message;
    int64_t timeout_ms;
    kama_status status;
};

static void *call_once(void *arg)
{
    struct call *call = arg;
    struct km_client *client = client_open(call->world);
    struct km_buf reply;
    km_buf_init(&reply, km_mem_default(), SIZE_MAX);
    struct km_client_request request = {.path = call->path,
                                        .message = km_buf_bytes(&call->message),
                                        .timeout_ms = call->timeout_ms};
    call->status = km_client_unary(client, &request, &reply);
    km_client_free(client);
    km_buf_fini(&reply);
    return NULL;
}

/* message: taken. */
static void call_start(struct call *call, struct world *w, const char *path,
                       struct km_buf message, int64_t timeout_ms)
{
    *call = (struct call){
        .world = w, .path = path, .message = message, .timeout_ms = timeout_ms};
    assert_int_equal(pthread_create(&call->thread, NULL, call_once, call), 0);
}

/* Sets "k" to "v". */
static void set_start(struct call *call, struct world *w, int64_t timeout_ms)
{
    struct km_buf buf;
    const struct km_msg_set_request message = {
        .group = NAME, .key = KM_LIT("k"), .value = KM_LIT("v")};
    km_buf_init(&buf, km_mem_default(), SIZE_MAX);
    assert_int_equal(km_pb_append(&buf, &km_msg_set_request_pb, &message),
                     KAMA_OK);
    call_start(call, w, V2 "Set", buf, timeout_ms);
}

static kama_status call_join(struct call *call)
{
    assert_int_equal(pthread_join(call->thread, NULL), 0);
    km_buf_fini(&call->message);
    return call->status;
}

static void ping(struct world *w)
{
    assert_int_equal(
        ask_in(w, V2 "Ping", kama_bytes_make(NULL, 0), PATIENCE_MS), KAMA_OK);
}

/* -- one key --------------------------------------------------------------- */

/* Set, Delete, Touch and Ttl of a key that another node owns have the answers of
 * that node. */
static void test_one_key_is_changed_at_its_owner(void **state)
{
    struct world w;
    int64_t ttl_ms;
    (void)state;
    world_open(&w);
    assert_int_equal(set(&w, "k", "v"), KAMA_OK);
    assert_int_equal(get_text(w.b->group, "k", NULL, "v"), KAMA_OK);
    assert_true(ttl(&w, "k", &ttl_ms));
    assert_int_equal(ttl_ms, KAMA_TTL_FOREVER);
    assert_true(touch(&w, "k", 50000));
    assert_true(ttl(&w, "k", &ttl_ms));
    assert_true(ttl_ms > 0 && ttl_ms <= 50000);
    assert_true(delete_key(&w, "k"));
    assert_false(delete_key(&w, "k"));
    assert_false(touch(&w, "k", 50000));
    assert_false(ttl(&w, "k", &ttl_ms));
    world_close(&w);
}

/* The same with the methods of kama.v1. */
static void test_v1_changes_a_key_at_its_owner(void **state)
{
    struct world w;
    struct km_msg_v1_request request = {
        .group = NAME, .key = KM_LIT("k"), .value = KM_LIT("v")};
    struct km_msg_v1_delete_response response;
    (void)state;
    world_open(&w);
    assert_int_equal(ask(&w, V1 "Set", &km_msg_v1_request_pb, &request),
                     KAMA_OK);
    assert_int_equal(get_text(w.b->group, "k", NULL, "v"), KAMA_OK);
    assert_int_equal(ask(&w, V1 "Delete", &km_msg_v1_request_pb, &request),
                     KAMA_OK);
    decode(&w, &km_msg_v1_delete_response_pb, &response);
    assert_true(response.value);
    assert_int_equal(ask(&w, V1 "Delete", &km_msg_v1_request_pb, &request),
                     KAMA_OK);
    decode(&w, &km_msg_v1_delete_response_pb, &response);
    assert_false(response.value);
    world_close(&w);
}

/* A client that leaves ends its call; the set that was sent goes on, and its
 * answer finds nobody. */
static void test_a_client_leaves_a_parked_set(void **state)
{
    struct world w;
    struct call call;
    (void)state;
    world_open(&w);
    gate_close(&w.b->wire);
    set_start(&call, &w, 50);
    gate_await(&w.b->wire, 1);
    assert_int_equal(call_join(&call), KAMA_ERR_TIMEOUT);
    gate_open(&w.b->wire);
    AWAIT(kama_exists(w.b->group, KM_LIT("k"), NULL) == KAMA_OK);
    world_close(&w);
}

/* A node that is not settled waits as long as the client does, but for at most
 * 2 s. */
static void test_the_deadline_of_a_client_bounds_the_wait(void **state)
{
    struct world w;
    struct call call;
    (void)state;
    world_open(&w);
    fake_own(w.a, KM_OWNER_HERE_UNSETTLED, NULL);
    set_start(&call, &w, 50);
    kama_status st = call_join(&call);
    assert_true(st == KAMA_ERR_TIMEOUT || st == KAMA_ERR_TRY_AGAIN);
    AWAIT(atomic_load(&w.c->calls) == 0);
    assert_in_range(atomic_load(&w.a->wait_ms), 0, 50);
    set_start(&call, &w, PATIENCE_MS);
    AWAIT(atomic_load(&w.c->calls) == 1);
    assert_in_range(atomic_load(&w.a->wait_ms), 1000, 2000);
    fake_own(w.a, KM_OWNER_HERE, NULL);
    assert_int_equal(call_join(&call), KAMA_OK);
    world_close(&w);
}

/* The node is asked by a peer, which gives its caller's time. */
static kama_status admit(void *arg, const struct km_msg_peer_sender *sender)
{
    (void)arg;
    (void)sender;
    return KAMA_OK;
}

static bool knows_view(void *arg, uint64_t view_id)
{
    (void)arg;
    (void)view_id;
    return true;
}

static uint64_t view_id(void *arg)
{
    (void)arg;
    return 1;
}

/* So does the deadline of a peer's request, which is that of its caller. */
static void test_the_deadline_of_a_peer_bounds_the_wait(void **state)
{
    static const struct km_service_peer_ops ops = {
        .admit = admit, .has_adopted = knows_view, .view_id = view_id};
    struct world w;
    struct km_buf message;
    const struct km_msg_peer_mutation mutation = {
        .kind = KM_MSG_PEER_SET, .key = KM_LIT("k"), .value = KM_LIT("v")};
    (void)state;
    world_open(&w);
    w.env.peers = (struct km_service_peers){&ops, NULL};
    fake_own(w.a, KM_OWNER_HERE_UNSETTLED, NULL);
    km_buf_init(&message, km_mem_default(), SIZE_MAX);
    assert_int_equal(km_pb_append_bytes(&message, 2, NAME), KAMA_OK);
    assert_int_equal(km_pb_append_element(&message, KM_MSG_PEER_MUTATIONS,
                                          &km_msg_peer_mutation_pb, &mutation),
                     KAMA_OK);
    kama_status st =
        ask_in(&w, "/kama.peer.v1.Peer/Mutate", km_buf_bytes(&message), 50);
    assert_true(st == KAMA_ERR_TIMEOUT || st == KAMA_OK);
    AWAIT(atomic_load(&w.c->calls) == 0);
    assert_in_range(atomic_load(&w.a->wait_ms), 0, 50);
    km_buf_fini(&message);
    world_close(&w);
}

/* Sets a key with a condition. ret_etag gets the etag of the answer. */
static kama_status set_if(struct world *w, const char *value, int32_t condition,
                          kama_bytes if_match, struct km_buf *ret_etag)
{
    struct km_msg_set_request request = {.group = NAME,
                                         .key = KM_LIT("k"),
                                         .value = KAMA_STR(value),
                                         .condition = condition,
                                         .if_match = if_match};
    struct km_msg_set_response response;
    kama_status st = ask(w, V2 "Set", &km_msg_set_request_pb, &request);
    if (st == KAMA_OK) {
        decode(w, &km_msg_set_response_pb, &response);
        km_buf_reset(ret_etag, SIZE_MAX);
        assert_int_equal(
            km_buf_append(ret_etag, response.etag.data, response.etag.len),
            KAMA_OK);
    }
    return st;
}

/* A condition is checked at the owner, whose answer comes back through the parked
 * call with the etag that holds there. */
static void test_conditions_are_checked_at_the_owner(void **state)
{
    struct world w;
    struct km_buf etag;
    (void)state;
    world_open(&w);
    km_buf_init(&etag, km_mem_default(), SIZE_MAX);
    const kama_bytes none = KM_LIT("");
    assert_int_equal(set_if(&w, "v", KM_MSG_CONDITION_PRESENT, none, &etag),
                     KAMA_MISS);
    assert_int_equal(set_if(&w, "v", KM_MSG_CONDITION_ABSENT, none, &etag),
                     KAMA_OK);
    assert_int_equal(etag.len, 8);
    assert_int_equal(set_if(&w, "w", KM_MSG_CONDITION_ABSENT, none, &etag),
                     KAMA_ERR_EXISTS);
    expect_sentence("the key has a value");
    assert_int_equal(
        set_if(&w, "w", KM_MSG_CONDITION_MATCH, km_buf_bytes(&etag), &etag),
        KAMA_OK);
    assert_int_equal(
        set_if(&w, "x", KM_MSG_CONDITION_MATCH, KM_LIT("8 bytes!"), &etag),
        KAMA_ERR_TRY_AGAIN);
    expect_sentence("the value has another etag");
    assert_int_equal(get_text(w.b->group, "k", NULL, "w"), KAMA_OK);
    assert_int_equal(atomic_load(&w.a->mutations), 5);
    km_buf_fini(&etag);
    world_close(&w);
}

/* An owner that cannot be reached is an error with its sentence. */
static void test_an_unreachable_owner_is_named(void **state)
{
    struct world w;
    struct km_msg_ttl_request request = {.group = NAME, .key = KM_LIT("k")};
    (void)state;
    world_open(&w);
    atomic_store(&w.b->outcome, KM_OWNER_UNREACHABLE);
    assert_int_equal(set(&w, "k", "v"), KAMA_ERR_PEER);
    expect_sentence("node b: cannot connect");
    assert_int_equal(ask(&w, V2 "Ttl", &km_msg_ttl_request_pb, &request),
                     KAMA_ERR_PEER);
    expect_sentence("node b: cannot connect");
    world_close(&w);
}

/* A key of this node is changed without an allocation for the call. */
static void test_a_change_of_an_own_key_allocates_nothing(void **state)
{
    struct world w;
    int64_t ttl_ms;
    (void)state;
    world_open(&w);
    fake_own(w.a, KM_OWNER_HERE, NULL);
    long long before = atomic_load(&w.probe.allocs);
    assert_int_equal(set(&w, "k", "v"), KAMA_OK);
    assert_true(touch(&w, "k", 50000));
    assert_true(ttl(&w, "k", &ttl_ms));
    assert_true(delete_key(&w, "k"));
    assert_int_equal(atomic_load(&w.probe.allocs), before);
    world_close(&w);
}

/* -- many keys ------------------------------------------------------------- */

#define MANY_MAX 700

static void key_of(unsigned i, char out[16])
{
    (void)snprintf(out, 16, "key-%u", i);
}

/* Encodes a message whose second field is a list of n keys. */
static void make_keys(struct km_buf *out, unsigned n)
{
    char key[16];
    km_buf_init(out, km_mem_default(), SIZE_MAX);
    assert_int_equal(km_pb_append_bytes(out, 1, NAME), KAMA_OK);
    for (unsigned i = 0; i < n; i++) {
        key_of(i, key);
        assert_int_equal(km_pb_append_bytes(out, KM_MSG_KEYS, KAMA_STR(key)),
                         KAMA_OK);
    }
}

/* Adds an entry to the message of an MSet. */
static void add_entry(struct km_buf *out, const char *key, const char *value)
{
    const struct km_msg_mset_entry entry = {.key = KAMA_STR(key),
                                            .value = KAMA_STR(value)};
    assert_int_equal(km_pb_append_element(out, KM_MSG_MSET_ENTRIES,
                                          &km_msg_mset_entry_pb, &entry),
                     KAMA_OK);
}

/* Encodes an MSet of n keys, each with the value "v". */
static void make_mset(struct km_buf *out, unsigned n)
{
    char key[16];
    km_buf_init(out, km_mem_default(), SIZE_MAX);
    assert_int_equal(km_pb_append_bytes(out, 1, NAME), KAMA_OK);
    for (unsigned i = 0; i < n; i++) {
        key_of(i, key);
        add_entry(out, key, "v");
    }
}

/* Sends the message, ends it, and returns the status of the call. */
static kama_status ask_many(struct world *w, const char *path,
                            struct km_buf *message)
{
    kama_status st = ask_in(w, path, km_buf_bytes(message), PATIENCE_MS);
    km_buf_fini(message);
    return st;
}

/* Checks that the answer has n numbers, of which each is `number`. */
static void expect_numbers(struct world *w, unsigned n, int64_t number)
{
    struct km_msg_numbers_response response;
    uint64_t each;
    unsigned count = 0;
    decode(w, &km_msg_numbers_response_pb, &response);
    while (km_pb_next_varint(&response.numbers, &each)) {
        assert_int_equal((int64_t)each, number);
        count++;
    }
    assert_int_equal(count, n);
}

/* MSet, Exists and MDelete of keys that another node owns. The changes of a call
 * are one list for the owner. */
static void test_many_keys_are_changed_at_their_owner(void **state)
{
    struct world w;
    struct km_buf message;
    (void)state;
    world_open(&w);
    make_mset(&message, 3);
    assert_int_equal(ask_many(&w, V2 "MSet", &message), KAMA_OK);
    expect_numbers(&w, 3, KAMA_OK);
    assert_int_equal(atomic_load(&w.a->mutation_lists), 1);
    assert_int_equal(atomic_load(&w.a->mutations), 3);
    assert_int_equal(get_text(w.b->group, "key-2", NULL, "v"), KAMA_OK);
    make_keys(&message, 3);
    assert_int_equal(ask_many(&w, V2 "Exists", &message), KAMA_OK);
    expect_numbers(&w, 3, 1);
    make_keys(&message, 3);
    assert_int_equal(ask_many(&w, V2 "MDelete", &message), KAMA_OK);
    expect_numbers(&w, 3, KAMA_OK);
    assert_int_equal(atomic_load(&w.a->mutation_lists), 2);
    make_keys(&message, 3);
    assert_int_equal(ask_many(&w, V2 "MDelete", &message), KAMA_OK);
    expect_numbers(&w, 3, KAMA_MISS);
    make_keys(&message, 3);
    assert_int_equal(ask_many(&w, V2 "Exists", &message), KAMA_OK);
    expect_numbers(&w, 3, 0);
    world_close(&w);
}

/* A call with more elements than a turn has begins the next turn when the last
 * one was answered, so that the last value of a key wins. */
static void test_turns_of_a_long_call_keep_their_order(void **state)
{
    struct world w;
    struct km_buf message;
    (void)state;
    world_open(&w);
    make_mset(&message, MANY_MAX);
    add_entry(&message, "key-0", "last");
    assert_int_equal(ask_many(&w, V2 "MSet", &message), KAMA_OK);
    expect_numbers(&w, MANY_MAX + 1, KAMA_OK);
    assert_int_equal(atomic_load(&w.a->mutation_lists),
                     (MANY_MAX + 1 + KM_MANY_PARALLEL - 1) / KM_MANY_PARALLEL);
    assert_int_equal(get_text(w.b->group, "key-0", NULL, "last"), KAMA_OK);
    world_close(&w);
}

/* An element that cannot be carried out has its status, and the call succeeds.
 * An Exists fails, because it could not say so. */
static void test_many_keys_of_an_unreachable_owner(void **state)
{
    struct world w;
    struct km_buf message;
    (void)state;
    world_open(&w);
    atomic_store(&w.b->outcome, KM_OWNER_UNREACHABLE);
    make_mset(&message, 3);
    assert_int_equal(ask_many(&w, V2 "MSet", &message), KAMA_OK);
    expect_numbers(&w, 3, KAMA_ERR_PEER);
    make_keys(&message, 3);
    assert_int_equal(ask_many(&w, V2 "Exists", &message), KAMA_ERR_PEER);
    expect_sentence("node b: cannot connect");
    world_close(&w);
}

/* A call that is refused has changed nothing, also at other nodes. */
static void test_all_elements_are_checked_before_the_first_travels(void **state)
{
    struct world w;
    struct km_buf message;
    (void)state;
    world_open(&w);
    make_mset(&message, MANY_MAX);
    add_entry(&message, "", "v");
    assert_int_equal(ask_many(&w, V2 "MSet", &message), KAMA_ERR_INVALID);
    expect_sentence("entries[700]");
    assert_int_equal(atomic_load(&w.a->mutations), 0);
    world_close(&w);
}

/* A client that leaves while elements are under way: those of the next turns stay
 * undone. */
static void test_a_client_leaves_many_keys(void **state)
{
    struct world w;
    struct km_buf message;
    (void)state;
    world_open(&w);
    gate_close(&w.b->wire);
    make_mset(&message, MANY_MAX);
    assert_int_equal(ask_in(&w, V2 "MSet", km_buf_bytes(&message), 50),
                     KAMA_ERR_TIMEOUT);
    km_buf_fini(&message);
    ping(&w);
    gate_open(&w.b->wire);
    AWAIT(atomic_load(&w.c->calls) == 0);
    ping(&w);
    assert_int_equal(atomic_load(&w.a->mutations), KM_MANY_PARALLEL);
    world_close(&w);
}

/* Without memory a call is refused before it has begun, or it succeeds. */
static void test_many_keys_without_memory(void **state)
{
    struct world w;
    struct km_buf message;
    kama_status st = KAMA_ERR_NO_MEMORY;
    (void)state;
    world_open(&w);
    for (unsigned n = 1; st != KAMA_OK; n++) {
        assert_int_equal(atomic_load(&w.a->mutations), 0);
        atomic_store(&w.probe.fail_at, atomic_load(&w.probe.allocs) + n);
        make_mset(&message, MANY_MAX);
        st = ask_many(&w, V2 "MSet", &message);
        assert_true(st == KAMA_OK || st == KAMA_ERR_NO_MEMORY);
        assert_true(n < 10);
    }
    expect_numbers(&w, MANY_MAX, KAMA_OK);
    world_close(&w);
}

/* -- the loop -------------------------------------------------------------- */

/* While the owner does not answer, calls of every method are parked at the same
 * time, and the only loop of the node answers others. */
static void test_no_method_blocks_the_loop(void **state)
{
    static const char *const paths[] = {
        V1 "Get",   V1 "Set", V1 "Delete", V2 "Get",     V2 "Set",  V2 "Delete",
        V2 "Touch", V2 "Ttl", V2 "Exists", V2 "MDelete", V2 "MGet", V2 "MSet"};
    enum { PATHS = sizeof paths / sizeof paths[0] };
    struct world w;
    struct call calls[PATHS];
    struct km_buf message;
    (void)state;
    world_open(&w);
    gate_close(&w.b->wire);
    for (unsigned i = 0; i < PATHS; i++) {
        km_buf_init(&message, km_mem_default(), SIZE_MAX);
        assert_int_equal(km_pb_append_bytes(&message, 1, NAME), KAMA_OK);
        if (strcmp(paths[i], V2 "MSet") == 0) {
            add_entry(&message, "k", "v");
        } else {
            char key[16];
            key_of(i, key);
            assert_int_equal(km_pb_append_bytes(&message, 2, KAMA_STR(key)),
                             KAMA_OK);
        }
        call_start(&calls[i], &w, paths[i], message, PATIENCE_MS);
    }
    gate_await(&w.b->wire, PATHS);
    ping(&w);
    gate_open(&w.b->wire);
    for (unsigned i = 0; i < PATHS; i++) {
        assert_int_equal(call_join(&calls[i]), KAMA_OK);
    }
    world_close(&w);
}

/* -- MGet and the traceparent ------------------------------------------------ */

/* Checks that the answer has n values. */
static void expect_values(struct world *w, unsigned n)
{
    struct km_msg_mget_response response;
    struct km_msg_mget_item item;
    kama_bytes bytes;
    char expected[32];
    unsigned i = 0;
    decode(w, &km_msg_mget_response_pb, &response);
    for (; km_pb_next(&response.items, &bytes); i++) {
        assert_int_equal(km_pb_decode(&km_msg_mget_item_pb, bytes, &item),
                         KAMA_OK);
        assert_int_equal(item.status, KAMA_OK);
        (void)snprintf(expected, sizeof expected, "value of key-%u", i);
        assert_true(km_bytes_eq(item.value, KAMA_STR(expected)));
    }
    assert_int_equal(i, n);
}

/* The keys of an MGet that other nodes own are asked for in one request. */
static void test_mget_asks_each_owner_once(void **state)
{
    struct world w;
    struct km_buf message;
    (void)state;
    world_open(&w);
    make_keys(&message, 1000);
    assert_int_equal(ask_many(&w, V2 "MGet", &message), KAMA_OK);
    expect_values(&w, 1000);
    assert_int_equal(atomic_load(&w.a->fills), 1000);
    assert_int_equal(atomic_load(&w.a->fill_lists), 1);
    world_close(&w);
}

/* A client that leaves an MGet whose keys are at another node. */
static void test_a_client_leaves_an_mget(void **state)
{
    struct world w;
    struct km_buf message;
    (void)state;
    world_open(&w);
    gate_close(&w.b->wire);
    make_keys(&message, 40);
    kama_status st = ask_in(&w, V2 "MGet", km_buf_bytes(&message), 50);
    assert_true(st == KAMA_ERR_TIMEOUT || st == KAMA_OK); /* the gets' time */
    km_buf_fini(&message);
    gate_open(&w.b->wire);
    ping(&w);
    world_close(&w);
}

#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

/* A get of a key with a traceparent. Returns the one that the loader was given. */
static const char *trace_of(struct world *w, const char *path,
                            kama_bytes message, const char *traceparent)
{
    const char *const metadata[1][2] = {{"traceparent", traceparent}};
    struct km_client_request request = {.path = path,
                                        .message = message,
                                        .timeout_ms = PATIENCE_MS,
                                        .metadata = metadata,
                                        .metadata_count = 1};
    w->b->script.traceparent[0] = '\0';
    km_buf_reset(&w->reply, SIZE_MAX);
    assert_int_equal(km_client_unary(w->client, &request, &w->reply), KAMA_OK);
    return w->b->script.traceparent;
}

/* The traceparent of a client reaches the loader of the owner, through another
 * node. One that is too long is left out. */
static void test_a_traceparent_reaches_the_loader_of_the_owner(void **state)
{
    struct world w;
    struct km_buf message;
    struct km_buf many;
    char key[16];
    (void)state;
    world_open(&w);
    for (unsigned i = 0; i < 3; i++) {
        key_of(1000 + i, key);
        km_buf_init(&message, km_mem_default(), SIZE_MAX);
        assert_int_equal(km_pb_append_bytes(&message, 1, NAME), KAMA_OK);
        assert_int_equal(km_pb_append_bytes(&message, 2, KAMA_STR(key)),
                         KAMA_OK);
        const char *path = i < 2 ? V2 "Get" : V1 "Get";
        assert_string_equal(trace_of(&w, path, km_buf_bytes(&message),
                                     i == 1 ? TRACE "-and-more" : TRACE),
                            i == 1 ? "" : TRACE);
        km_buf_fini(&message);
    }
    make_keys(&many, 3);
    assert_string_equal(trace_of(&w, V2 "MGet", km_buf_bytes(&many), TRACE),
                        TRACE);
    km_buf_fini(&many);
    world_close(&w);
}

/* -- Clear ----------------------------------------------------------------- */

/* Clear empties the group on all nodes, and lists those that it did not reach. */
static void test_clear_lists_the_members_that_it_did_not_reach(void **state)
{
    struct world w;
    struct km_msg_clear_request request = {.group = NAME};
    struct km_msg_clear_response response;
    kama_bytes address;
    (void)state;
    world_open(&w);
    assert_int_equal(set(&w, "k", "v"), KAMA_OK);
    assert_int_equal(ask(&w, V2 "Clear", &km_msg_clear_request_pb, &request),
                     KAMA_OK);
    assert_int_equal(w.reply.len, 0);
    assert_int_equal(kama_exists(w.b->group, KM_LIT("k"), NULL), KAMA_MISS);
    assert_int_equal(set(&w, "k", "v"), KAMA_OK);
    atomic_store(&w.b->outcome, KM_OWNER_UNREACHABLE);
    assert_int_equal(ask(&w, V2 "Clear", &km_msg_clear_request_pb, &request),
                     KAMA_UNSYNCED);
    decode(&w, &km_msg_clear_response_pb, &response);
    assert_int_equal(response.unsynced.count, 1);
    assert_true(km_pb_next(&response.unsynced, &address));
    assert_true(km_bytes_eq(address, KM_LIT("b:1")));
    assert_int_equal(kama_exists(w.b->group, KM_LIT("k"), NULL), KAMA_OK);
    world_close(&w);
}

/* -- members that are late ------------------------------------------------------ */

static void expect_late(struct km_pb_list unsynced)
{
    kama_bytes address;
    assert_int_equal(unsynced.count, 1);
    assert_true(km_pb_next(&unsynced, &address));
    assert_true(km_bytes_eq(address, KM_LIT("c:1")));
}

/* The answers of one key name the members that are late, and the calls succeed. */
static void test_changes_of_one_key_name_who_is_late(void **state)
{
    struct world w;
    const struct km_msg_set_request set_request = {
        .group = NAME, .key = KM_LIT("k"), .want_etag = true};
    const struct km_msg_touch_request touch_request = {
        .group = NAME, .key = KM_LIT("k"), .ttl_ms = 5000};
    const struct km_msg_delete_request delete_request = {.group = NAME,
                                                         .key = KM_LIT("k")};
    struct km_msg_set_response set_response;
    struct km_msg_touch_response touch_response;
    struct km_msg_delete_response delete_response;
    (void)state;
    world_open_late(&w);
    assert_int_equal(ask(&w, V2 "Set", &km_msg_set_request_pb, &set_request),
                     KAMA_UNSYNCED);
    decode(&w, &km_msg_set_response_pb, &set_response);
    assert_int_equal(set_response.etag.len, 8);
    expect_late(set_response.unsynced);
    assert_int_equal(
        ask(&w, V2 "Touch", &km_msg_touch_request_pb, &touch_request),
        KAMA_UNSYNCED);
    decode(&w, &km_msg_touch_response_pb, &touch_response);
    assert_true(touch_response.found);
    expect_late(touch_response.unsynced);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(
            ask(&w, V2 "Delete", &km_msg_delete_request_pb, &delete_request),
            KAMA_UNSYNCED);
        decode(&w, &km_msg_delete_response_pb, &delete_response);
        assert_int_equal(delete_response.removed, i == 0);
        expect_late(delete_response.unsynced);
    }
    assert_int_equal(
        ask(&w, V2 "Touch", &km_msg_touch_request_pb, &touch_request), KAMA_OK);
    assert_int_equal(
        ask(&w, V1 "Set", &km_msg_v1_request_pb,
            &(struct km_msg_v1_request){.group = NAME, .key = KM_LIT("k")}),
        KAMA_OK);
    world_close(&w);
}

static void test_a_clear_names_who_is_late(void **state)
{
    struct world w;
    const struct km_msg_clear_request request = {.group = NAME};
    struct km_msg_clear_response response;
    (void)state;
    world_open_late(&w);
    assert_int_equal(ask(&w, V2 "Clear", &km_msg_clear_request_pb, &request),
                     KAMA_UNSYNCED);
    decode(&w, &km_msg_clear_response_pb, &response);
    expect_late(response.unsynced);
    world_close(&w);
}

static kama_status mset(struct world *w, unsigned count)
{
    struct km_buf buf;
    km_buf_init(&buf, km_mem_default(), SIZE_MAX);
    assert_int_equal(km_pb_append_bytes(&buf, 1, NAME), KAMA_OK);
    for (unsigned i = 0; i < count; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "k%u", i);
        struct km_msg_mset_entry entry = {.key = KAMA_STR(key),
                                          .value = KM_LIT("v")};
        assert_int_equal(km_pb_append_element(&buf, KM_MSG_MSET_ENTRIES,
                                              &km_msg_mset_entry_pb, &entry),
                         KAMA_OK);
    }
    kama_status st = ask_in(w, V2 "MSet", km_buf_bytes(&buf), PATIENCE_MS);
    km_buf_fini(&buf);
    return st;
}

/* The answers of many keys have a status for each, and one list. There are enough for two
 * turns. */
static void test_changes_of_many_keys_name_who_is_late(void **state)
{
    enum { KEYS = KM_MGET_KEYS_PER_TURN + 10 };
    struct world w;
    struct km_msg_numbers_response response;
    uint64_t number;
    (void)state;
    world_open_late(&w);
    assert_int_equal(mset(&w, KEYS), KAMA_UNSYNCED);
    decode(&w, &km_msg_numbers_response_pb, &response);
    expect_late(response.unsynced);
    for (unsigned i = 0; i < KEYS; i++) {
        assert_true(km_pb_next_varint(&response.numbers, &number));
        assert_int_equal(number, KAMA_UNSYNCED);
    }
    assert_false(km_pb_next_varint(&response.numbers, &number));
    logs[0].verdict = "";
    assert_int_equal(mset(&w, 2), KAMA_OK);
    decode(&w, &km_msg_numbers_response_pb, &response);
    assert_int_equal(response.unsynced.count, 0);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_key_is_changed_at_its_owner),
        cmocka_unit_test(test_v1_changes_a_key_at_its_owner),
        cmocka_unit_test(test_no_method_blocks_the_loop),
        cmocka_unit_test(test_a_client_leaves_a_parked_set),
        cmocka_unit_test(test_the_deadline_of_a_client_bounds_the_wait),
        cmocka_unit_test(test_the_deadline_of_a_peer_bounds_the_wait),
        cmocka_unit_test(test_conditions_are_checked_at_the_owner),
        cmocka_unit_test(test_an_unreachable_owner_is_named),
        cmocka_unit_test(test_a_change_of_an_own_key_allocates_nothing),
        cmocka_unit_test(test_many_keys_are_changed_at_their_owner),
        cmocka_unit_test(test_turns_of_a_long_call_keep_their_order),
        cmocka_unit_test(test_many_keys_of_an_unreachable_owner),
        cmocka_unit_test(
            test_all_elements_are_checked_before_the_first_travels),
        cmocka_unit_test(test_a_client_leaves_many_keys),
        cmocka_unit_test(test_many_keys_without_memory),
        cmocka_unit_test(test_clear_lists_the_members_that_it_did_not_reach),
        cmocka_unit_test(test_mget_asks_each_owner_once),
        cmocka_unit_test(test_a_client_leaves_an_mget),
        cmocka_unit_test(test_a_traceparent_reaches_the_loader_of_the_owner),
        cmocka_unit_test(test_changes_of_one_key_name_who_is_late),
        cmocka_unit_test(test_a_clear_names_who_is_late),
        cmocka_unit_test(test_changes_of_many_keys_name_who_is_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
