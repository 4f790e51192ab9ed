/* SPDX-License-Identifier: MIT */
/* What a channel notices by itself and tells its owner: frozen servers, new and
 * lost connections, addresses; and its backoff and memory. */
#include "rpc/channel.h"

#include "rpc/channel_kit.h"
#include "rpc/mute_server.h"
#include "rpc/odd_server.h"

#include "base/limits.h"
#include "wire/h2/loop_cache.h"

/* A frozen peer is noticed in less than this. */
#define NOTICED_MS 5000

/* What the channel told its owner. */
struct owner {
    struct caller caller;
    struct latch connected;
    struct latch disconnected;
    char local_address[64];
    kama_status why;
    char text[300];
    unsigned calls_ended; /* at the time of on_disconnected */
    struct outcome *call;
    const char *asked; /* km_channel_local_address */
};

static void on_connected(void *arg, const char *local_address)
{
    struct owner *owner = arg;
    (void)snprintf(owner->local_address, sizeof owner->local_address, "%s",
                   local_address);
    owner->asked = km_channel_local_address(owner->caller.channel);
    KM_ASSERT(strcmp(owner->asked, local_address) == 0);
    latch_hit(&owner->connected);
}

static void on_disconnected(void *arg, kama_status why, const char *text)
{
    struct owner *owner = arg;
    owner->why = why;
    owner->asked = km_channel_local_address(owner->caller.channel);
    (void)snprintf(owner->text, sizeof owner->text, "%s", text);
    if (owner->call != NULL) {
        owner->calls_ended = latch_count(&owner->call->done);
    }
    latch_hit(&owner->disconnected);
}

static const struct km_channel_ops owner_ops = {
    .on_connected = on_connected, .on_disconnected = on_disconnected};

static void owner_begin(struct owner *owner, struct km_channel_options options)
{
    *owner = (struct owner){0};
    latch_init(&owner->connected);
    latch_init(&owner->disconnected);
    options.ops = &owner_ops;
    options.arg = owner;
    assert_int_equal(caller_try_with(&owner->caller, &options), KAMA_OK);
}

static void owner_end(struct owner *owner)
{
    caller_end(&owner->caller);
    latch_fini(&owner->connected);
    latch_fini(&owner->disconnected);
}

static void owner_call(struct owner *owner, struct outcome *o, const char *path)
{
    static const char *const requests[] = {"x"};
    outcome_init(o, &owner->caller, path);
    o->requests = requests;
    o->request_count = 1;
    o->options.wait_for_ready = true;
    o->timeout_ms = NOTICED_MS;
    owner->call = o;
}

static struct km_channel_options peer_options(const char *address)
{
    return (struct km_channel_options){
        .address = address,
        .keepalive_ms = KM_RPC_PEER_PING_MS,
        .keepalive_timeout_ms = KM_RPC_PEER_PING_TIMEOUT_MS,
        .keepalive = KM_CHANNEL_KEEPALIVE_ALWAYS};
}

/* -- frozen servers ------------------------------------------------------- */

static void expect_frozen(struct owner *owner, struct outcome *o)
{
    latch_wait(&o->done, 1);
    assert_int_equal(o->status, KAMA_ERR_DISCONNECTED);
    assert_non_null(strstr(o->text, "did not answer a PING"));
    assert_int_equal(o->fate, KM_CHANNEL_FATE_MAYBE);
    latch_wait(&owner->disconnected, 1);
    assert_int_equal(owner->why, KAMA_ERR_DISCONNECTED);
    assert_string_equal(owner->text, o->text);
    assert_int_equal(owner->calls_ended, 0);
    outcome_fini(o);
}

/* A process that is stopped while a call runs. */
static void test_a_stopped_process_is_noticed(void **state)
{
    (void)state;
    struct python python;
    struct owner owner;
    struct outcome o;
    char line[64];
    if (!python_start(&python, 0)) {
        skip();
    }
    owner_begin(&owner, peer_options(python.address));
    owner_call(&owner, &o, "/test.S/Hang");
    outcome_launch(&o);
    assert_int_equal(write(python.in, "hanging 1\n", 10), 10);
    assert_non_null(fgets(line, sizeof line, python.out));
    assert_int_equal(kill(python.pid, SIGSTOP), 0);
    expect_frozen(&owner, &o);
    assert_int_equal(kill(python.pid, SIGCONT), 0);
    owner_end(&owner);
    python_stop(&python, true);
}

/* A socket that no one reads. */
static void test_a_silent_socket_is_noticed(void **state)
{
    (void)state;
    struct mute mute;
    struct owner owner;
    struct outcome o;
    mute_bind(&mute);
    mute_listen(&mute);
    owner_begin(&owner, peer_options(mute.address));
    owner_call(&owner, &o, "/a/b");
    outcome_launch(&o);
    mute_greet(&mute);
    expect_frozen(&owner, &o);
    owner_end(&owner);
    mute_end(&mute);
}

/* -- news ----------------------------------------------------------------- */

