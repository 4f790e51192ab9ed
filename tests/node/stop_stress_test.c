/* SPDX-License-Identifier: MIT */
/* ctest: timeout=240 */
/*
 * Nodes that are stopped and freed while some fifty clients call, cancel, leave
 * and break off, and loads are quick, slow, deferred or still running. The test
 * asserts that every call ends once and with a status that fits; sanitizers and
 * lock ranks show whether anything is used after its end.
 */
#include "node/raw_visitor.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/status.h"
#include "base/sync.h"
#include "rpc/channel.h"
#include "rpc/channel_call.h"
#include "wire/msg/msg.h"

#include <kamacache/kamacache.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS 4
#define ROUND_MS 700
#define ACTORS 48
#define CLIENT_LOOPS 2
#define RAW_THREADS 3
#define VALUE_BYTES (48u << 10)
#define PATIENCE_MS 60000

struct waiting {
    struct km_list node;
    kama_deferred *deferred;
};

struct world {
    struct km_mutex lock;
    struct km_cond cond;
    char address[RAW_ADDRESS_BYTES];
    struct km_list waiting; /* deferred loads */
    bool hold;              /* they are not ended for now */
    bool quit;
    unsigned ended; /* calls, ever */
    unsigned answered;
    unsigned actors; /* not gone yet */
};

static struct world world;
static uint8_t value[VALUE_BYTES];

static km_ns now(void)
{
    return km_clock_mono(km_clock_system());
}

/* The address of the node that runs; "" if none does. */
static void get_address(char address[RAW_ADDRESS_BYTES])
{
    km_mutex_lock(&world.lock);
    memcpy(address, world.address, RAW_ADDRESS_BYTES);
    km_mutex_unlock(&world.lock);
}

static bool is_quitting(void)
{
    km_mutex_lock(&world.lock);
    bool quit = world.quit;
    km_mutex_unlock(&world.lock);
    return quit;
}

/* -- loads --------------------------------------------------------------- */

static kama_status defer(kama_sink *out)
{
    struct waiting *w = malloc(sizeof *w);
    KM_ASSERT(w != NULL);
    w->deferred = kama_load_defer(out);
    if (w->deferred == NULL) {
        free(w);
        return KAMA_ERR_NO_MEMORY;
    }
    km_mutex_lock(&world.lock);
    km_list_push_back(&world.waiting, &w->node);
    km_cond_broadcast(&world.cond);
    km_mutex_unlock(&world.lock);
    return KAMA_DEFERRED;
}

static kama_status load(void *arg, const kama_load *req, kama_sink *out)
{
    (void)arg;
    const uint8_t *key = req->key.data;
    switch (key[req->key.len - 1] % 8) {
    case 0:
        return KAMA_MISS;
    case 1:
        return KAMA_ERR_LOADER;
    case 2:
    case 3:
    case 4:
        return defer(out);
    case 5: {
        const struct timespec slow = {.tv_nsec = 1000000};
        (void)nanosleep(&slow, NULL);
        return kama_sink_set(out, KM_LIT("slow"), NULL);
    }
    default:
        return kama_sink_set(out, kama_bytes_make(value, sizeof value), NULL);
    }
}

static struct waiting *next_waiting(void)
{
    km_mutex_lock(&world.lock);
    while ((km_list_empty(&world.waiting) || world.hold) && !world.quit) {
        km_cond_wait(&world.cond, &world.lock);
    }
    struct km_list *node = km_list_pop_front(&world.waiting);
    km_mutex_unlock(&world.lock);
    return node != NULL ? KM_CONTAINER_OF(node, struct waiting, node) : NULL;
}

/* Ends deferred loads in the order in which they began. */
static void *end_loads(void *arg)
{
    (void)arg;
    struct waiting *w;
    while ((w = next_waiting()) != NULL) {
        kama_load_finish(w->deferred, KAMA_OK, KM_LIT("late"), NULL);
        free(w);
    }
    return NULL;
}

static void hold_loads(bool hold)
{
    km_mutex_lock(&world.lock);
    world.hold = hold;
    km_cond_broadcast(&world.cond);
    km_mutex_unlock(&world.lock);
}

/* -- actors: a channel each, on a loop ----------------------------------- */

struct actor {
    struct km_mail mail;
    struct km_loop *loop;
    struct km_timer timer;
    struct km_channel *channel;
    struct km_channel_call *call;
    bool fresh; /* the next call gets a new channel */
    unsigned seed;
};

static void on_reply(void *arg, kama_bytes message)
{
    (void)arg;
    (void)message;
}

static bool fits(kama_status status)
{
    switch (status) {
    case KAMA_OK:
    case KAMA_MISS: /* v1 */
    case KAMA_ERR_LOADER:
    case KAMA_ERR_TIMEOUT:
    case KAMA_ERR_CANCELLED:
    case KAMA_ERR_CLOSED:
    case KAMA_ERR_OVERLOADED:
    case KAMA_ERR_DISCONNECTED:
    case KAMA_ERR_UNREACHABLE:
        return true;
    default:
        return false;
    }
}

