/* SPDX-License-Identifier: MIT */
/* Callers that call again in on_end: others on the loop have their turn. */
#include "rpc/channel_kit.h"

/* No server listens there: calls end at once, between attempts. */
#define NOWHERE "127.0.0.1:1"
#define ENDS_MAX 1000000

struct retrier {
    struct caller caller;
    unsigned ends;
    bool close_in_end;
    bool stop;
    struct latch first;
    struct latch last;
};

static void call_again(struct retrier *r);

static void on_retrier_end(void *arg, const struct km_channel_result *result)
{
    struct retrier *r = arg;
    KM_ASSERT(result->status == KAMA_ERR_UNREACHABLE ||
              result->status == KAMA_ERR_CANCELLED);
    KM_ASSERT(++r->ends < ENDS_MAX); /* the loop has no turn any more */
    latch_hit(&r->first);
    if (!r->stop) {
        call_again(r);
        return;
    }
    if (r->close_in_end) {
        caller_close(&r->caller);
    }
    latch_hit(&r->last);
}

static void on_retrier_message(void *arg, kama_bytes message)
{
    (void)arg;
    (void)message;
}

static const struct km_channel_call_ops retrier_ops = {
    .on_message = on_retrier_message, .on_end = on_retrier_end};

static void call_again(struct retrier *r)
{
    const struct km_channel_call_options options = {.path = "/a/b",
                                                    .deadline = KM_NS_NEVER};
    struct km_channel_call *call;
    kama_status status = km_channel_call_new(r->caller.channel, &options,
                                             &retrier_ops, r, &call);
    KM_ASSERT(status == KAMA_OK);
}

static void begin(void *arg)
{
    call_again(arg);
}

static void stop(void *arg)
{
    struct retrier *r = arg;
    r->stop = true;
}

static void retry(struct retrier *r)
{
    caller_begin(&r->caller, NOWHERE);
    latch_init(&r->first);
    latch_init(&r->last);
    on_loop(r->caller.loop, begin, r);
    latch_wait(&r->first, 1);
    on_loop(r->caller.loop, stop, r);
    latch_wait(&r->last, 1);
}

static void retrier_fini(struct retrier *r)
{
    latch_fini(&r->first);
    latch_fini(&r->last);
}

/* Mail is run while a caller calls again and again. */
static void test_others_have_a_turn(void **state)
{
    (void)state;
    struct retrier r = {0};
    retry(&r);
    caller_end(&r.caller);
    retrier_fini(&r);
}

/* The channel is closed by the last of them. */
static void test_closed_in_end(void **state)
{
    (void)state;
    struct retrier r = {.close_in_end = true};
    retry(&r);
    loop_end(r.caller.loop);
    assert_int_equal(latch_count(&r.caller.freed), 1);
    latch_fini(&r.caller.freed);
    retrier_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_others_have_a_turn),
        cmocka_unit_test(test_closed_in_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
