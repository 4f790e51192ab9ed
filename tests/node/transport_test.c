/* SPDX-License-Identifier: MIT */
/* ctest: timeout=120 */
/*
 * Two nodes in one process, from the group to the socket: each has loops, a
 * server with the methods of kama.peer.v1, peers over channels, and a group that
 * asks them. The parts are put together here by hand.
 */
#include "node/transport.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/status.h"
#include "group/adopt.h"
#include "group/group.h"
#include "group/registry.h"
#include "peers/peers.h"
#include "rpc/server.h"
#include "services/env.h"
#include "services/methods.h"
#include "wire/msg/peer.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define PATIENCE_MS 20000
#define LOOPS 2
#define KEYS 60

struct node {
    unsigned index;
    struct km_loop *loops[LOOPS];
    struct km_pool *pool;
    struct km_registry registry;
    struct km_service_env env;
    struct km_server *server;
    struct km_node_transport *transport;
    struct km_peers *peers;
    kama_group *group;
    struct km_member_id id;
    atomic_uint loads, closed, drained, states[4];
};

/* -- the loader ------------------------------------------------------------ */

static kama_status load(void *arg, const kama_load *req, kama_sink *out)
{
    struct node *node = arg;
    (void)atomic_fetch_add(&node->loads, 1);
    return kama_sink_set(out, req->key, NULL);
}

/* -- events of the peers --------------------------------------------------- */

static void on_adopted(void *owner, uint64_t adoption, struct km_view *view,
                       const struct km_slot_map *lost)
{
    struct node *node = owner;
    struct km_group_sweep sweep = {0};
    (void)view;
    km_group_adopt(node->group, adoption, lost);
    while (km_group_sweep(node->group, &sweep)) {
    }
    km_peers_swept(node->peers, adoption);
}

static void on_peer(void *owner, const char *address,
                    const struct km_member_id *id, enum km_peer_state state,
                    const char *text)
{
    (void)address;
    (void)id;
    (void)text;
    (void)atomic_fetch_add(&((struct node *)owner)->states[state], 1);
}

static void on_nothing(void *owner)
{
    (void)owner;
}

static void on_gone(void *owner, const char *address)
{
    (void)owner;
    (void)address;
}

static void on_closed(void *owner)
{
    atomic_store(&((struct node *)owner)->closed, 1);
}

static const struct km_peers_events events = {.adopted = on_adopted,
                                              .peer = on_peer,
                                              .unknown_view = on_nothing,
                                              .told_gone = on_gone,
                                              .settled = on_nothing,
                                              .closed = on_closed};

/* -- questions of the services ------------------------------------------------- */

static kama_status hello(void *peers,
                         const struct km_msg_peer_hello_request *request,
                         struct km_buf *out)
{
    return km_peers_hello(peers, request, out);
}

static kama_status admit(void *peers, const struct km_msg_peer_sender *sender)
{
    struct km_peers_sender s = {sender->cluster, sender->service, sender->id,
                                sender->view_id};
    return km_peers_admit(peers, &s);
}

static bool has_adopted(void *peers, uint64_t view_id)
{
    return km_peers_has_adopted(peers, view_id);
}

static uint64_t view_id(void *peers)
{
    return km_peers_view_id(peers);
}

static enum km_service_place place(void *peers, const char *group,
                                   kama_bytes key)
{
    struct km_owner_answer answer;
    km_peers_owner_ops.ask(peers, km_owner_slot(km_owner_seed(group), key),
                           &answer);
    if (answer.peer != NULL) {
        km_peers_owner_ops.release(peers, answer.peer);
    }
    return answer.place == KM_OWNER_PEER     ? KM_SERVICE_NOT_OWNER
           : answer.place == KM_OWNER_NOBODY ? KM_SERVICE_BEHIND
                                             : KM_SERVICE_OWNER;
}

static const struct km_service_peer_ops peer_ops = {.hello = hello,
                                                    .admit = admit,
                                                    .has_adopted = has_adopted,
                                                    .view_id = view_id,
                                                    .place = place};

/* -- life ------------------------------------------------------------------ */

static void wait_until(bool (*is)(void *arg), void *arg)
{
    km_ns until = km_ns_after_ms(km_clock_mono(km_clock_system()), PATIENCE_MS);
    while (!is(arg)) {
        struct timespec ms = {.tv_nsec = 1000000};
        if (km_clock_mono(km_clock_system()) > until) {
            fail_msg("waited in vain");
        }
        (void)nanosleep(&ms, NULL);
    }
}

/* Runs a function on the control loop of a node, and waits for it. */
struct on_lane {
    struct km_mail mail;
    void (*run)(struct node *node, void *arg);
    struct node *node;
    void *arg;
    atomic_bool done;
};

