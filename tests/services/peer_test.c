/* SPDX-License-Identifier: MIT */
/* ctest: timeout=120 */
/* kama.peer.v1 over a real connection: admission, the wait for a view, and
 * the answers of each method. The members are a script. */
#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/status.h"
#include "group/group.h"
#include "group/registry.h"
#include "rpc/client.h"
#include "rpc/server.h"
#include "services/env.h"
#include "services/peer.h"
#include "services/serve_env.h"
#include "store/item.h"
#include "wire/msg/peer.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define PATIENCE_MS 20000
#define FENCE_WAIT_MS 30
#define LONG_FENCE_WAIT_MS 10000 /* of a test that does not wait in vain */
#define PEER "/kama.peer.v1.Peer/"
#define BIG_BYTES (64 << 10) /* values of keys that begin with B */

/* -- a node whose peers are a script --------------------------------------- */

struct world {
    struct km_loop *loop;
    struct km_pool *pool;
    struct km_registry registry;
    struct km_service_env env;
    struct km_server *server;
    struct km_client *client;
    kama_group *group;
    struct km_buf reply;
    struct km_mem_probe probe;
    atomic_uint loads;
    atomic_uint drained;
    /* The script. */
    atomic_int refusal;
    atomic_uint place;
    atomic_uint asked_view; /* so often was asked whether a view is known */
    atomic_uint known_after;
    atomic_uint asked_need; /* likewise: a need, whose clock is 5 */
    atomic_uint has_after;
    atomic_uint versions; /* the clock of the last one */
    struct km_list waits; /* for acknowledgements; on the loop */
    unsigned waiting;
    unsigned end_after; /* so many wait: then all end */
    struct km_job end_waits;
};

static kama_status hello(void *arg,
                         const struct km_msg_peer_hello_request *request,
                         struct km_buf *out)
{
    struct km_msg_peer_hello_response response = {.address = request->address,
                                                  .welcome = 2};
    (void)arg;
    return km_pb_append(out, &km_msg_peer_hello_response_pb, &response);
}

static kama_status admit(void *arg, const struct km_msg_peer_sender *sender)
{
    struct world *world = arg;
    (void)sender;
    kama_status st = (kama_status)atomic_load(&world->refusal);
    return st == KAMA_OK ? st : km_fail(st, "a stranger");
}

static bool has_adopted(void *arg, uint64_t view_id)
{
    struct world *world = arg;
    (void)view_id;
    return atomic_fetch_add(&world->asked_view, 1) >=
           atomic_load(&world->known_after);
}

static uint64_t view_id(void *arg)
{
    (void)arg;
    return 77;
}

static enum km_service_place place(void *arg, const char *group, kama_bytes key)
{
    struct world *world = arg;
    KM_ASSERT(strcmp(group, "g") == 0);
    /* Keys that begin with x belong to another node. */
    if (key.len > 0 && *(const char *)key.data == 'x') {
        return KM_SERVICE_NOT_OWNER;
    }
    return (enum km_service_place)atomic_load(&world->place);
}

static bool has(void *arg, kama_bytes member_id, uint64_t clock)
{
    struct world *world = arg;
    KM_ASSERT(km_bytes_eq(member_id, KM_LIT("0123456789abcdef")));
    KM_ASSERT(clock == 5);
    return atomic_fetch_add(&world->asked_need, 1) >=
           atomic_load(&world->has_after);
}

static const struct km_service_peer_ops ops = {hello,   admit, has_adopted,
                                               view_id, place, has};

/* -- a synchronized group that is alone ------------------------------------ */

static void ask_here(void *owner, uint32_t slot,
                     struct km_owner_answer *ret_answer)
{
    (void)owner;
    (void)slot;
    *ret_answer = (struct km_owner_answer){.place = KM_OWNER_HERE};
}

static enum km_sync_role enter(void *sync, struct km_snapshot_reader *reader)
{
    (void)sync;
    (void)reader;
    return KM_SYNC_ORIGINATES;
}

static void leave(void *sync, struct km_snapshot_reader *reader)
{
    (void)sync;
    (void)reader;
}

static struct km_version originate(void *sync, uint32_t number,
                                   const struct km_asking *asking,
                                   uint64_t *ret_seq)
{
    struct world *world = sync;
    (void)number;
    (void)asking;
    *ret_seq = 1 + atomic_fetch_add(&world->versions, 1);
    return (struct km_version){.hlc = *ret_seq, .origin = 9};
}

static bool has_witnesses(void *sync)
{
    return ((struct world *)sync)->end_after > 0;
}

/* The second mutation is late for h:1, the others for nobody. */
static void end_waits(struct km_job *job)
{
    static const char *const late = "h:1";
    struct world *world = KM_CONTAINER_OF(job, struct world, end_waits);
    struct km_list *link;
    while ((link = km_list_pop_front(&world->waits)) != NULL) {
        struct km_sync_wait *wait =
            KM_CONTAINER_OF(link, struct km_sync_wait, node);
        wait->done(wait, wait->seq != 2
                             ? NULL
                             : km_unsynced_new(km_mem_default(), &late, 1));
    }
}

static void await(void *sync, struct km_sync_wait *wait)
{
    struct world *world = sync;
    km_list_push_back(&world->waits, &wait->node);
    if (++world->waiting == world->end_after) {
        world->end_waits.run = end_waits;
        KM_ASSERT(km_pool_submit(world->pool, &world->end_waits) == KAMA_OK);
    }
}

static uint32_t add(void *sync, const char *name, struct km_store *store)
{
    (void)sync;
    (void)name;
    (void)store;
    return 0;
}

static const struct km_owner_ops owner_ops = {.ask = ask_here};
static const struct km_group_sync_ops sync_ops = {.enter = enter,
                                                  .leave = leave,
                                                  .originate = originate,
                                                  .has_witnesses =
                                                      has_witnesses,
                                                  .await = await};

