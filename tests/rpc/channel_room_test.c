/* SPDX-License-Identifier: MIT */
/* Requests in many messages: a caller that asks for room, and one that does
 * not; bodies by reference; answers whose reading is paused. */
#include "rpc/channel.h"

#include "rpc/channel_kit.h"
#include "rpc/mute_server.h"
#include "rpc/rpc_world.h"

#include "base/limits.h"
#include "wire/h2/h2.h"

#include <kamacache/kamacache.h>

#define CHUNK_BYTES (16u << 10)
#define PREFIX_BYTES 5

static char zeros[KM_RPC_CALL_QUEUED_BYTES_MAX + 1];

/* -- a caller that sends much --------------------------------------------- */

/* Sends chunks while the call is writable. All members are the loop's. */
struct pusher {
    struct outcome outcome; /* first: it is the arg of the call */
    size_t pushed;
    size_t goal;
    size_t queued_most;
    unsigned stops;
    struct latch stopped;
    kama_status status;
};

static void push(void *arg)
{
    struct pusher *pusher = arg;
    struct km_channel_call *call = pusher->outcome.call;
    while (pusher->pushed < pusher->goal) {
        if (!km_channel_call_writable(call)) {
            pusher->stops++;
            latch_hit(&pusher->stopped);
            return;
        }
        pusher->status =
            km_channel_call_send(call, kama_bytes_make(zeros, CHUNK_BYTES));
        KM_ASSERT(pusher->status == KAMA_OK);
        pusher->pushed += CHUNK_BYTES;
        size_t queued = km_channel_call_queued_bytes(call);
        if (queued > pusher->queued_most) {
            pusher->queued_most = queued;
        }
    }
    km_channel_call_half_close(call);
}

static void count_message(void *arg, kama_bytes message)
{
    struct pusher *pusher = arg;
    KM_ASSERT(message.len == CHUNK_BYTES);
    pusher->outcome.count++;
}

static const struct km_channel_call_ops push_ops = {
    .on_message = count_message, .on_end = outcome_end, .on_writable = push};

static void push_begin(void *arg)
{
    struct pusher *pusher = arg;
    struct outcome *o = &pusher->outcome;
    o->options.deadline = KM_NS_NEVER;
    o->started = km_channel_call_new(o->caller->channel, &o->options, &push_ops,
                                     pusher, &o->call);
    KM_ASSERT(o->started == KAMA_OK);
    push(pusher);
}

static void pusher_init(struct pusher *pusher, struct caller *caller,
                        size_t goal)
{
    *pusher = (struct pusher){.goal = goal};
    outcome_init(&pusher->outcome, caller, "/t/Chat");
    pusher->outcome.options.unary = false;
    latch_init(&pusher->stopped);
}

static void pusher_fini(struct pusher *pusher)
{
    outcome_fini(&pusher->outcome);
    latch_fini(&pusher->stopped);
}

/* 250 MiB for a server that reads nothing: little of it is queued. */
static void test_a_caller_that_asks_queues_little(void **state)
{
    (void)state;
    struct mute mute;
    struct caller caller;
    struct pusher pusher;
    mute_bind(&mute);
    mute_listen(&mute);
    caller_begin(&caller, mute.address);
    pusher_init(&pusher, &caller, 250u << 20);
    on_loop(caller.loop, push_begin, &pusher);
    latch_wait(&pusher.stopped, 1); /* before there is a connection */
    mute_greet(&mute);
    latch_wait(&pusher.stopped, 2); /* and when the window is used up */
    on_loop(caller.loop, outcome_cancel, &pusher.outcome);
    latch_wait(&pusher.outcome.done, 1);
    assert_true(pusher.queued_most <
                KM_H2_LOW_WATER_BYTES + CHUNK_BYTES + 32 * PREFIX_BYTES);
    caller_end(&caller);
    pusher_fini(&pusher);
    mute_end(&mute);
}

/* The server reads: on_writable follows each stop, until everything was sent
 * and has come back. */