static void run_on_lane(struct km_mail *mail)
{
    struct on_lane *o = KM_CONTAINER_OF(mail, struct on_lane, mail);
    o->run(o->node, o->arg);
    atomic_store(&o->done, true);
}

static bool is_done(void *arg)
{
    return atomic_load(&((struct on_lane *)arg)->done);
}

static void on_control(struct node *node,
                       void (*run)(struct node *node, void *arg), void *arg)
{
    struct on_lane o = {
        .mail = {.run = run_on_lane}, .run = run, .node = node, .arg = arg};
    km_loop_post(node->loops[0], &o.mail);
    wait_until(is_done, &o);
}

static void open_server(struct node *node)
{
    struct km_server_options options = {.mem = km_mem_default(),
                                        .clock = km_clock_system(),
                                        .loops = &node->loops[1],
                                        .loop_count = LOOPS - 1,
                                        .methods = km_service_methods,
                                        .method_count = km_service_method_count,
                                        .arg = &node->env,
                                        .max_message_bytes = 32u << 20,
                                        .company = KM_SERVER_AMONG_PEERS};
    assert_int_equal(km_server_new(&options, &node->server), KAMA_OK);
    km_service_env_open(&node->env, node->server);
    assert_int_equal(km_server_listen(node->server, "127.0.0.1:0"), KAMA_OK);
    km_service_env_ready(&node->env);
}

static void open_group(struct node *node)
{
    kama_group_options options;
    kama_group_options_init(&options);
    options.name = "g";
    options.sync = "owner";
    options.loader = load;
    options.loader_arg = node;
    options.max_bytes = 256u << 20;
    options.max_value_bytes = 16u << 20;
    struct km_group_env env = {
        .pool = node->pool,
        .owner = {.ops = &km_peers_owner_ops, .arg = node->peers}};
    assert_int_equal(km_group_new(&options, &env, &node->group), KAMA_OK);
    km_registry_add(&node->registry, node->group);
}

static void node_open(struct node *node, unsigned index)
{
    memset(node, 0, sizeof *node);
    node->index = index;
    node->id.bytes[0] = (uint8_t)(index + 1);
    for (unsigned i = 0; i < LOOPS; i++) {
        assert_int_equal(km_loop_new(NULL, NULL, i, &node->loops[i]), KAMA_OK);
        assert_int_equal(km_loop_start(node->loops[i]), KAMA_OK);
    }
    assert_int_equal(
        km_pool_new(NULL, km_clock_system(), "test", 8, &node->pool), KAMA_OK);
    assert_int_equal(km_registry_init(&node->registry, km_mem_default()),
                     KAMA_OK);
    assert_int_equal(km_service_env_init(&node->env, km_mem_default(),
                                         km_clock_system(), &node->registry,
                                         "kama"),
                     KAMA_OK);
    struct km_node_transport_options t = {.loops = node->loops,
                                          .loop_count = LOOPS,
                                          .pool = node->pool,
                                          .max_message_bytes = 32u << 20};
    assert_int_equal(km_node_transport_new(&t, &node->transport), KAMA_OK);
    struct km_peers_options options = {
        .transport = km_node_transport_of(node->transport),
        .events = &events,
        .owner = node,
        .cluster = "test",
        .service = "svc",
        .nonce = node->id};
    assert_int_equal(km_peers_new(&options, &node->peers), KAMA_OK);
    node->env.peers = (struct km_service_peers){&peer_ops, node->peers};
    open_group(node);
    open_server(node);
}

static void on_drained(void *arg, unsigned cut_off)
{
    (void)cut_off;
    atomic_store(&((struct node *)arg)->drained, 1);
}

static bool is_drained(void *arg)
{
    return atomic_load(&((struct node *)arg)->drained) == 1;
}

static bool is_closed(void *arg)
{
    return atomic_load(&((struct node *)arg)->closed) == 1;
}

static bool has_no_links(void *arg)
{
    return km_node_transport_links(((struct node *)arg)->transport) == 0;
}

static void stop_server(struct node *node)
{
    if (atomic_load(&node->drained) == 0) {
        km_service_env_close(&node->env);
        km_server_drain(node->server, 100, on_drained, node);
        wait_until(is_drained, node);
    }
}

static void close_peers(struct node *node, void *arg)
{
    (void)arg;
    km_peers_close(node->peers);
}

