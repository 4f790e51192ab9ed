/* SPDX-License-Identifier: MIT */
/* Second attempts of the channel, and calls that wait for their turn. */
#include "rpc/channel.h"

#include "rpc/odd_server.h"

static struct outcome run_odd_call(struct odd *odd, bool wait_for_ready)
{
    struct caller caller;
    struct outcome o;
    odd_start(odd);
    caller_begin(&caller, odd->address);
    outcome_init(&o, &caller, "/odd/Again");
    o.request_count = 1;
    o.requests = (const char *const[]){"request"};
    o.options.wait_for_ready = wait_for_ready;
    outcome_run(&o);
    outcome_fini(&o);
    caller_end(&caller);
    odd_fini(odd);
    return o;
}

/* A refused stream is tried again on the connection, once. */
static void test_refused(void **state)
{
    (void)state;
    struct odd odd;
    odd_init(&odd);
    raw_u32_frame(&odd.answers[0], RAW_RST_STREAM, 1, 7);
    good_answer(&odd.answers[1], 3);
    odd.answer_count = 2;
    assert_int_equal(run_odd_call(&odd, false).status, KAMA_OK);
    assert_int_equal(odd.requests, 2);
    assert_int_equal(odd.connections, 1);

    odd_init(&odd);
    raw_u32_frame(&odd.answers[0], RAW_RST_STREAM, 1, 7);
    raw_u32_frame(&odd.answers[1], RAW_RST_STREAM, 3, 7);
    good_answer(&odd.answers[2], 5);
    odd.answer_count = 3;
    assert_int_equal(run_odd_call(&odd, true).code, 14);
    assert_int_equal(odd.requests, 2);
}

static const char goaway_none[] = "\0\0\0\0\0\0\0\0";

/* A GOAWAY that excludes the call: it goes to a new connection. A call that
 * waits does that more than once. */
static void test_goaway(void **state)
{
    (void)state;
    struct odd odd;
    odd_init(&odd);
    raw_frame(&odd.answers[0], RAW_GOAWAY, 0, 0,
              kama_bytes_make(goaway_none, 8));
    good_answer(&odd.answers[1], 1);
    odd.answer_count = 2;
    assert_int_equal(run_odd_call(&odd, false).status, KAMA_OK);
    assert_int_equal(odd.requests, 2);
    assert_int_equal(odd.connections, 2);

    odd_init(&odd);
    for (int i = 0; i < 3; i++) {
        raw_frame(&odd.answers[i], RAW_GOAWAY, 0, 0,
                  kama_bytes_make(goaway_none, 8));
    }
    good_answer(&odd.answers[3], 1);
    odd.answer_count = 4;
    odd.after = SHUT;
    assert_int_equal(run_odd_call(&odd, true).status, KAMA_OK);
    assert_int_equal(odd.connections, 4);
}

/* A lost connection may have been too late: no second attempt. */
static void test_lost(void **state)
{
    (void)state;
    struct odd odd;
    odd_init(&odd);
    odd.answer_count = 2; /* both empty: the connection ends instead */
    odd.after = RESET;
    assert_int_equal(run_odd_call(&odd, true).status, KAMA_ERR_DISCONNECTED);
    assert_int_equal(odd.requests, 1);
}

/* More calls than the server permits wait for their turn. */
static void test_stream_limit(void **state)
{
    (void)state;
    enum { CALLS = 4 };
    struct odd odd;
    struct caller caller;
    struct outcome calls[CALLS];
    odd_init(&odd);
    odd.greeting.len = 0;
    raw_frame(&odd.greeting, RAW_SETTINGS, 0, 0,
              kama_bytes_make("\0\3\0\0\0\1", 6)); /* one at a time */
    for (unsigned i = 0; i < CALLS; i++) {
        good_answer(&odd.answers[i], 2 * i + 1);
    }
    odd.answer_count = CALLS;
    odd_start(&odd);
    caller_begin(&caller, odd.address);
    for (int i = 0; i < CALLS; i++) {
        outcome_init(&calls[i], &caller, "/odd/Many");
        outcome_launch(&calls[i]);
    }
    for (int i = 0; i < CALLS; i++) {
        latch_wait(&calls[i].done, 1);
        assert_int_equal(calls[i].status, KAMA_OK);
        outcome_fini(&calls[i]);
    }
    assert_int_equal(odd.connections, 1);
    caller_end(&caller);
    odd_fini(&odd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_goaway),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_stream_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
