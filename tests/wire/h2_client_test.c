/* SPDX-License-Identifier: MIT */
/* A client is fed odd answers that are written by hand. */
#include "wire/h2_raw.h"

#include "wire/h2_pair.h"

struct fake {
    struct pair pair;
    struct km_buf in;
    struct seen *seen;
    kama_status status;
};

/* Makes a client with one request that was not answered yet. */
static void fake_init(struct fake *fake)
{
    *fake = (struct fake){0};
    assert_int_equal(pair_init(&fake->pair, NULL, 0), KAMA_OK);
    km_buf_init(&fake->in, NULL, SIZE_MAX);
    assert_int_equal(pair_request_and_end(&fake->pair, &fake->seen), KAMA_OK);
    struct km_session *client = km_h2_session(fake->pair.client.h2);
    kama_bytes bytes;
    assert_int_equal(client->ops->take(client, &bytes), KAMA_OK);
    raw_frame(&fake->in, RAW_SETTINGS, 0, 0, kama_bytes_make(NULL, 0));
}

static void fake_fini(struct fake *fake)
{
    km_buf_fini(&fake->in);
    pair_fini(&fake->pair);
}

static void fake_feed(struct fake *fake)
{
    struct km_session *client = km_h2_session(fake->pair.client.h2);
    fake->status =
        client->ops->feed(client, fake->in.data, fake->in.len, fake->pair.now);
    km_buf_reset(&fake->in, 0);
    kama_bytes bytes;
    while (client->ops->take(client, &bytes) == KAMA_OK && bytes.len > 0) {
    }
}

static void fake_headers(struct fake *fake, const char *status, uint8_t flags)
{
    struct km_buf block;
    km_buf_init(&block, NULL, SIZE_MAX);
    raw_field(&block, ":status", status);
    raw_frame(&fake->in, RAW_HEADERS, RAW_END_HEADERS | flags, 1,
              km_buf_bytes(&block));
    km_buf_fini(&block);
}

/* Interim responses are told apart from the final one. */
static void test_interim(void **state)
{
    (void)state;
    struct fake fake;
    fake_init(&fake);
    fake_headers(&fake, "100", 0);
    fake_headers(&fake, "103", 0);
    fake_headers(&fake, "200", 0);
    raw_frame(&fake.in, RAW_DATA, RAW_END_STREAM, 1, KM_LIT("body"));
    fake_feed(&fake);
    assert_int_equal(fake.status, KAMA_OK);
    assert_int_equal(fake.seen->interim, 2);
    assert_text(&fake.seen->headers, ":status: 200\n");
    assert_text(&fake.seen->body, "body");
    assert_true(fake.seen->ended && fake.seen->closed);
    fake_fini(&fake);
}

/* A push is an error of the connection, because our SETTINGS forbid it. */
static void test_push_promise(void **state)
{
    (void)state;
    struct fake fake;
    fake_init(&fake);
    raw_frame(&fake.in, RAW_SETTINGS, RAW_ACK, 0, kama_bytes_make(NULL, 0));
    raw_frame(&fake.in, 5, RAW_END_HEADERS, 1, KM_LIT("\0\0\0\2"));
    fake_feed(&fake);
    struct km_session *client = km_h2_session(fake.pair.client.h2);
    assert_false(client->ops->alive(client));
    assert_int_equal(km_h2_why(fake.pair.client.h2), KM_H2_WHY_PROTOCOL);
    fake_fini(&fake);
    assert_int_equal(fake.seen->error_code, KM_H2_LOST);
}

/* A request is refused by a reset or by a GOAWAY that does not include it. */
static void test_reset(void **state)
{
    (void)state;
    struct fake fake;
    fake_init(&fake);
    raw_u32_frame(&fake.in, RAW_RST_STREAM, 1, KM_H2_ENHANCE_YOUR_CALM);
    fake_feed(&fake);
    assert_true(fake.seen->closed);
    assert_int_equal(fake.seen->error_code, KM_H2_ENHANCE_YOUR_CALM);
    fake_fini(&fake);
}

static void test_goaway(void **state)
{
    (void)state;
    struct fake fake;
    fake_init(&fake);
    raw_frame(&fake.in, RAW_GOAWAY, 0, 0, KM_LIT("\0\0\0\0\0\0\0\xb"));
    fake_feed(&fake);
    assert_true(fake.pair.client.goaway);
    assert_int_equal(fake.pair.client.goaway_code, KM_H2_ENHANCE_YOUR_CALM);
    assert_true(fake.seen->closed);
    assert_int_equal(fake.seen->error_code, KM_H2_REFUSED_STREAM);
    assert_false(km_h2_accepts(fake.pair.client.h2));
    fake_fini(&fake);
}

/* A server that does not speak HTTP/2 answers with HTML. */
static void test_garbage(void **state)
{
    (void)state;
    struct fake fake;
    fake_init(&fake);
    km_buf_reset(&fake.in, 0);
    raw_bytes(&fake.in, "HTTP/1.1 502 Bad Gateway\r\n\r\n<html>", 33);
    fake_feed(&fake);
    struct km_session *client = km_h2_session(fake.pair.client.h2);
    assert_true(fake.status != KAMA_OK || !client->ops->alive(client));
    fake_fini(&fake);
    assert_int_equal(fake.seen->error_code, KM_H2_LOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interim), cmocka_unit_test(test_push_promise),
        cmocka_unit_test(test_reset),   cmocka_unit_test(test_goaway),
        cmocka_unit_test(test_garbage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