static void node_close(struct node *node)
{
    stop_server(node);
    km_service_env_settle(&node->env);
    on_control(node, close_peers, NULL);
    wait_until(is_closed, node);
    wait_until(has_no_links, node);
    km_registry_fini(&node->registry);
    for (unsigned i = 0; i < LOOPS; i++) {
        km_loop_stop(node->loops[i]);
        km_loop_join(node->loops[i]);
    }
    km_server_free(node->server);
    km_service_env_fini(&node->env);
    km_peers_free(node->peers);
    km_node_transport_free(node->transport);
    km_pool_free(node->pool);
    for (unsigned i = 0; i < LOOPS; i++) {
        km_loop_free(node->loops[i]);
    }
}

/* -- a cluster of two ------------------------------------------------------ */

static void take_view(struct node *node, void *view)
{
    km_peers_set_self(node->peers, &node->id, km_server_address(node->server));
    km_peers_set_mutable(node->peers, KAMA_OK);
    km_peers_notice(node->peers, view);
}

static void get_settled(void *arg, const struct km_peers_routing *routing)
{
    *(bool *)arg = routing->settled && routing->view != NULL &&
                   routing->standing == KM_STANDING_MEMBER;
}

static bool is_settled(void *arg)
{
    bool settled;
    km_peers_routing(((struct node *)arg)->peers, get_settled, &settled);
    return settled &&
           atomic_load(&((struct node *)arg)->states[KM_PEER_UP]) > 0;
}

static void cluster_open(struct node nodes[2])
{
    struct km_member members[2];
    struct km_view *view;
    for (unsigned i = 0; i < 2; i++) {
        node_open(&nodes[i], i);
        members[i] =
            (struct km_member){.id = nodes[i].id,
                               .address = km_server_address(nodes[i].server),
                               .admin = "",
                               .version = "",
                               .state = KM_MEMBER_ACTIVE,
                               .weight = 1};
    }
    assert_int_equal(km_view_new(km_mem_default(), members, 2, &view), KAMA_OK);
    for (unsigned i = 0; i < 2; i++) {
        on_control(&nodes[i], take_view, view);
    }
    km_view_unref(view);
    for (unsigned i = 0; i < 2; i++) {
        wait_until(is_settled, &nodes[i]);
    }
}

static kama_bytes key_of(unsigned n, char text[16])
{
    (void)snprintf(text, 16, "key%u", n);
    return KAMA_STR(text);
}

static bool owns(struct node *node, kama_bytes key)
{
    return place(node->peers, "g", key) == KM_SERVICE_OWNER;
}

/* Returns a key that the node does not own. */
static kama_bytes foreign_key(struct node *node, char text[16])
{
    unsigned n = 1000;
    while (owns(node, key_of(n, text))) {
        n++;
    }
    return KAMA_STR(text);
}

static void check_get(struct node *node, kama_bytes key, kama_bytes expected)
{
    kama_value *value = NULL;
    kama_status st = kama_get(node->group, key, NULL, &value);
    if (st != KAMA_OK) {
        fail_msg("%s: %s", kama_status_name(st), km_last_error());
    }
    kama_bytes bytes = kama_value_bytes(value);
    assert_true(km_bytes_eq(bytes, expected));
    kama_value_unref(value);
}

/* -- tests ----------------------------------------------------------------- */

/* A key is loaded once in the whole cluster, whichever node is asked. */
static void test_one_load(void **state)
{
    struct node nodes[2];
    char text[16];
    (void)state;
    cluster_open(nodes);
    for (unsigned n = 0; n < KEYS; n++) {
        kama_bytes key = key_of(n, text);
        check_get(&nodes[n % 2], key, key);
        check_get(&nodes[1 - n % 2], key, key);
    }
    assert_int_equal(
        atomic_load(&nodes[0].loads) + atomic_load(&nodes[1].loads), KEYS);
    assert_true(atomic_load(&nodes[0].loads) > 0);
    assert_true(atomic_load(&nodes[1].loads) > 0);
    node_close(&nodes[0]);
    node_close(&nodes[1]);
}

/* A mutation through one node is seen through the other at once, also with a
 * value of 16 MiB. */
static void test_mutations(void **state)
{
    struct node nodes[2];
    char text[16];
    size_t large = 16u << 20;
    char *bytes = malloc(large);
    (void)state;
    assert_non_null(bytes);
    memset(bytes, 'x', large);
    cluster_open(nodes);
    kama_bytes key = foreign_key(&nodes[0], text);
    assert_int_equal(kama_set(nodes[0].group, key, KM_LIT("new"), NULL),
                     KAMA_OK);
    check_get(&nodes[1], key, KM_LIT("new"));
    check_get(&nodes[0], key, KM_LIT("new"));
    assert_int_equal(kama_exists(nodes[0].group, key, NULL), KAMA_OK);
    assert_int_equal(
        kama_set(nodes[0].group, key, kama_bytes_make(bytes, large), NULL),
        KAMA_OK);
    check_get(&nodes[0], key, kama_bytes_make(bytes, large));
    assert_int_equal(kama_del(nodes[0].group, key, NULL), KAMA_OK);
    check_get(&nodes[1], key, key);
    assert_int_equal(kama_group_clear(nodes[0].group), KAMA_OK);
    assert_int_equal(kama_exists(nodes[1].group, key, NULL), KAMA_MISS);
    free(bytes);
    node_close(&nodes[0]);
    node_close(&nodes[1]);
}

