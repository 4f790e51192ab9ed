/* SPDX-License-Identifier: MIT */
/*
 * Compressed messages: each encoding in every split, both sides of the limit,
 * damaged bytes, and failing allocations. zlib's own compressor makes the
 * input.
 */
#include "wire/grpc_compress.h"

#include "base/status.h"

#define CAP 100000

/* Decodes bytes from a block of their own size, so that a read beyond its end
 * is found. */
static kama_status decode(enum km_grpc_encoding encoding, kama_bytes bytes,
                          size_t max_bytes, struct km_buf *out)
{
    uint8_t *copy = malloc(bytes.len > 0 ? bytes.len : 1);
    if (bytes.len > 0) {
        memcpy(copy, bytes.data, bytes.len);
    }
    km_buf_init(out, NULL, SIZE_MAX);
    kama_status status = km_grpc_decode(
        encoding, kama_bytes_make(copy, bytes.len), max_bytes, out);
    free(copy);
    return status;
}

static void assert_decodes(enum km_grpc_encoding encoding, kama_bytes text)
{
    struct km_buf in = compressed(encoding, text);
    struct km_buf out;
    assert_int_equal(decode(encoding, km_buf_bytes(&in), text.len, &out),
                     KAMA_OK);
    assert_true(km_bytes_eq(km_buf_bytes(&out), text));
    km_buf_fini(&out);
    if (text.len > 0) {
        assert_int_equal(
            decode(encoding, km_buf_bytes(&in), text.len - 1, &out),
            KAMA_ERR_TOO_LARGE);
        km_buf_fini(&out);
    }
    km_buf_fini(&in);
}

static kama_bytes noise(uint8_t *buf, size_t len)
{
    uint32_t x = 1;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525 + 1013904223;
        buf[i] = (uint8_t)(x >> 24);
    }
    return kama_bytes_make(buf, len);
}

/* The limit is the decoded size: one byte more is too much. */
static void test_limit(void **state)
{
    (void)state;
    static uint8_t bytes[70000];
    for (int e = KM_GRPC_GZIP; e <= KM_GRPC_DEFLATE; e++) {
        enum km_grpc_encoding encoding = (enum km_grpc_encoding)e;
        assert_decodes(encoding, kama_bytes_make(NULL, 0));
        assert_decodes(encoding, KM_LIT("hello"));
        memset(bytes, 'a', sizeof bytes);
        assert_decodes(encoding, kama_bytes_make(bytes, sizeof bytes));
        assert_decodes(encoding, noise(bytes, sizeof bytes));
    }
}

/* 64 KiB decode to 64 MiB of zeros, but the memory used stays near the
 * limit. */
static void test_bomb(void **state)
{
    (void)state;
    uint8_t *zeros = calloc(1, 64u << 20);
    struct km_buf in =
        compressed(KM_GRPC_GZIP, kama_bytes_make(zeros, 64u << 20));
    free(zeros);
    assert_true(in.len < (80u << 10));
    struct km_buf out;
    assert_int_equal(decode(KM_GRPC_GZIP, km_buf_bytes(&in), CAP, &out),
                     KAMA_ERR_TOO_LARGE);
    assert_true(out.cap <= 2 * CAP);
    km_buf_fini(&out);
    km_buf_fini(&in);
}

/* Decoding ends with the first byte past the limit, and not when the buffer,
 * whose memory doubles, is full. */
static void test_stops_past_limit(void **state)
{
    (void)state;
    static uint8_t zeros[CAP];
    struct km_buf in =
        compressed(KM_GRPC_GZIP, kama_bytes_make(zeros, sizeof zeros));
    for (size_t max = 0; max < CAP; max += 777) {
        struct km_buf out;
        assert_int_equal(decode(KM_GRPC_GZIP, km_buf_bytes(&in), max, &out),
                         KAMA_ERR_TOO_LARGE);
        assert_int_equal(out.len, max + 1);
        km_buf_fini(&out);
    }
    km_buf_fini(&in);
}

/* A gzip stream may have several members; a deflate stream ends once. */
static void test_members(void **state)
{
    (void)state;
    struct km_buf in = compressed(KM_GRPC_GZIP, KM_LIT("one,"));
    compress_to(&in, KM_GRPC_GZIP, KM_LIT(""));
    compress_to(&in, KM_GRPC_GZIP, KM_LIT("two"));
    struct km_buf out;
    assert_int_equal(decode(KM_GRPC_GZIP, km_buf_bytes(&in), 7, &out), KAMA_OK);
    assert_true(km_bytes_eq(km_buf_bytes(&out), KM_LIT("one,two")));
    km_buf_fini(&out);
    km_buf_fini(&in);
    in = compressed(KM_GRPC_DEFLATE, KM_LIT("one,"));
    compress_to(&in, KM_GRPC_DEFLATE, KM_LIT("two"));
    assert_int_equal(decode(KM_GRPC_DEFLATE, km_buf_bytes(&in), 7, &out),
                     KAMA_ERR_PROTOCOL);
    km_buf_fini(&out);
    km_buf_fini(&in);
}

