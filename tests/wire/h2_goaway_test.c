/* SPDX-License-Identifier: MIT */
/* A GOAWAY arrives before requests were sent. */
#include "wire/h2/h2.h"

#include "wire/h2_pair.h"

/* One request runs, another waits in the client's queue. */
static void begin(struct pair *pair, struct seen **running,
                  struct seen **queued)
{
    assert_int_equal(pair_init(pair, km_mem_default(), 0), KAMA_OK);
    pair_run(pair);
    assert_int_equal(pair_request(pair, running), KAMA_OK);
    pair_run(pair);
    assert_int_equal(pair->server.opened, 1);
    assert_int_equal(pair_request(pair, queued), KAMA_OK);
}

/* The running request can still be answered. */
static void finish(struct pair *pair, struct seen *running)
{
    assert_int_equal(pair->server.opened, 1);
    assert_int_equal(pair->server.status, KAMA_OK);
    assert_int_equal(pair->client.status, KAMA_OK);
    assert_false(running->closed);
    const struct km_h2_field status = pair_field(":status", "200");
    assert_int_equal(km_h2_end(running->stream, NULL, 0), KAMA_OK);
    pair_run(pair);
    assert_int_equal(
        km_h2_respond_and_end(pair->server.seen[0].stream, &status, 1),
        KAMA_OK);
    pair_run(pair);
    assert_true(running->closed);
    assert_int_equal(running->error_code, KM_H2_NO_ERROR);
    pair_fini(pair);
}

/* The queued request is refused, so that it can be sent elsewhere. No
 * RST_STREAM goes out for it: the server has never seen its stream and would
 * end the connection. */
static void test_queued_is_refused(void **state)
{
    (void)state;
    struct pair pair;
    struct seen *running;
    struct seen *queued;
    begin(&pair, &running, &queued);
    km_h2_goaway_notice(pair.server.h2);
    assert_true(pair_move(&pair, &pair.server, &pair.client));
    assert_true(pair.client.goaway);
    assert_false(km_h2_accepts(pair.client.h2));
    pair_run(&pair);
    assert_true(queued->closed);
    assert_int_equal(queued->error_code, KM_H2_REFUSED_STREAM);
    finish(&pair, running);
}

/* A request that was reset before it was sent is never sent, with or without a
 * GOAWAY. */
static void test_queued_is_reset(void **state)
{
    (void)state;
    for (int goaway = 0; goaway < 2; goaway++) {
        struct pair pair;
        struct seen *running;
        struct seen *queued;
        begin(&pair, &running, &queued);
        km_h2_reset(queued->stream, KM_H2_CANCEL);
        if (goaway) {
            km_h2_goaway_notice(pair.server.h2);
            assert_true(pair_move(&pair, &pair.server, &pair.client));
        }
        pair_run(&pair);
        assert_true(queued->closed);
        assert_int_equal(queued->error_code, KM_H2_CANCEL);
        finish(&pair, running);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queued_is_refused),
        cmocka_unit_test(test_queued_is_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