static kama_status load(void *arg, const kama_load *req, kama_sink *out)
{
    static const char big[BIG_BYTES];
    atomic_fetch_add(&((struct world *)arg)->loads, 1);
    if (((const char *)req->key.data)[0] == 'B') {
        return kama_sink_set(out, kama_bytes_make(big, sizeof big), NULL);
    }
    if (km_bytes_eq(req->key, KM_LIT("bad"))) {
        kama_sink_error(out, "no such thing");
        return KAMA_ERR_LOADER;
    }
    if (km_bytes_eq(req->key, KM_LIT("overtaken")) &&
        kama_del(((struct world *)arg)->group, req->key, NULL) != KAMA_MISS) {
        return KAMA_ERR_LOADER;
    }
    if (km_bytes_eq(req->key, KM_LIT("secret"))) {
        kama_sink_options options;
        kama_sink_options_init(&options);
        options.flags = KAMA_NO_STORE;
        return kama_sink_set(out, req->key, &options);
    }
    return km_bytes_eq(req->key, KM_LIT("none"))
               ? KAMA_MISS
               : kama_sink_set(out, req->key, NULL);
}

/* What the node of a test is. */
enum company { ALONE, CLUSTERED, SYNCED, WITNESSED };

static void world_open_with(struct world *w, enum company company,
                            int64_t fence_wait_ms)
{
    memset(w, 0, sizeof *w);
    assert_int_equal(km_loop_new(NULL, NULL, 0, &w->loop), KAMA_OK);
    assert_int_equal(km_loop_start(w->loop), KAMA_OK);
    assert_int_equal(km_pool_new(NULL, km_clock_system(), "test", 4, &w->pool),
                     KAMA_OK);
    assert_int_equal(km_registry_init(&w->registry, km_mem_default()), KAMA_OK);
    km_mem_probe_init(&w->probe);
    assert_int_equal(km_service_env_init(&w->env, &w->probe.allocator,
                                         km_clock_system(), &w->registry,
                                         "kama"),
                     KAMA_OK);
    if (company != ALONE) {
        w->env.peers = (struct km_service_peers){&ops, w};
    }
    kama_group_options options;
    kama_group_options_init(&options);
    options.name = "g";
    options.loader = load;
    options.loader_arg = w;
    options.sync = "broadcast";
    options.negative_ttl_ms = 60000;
    options.fence_wait_ms = fence_wait_ms;
    struct km_group_env env = {.pool = w->pool};
    km_list_init(&w->waits);
    options.sync_ack = company == WITNESSED ? "all" : "async";
    if (company == SYNCED || company == WITNESSED) {
        env.owner.ops = &owner_ops;
        env.sync =
            (struct km_group_sync){.ops = &sync_ops, .arg = w, .add = add};
    }
    assert_int_equal(km_group_new(&options, &env, &w->group), KAMA_OK);
    km_registry_add(&w->registry, w->group);
    serve_env(&w->env, &w->loop, &w->server);
    struct km_channel_options channel = {.clock = km_clock_system(),
                                         .mem = km_mem_default(),
                                         .address =
                                             km_server_address(w->server)};
    assert_int_equal(km_client_new(&channel, &w->client), KAMA_OK);
    km_buf_init(&w->reply, km_mem_default(), SIZE_MAX);
}

static void world_open(struct world *w, enum company company)
{
    world_open_with(w, company, FENCE_WAIT_MS);
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
    while (atomic_load(&w->drained) == 0) {
        (void)sched_yield();
    }
    km_service_env_settle(&w->env);
    km_loop_stop(w->loop);
    km_loop_join(w->loop);
    km_server_free(w->server);
    assert_int_equal(atomic_load(&w->probe.live_blocks), 0);
    km_registry_fini(&w->registry);
    km_service_env_fini(&w->env);
    km_pool_free(w->pool);
    km_loop_free(w->loop);
}

static kama_status ask(struct world *w, const char *path,
                       const struct km_pb_message *table, const void *message)
{
    struct km_buf buf;
    km_buf_init(&buf, km_mem_default(), SIZE_MAX);
    assert_int_equal(km_pb_append(&buf, table, message), KAMA_OK);
    km_buf_reset(&w->reply, SIZE_MAX);
    struct km_client_request request = {
        .path = path, .message = km_buf_bytes(&buf), .timeout_ms = PATIENCE_MS};
    kama_status st = km_client_unary(w->client, &request, &w->reply);
    km_buf_fini(&buf);
    return st;
}

static struct km_msg_peer_fill_response fill(struct world *w, const char *key)
{
    struct km_msg_peer_fill_request request = {.group = KM_LIT("g"),
                                               .key = KAMA_STR(key)};
    struct km_msg_peer_fill_response response;
    assert_int_equal(
        ask(w, PEER "Fill", &km_msg_peer_fill_request_pb, &request), KAMA_OK);
    assert_int_equal(km_pb_decode(&km_msg_peer_fill_response_pb,
                                  km_buf_bytes(&w->reply), &response),
                     KAMA_OK);
    return response;
}

/* -- tests ----------------------------------------------------------------- */

/* A node that is in no cluster says so. */
static void test_no_cluster(void **state)
{
    struct world w;
    struct km_msg_peer_fill_request request = {.key = KM_LIT("k")};
    (void)state;
    world_open(&w, ALONE);
    assert_int_equal(
        ask(&w, PEER "Fill", &km_msg_peer_fill_request_pb, &request),
        KAMA_ERR_UNSUPPORTED);
    world_close(&w);
}

/* Hello needs no admission; everything else does. */
static void test_admission(void **state)
{
    struct world w;
    struct km_msg_peer_fill_request request = {.key = KM_LIT("k")};
    struct km_msg_peer_hello_request hello_request = {.address = KM_LIT("h:1")};
    static const char *const paths[] = {PEER "Fill", PEER "FillMany",
                                        PEER "Peek", PEER "Mutate"};
    (void)state;
    world_open(&w, CLUSTERED);
    atomic_store(&w.refusal, KAMA_ERR_NOT_MEMBER);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(
            ask(&w, paths[i], &km_msg_peer_fill_request_pb, &request),
            KAMA_ERR_NOT_MEMBER);
    }
    assert_int_equal(
        ask(&w, PEER "Hello", &km_msg_peer_hello_request_pb, &hello_request),
        KAMA_OK);
    world_close(&w);
}