static void test_on_writable_follows_each_stop(void **state)
{
    (void)state;
    struct world world;
    struct caller caller;
    struct pusher pusher;
    world_start(&world);
    caller_begin(&caller, world.address);
    pusher_init(&pusher, &caller, 16u << 20);
    on_loop(caller.loop, push_begin, &pusher);
    latch_wait(&pusher.outcome.done, 1);
    assert_int_equal(pusher.outcome.status, KAMA_OK);
    assert_int_equal(pusher.outcome.count, (16u << 20) / CHUNK_BYTES);
    assert_true(pusher.stops > 1);
    assert_true(pusher.queued_most <
                KM_H2_LOW_WATER_BYTES + CHUNK_BYTES + 32 * PREFIX_BYTES);
    caller_end(&caller);
    pusher_fini(&pusher);
    world_fini(&world);
}

/* -- a caller that does not ask ------------------------------------------- */

struct limit {
    struct outcome outcome; /* first */
    size_t bytes;           /* of the first message */
    kama_status second;
    kama_status third;
    char sentence[300];
};

static void send_past_limit(void *arg)
{
    struct limit *limit = arg;
    outcome_start(&limit->outcome);
    struct km_channel_call *call = limit->outcome.call;
    KM_ASSERT(km_channel_call_send(
                  call, kama_bytes_make(zeros, limit->bytes)) == KAMA_OK);
    KM_ASSERT(km_channel_call_queued_bytes(call) ==
              limit->bytes + PREFIX_BYTES);
    limit->second = km_channel_call_send(call, KM_LIT("x"));
    limit->third = km_channel_call_send(call, KM_LIT("x"));
    (void)snprintf(limit->sentence, sizeof limit->sentence, "%s",
                   km_last_error());
    km_channel_call_cancel(call);
}

static void run_limit(struct limit *limit, size_t queued)
{
    struct mute mute;
    struct caller caller;
    mute_bind(&mute);
    mute_listen(&mute);
    caller_begin(&caller, mute.address);
    *limit = (struct limit){.bytes = queued - PREFIX_BYTES};
    outcome_init(&limit->outcome, &caller, "/t/Chat");
    limit->outcome.options.unary = false;
    limit->outcome.keep_open = true;
    on_loop(caller.loop, send_past_limit, limit);
    latch_wait(&limit->outcome.done, 1);
    outcome_fini(&limit->outcome);
    caller_end(&caller);
    mute_end(&mute);
}

/* A message is taken one byte below the limit, and refused at the limit. */
static void test_a_caller_that_does_not_ask_is_stopped(void **state)
{
    (void)state;
    struct limit limit;
    run_limit(&limit, KM_RPC_CALL_QUEUED_BYTES_MAX - 1);
    assert_int_equal(limit.second, KAMA_OK);
    assert_int_equal(limit.third, KAMA_ERR_OVERLOADED);
    assert_non_null(strstr(limit.sentence, "the limit is 4194304"));
    run_limit(&limit, KM_RPC_CALL_QUEUED_BYTES_MAX);
    assert_int_equal(limit.second, KAMA_ERR_OVERLOADED);
}

/* -- bodies by reference -------------------------------------------------- */

struct with_body {
    struct outcome outcome; /* first */
    kama_value *body;
};

static void start_with_body(void *arg)
{
    struct with_body *with = arg;
    with->outcome.keep_open = true;
    outcome_start(&with->outcome);
    KM_ASSERT(km_channel_call_send_parts(with->outcome.call, KM_LIT("head "),
                                         with->body) == KAMA_OK);
    kama_value_unref(with->body);
    km_channel_call_half_close(with->outcome.call);
}

static kama_value *make_value(size_t bytes)
{
    kama_group_options options;
    kama_group *group;
    kama_value *value;
    kama_group_options_init(&options);
    options.name = "values";
    assert_int_equal(kama_group_new(&options, &group), KAMA_OK);
    assert_int_equal(
        kama_set(group, KAMA_STR("k"), kama_bytes_make(zeros, bytes), NULL),
        KAMA_OK);
    assert_int_equal(kama_get(group, KAMA_STR("k"), NULL, &value), KAMA_OK);
    kama_group_free(group);
    return value;
}