/* Many keys are one FillMany, whose answers all arrive. */
static void test_mget(void **state)
{
    struct node nodes[2];
    static char texts[KEYS][16];
    kama_bytes keys[KEYS];
    kama_item results[KEYS];
    (void)state;
    cluster_open(nodes);
    for (unsigned n = 0; n < KEYS; n++) {
        keys[n] = key_of(n, texts[n]);
    }
    assert_int_equal(kama_mget(nodes[0].group, keys, KEYS, NULL, results),
                     KAMA_OK);
    for (unsigned n = 0; n < KEYS; n++) {
        assert_int_equal(results[n].status, KAMA_OK);
        assert_true(km_bytes_eq(kama_value_bytes(results[n].value), keys[n]));
        kama_value_unref(results[n].value);
    }
    node_close(&nodes[0]);
    node_close(&nodes[1]);
}

/* An owner whose server has ended: a get loads here, and a mutation names it. */
static void test_owner_is_down(void **state)
{
    struct node nodes[2];
    char text[16];
    (void)state;
    cluster_open(nodes);
    kama_bytes key = foreign_key(&nodes[0], text);
    stop_server(&nodes[1]);
    unsigned before = atomic_load(&nodes[0].loads);
    check_get(&nodes[0], key, key);
    assert_int_equal(atomic_load(&nodes[0].loads), before + 1);
    assert_int_equal(kama_set(nodes[0].group, key, KM_LIT("v"), NULL),
                     KAMA_ERR_PEER);
    assert_non_null(
        strstr(km_last_error(), km_server_address(nodes[1].server)));
    node_close(&nodes[0]);
    node_close(&nodes[1]);
}

struct asker {
    pthread_t thread;
    struct node *node;
    atomic_bool stop;
    unsigned asked;
};

static void *ask_all_the_time(void *arg)
{
    struct asker *asker = arg;
    struct km_owner_answer answer;
    uint64_t last = 0;
    while (!atomic_load(&asker->stop)) {
        km_peers_owner_ops.ask(asker->node->peers,
                               asker->asked++ * 31 % KM_OWNER_SLOTS, &answer);
        KM_ASSERT(answer.adoption >= last);
        last = answer.adoption;
        if (answer.peer != NULL) {
            KM_ASSERT(km_peers_owner_ops.address(asker->node->peers,
                                                 answer.peer)[0] != '\0');
            km_peers_owner_ops.release(asker->node->peers, answer.peer);
        }
    }
    return NULL;
}

static void notice(struct node *node, void *view)
{
    km_peers_notice(node->peers, view);
}

/* Threads ask without a lock while views with other members are adopted. */
static void test_ask_while_adopting(void **state)
{
    struct node nodes[2];
    struct asker askers[2];
    (void)state;
    cluster_open(nodes);
    for (unsigned i = 0; i < 2; i++) {
        askers[i] = (struct asker){.node = &nodes[0]};
        assert_int_equal(pthread_create(&askers[i].thread, NULL,
                                        ask_all_the_time, &askers[i]),
                         0);
    }
    for (unsigned i = 0; i < 200; i++) {
        struct km_view *view;
        struct km_member members[2];
        for (unsigned k = 0; k < 2; k++) {
            members[k] = (struct km_member){
                .id = nodes[k].id,
                .address = km_server_address(nodes[k].server),
                .admin = "",
                .version = "",
                .state = KM_MEMBER_ACTIVE,
                .weight = 1};
        }
        members[1].id.bytes[4] = (uint8_t)(1 + i);
        members[1].state = i % 2 == 0 ? KM_MEMBER_ACTIVE : KM_MEMBER_LEAVING;
        assert_int_equal(km_view_new(km_mem_default(), members, 2, &view),
                         KAMA_OK);
        on_control(&nodes[0], notice, view);
        km_view_unref(view);
    }
    for (unsigned i = 0; i < 2; i++) {
        atomic_store(&askers[i].stop, true);
        assert_int_equal(pthread_join(askers[i].thread, NULL), 0);
    }
    node_close(&nodes[0]);
    node_close(&nodes[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_load),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_mget),
        cmocka_unit_test(test_owner_is_down),
        cmocka_unit_test(test_ask_while_adopting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