/* Asserts that the group names the value of the key with the key of etags. */
static void expect_etag_key(struct world *w, const char *key, uint64_t etag_key)
{
    kama_value *value;
    assert_int_equal(kama_get(w->group, KAMA_STR(key), NULL, &value), KAMA_OK);
    assert_true(kama_value_etag(value) == km_item_etag(value, etag_key));
    kama_value_unref(value);
}

/* A Fill returns the value, and its answers have the statuses of the get. */
static void test_fill(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, CLUSTERED);
    struct km_msg_peer_fill_response r = fill(&w, "key");
    assert_int_equal(r.outcome, KM_MSG_PEER_ANSWERED);
    assert_int_equal(r.status, KAMA_OK);
    assert_true(km_bytes_eq(r.value, KM_LIT("key")));
    assert_int_equal(r.ttl_ms, KAMA_TTL_FOREVER);
    assert_int_equal(r.view_id, 77);
    assert_false(r.from_memory);
    assert_true(r.current_us > 0);
    expect_etag_key(&w, "key", r.etag_key);
    r = fill(&w, "key");
    assert_true(r.from_memory);
    expect_etag_key(&w, "key", r.etag_key);
    assert_int_equal(r.current_us, 0);
    r = fill(&w, "none");
    assert_int_equal(r.status, KAMA_MISS);
    assert_true(r.current_us > 0);
    r = fill(&w, "bad");
    assert_int_equal(r.status, KAMA_ERR_LOADER);
    assert_true(km_bytes_eq(r.message, KM_LIT("no such thing")));
    r = fill(&w, "xkey");
    assert_int_equal(r.outcome, KM_MSG_PEER_NOT_OWNER);
    atomic_store(&w.place, KM_SERVICE_BEHIND);
    r = fill(&w, "key");
    assert_int_equal(r.outcome, KM_MSG_PEER_BEHIND);
    world_close(&w);
}

static struct km_msg_peer_fill_response peek_fill(struct world *w,
                                                  const char *key)
{
    const struct km_msg_peer_fill_request request = {
        .group = KM_LIT("g"), .key = KAMA_STR(key), .peek = true};
    struct km_msg_peer_fill_response response;
    assert_int_equal(
        ask(w, PEER "Fill", &km_msg_peer_fill_request_pb, &request), KAMA_OK);
    assert_int_equal(km_pb_decode(&km_msg_peer_fill_response_pb,
                                  km_buf_bytes(&w->reply), &response),
                     KAMA_OK);
    return response;
}

/* R9: a fill that peeks is answered by a node that does not own the key any more, from
 * memory, and loads nothing. */
static void test_fill_that_peeks(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, SYNCED);
    struct km_msg_peer_fill_response r = peek_fill(&w, "xkey");
    assert_int_equal(r.outcome, KM_MSG_PEER_ANSWERED);
    assert_int_equal(r.status, KAMA_WOULD_LOAD);
    assert_int_equal(r.ttl_ms, 0);
    assert_int_equal(atomic_load(&w.loads), 0);
    assert_int_equal(kama_set(w.group, KM_LIT("xkey"), KM_LIT("set"), NULL),
                     KAMA_OK);
    r = peek_fill(&w, "xkey");
    assert_int_equal(r.status, KAMA_OK);
    assert_true(km_bytes_eq(r.value, KM_LIT("set")));
    assert_true(r.from_memory);
    assert_true(r.current);
    assert_int_equal(r.origin, 9);
    r = fill(&w, "none");
    r = peek_fill(&w, "none");
    assert_int_equal(r.status, KAMA_MISS);
    assert_in_range(r.ttl_ms, 1, 60000);
    world_close(&w);
    world_open(&w, CLUSTERED); /* other nodes may have changed the key */
    r = fill(&w, "key");
    r = peek_fill(&w, "key");
    assert_int_equal(r.outcome, KM_MSG_PEER_NOT_OWNER);
    world_close(&w);
}

/* The answer of a load that a mutation has overtaken was current for no time. */
static void test_overtaken_fill(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, CLUSTERED);
    struct km_msg_peer_fill_response r = fill(&w, "overtaken");
    assert_int_equal(r.status, KAMA_OK);
    assert_false(r.from_memory);
    assert_int_equal(r.current_us, 0);
    world_close(&w);
}

/* A view that is unknown is waited for; if it does not come, the answer is
 * BEHIND. */
static void test_wait_for_view(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, CLUSTERED);
    atomic_store(&w.known_after, 1); /* however late the second question is */
    struct km_msg_peer_fill_response r = fill(&w, "key");
    assert_int_equal(r.outcome, KM_MSG_PEER_ANSWERED);
    assert_int_equal(atomic_load(&w.asked_view), 2);
    assert_true(km_bytes_eq(r.value, KM_LIT("key")));
    atomic_store(&w.known_after, UINT32_MAX);
    r = fill(&w, "key");
    assert_int_equal(r.outcome, KM_MSG_PEER_BEHIND);
    world_close(&w);
}

/* -- R8: what the asking node may keep --------------------------------------- */

/* Fills a key with needs, of which one has a member's id, or only some bytes. */
static struct km_msg_peer_fill_response fill_with_need(struct world *w,
                                                       kama_bytes need)
{
    struct km_buf buf;
    struct km_msg_peer_fill_response response;
    km_buf_init(&buf, km_mem_default(), SIZE_MAX);
    assert_int_equal(km_pb_append_bytes(&buf, 2, KM_LIT("g")), KAMA_OK);
    assert_int_equal(km_pb_append_bytes(&buf, 3, KM_LIT("key")), KAMA_OK);
    assert_int_equal(km_pb_append_bytes(&buf, 5, need), KAMA_OK);
    km_buf_reset(&w->reply, SIZE_MAX);
    struct km_client_request request = {.path = PEER "Fill",
                                        .message = km_buf_bytes(&buf),
                                        .timeout_ms = PATIENCE_MS};
    assert_int_equal(km_client_unary(w->client, &request, &w->reply), KAMA_OK);
    assert_int_equal(km_pb_decode(&km_msg_peer_fill_response_pb,
                                  km_buf_bytes(&w->reply), &response),
                     KAMA_OK);
    km_buf_fini(&buf);
    return response;
}