/* A stream that is cut off after each byte, has one byte more, or has any of
 * its bytes changed decodes to its text or to an error, and to nothing else. */
static void test_damage(void **state)
{
    (void)state;
    const kama_bytes text = KM_LIT("a text, a text, and once more a text");
    struct km_buf in = compressed(KM_GRPC_GZIP, text);
    struct km_buf out;
    for (size_t n = 0; n < in.len; n++) {
        assert_int_equal(
            decode(KM_GRPC_GZIP, kama_bytes_make(in.data, n), CAP, &out),
            KAMA_ERR_PROTOCOL);
        km_buf_fini(&out);
    }
    for (size_t n = 0; n < in.len; n++) {
        in.data[n] ^= 0x55;
        kama_status status = decode(KM_GRPC_GZIP, km_buf_bytes(&in), CAP, &out);
        assert_true(status == KAMA_ERR_PROTOCOL ||
                    km_bytes_eq(km_buf_bytes(&out), text));
        km_buf_fini(&out);
        in.data[n] ^= 0x55;
    }
    assert_int_equal(km_buf_append(&in, "x", 1), KAMA_OK);
    assert_int_equal(decode(KM_GRPC_GZIP, km_buf_bytes(&in), CAP, &out),
                     KAMA_ERR_PROTOCOL);
    km_buf_fini(&out);
    km_buf_fini(&in);
}

static void test_names(void **state)
{
    (void)state;
    assert_int_equal(km_grpc_encoding_parse(KM_LIT("identity")),
                     KM_GRPC_IDENTITY);
    assert_int_equal(km_grpc_encoding_parse(KM_LIT("gzip")), KM_GRPC_GZIP);
    assert_int_equal(km_grpc_encoding_parse(KM_LIT("deflate")),
                     KM_GRPC_DEFLATE);
    assert_int_equal(km_grpc_encoding_parse(KM_LIT("snappy")),
                     KM_GRPC_ENCODING_ELSE);
    assert_int_equal(km_grpc_encoding_parse(KM_LIT("")), KM_GRPC_ENCODING_ELSE);
}

/* -- in the reader ------------------------------------------------------- */

#define TEXT "hello, hello, hello"

/* Makes a compressed message, a plain one, and a compressed one again. */
static struct km_buf mixed_frames(enum km_grpc_encoding encoding)
{
    struct km_buf frames;
    struct km_buf body = compressed(encoding, KM_LIT(TEXT));
    km_buf_init(&frames, NULL, SIZE_MAX);
    for (int i = 0; i < 3; i++) {
        uint8_t prefix[KM_GRPC_PREFIX_BYTES];
        kama_bytes bytes = i == 1 ? KM_LIT(TEXT) : km_buf_bytes(&body);
        km_grpc_prefix_write(prefix, (uint32_t)bytes.len);
        prefix[0] = i == 1 ? 0 : 1;
        assert_int_equal(km_buf_append(&frames, prefix, sizeof prefix),
                         KAMA_OK);
        assert_int_equal(km_buf_append(&frames, bytes.data, bytes.len),
                         KAMA_OK);
    }
    km_buf_fini(&body);
    return frames;
}

/* Reads a part of the frames and returns the first status other than
 * KAMA_OK. */
static kama_status read_part(struct km_grpc_reader *reader, kama_bytes chunk,
                             unsigned *messages)
{
    kama_bytes message;
    kama_status status;
    while ((status = km_grpc_reader_next(reader, &chunk, &message)) ==
           KAMA_OK) {
        assert_int_equal(km_grpc_reader_keep(reader, &message), KAMA_OK);
        assert_true(km_bytes_eq(message, KM_LIT(TEXT)));
        (*messages)++;
    }
    return status;
}

static void test_reader_every_split(void **state)
{
    (void)state;
    for (int e = KM_GRPC_GZIP; e <= KM_GRPC_DEFLATE; e++) {
        struct km_buf all = mixed_frames((enum km_grpc_encoding)e);
        for (size_t i = 0; i <= all.len; i++) {
            struct km_grpc_reader reader;
            unsigned messages = 0;
            km_grpc_reader_init(&reader, NULL, CAP);
            reader.encoding = (enum km_grpc_encoding)e;
            kama_bytes first = kama_bytes_make(all.data, i);
            kama_bytes rest = kama_bytes_make(all.data + i, all.len - i);
            assert_int_equal(read_part(&reader, first, &messages), KAMA_MISS);
            assert_int_equal(read_part(&reader, rest, &messages), KAMA_MISS);
            assert_int_equal(messages, 3);
            assert_false(km_grpc_reader_partial(&reader));
            km_grpc_reader_fini(&reader);
        }
        km_buf_fini(&all);
    }
}