/* The owner hears of a connection with its address, and of a GOAWAY. */
static void test_the_owner_hears_of_connections(void **state)
{
    (void)state;
    static const char goaway_all[] = "\x7f\xff\xff\xff\0\0\0\0";
    struct odd odd;
    struct owner owner;
    struct outcome o;
    odd_init(&odd);
    good_answer(&odd.answers[0], 1);
    raw_frame(&odd.answers[0], RAW_GOAWAY, 0, 0,
              kama_bytes_make(goaway_all, 8));
    odd.answer_count = 1;
    odd_start(&odd);
    owner_begin(&owner, (struct km_channel_options){.address = odd.address});
    assert_null(km_channel_local_address(owner.caller.channel));
    owner_call(&owner, &o, "/a/b");
    outcome_run(&o);
    assert_int_equal(o.status, KAMA_OK);
    latch_wait(&owner.connected, 1);
    assert_memory_equal(owner.local_address, "127.0.0.1:", 10);
    assert_string_not_equal(owner.local_address, odd.address);
    latch_wait(&owner.disconnected, 1);
    assert_int_equal(owner.why, KAMA_ERR_CLOSED);
    assert_null(owner.asked);
    outcome_fini(&o);
    owner_end(&owner);
    odd_fini(&odd);
}

static void close_it(void *arg, const char *local_address)
{
    (void)local_address;
    struct owner *owner = arg;
    latch_hit(&owner->connected);
    caller_close(&owner->caller);
}

static const struct km_channel_ops closing_ops = {.on_connected = close_it};

/* The owner may close the channel when it hears of a connection. */
static void test_the_owner_closes_the_channel(void **state)
{
    (void)state;
    struct odd odd;
    struct owner owner = {0};
    struct outcome o;
    odd_init(&odd);
    odd.answer_count = 1;
    odd_start(&odd);
    latch_init(&owner.connected);
    const struct km_channel_options options = {
        .address = odd.address, .ops = &closing_ops, .arg = &owner};
    assert_int_equal(caller_try_with(&owner.caller, &options), KAMA_OK);
    owner_call(&owner, &o, "/a/b");
    outcome_run(&o);
    assert_int_equal(o.status, KAMA_ERR_CANCELLED);
    latch_wait(&owner.caller.freed, 1);
    loop_end(owner.caller.loop);
    latch_fini(&owner.caller.freed);
    latch_fini(&owner.connected);
    outcome_fini(&o);
    odd_fini(&odd);
}

/* -- backoff and memory --------------------------------------------------- */

static void reconnect(void *arg)
{
    km_channel_reconnect_now(arg);
}

/* The channel's own backoff, of a minute, is ended by its owner. */
static void test_reconnect_now_ends_the_backoff(void **state)
{
    (void)state;
    struct mute mute;
    struct owner owner;
    struct outcome waits;
    struct outcome fails;
    mute_bind(&mute);
    owner_begin(&owner,
                (struct km_channel_options){.address = mute.address,
                                            .backoff_ms_min = 60 * 1000,
                                            .backoff_ms_max = 60 * 1000});
    for (int i = 0; i < 2; i++) { /* in the attempt, and between two */
        owner_call(&owner, &fails, "/a/b");
        fails.options.wait_for_ready = false;
        outcome_run(&fails);
        assert_int_equal(fails.status, KAMA_ERR_UNREACHABLE);
        outcome_fini(&fails);
    }
    owner_call(&owner, &waits, "/a/b");
    waits.timeout_ms = 0;
    outcome_launch(&waits);
    mute_listen(&mute);
    on_loop(owner.caller.loop, reconnect, owner.caller.channel);
    mute_greet(&mute);
    latch_wait(&owner.connected, 1);
    on_loop(owner.caller.loop, reconnect, owner.caller.channel);
    on_loop(owner.caller.loop, outcome_cancel, &waits);
    latch_wait(&waits.done, 1);
    outcome_fini(&waits);
    owner_end(&owner);
    mute_end(&mute);
}

/* A channel uses the memory of its loop if it is given it. */
static void test_the_loop_s_cache_is_used(void **state)
{
    (void)state;
    struct odd odd;
    struct owner owner;
    struct outcome o;
    struct km_h2_loop_cache *cache;
    odd_init(&odd);
    good_answer(&odd.answers[0], 1);
    odd.answer_count = 1;
    odd_start(&odd);
    assert_int_equal(km_h2_loop_cache_new(NULL, 1u << 20, &cache), KAMA_OK);
    owner_begin(&owner, (struct km_channel_options){.address = odd.address,
                                                    .loop_cache = cache});
    owner_call(&owner, &o, "/a/b");
    outcome_run(&o);
    assert_int_equal(o.status, KAMA_OK);
    outcome_fini(&o);
    owner_end(&owner);
    assert_true(cache->cache_bytes > 0);
    km_h2_loop_cache_free(cache);
    odd_fini(&odd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_stopped_process_is_noticed),
        cmocka_unit_test(test_a_silent_socket_is_noticed),
        cmocka_unit_test(test_the_owner_hears_of_connections),
        cmocka_unit_test(test_the_owner_closes_the_channel),
        cmocka_unit_test(test_reconnect_now_ends_the_backoff),
        cmocka_unit_test(test_the_loop_s_cache_is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