#define NEED                                                                   \
    KM_LIT("\x0a\x10"                                                          \
           "0123456789abcdef\x11\5\0\0\0\0\0\0\0")

/* The same as one that the node has lacked a moment ago. */
#define NEED_AT_ONCE                                                           \
    KM_LIT("\x0a\x10"                                                          \
           "0123456789abcdef\x11\5\0\0\0\0\0\0\0\x18\1")

/* What a fill needs is waited for, before the key is looked at; if it does not come
 * within the fence_wait of the group, the answer is BEHIND. */
static void test_wait_for_needs(void **state)
{
    struct world w;
    (void)state;
    world_open_with(&w, SYNCED, LONG_FENCE_WAIT_MS);
    struct km_msg_peer_fill_response r = fill_with_need(&w, NEED);
    assert_int_equal(r.outcome, KM_MSG_PEER_ANSWERED);
    assert_int_equal(atomic_load(&w.asked_need), 1);
    atomic_store(&w.asked_need, 0);
    atomic_store(&w.has_after, 5);
    atomic_store(&w.known_after, atomic_load(&w.asked_view) + 1);
    r = fill_with_need(&w, NEED);
    assert_int_equal(r.outcome, KM_MSG_PEER_ANSWERED);
    assert_int_equal(atomic_load(&w.asked_need), 6);
    world_close(&w);
    world_open(&w, SYNCED);
    atomic_store(&w.has_after, UINT32_MAX);
    km_ns before = km_clock_mono(km_clock_system());
    unsigned loads = atomic_load(&w.loads);
    r = fill_with_need(&w, NEED);
    assert_int_equal(r.outcome, KM_MSG_PEER_BEHIND);
    assert_true(km_clock_mono(km_clock_system()) - before >=
                (FENCE_WAIT_MS - 1) * KM_NS_PER_MS);
    assert_int_equal(atomic_load(&w.loads), loads);
    r = fill_with_need(&w, KM_LIT("\x0a\x7f"));
    assert_int_equal(r.outcome, KM_MSG_PEER_BEHIND);
    world_close(&w);
}

static uint64_t fence_waits(const struct world *w)
{
    kama_group_stats stats;
    kama_group_stats_get(w->group, &stats);
    return stats.fence_waits;
}

/* A node that lacks something names it, and does not wait again for what it has named. */
static void test_what_is_lacking(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, SYNCED);
    struct km_msg_peer_fill_response r = fill_with_need(&w, NEED_AT_ONCE);
    assert_int_equal(r.outcome, KM_MSG_PEER_ANSWERED);
    assert_int_equal(r.lacking.member_id.len, 0);
    atomic_store(&w.has_after, UINT32_MAX);
    r = fill_with_need(&w, NEED);
    assert_int_equal(r.outcome, KM_MSG_PEER_BEHIND);
    assert_true(km_bytes_eq(r.lacking.member_id, KM_LIT("0123456789abcdef")));
    assert_int_equal(r.lacking.clock, 5);
    uint64_t waits = fence_waits(&w);
    atomic_store(&w.asked_need, 0);
    r = fill_with_need(&w, NEED_AT_ONCE);
    assert_int_equal(r.outcome, KM_MSG_PEER_BEHIND);
    assert_int_equal(r.lacking.clock, 5);
    assert_int_equal(atomic_load(&w.asked_need), 1);
    assert_int_equal(fence_waits(&w), waits);
    r = fill_with_need(&w, KM_LIT("\x0a\x7f")); /* it cannot be named */
    assert_int_equal(r.outcome, KM_MSG_PEER_BEHIND);
    assert_int_equal(r.lacking.member_id.len, 0);
    atomic_store(&w.has_after, 0);
    atomic_store(&w.known_after, UINT32_MAX);
    r = fill_with_need(&w, NEED_AT_ONCE); /* it lacks the view */
    assert_int_equal(r.outcome, KM_MSG_PEER_BEHIND);
    assert_int_equal(r.lacking.member_id.len, 0);
    world_close(&w);
}

/* A call that waits for what it needs counts once, however often the node looks; one that
 * waits for a view only does not count. */
static void test_waits_are_counted(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, SYNCED);
    struct km_msg_peer_fill_response r = fill_with_need(&w, NEED);
    assert_int_equal(r.outcome, KM_MSG_PEER_ANSWERED);
    assert_int_equal(fence_waits(&w), 0);
    atomic_store(&w.has_after, UINT32_MAX);
    r = fill_with_need(&w, NEED);
    assert_int_equal(r.outcome, KM_MSG_PEER_BEHIND);
    assert_int_equal(fence_waits(&w), 1);
    atomic_store(&w.asked_need, 0);
    atomic_store(&w.has_after, 4);
    r = fill_with_need(&w, NEED);
    assert_int_equal(r.outcome, KM_MSG_PEER_ANSWERED);
    assert_int_equal(fence_waits(&w), 2);
    atomic_store(&w.asked_view,
                 0); /* first for the view, and then for the need */
    atomic_store(&w.known_after, 2);
    atomic_store(&w.asked_need, 0);
    r = fill_with_need(&w, NEED);
    assert_int_equal(r.outcome, KM_MSG_PEER_ANSWERED);
    assert_int_equal(fence_waits(&w), 3);
    atomic_store(&w.asked_view, 0);
    r = fill(&w, "key");
    assert_int_equal(r.outcome, KM_MSG_PEER_ANSWERED);
    assert_true(atomic_load(&w.asked_view) > 2);
    assert_int_equal(fence_waits(&w), 3);
    world_close(&w);
}