static void on_end(void *arg, const struct km_channel_result *result)
{
    struct actor *actor = arg;
    KM_ASSERT(actor->call != NULL);
    actor->call = NULL;
    actor->fresh |= result->status == KAMA_ERR_UNREACHABLE;
    if (!fits(result->status)) {
        (void)fprintf(stderr, "a call ended with %s: %s\n",
                      kama_status_name(result->status), result->text);
        abort();
    }
    km_mutex_lock(&world.lock);
    world.ended++;
    world.answered += result->status >= 0;
    km_mutex_unlock(&world.lock);
}

static const struct km_channel_call_ops actor_ops = {.on_message = on_reply,
                                                     .on_end = on_end};

/* Counts an actor that has ended; nothing of it is used after that. */
static void on_gone(void *arg)
{
    (void)arg;
    km_mutex_lock(&world.lock);
    world.actors--;
    km_cond_broadcast(&world.cond);
    km_mutex_unlock(&world.lock);
}

static void drop_channel(struct actor *actor, void (*on_freed)(void *arg))
{
    struct km_channel *channel = actor->channel;
    actor->channel = NULL;
    if (channel != NULL) {
        km_channel_close(channel, on_freed, actor);
    }
}

static bool need_channel(struct actor *actor)
{
    char address[RAW_ADDRESS_BYTES];
    if (actor->fresh) {
        actor->fresh = false;
        drop_channel(actor, NULL);
    }
    if (actor->channel != NULL) {
        return true;
    }
    get_address(address);
    const struct km_channel_options options = {.address = address};
    return address[0] != '\0' &&
           km_channel_new(actor->loop, &options, &actor->channel) == KAMA_OK;
}