/* Returns the reader's sentence about a message of n bytes with this flag. */
static kama_status judge(enum km_grpc_encoding encoding, uint8_t flag,
                         uint64_t max, const char **ret_text)
{
    struct km_grpc_reader reader;
    kama_bytes message;
    struct km_buf frames = mixed_frames(KM_GRPC_GZIP);
    frames.data[0] = flag;
    kama_bytes chunk = km_buf_bytes(&frames);
    km_grpc_reader_init(&reader, NULL, max);
    reader.encoding = encoding;
    kama_status status = km_grpc_reader_next(&reader, &chunk, &message);
    *ret_text = km_grpc_reader_error(&reader, status);
    km_grpc_reader_fini(&reader);
    km_buf_fini(&frames);
    return status;
}

/* Every reason to refuse a message has a sentence of its own. */
static void test_reader_errors(void **state)
{
    (void)state;
    const char *text;
    assert_int_equal(judge(KM_GRPC_IDENTITY, 1, CAP, &text), KAMA_ERR_PROTOCOL);
    assert_string_equal(
        text, "a message is compressed, but no grpc-encoding was given");
    assert_int_equal(judge(KM_GRPC_ENCODING_ELSE, 1, CAP, &text),
                     KAMA_ERR_UNSUPPORTED);
    assert_string_equal(text,
                        "the grpc-encoding is none of identity,deflate,gzip");
    assert_int_equal(judge(KM_GRPC_DEFLATE, 1, CAP, &text), KAMA_ERR_PROTOCOL);
    assert_string_equal(
        text, "a compressed message does not match its grpc-encoding");
    assert_int_equal(judge(KM_GRPC_GZIP, 2, CAP, &text), KAMA_ERR_PROTOCOL);
    assert_string_equal(text,
                        "a message begins with a flag that is neither 0 nor 1");
    assert_int_equal(judge(KM_GRPC_GZIP, 1, strlen(TEXT), &text),
                     KAMA_ERR_TOO_LARGE);
    assert_string_equal(text, "");
}

/* A message that is small as sent and too large when it is decoded. */
static void test_reader_bomb(void **state)
{
    (void)state;
    static uint8_t zeros[CAP + 1];
    struct km_buf body =
        compressed(KM_GRPC_GZIP, kama_bytes_make(zeros, sizeof zeros));
    uint8_t prefix[KM_GRPC_PREFIX_BYTES];
    km_grpc_prefix_write(prefix, (uint32_t)body.len);
    prefix[0] = 1;
    struct km_grpc_reader reader;
    km_grpc_reader_init(&reader, NULL, CAP);
    reader.encoding = KM_GRPC_GZIP;
    kama_bytes chunk = kama_bytes_make(prefix, sizeof prefix);
    kama_bytes message;
    assert_int_equal(km_grpc_reader_next(&reader, &chunk, &message), KAMA_MISS);
    chunk = km_buf_bytes(&body);
    assert_int_equal(km_grpc_reader_next(&reader, &chunk, &message),
                     KAMA_ERR_TOO_LARGE);
    assert_string_equal(km_grpc_reader_error(&reader, KAMA_ERR_TOO_LARGE),
                        " when it is decompressed");
    km_grpc_reader_fini(&reader);
    km_buf_fini(&body);
}

static kama_status decode_with(const kama_allocator *mem, void *arg)
{
    const struct km_buf *in = arg;
    struct km_buf out;
    km_buf_init(&out, mem, SIZE_MAX);
    kama_status status =
        km_grpc_decode(KM_GRPC_GZIP, km_buf_bytes(in), CAP, &out);
    km_buf_fini(&out);
    return status;
}

static void test_no_memory(void **state)
{
    (void)state;
    static uint8_t zeros[CAP];
    struct km_buf in =
        compressed(KM_GRPC_GZIP, kama_bytes_make(zeros, sizeof zeros));
    assert_true(km_test_fail_each(decode_with, &in) > 3);
    km_buf_fini(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_bomb),
        cmocka_unit_test(test_stops_past_limit),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_reader_every_split),
        cmocka_unit_test(test_reader_errors),
        cmocka_unit_test(test_reader_bomb),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