static void test_what_may_be_kept(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, SYNCED);
    struct km_msg_peer_fill_response r = fill(&w, "key");
    assert_true(r.current);
    assert_int_equal(r.clock, 0);
    assert_int_equal(r.origin, 0);
    r = fill(&w, "key");
    assert_true(r.from_memory);
    assert_true(r.current);
    r = fill(&w, "overtaken");
    assert_false(r.current);
    r = fill(&w, "secret"); /* KAMA_NO_STORE */
    assert_int_equal(r.status, KAMA_OK);
    assert_false(r.current);
    r = fill(&w, "none");
    assert_int_equal(r.status, KAMA_MISS);
    assert_in_range(r.ttl_ms, 1, 60000);
    assert_true(r.current);
    r = fill(&w, "none");
    assert_true(r.from_memory);
    assert_in_range(r.ttl_ms, 1, 60000);
    assert_true(r.current);
    assert_int_equal(kama_set(w.group, KM_LIT("key"), KM_LIT("set"), NULL),
                     KAMA_OK);
    r = fill(&w, "key");
    assert_int_equal(r.clock, atomic_load(&w.versions));
    assert_int_equal(r.origin, 9);
    assert_int_equal(r.etag_key, 0);
    world_close(&w);
}

/* The result of a mutation has the version that it was given. */
static void test_versions_of_mutations(void **state)
{
    static const int32_t kinds[] = {KM_MSG_PEER_SET, KM_MSG_PEER_DELETE};
    struct world w;
    (void)state;
    world_open(&w, SYNCED);
    for (unsigned i = 0; i < 2; i++) {
        struct km_buf buf;
        struct km_msg_peer_items_response response;
        struct km_msg_peer_mutate_result result;
        kama_bytes element;
        const struct km_msg_peer_mutation m = {
            .kind = kinds[i], .key = KM_LIT("a"), .value = KM_LIT("")};
        km_buf_init(&buf, km_mem_default(), SIZE_MAX);
        assert_int_equal(km_pb_append_bytes(&buf, 2, KM_LIT("g")), KAMA_OK);
        assert_int_equal(km_pb_append_element(&buf, KM_MSG_PEER_MUTATIONS,
                                              &km_msg_peer_mutation_pb, &m),
                         KAMA_OK);
        km_buf_reset(&w.reply, SIZE_MAX);
        struct km_client_request request = {.path = PEER "Mutate",
                                            .message = km_buf_bytes(&buf),
                                            .timeout_ms = PATIENCE_MS};
        assert_int_equal(km_client_unary(w.client, &request, &w.reply),
                         KAMA_OK);
        assert_int_equal(km_pb_decode(&km_msg_peer_items_response_pb,
                                      km_buf_bytes(&w.reply), &response),
                         KAMA_OK);
        assert_true(km_pb_next(&response.items, &element));
        assert_int_equal(
            km_pb_decode(&km_msg_peer_mutate_result_pb, element, &result),
            KAMA_OK);
        assert_int_equal(result.status, KAMA_OK);
        assert_int_equal(result.clock, i + 1);
        assert_int_equal(result.origin, 9);
        km_buf_fini(&buf);
    }
    world_close(&w);
}

/* Peek answers each key from memory, and loads nothing. */
static void test_peek(void **state)
{
    struct world w;
    struct km_buf buf;
    struct km_msg_peer_items_response response;
    struct km_msg_peer_peek_item item;
    struct km_client_request request = {.path = PEER "Peek",
                                        .timeout_ms = PATIENCE_MS};
    static const int32_t statuses[] = {KAMA_OK, KAMA_MISS};
    kama_bytes element;
    (void)state;
    world_open(&w, CLUSTERED);
    (void)fill(&w, "key");
    km_buf_init(&buf, km_mem_default(), SIZE_MAX);
    assert_int_equal(km_pb_append_bytes(&buf, 2, KM_LIT("g")), KAMA_OK);
    assert_int_equal(km_pb_append_bytes(&buf, 3, KM_LIT("key")), KAMA_OK);
    assert_int_equal(km_pb_append_bytes(&buf, 3, KM_LIT("other")), KAMA_OK);
    assert_int_equal(km_pb_append_bytes(&buf, 3, KM_LIT("x")), KAMA_OK);
    request.message = km_buf_bytes(&buf);
    km_buf_reset(&w.reply, SIZE_MAX);
    assert_int_equal(km_client_unary(w.client, &request, &w.reply), KAMA_OK);
    assert_int_equal(km_pb_decode(&km_msg_peer_items_response_pb,
                                  km_buf_bytes(&w.reply), &response),
                     KAMA_OK);
    assert_int_equal(response.items.count, 3);
    assert_int_equal(response.view_id, 77);
    for (unsigned i = 0; km_pb_next(&response.items, &element); i++) {
        assert_int_equal(
            km_pb_decode(&km_msg_peer_peek_item_pb, element, &item), KAMA_OK);
        assert_int_equal(item.outcome,
                         i < 2 ? KM_MSG_PEER_ANSWERED : KM_MSG_PEER_NOT_OWNER);
        if (i < 2) {
            assert_int_equal(item.status, statuses[i]);
        }
    }
    km_buf_fini(&buf);
    world_close(&w);
}

static void append_mutation(struct km_buf *buf, int32_t kind, kama_bytes key,
                            kama_bytes value)
{
    struct km_msg_peer_mutation m = {.kind = kind, .key = key, .value = value};
    assert_int_equal(km_pb_append_element(buf, KM_MSG_PEER_MUTATIONS,
                                          &km_msg_peer_mutation_pb, &m),
                     KAMA_OK);
}

