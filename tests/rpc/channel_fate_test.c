/* SPDX-License-Identifier: MIT */
/* What a caller learns about a request whose call has failed, and calls that
 * are never sent twice. */
#include "rpc/channel.h"

#include "rpc/odd_server.h"

#include <time.h>

#define NOWHERE "127.0.0.1:1" /* no server listens there */

static const char goaway_none[] = "\0\0\0\0\0\0\0\0";
static const char goaway_all[] = "\x7f\xff\xff\xff\0\0\0\0";

static void outcome_fate(struct outcome *o, struct caller *caller,
                         enum km_channel_repeat repeat)
{
    static const char *const requests[] = {"request"};
    outcome_init(o, caller, "/odd/Fate");
    o->request_count = 1;
    o->requests = requests;
    o->options.repeat = repeat;
}

/* Runs one call that is never sent twice. */
static struct outcome run_once(struct odd *odd)
{
    struct caller caller;
    struct outcome o;
    odd_start(odd);
    caller_begin(&caller, odd->address);
    outcome_fate(&o, &caller, KM_CHANNEL_REPEAT_NEVER);
    outcome_run(&o);
    outcome_fini(&o);
    caller_end(&caller);
    odd_fini(odd);
    return o;
}

/* A request that was refused is not sent again, and its caller is told that it
 * was not processed. */
static void test_refused_once(void **state)
{
    (void)state;
    struct odd odd;
    odd_init(&odd);
    raw_u32_frame(&odd.answers[0], RAW_RST_STREAM, 1, 7);
    good_answer(&odd.answers[1], 3);
    odd.answer_count = 2;
    struct outcome o = run_once(&odd);
    assert_int_equal(o.code, 14);
    assert_int_equal(o.fate, KM_CHANNEL_FATE_REFUSED);
    assert_int_equal(odd.requests, 1);
}

/* Likewise a request above the last stream of a GOAWAY. */
static void test_goaway_once(void **state)
{
    (void)state;
    struct odd odd;
    odd_init(&odd);
    raw_frame(&odd.answers[0], RAW_GOAWAY, 0, 0,
              kama_bytes_make(goaway_none, 8));
    good_answer(&odd.answers[1], 1);
    odd.answer_count = 2;
    struct outcome o = run_once(&odd);
    assert_int_equal(o.code, 14);
    assert_int_equal(o.fate, KM_CHANNEL_FATE_REFUSED);
    assert_int_equal(odd.requests, 1);
    assert_int_equal(odd.connections, 1);
}

/* A connection that is lost after the request was sent tells nothing. */
static void test_lost(void **state)
{
    (void)state;
    struct odd odd;
    odd_init(&odd);
    odd.answer_count = 1; /* empty: the connection ends instead */
    odd.after = RESET;
    struct outcome o = run_once(&odd);
    assert_int_equal(o.status, KAMA_ERR_DISCONNECTED);
    assert_int_equal(o.fate, KM_CHANNEL_FATE_MAYBE);
}

/* An answer that came is the result, whatever the option is. */
static void test_answered(void **state)
{
    (void)state;
    struct odd odd;
    odd_init(&odd);
    good_answer(&odd.answers[0], 1);
    odd.answer_count = 1;
    struct outcome o = run_once(&odd);
    assert_int_equal(o.status, KAMA_OK);
    assert_int_equal(o.fate, KM_CHANNEL_FATE_MAYBE);
}

/* Two GOAWAYs: the first excludes no call, and the second one does. */
static void test_two_goaways(void **state)
{
    (void)state;
    struct caller caller;
    struct outcome o;
    struct odd odd;
    odd_init(&odd);
    raw_frame(&odd.answers[0], RAW_GOAWAY, 0, 0,
              kama_bytes_make(goaway_all, 8));
    raw_frame(&odd.answers[0], RAW_GOAWAY, 0, 0,
              kama_bytes_make(goaway_none, 8));
    good_answer(&odd.answers[1], 1);
    odd.answer_count = 2;
    odd_start(&odd);
    caller_begin(&caller, odd.address);
    outcome_fate(&o, &caller, KM_CHANNEL_REPEAT_REFUSED);
    outcome_run(&o);
    assert_int_equal(o.status, KAMA_OK);
    assert_int_equal(odd.connections, 2);
    outcome_fini(&o);
    caller_end(&caller);
    odd_fini(&odd);
}

/* Without a server nothing is sent: with the attempt that fails, and between
 * two attempts. */