/* Chooses a method and a message for it. */
static const char *make_request(struct km_buf *out, unsigned *seed)
{
    unsigned kind = dice(seed, 10);
    if (kind == 9) {
        return "/grpc.health.v1.Health/Watch";
    }
    if (kind == 8) {
        (void)!km_pb_append_bytes(out, 7, KM_LIT("*"));
        return "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    }
    (void)!km_pb_append_bytes(out, 1, KM_LIT("g"));
    if (kind == 7) {
        return "/kama.v2.Cache/Scan";
    }
    if (kind >= 5) {
        for (unsigned i = dice(seed, 40); i > 0; i--) {
            append_key(out, KM_MSG_MGET_KEY, seed);
        }
        return "/kama.v2.Cache/MGet";
    }
    append_key(out, 2, seed);
    return kind == 4 ? "/kama.v1.KamaCacheService/Get" : "/kama.v2.Cache/Get";
}

static void begin_call(struct actor *actor)
{
    struct km_buf message;
    km_buf_init(&message, NULL, SIZE_MAX);
    const char *path = make_request(&message, &actor->seed);
    const struct km_channel_call_options options = {
        .path = path,
        .deadline = km_ns_after_ms(now(), 1 + dice(&actor->seed, 300)),
        .wait_for_ready = dice(&actor->seed, 4) == 0,
    };
    kama_status status = km_channel_call_new(actor->channel, &options,
                                             &actor_ops, actor, &actor->call);
    KM_ASSERT(status == KAMA_OK);
    status = km_channel_call_send(actor->call, km_buf_bytes(&message));
    KM_ASSERT(status == KAMA_OK || status == KAMA_ERR_CLOSED);
    if (dice(&actor->seed, 8) != 0) {
        km_channel_call_half_close(actor->call);
    }
    km_buf_fini(&message);
}

static void act(struct actor *actor)
{
    switch (dice(&actor->seed, 40)) {
    case 0:
        if (actor->call != NULL) {
            km_channel_call_cancel(actor->call);
        }
        break;
    case 1:
        drop_channel(actor, NULL);
        break;
    default:
        if (actor->call == NULL && need_channel(actor)) {
            begin_call(actor);
        }
        break;
    }
}

static void on_timer(struct km_timer *timer)
{
    struct actor *actor = KM_CONTAINER_OF(timer, struct actor, timer);
    if (!is_quitting()) {
        act(actor);
        km_loop_timer_arm(actor->loop, timer,
                          now() + dice(&actor->seed, 10) * KM_NS_PER_MS);
    } else if (actor->channel != NULL) {
        drop_channel(actor, on_gone);
    } else {
        on_gone(actor);
    }
}

static void on_begin(struct km_mail *mail)
{
    struct actor *actor = KM_CONTAINER_OF(mail, struct actor, mail);
    actor->timer.fire = on_timer;
    on_timer(&actor->timer);
}

/* -- the test ------------------------------------------------------------ */

static kama_node *open_node(int64_t drain_timeout_ms)
{
    kama_node *node = NULL;
    kama_node_options options;
    kama_group_options group;
    kama_node_options_init(&options);
    options.listen = "127.0.0.1:0";
    options.threads = 2;
    options.drain_timeout_ms = drain_timeout_ms;
    assert_int_equal(kama_node_new(&options, &node), KAMA_OK);
    kama_group_options_init(&group);
    group.name = "g";
    group.loader = load;
    group.loader_concurrency = 8;
    group.loader_timeout_ms = 400;
    group.ttl_ms = 50;
    group.max_bytes = 8u << 20;
    assert_int_equal(kama_node_add_group(node, &group, NULL), KAMA_OK);
    assert_int_equal(kama_node_start(node), KAMA_OK);
    return node;
}

static void announce(const char *address)
{
    km_mutex_lock(&world.lock);
    (void)snprintf(world.address, sizeof world.address, "%s", address);
    km_mutex_unlock(&world.lock);
}

/* Waits for a while, and until some calls were answered. */
static void let_them_call(void)
{
    km_ns until = km_ns_after_ms(now(), ROUND_MS);
    km_ns patience = km_ns_after_ms(now(), PATIENCE_MS);
    const struct timespec pause = {.tv_nsec = 5000000};
    km_mutex_lock(&world.lock);
    unsigned answered = world.answered;
    while (now() < until || world.answered < answered + ACTORS) {
        KM_ASSERT(now() < patience);
        km_mutex_unlock(&world.lock);
        (void)nanosleep(&pause, NULL);
        km_mutex_lock(&world.lock);
    }
    km_mutex_unlock(&world.lock);
}

static void stop_node(kama_node *node, bool hold)
{
    hold_loads(hold);
    kama_status status = kama_node_stop(node);
    assert_true(status == KAMA_OK || status == KAMA_ERR_TIMEOUT);
    hold_loads(false);
    kama_node_free(node);
}

/* Starts a new node and ends the one before, to which most channels are
 * connected. */
static kama_node *run_round(unsigned round, kama_node *before)
{
    kama_node *node = open_node(round % 2 == 0 ? 0 : 150);
    announce(kama_node_address(node));
    if (before != NULL) {
        stop_node(before, round >= 2);
    }
    let_them_call();
    return node;
}

static void begin_actors(struct actor *actors, struct km_loop **loops)
{
    for (unsigned i = 0; i < CLIENT_LOOPS; i++) {
        assert_int_equal(km_loop_new(NULL, km_clock_system(), i, &loops[i]),
                         KAMA_OK);
        assert_int_equal(km_loop_start(loops[i]), KAMA_OK);
    }
    world.actors = ACTORS;
    for (unsigned i = 0; i < ACTORS; i++) {
        actors[i] = (struct actor){.mail = {.run = on_begin},
                                   .loop = loops[i % CLIENT_LOOPS],
                                   .seed = i + 1};
        km_loop_post(actors[i].loop, &actors[i].mail);
    }
}

static void end_all(struct km_loop **loops)
{
    km_ns until = km_ns_after_ms(now(), PATIENCE_MS);
    km_mutex_lock(&world.lock);
    world.quit = true;
    km_cond_broadcast(&world.cond);
    while (world.actors > 0) {
        bool woken = km_cond_wait_until(&world.cond, &world.lock, until);
        KM_ASSERT(woken);
    }
    km_mutex_unlock(&world.lock);
    for (unsigned i = 0; i < CLIENT_LOOPS; i++) {
        km_loop_stop(loops[i]);
    }
    for (unsigned i = 0; i < CLIENT_LOOPS; i++) {
        km_loop_join(loops[i]);
        km_loop_free(loops[i]);
    }
}

static void test_stopped_in_the_middle(void **state)
{
    (void)state;
    static struct actor actors[ACTORS];
    struct km_loop *loops[CLIENT_LOOPS];
    struct raw raws[RAW_THREADS];
    pthread_t ender;
    km_list_init(&world.waiting);
    assert_true(km_mutex_init(&world.lock, KM_RANK_WAITER));
    assert_true(km_cond_init(&world.cond));
    assert_int_equal(pthread_create(&ender, NULL, end_loads, NULL), 0);
    begin_actors(actors, loops);
    for (unsigned i = 0; i < RAW_THREADS; i++) {
        raw_init(&raws[i], i + 1000, get_address, is_quitting);
        assert_int_equal(
            pthread_create(&raws[i].thread, NULL, visit_often, &raws[i]), 0);
    }
    kama_node *node = NULL;
    for (unsigned i = 0; i < ROUNDS; i++) {
        node = run_round(i, node);
    }
    stop_node(node, true);
    end_all(loops);
    for (unsigned i = 0; i < RAW_THREADS; i++) {
        assert_int_equal(pthread_join(raws[i].thread, NULL), 0);
        km_buf_fini(&raws[i].bytes);
    }
    assert_int_equal(pthread_join(ender, NULL), 0);
    print_message("%u calls, %u answered\n", world.ended, world.answered);
    km_cond_fini(&world.cond);
    km_mutex_fini(&world.lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stopped_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