/* Mutations are carried out in their order, and each has its own result. */
static void test_mutate(void **state)
{
    struct world w;
    struct km_buf buf;
    struct km_msg_peer_items_response response;
    struct km_msg_peer_mutate_result result;
    struct km_client_request request = {.path = PEER "Mutate",
                                        .timeout_ms = PATIENCE_MS};
    static const int32_t statuses[] = {
        KAMA_OK, KAMA_OK, KAMA_MISS, KAMA_ERR_MALFORMED, KAMA_OK, KAMA_OK};
    kama_bytes element;
    (void)state;
    world_open(&w, CLUSTERED);
    km_buf_init(&buf, km_mem_default(), SIZE_MAX);
    assert_int_equal(km_pb_append_bytes(&buf, 2, KM_LIT("g")), KAMA_OK);
    append_mutation(&buf, KM_MSG_PEER_SET, KM_LIT("a"), KM_LIT("1"));
    append_mutation(&buf, KM_MSG_PEER_DELETE, KM_LIT("a"), KM_LIT(""));
    append_mutation(&buf, KM_MSG_PEER_DELETE, KM_LIT("a"), KM_LIT(""));
    append_mutation(&buf, 9, KM_LIT("a"), KM_LIT(""));
    append_mutation(&buf, KM_MSG_PEER_CLEAR, KM_LIT(""), KM_LIT(""));
    append_mutation(&buf, KM_MSG_PEER_SET, KM_LIT("b"), KM_LIT("2"));
    request.message = km_buf_bytes(&buf);
    km_buf_reset(&w.reply, SIZE_MAX);
    assert_int_equal(km_client_unary(w.client, &request, &w.reply), KAMA_OK);
    assert_int_equal(km_pb_decode(&km_msg_peer_items_response_pb,
                                  km_buf_bytes(&w.reply), &response),
                     KAMA_OK);
    assert_int_equal(response.items.count, 6);
    for (unsigned i = 0; km_pb_next(&response.items, &element); i++) {
        assert_int_equal(
            km_pb_decode(&km_msg_peer_mutate_result_pb, element, &result),
            KAMA_OK);
        assert_int_equal(result.outcome, KM_MSG_PEER_ANSWERED);
        assert_int_equal(result.status, statuses[i]);
    }
    assert_int_equal(kama_exists(w.group, KM_LIT("b"), NULL), KAMA_OK);
    km_buf_fini(&buf);
    world_close(&w);
}

/* Mutations that wait for acknowledgements wait together. Each has its own answer, in the
 * order in which they have come, with those that are late. */
static void test_mutate_unsynced(void **state)
{
    static const int32_t statuses[] = {KAMA_OK, KAMA_UNSYNCED,
                                       KAMA_ERR_MALFORMED, KAMA_MISS};
    struct world w;
    struct km_buf buf;
    struct km_msg_peer_items_response response;
    struct km_msg_peer_mutate_result result;
    struct km_client_request request = {.path = PEER "Mutate",
                                        .timeout_ms = PATIENCE_MS};
    kama_bytes element;
    (void)state;
    world_open(&w, WITNESSED);
    w.end_after = 3;
    km_buf_init(&buf, km_mem_default(), SIZE_MAX);
    assert_int_equal(km_pb_append_bytes(&buf, 2, KM_LIT("g")), KAMA_OK);
    append_mutation(&buf, KM_MSG_PEER_SET, KM_LIT("a"), KM_LIT("1"));
    append_mutation(&buf, KM_MSG_PEER_DELETE, KM_LIT("a"), KM_LIT(""));
    append_mutation(&buf, 9, KM_LIT("a"), KM_LIT(""));
    append_mutation(&buf, KM_MSG_PEER_DELETE, KM_LIT("a"), KM_LIT(""));
    request.message = km_buf_bytes(&buf);
    km_buf_reset(&w.reply, SIZE_MAX);
    assert_int_equal(km_client_unary(w.client, &request, &w.reply), KAMA_OK);
    assert_int_equal(km_pb_decode(&km_msg_peer_items_response_pb,
                                  km_buf_bytes(&w.reply), &response),
                     KAMA_OK);
    assert_int_equal(response.items.count, 4);
    for (unsigned i = 0; km_pb_next(&response.items, &element); i++) {
        assert_int_equal(
            km_pb_decode(&km_msg_peer_mutate_result_pb, element, &result),
            KAMA_OK);
        assert_int_equal(result.status, statuses[i]);
        assert_int_equal(result.unsynced.count, i == 1);
        assert_int_equal(result.clock, i == 2 ? 0 : i == 3 ? 3 : i + 1);
        if (i == 1) {
            assert_true(km_pb_next(&result.unsynced, &element));
            assert_true(km_bytes_eq(element, KM_LIT("h:1")));
        }
    }
    km_buf_fini(&buf);
    world_close(&w);
}

/* Appends a mutation that does, or does not, have a condition. */
static void append_set_if(struct km_buf *buf, int32_t kind, int32_t condition,
                          uint64_t etag)
{
    struct km_msg_peer_mutation m = {.kind = kind,
                                     .key = KM_LIT("a"),
                                     .condition = condition,
                                     .if_etag = etag,
                                     .value = KM_LIT("v")};
    assert_int_equal(km_pb_append_element(buf, KM_MSG_PEER_MUTATIONS,
                                          &km_msg_peer_mutation_pb, &m),
                     KAMA_OK);
}

/* Conditions hold for a peer as for the application. A condition that the node
 * cannot read is refused, and never left out. */