/* The body follows the head, on a call that waits for its connection and on one
 * that runs; the caller's own reference is not needed after the call. */
static void test_a_body_is_sent_by_reference(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 100, 100, 200000, 1u << 20};
    struct world world;
    struct caller caller;
    world_start(&world);
    caller_begin(&caller, world.address);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct with_body with = {.body = make_value(sizes[i])};
        outcome_init(&with.outcome, &caller, "/t/Echo");
        on_loop(caller.loop, start_with_body, &with);
        latch_wait(&with.outcome.done, 1);
        assert_int_equal(with.outcome.status, KAMA_OK);
        assert_int_equal(with.outcome.messages.len, 5 + sizes[i] + 1);
        assert_memory_equal(with.outcome.messages.data, "head ", 5);
        assert_memory_equal(with.outcome.messages.data + 5, zeros, sizes[i]);
        outcome_fini(&with.outcome);
    }
    caller_end(&caller);
    world_fini(&world);
}

/* A body is given back with a call that never had a connection. */
static void test_a_body_is_given_back_unsent(void **state)
{
    (void)state;
    struct mute mute;
    struct caller caller;
    struct with_body with = {.body = make_value(200000)};
    mute_bind(&mute);
    mute_listen(&mute);
    caller_begin(&caller, mute.address);
    outcome_init(&with.outcome, &caller, "/t/Echo");
    on_loop(caller.loop, start_with_body, &with);
    on_loop(caller.loop, outcome_cancel, &with.outcome);
    latch_wait(&with.outcome.done, 1);
    assert_int_equal(with.outcome.fate, KM_CHANNEL_FATE_NOT_SENT);
    outcome_fini(&with.outcome);
    caller_end(&caller);
    mute_end(&mute);
}

/* -- pausing ------------------------------------------------------------- */

static void start_paused(void *arg)
{
    struct outcome *o = arg;
    outcome_start(o);
    km_channel_call_pause_reading(o->call);
    km_channel_call_pause_reading(o->call);
}

static void resume(void *arg)
{
    struct outcome *o = arg;
    km_channel_call_resume_reading(o->call);
    km_channel_call_resume_reading(o->call);
}

/* A paused call gets no more than its window, while others of the connection go
 * on; after it is resumed it gets the rest. */
static void test_a_paused_call_stops_alone(void **state)
{
    (void)state;
    static const char *const many[] = {"100"}; /* of 10,000 bytes */
    struct world world;
    struct caller caller;
    struct outcome paused;
    struct outcome other;
    world_start(&world);
    caller_begin(&caller, world.address);
    for (int i = 0; i < 2; i++) { /* before the connection, and on it */
        outcome_init(&paused, &caller, "/t/Count");
        paused.options.unary = false;
        paused.requests = many;
        paused.request_count = 1;
        on_loop(caller.loop, start_paused, &paused);
        latch_wait(&paused.got, KM_H2_STREAM_WINDOW_BYTES / COUNT_BYTES - 1);
        outcome_init(&other, &caller, "/t/Count");
        other.options.unary = false;
        other.requests = many;
        other.request_count = 1;
        outcome_run(&other);
        assert_int_equal(other.count, 100);
        outcome_fini(&other);
        assert_true(latch_count(&paused.got) <=
                    KM_H2_STREAM_WINDOW_BYTES / COUNT_BYTES);
        assert_int_equal(latch_count(&paused.done), 0);
        on_loop(caller.loop, resume, &paused);
        latch_wait(&paused.done, 1);
        assert_int_equal(paused.status, KAMA_OK);
        assert_int_equal(paused.count, 100);
        outcome_fini(&paused);
    }
    caller_end(&caller);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_caller_that_asks_queues_little),
        cmocka_unit_test(test_on_writable_follows_each_stop),
        cmocka_unit_test(test_a_caller_that_does_not_ask_is_stopped),
        cmocka_unit_test(test_a_body_is_sent_by_reference),
        cmocka_unit_test(test_a_body_is_given_back_unsent),
        cmocka_unit_test(test_a_paused_call_stops_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