static void test_unreachable(void **state)
{
    (void)state;
    struct caller caller;
    caller_begin(&caller, NOWHERE);
    for (int i = 0; i < 2; i++) {
        struct outcome o;
        outcome_fate(&o, &caller, KM_CHANNEL_REPEAT_REFUSED);
        outcome_run(&o);
        assert_int_equal(o.status, KAMA_ERR_UNREACHABLE);
        assert_int_equal(o.fate, KM_CHANNEL_FATE_NOT_SENT);
        outcome_fini(&o);
    }
    caller_end(&caller);
}

static void start_and_cancel(void *arg)
{
    outcome_start(arg);
    outcome_cancel(arg);
}

/* A call that is cancelled in the turn in which it began was not sent, and its
 * connection serves the next call. */
static void test_cancelled_before_it_was_sent(void **state)
{
    (void)state;
    struct caller caller;
    struct outcome o;
    struct odd odd;
    odd_init(&odd);
    good_answer(&odd.answers[0], 1);
    good_answer(&odd.answers[1], 5); /* 3 was never opened */
    odd.answer_count = 2;
    odd_start(&odd);
    caller_begin(&caller, odd.address);
    for (int i = 0; i < 3; i++) {
        outcome_fate(&o, &caller, KM_CHANNEL_REPEAT_NEVER);
        on_loop(caller.loop, i == 1 ? start_and_cancel : outcome_start, &o);
        latch_wait(&o.done, 1);
        assert_int_equal(o.status, i == 1 ? KAMA_ERR_CANCELLED : KAMA_OK);
        assert_int_equal(o.fate, i == 1 ? KM_CHANNEL_FATE_NOT_SENT
                                        : KM_CHANNEL_FATE_MAYBE);
        outcome_fini(&o);
    }
    assert_int_equal(odd.requests, 2);
    caller_end(&caller);
    odd_fini(&odd);
}

struct two_calls {
    struct outcome *probe;
    struct outcome *other;
};

static void start_two(void *arg)
{
    struct two_calls *two = arg;
    outcome_start(two->probe);
    outcome_start(two->other);
}

/* Whether a call ends while the call that began an attempt before it still
 * waits. A machine that stands still for the whole attempt gets another try. */
static bool other_ends_first(struct caller *caller, bool in_one_turn)
{
    struct outcome probe;
    struct outcome other;
    bool first = false;
    for (int i = 0; i < 20 && !first; i++) {
        /* The backoff of 1 ms passes, so that the next call begins an attempt. */
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        outcome_fate(&probe, caller, KM_CHANNEL_REPEAT_REFUSED);
        outcome_fate(&other, caller, KM_CHANNEL_REPEAT_REFUSED);
        if (in_one_turn) {
            struct two_calls two = {&probe, &other};
            on_loop(caller->loop, start_two, &two);
        } else {
            outcome_launch(&probe);
            outcome_launch(&other);
        }
        latch_wait(&other.done, 1);
        first = latch_count(&probe.done) == 0;
        latch_wait(&probe.done, 1);
        assert_int_equal(other.status, KAMA_ERR_UNREACHABLE);
        assert_int_equal(probe.status, KAMA_ERR_UNREACHABLE);
        outcome_fini(&other);
        outcome_fini(&probe);
    }
    return first;
}

/* While an attempt runs that follows a failed one, a call that does not wait
 * for a server ends at once, also in the turn in which the attempt begins; only
 * the call that began the attempt waits. */
static void test_no_waiting_behind_a_failed_attempt(void **state)
{
    (void)state;
    struct caller caller;
    struct outcome probe;
    struct odd odd;
    odd_init(&odd);
    odd.greeting.len = 0; /* accepts, and says nothing */
    odd_start(&odd);
    const struct km_channel_options options = {.address = odd.address,
                                               .connect_timeout_ms = 200,
                                               .backoff_ms_min = 1,
                                               .backoff_ms_max = 1};
    assert_int_equal(caller_try_with(&caller, &options), KAMA_OK);
    outcome_fate(&probe, &caller, KM_CHANNEL_REPEAT_REFUSED);
    outcome_run(&probe); /* the attempt that fails */
    assert_int_equal(probe.status, KAMA_ERR_UNREACHABLE);
    outcome_fini(&probe);
    assert_true(other_ends_first(&caller, false));
    assert_true(other_ends_first(&caller, true));
    caller_end(&caller);
    odd_fini(&odd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_once),
        cmocka_unit_test(test_goaway_once),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_answered),
        cmocka_unit_test(test_two_goaways),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_cancelled_before_it_was_sent),
        cmocka_unit_test(test_no_waiting_behind_a_failed_attempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