static void test_mutate_with_conditions(void **state)
{
    static const struct {
        int32_t kind;
        int32_t condition;
        bool has_etag;
        int32_t status;
    } rows[] = {
        {KM_MSG_PEER_SET_IF, KM_PUT_IF_PRESENT, false, KAMA_MISS},
        {KM_MSG_PEER_SET_IF, KM_PUT_IF_MATCH, true, KAMA_ERR_TRY_AGAIN},
        {KM_MSG_PEER_SET_IF, KM_PUT_IF_ABSENT, false, KAMA_OK},
        {KM_MSG_PEER_SET_IF, KM_PUT_IF_ABSENT, false, KAMA_ERR_EXISTS},
        {KM_MSG_PEER_SET_IF, KM_PUT_IF_PRESENT, false, KAMA_OK},
        {KM_MSG_PEER_SET_IF, KM_PUT_IF_MATCH, true, KAMA_ERR_TRY_AGAIN},
        {KM_MSG_PEER_SET_IF, KM_PUT_IF_MATCH, false, KAMA_ERR_MALFORMED},
        {KM_MSG_PEER_SET_IF, KM_PUT_IF_ABSENT, true, KAMA_ERR_MALFORMED},
        {KM_MSG_PEER_SET_IF, KM_PUT_ALWAYS, false, KAMA_ERR_MALFORMED},
        {KM_MSG_PEER_SET_IF, 4, false, KAMA_ERR_MALFORMED},
        {KM_MSG_PEER_SET_IF, -1, false, KAMA_ERR_MALFORMED},
        {KM_MSG_PEER_SET, KM_PUT_IF_ABSENT, false, KAMA_ERR_MALFORMED},
        {KM_MSG_PEER_DELETE, KM_PUT_IF_PRESENT, false, KAMA_ERR_MALFORMED},
        {KM_MSG_PEER_SET, KM_PUT_ALWAYS, false, KAMA_OK},
    };
    enum { COUNT = sizeof rows / sizeof rows[0] };
    struct world w;
    struct km_buf buf;
    struct km_msg_peer_items_response response;
    struct km_msg_peer_mutate_result r;
    struct km_client_request request = {.path = PEER "Mutate",
                                        .timeout_ms = PATIENCE_MS};
    kama_bytes element;
    (void)state;
    world_open(&w, CLUSTERED);
    km_buf_init(&buf, km_mem_default(), SIZE_MAX);
    assert_int_equal(km_pb_append_bytes(&buf, 2, KM_LIT("g")), KAMA_OK);
    for (unsigned i = 0; i < COUNT; i++) {
        append_set_if(&buf, rows[i].kind, rows[i].condition,
                      rows[i].has_etag ? 5 : 0);
    }
    request.message = km_buf_bytes(&buf);
    km_buf_reset(&w.reply, SIZE_MAX);
    assert_int_equal(km_client_unary(w.client, &request, &w.reply), KAMA_OK);
    assert_int_equal(km_pb_decode(&km_msg_peer_items_response_pb,
                                  km_buf_bytes(&w.reply), &response),
                     KAMA_OK);
    assert_int_equal(response.items.count, COUNT);
    for (unsigned i = 0; km_pb_next(&response.items, &element); i++) {
        assert_int_equal(
            km_pb_decode(&km_msg_peer_mutate_result_pb, element, &r), KAMA_OK);
        assert_int_equal(r.outcome, KM_MSG_PEER_ANSWERED);
        assert_int_equal(r.status, rows[i].status);
        assert_true((r.message.len > 0) == (r.status < 0));
        assert_true((r.etag_key != 0) == (r.status == KAMA_OK));
        if (r.status == KAMA_OK) {
            expect_etag_key(&w, "a", r.etag_key);
        }
    }
    km_buf_fini(&buf);
    world_close(&w);
}

struct seen {
    unsigned count;
    unsigned not_owner;
    uint8_t had[500];
};

static kama_status on_answer(void *arg, kama_bytes message)
{
    struct seen *seen = arg;
    struct km_msg_peer_fill_many_response r;
    char key[16];
    if (km_pb_decode(&km_msg_peer_fill_many_response_pb, message, &r) !=
            KAMA_OK ||
        r.index >= sizeof seen->had || seen->had[r.index]) {
        return KAMA_ERR_INTERNAL;
    }
    seen->had[r.index] = 1;
    seen->count++;
    if (r.answer.outcome == KM_MSG_PEER_NOT_OWNER) {
        seen->not_owner++;
        return KAMA_OK;
    }
    (void)snprintf(key, sizeof key, "key%u", r.index);
    return km_bytes_eq(r.answer.value, KAMA_STR(key)) && r.answer.current_us > 0
               ? KAMA_OK
               : KAMA_ERR_INTERNAL;
}

/* FillMany answers each key once, more of them than are under way at a time. */
static void test_fill_many(void **state)
{
    enum { KEYS = 500 };
    struct world w;
    struct km_buf buf;
    static struct seen seen;
    struct km_client_request request = {.path = PEER "FillMany",
                                        .timeout_ms = PATIENCE_MS};
    (void)state;
    world_open(&w, CLUSTERED);
    memset(&seen, 0, sizeof seen);
    km_buf_init(&buf, km_mem_default(), SIZE_MAX);
    assert_int_equal(km_pb_append_bytes(&buf, 2, KM_LIT("g")), KAMA_OK);
    for (unsigned i = 0; i < KEYS; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, i % 50 == 0 ? "x%u" : "key%u", i);
        assert_int_equal(km_pb_append_bytes(&buf, 3, KAMA_STR(key)), KAMA_OK);
    }
    request.message = km_buf_bytes(&buf);
    assert_int_equal(km_client_stream(w.client, &request, on_answer, &seen),
                     KAMA_OK);
    assert_int_equal(seen.count, KEYS);
    assert_int_equal(seen.not_owner, KEYS / 50);
    km_buf_fini(&buf);
    world_close(&w);
}

/* A Fill that is served from memory allocates nothing for its call. */
static void test_a_fill_from_memory_allocates_nothing(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, CLUSTERED);
    (void)fill(&w, "key");
    long long before = atomic_load(&w.probe.allocs);
    struct km_msg_peer_fill_response r = fill(&w, "key");
    assert_true(r.from_memory);
    assert_int_equal(atomic_load(&w.probe.allocs), before);
    world_close(&w);
}

enum { BIG_KEYS = 500, QUIET_PINGS = 200 };

/* A reader that stands still on its first message. */
struct slow_reader {
    struct world *world;
    atomic_uint count;
    atomic_bool reads;
    kama_status status;
    pthread_t thread;
};

static kama_status on_big(void *arg, kama_bytes message)
{
    struct slow_reader *reader = arg;
    (void)message;
    atomic_fetch_add(&reader->count, 1);
    while (!atomic_load(&reader->reads)) {
        (void)sched_yield();
    }
    return KAMA_OK;
}

static void *read_slowly(void *arg)
{
    struct slow_reader *reader = arg;
    struct km_buf buf;
    char key[16];
    km_buf_init(&buf, km_mem_default(), SIZE_MAX);
    KM_ASSERT(km_pb_append_bytes(&buf, 2, KM_LIT("g")) == KAMA_OK);
    for (unsigned i = 0; i < BIG_KEYS; i++) {
        (void)snprintf(key, sizeof key, "B%u", i);
        KM_ASSERT(km_pb_append_bytes(&buf, 3, KAMA_STR(key)) == KAMA_OK);
    }
    struct km_client_request request = {.path = PEER "FillMany",
                                        .message = km_buf_bytes(&buf),
                                        .timeout_ms = PATIENCE_MS};
    reader->status =
        km_client_stream(reader->world->client, &request, on_big, reader);
    km_buf_fini(&buf);
    return NULL;
}

