/* SPDX-License-Identifier: MIT */
/* The first bytes of a connection: HTTP/2, HTTP/1, or neither. */
#include "wire/h2_raw.h"

#include "wire/h2_pair.h"
#include "wire/sniff.h"

static enum km_h2_speech sniff_in_pieces(const char *text, size_t slice,
                                         size_t *ret_used)
{
    struct km_h2_sniff sniff = {0};
    size_t len = strlen(text);
    size_t used = 0;
    enum km_h2_speech speech = KM_H2_SPEECH_UNKNOWN;
    while (used < len && speech == KM_H2_SPEECH_UNKNOWN) {
        size_t n = len - used < slice ? len - used : slice;
        kama_bytes chunk = kama_bytes_make(text + used, n);
        speech = km_h2_sniff_feed(&sniff, &chunk);
        used += n - chunk.len;
    }
    *ret_used = used;
    return speech;
}

/* The verdict does not depend on the pieces in which the bytes come. */
static void assert_speech(const char *text, enum km_h2_speech speech)
{
    for (size_t slice = 1; slice < 40; slice++) {
        size_t used;
        assert_int_equal(sniff_in_pieces(text, slice, &used), speech);
        if (speech == KM_H2_SPEECH_HTTP2) {
            assert_int_equal(used, KM_H2_PREFACE_BYTES);
        }
    }
}

static void test_speeches(void **state)
{
    (void)state;
    assert_speech(RAW_PREFACE "and more", KM_H2_SPEECH_HTTP2);
    assert_speech("PRI * HTTP/2.0\r\n\r\nSM\r\n\r", KM_H2_SPEECH_UNKNOWN);
    assert_speech("GET / HTTP/1.1\r\n\r\n", KM_H2_SPEECH_HTTP1);
    assert_speech("POST /x HTTP/1.0\r\n", KM_H2_SPEECH_HTTP1);
    assert_speech("PUT / HTTP/1.1\r\n", KM_H2_SPEECH_HTTP1);
    assert_speech("OPTIONS * HTTP/1.1\r\n", KM_H2_SPEECH_HTTP1);
    assert_speech("PRI", KM_H2_SPEECH_UNKNOWN);
    assert_speech("GET", KM_H2_SPEECH_UNKNOWN);
    assert_speech("get / HTTP/1.1\r\n", KM_H2_SPEECH_OTHER);
    assert_speech("INVALID CONNECTION PREFACE\r\n", KM_H2_SPEECH_OTHER);
    assert_speech("POSTS / HTTP/1.1\r\n", KM_H2_SPEECH_OTHER);
    assert_speech("\x16\x03\x01\x02", KM_H2_SPEECH_OTHER);
    assert_speech("*1\r\n$4\r\nPING\r\n", KM_H2_SPEECH_OTHER);
    assert_speech("A B", KM_H2_SPEECH_OTHER);
    assert_speech("PRI * HTTP/1.1\r\n", KM_H2_SPEECH_OTHER);
    assert_speech("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", KM_H2_SPEECH_OTHER);
}

/* Returns the answer of a server to a text. */
static kama_status talk(const char *text, size_t slice, struct km_buf *answer,
                        struct pair *pair)
{
    assert_int_equal(pair_init(pair, NULL, 0), KAMA_OK);
    struct km_session *session = km_h2_session(pair->server.h2);
    kama_bytes bytes;
    assert_int_equal(session->ops->take(session, &bytes), KAMA_OK);
    assert_int_equal(bytes.len, 0);
    kama_status status = KAMA_OK;
    size_t len = strlen(text);
    for (size_t at = 0; at < len && status == KAMA_OK; at += slice) {
        size_t n = len - at < slice ? len - at : slice;
        status = session->ops->feed(session, (const uint8_t *)text + at, n,
                                    pair->now);
    }
    while (session->ops->take(session, &bytes) == KAMA_OK && bytes.len > 0) {
        raw_bytes(answer, bytes.data, bytes.len);
    }
    assert_false(session->ops->alive(session));
    assert_int_equal(session->ops->feed(session, (const uint8_t *)"x", 1, 0),
                     KAMA_ERR_CLOSED);
    return status;
}

/* An HTTP/1 client gets a 400 with the sentence and nothing of HTTP/2. */
static void test_http1_answer(void **state)
{
    (void)state;
    for (size_t slice = 1; slice < 20; slice += 6) {
        struct pair pair;
        struct km_buf answer;
        km_buf_init(&answer, NULL, SIZE_MAX);
        assert_int_equal(
            talk("GET /x HTTP/1.1\r\nHost: a\r\n\r\n", slice, &answer, &pair),
            KAMA_ERR_CLOSED);
        assert_text(&answer, "HTTP/1.1 400 Bad Request\r\n"
                             "Content-Type: text/plain; charset=utf-8\r\n"
                             "Content-Length: 24\r\n"
                             "Connection: close\r\n\r\n" PAIR_HINT "\n");
        pair_fini(&pair);
        assert_int_equal(pair.server.why, KM_H2_WHY_FOREIGN);
        km_buf_fini(&answer);
    }
}

/* Clients of any other protocol get no answer. */
static void test_other_bytes(void **state)
{
    (void)state;
    struct pair pair;
    struct km_buf answer;
    km_buf_init(&answer, NULL, SIZE_MAX);
    assert_int_equal(talk("\x16\x03\x01", 1, &answer, &pair), KAMA_ERR_CLOSED);
    assert_int_equal(answer.len, 0);
    pair_fini(&pair);
    assert_int_equal(pair.server.why, KM_H2_WHY_FOREIGN);
    km_buf_fini(&answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_speeches),
        cmocka_unit_test(test_http1_answer),
        cmocka_unit_test(test_other_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