/* Waits until the loads of the node have not grown during a number of calls on
 * another connection. Returns their count. */
static unsigned wait_for_quiet(struct world *w)
{
    struct km_client *client = NULL;
    struct km_buf reply;
    struct km_channel_options channel = {.clock = km_clock_system(),
                                         .mem = km_mem_default(),
                                         .address =
                                             km_server_address(w->server)};
    struct km_client_request ping = {.path = "/kama.v2.Cache/Ping",
                                     .timeout_ms = PATIENCE_MS};
    unsigned loads = 0;
    assert_int_equal(km_client_new(&channel, &client), KAMA_OK);
    km_buf_init(&reply, km_mem_default(), SIZE_MAX);
    for (unsigned quiet = 0; quiet < QUIET_PINGS; quiet++) {
        km_buf_reset(&reply, SIZE_MAX);
        assert_int_equal(km_client_unary(client, &ping, &reply), KAMA_OK);
        if (atomic_load(&w->loads) != loads) {
            loads = atomic_load(&w->loads);
            quiet = 0;
        }
    }
    km_buf_fini(&reply);
    km_client_free(client);
    return loads;
}

/* A peer that does not read holds up its own FillMany: keys begin as it reads. */
static void test_fill_many_waits_for_its_reader(void **state)
{
    struct world w;
    struct slow_reader reader = {.world = &w};
    (void)state;
    world_open(&w, CLUSTERED);
    assert_int_equal(pthread_create(&reader.thread, NULL, read_slowly, &reader),
                     0);
    while (atomic_load(&reader.count) == 0) {
        (void)sched_yield();
    }
    unsigned loads = wait_for_quiet(&w);
    assert_in_range(loads, 1, BIG_KEYS - KM_SERVICE_FILLS_PARALLEL);
    atomic_store(&reader.reads, true);
    assert_int_equal(pthread_join(reader.thread, NULL), 0);
    assert_int_equal(reader.status, KAMA_OK);
    assert_int_equal(atomic_load(&reader.count), BIG_KEYS);
    world_close(&w);
}

/* A message that is no request, and a group that does not exist. */
static void test_bad_requests(void **state)
{
    struct world w;
    struct km_msg_peer_fill_request request = {.group = KM_LIT("nope"),
                                               .key = KM_LIT("k")};
    struct km_client_request bad = {.path = PEER "Mutate",
                                    .message = KM_LIT("\x0a\x7f"),
                                    .timeout_ms = PATIENCE_MS};
    (void)state;
    world_open(&w, CLUSTERED);
    assert_int_equal(
        ask(&w, PEER "Fill", &km_msg_peer_fill_request_pb, &request),
        KAMA_ERR_NO_GROUP);
    request.group = KM_LIT("g");
    request.key = KM_LIT("");
    assert_int_equal(
        ask(&w, PEER "Fill", &km_msg_peer_fill_request_pb, &request),
        KAMA_ERR_MALFORMED);
    assert_int_equal(km_client_unary(w.client, &bad, &w.reply),
                     KAMA_ERR_MALFORMED);
    world_close(&w);
}

static kama_status on_any(void *arg, kama_bytes message)
{
    (void)arg;
    (void)message;
    return KAMA_OK;
}

/* Asks with a list of so many empty elements, whose field has this tag. */
static kama_status ask_with_list(struct world *w, const char *path,
                                 const char *tag, unsigned count)
{
    struct km_buf buf;
    km_buf_init(&buf, km_mem_default(), SIZE_MAX);
    assert_int_equal(km_pb_append_bytes(&buf, 2, KM_LIT("g")), KAMA_OK);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(km_buf_append(&buf, tag, 2), KAMA_OK);
    }
    km_buf_reset(&w->reply, SIZE_MAX);
    struct km_client_request request = {
        .path = path, .message = km_buf_bytes(&buf), .timeout_ms = PATIENCE_MS};
    kama_status st = strcmp(path, PEER "FillMany") == 0
                         ? km_client_stream(w->client, &request, on_any, NULL)
                         : km_client_unary(w->client, &request, &w->reply);
    km_buf_fini(&buf);
    return st;
}

/* A message of 4 MiB has room for two million empty mutations, whose errors take
 * 100 MiB: a list that no node sends is refused before anything is done. */
static void test_long_lists_are_refused(void **state)
{
    static const char *const paths[] = {PEER "FillMany", PEER "Peek",
                                        PEER "Mutate"};
    struct world w;
    (void)state;
    world_open(&w, CLUSTERED);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(
            ask_with_list(&w, paths[i], "\x1a", KM_PEERS_BATCH_KEYS), KAMA_OK);
        assert_int_equal(
            ask_with_list(&w, paths[i], "\x1a", KM_PEERS_BATCH_KEYS + 1),
            KAMA_ERR_TOO_LARGE);
    }
    assert_int_equal(
        ask_with_list(&w, PEER "FillMany", "\x2a", KM_PEERS_NEEDS_MAX + 1),
        KAMA_ERR_TOO_LARGE);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_cluster),
        cmocka_unit_test(test_admission),
        cmocka_unit_test(test_fill),
        cmocka_unit_test(test_fill_many),
        cmocka_unit_test(test_fill_that_peeks),
        cmocka_unit_test(test_overtaken_fill),
        cmocka_unit_test(test_wait_for_view),
        cmocka_unit_test(test_wait_for_needs),
        cmocka_unit_test(test_what_is_lacking),
        cmocka_unit_test(test_waits_are_counted),
        cmocka_unit_test(test_what_may_be_kept),
        cmocka_unit_test(test_versions_of_mutations),
        cmocka_unit_test(test_peek),
        cmocka_unit_test(test_mutate_unsynced),
        cmocka_unit_test(test_mutate),
        cmocka_unit_test(test_mutate_with_conditions),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_long_lists_are_refused),
        cmocka_unit_test(test_a_fill_from_memory_allocates_nothing),
        cmocka_unit_test(test_fill_many_waits_for_its_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
