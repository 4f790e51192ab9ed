/* SPDX-License-Identifier: MIT */
/* Messages in every split, timeouts, and escapes. */
#include "wire/grpc/grpc.h"

#include "base/limits.h"
#include "base/status.h"
#include "helpers/failmalloc.h"

#include <stdlib.h>

/* -- reader -------------------------------------------------------------- */

#define CAP 1000

/* Two messages, "hello" and "", and one of 300 bytes. */
static struct km_buf frames(void)
{
    struct km_buf out;
    km_buf_init(&out, NULL, SIZE_MAX);
    static const size_t sizes[] = {5, 0, 300};
    for (size_t i = 0; i < 3; i++) {
        uint8_t prefix[KM_GRPC_PREFIX_BYTES];
        km_grpc_prefix_write(prefix, (uint32_t)sizes[i]);
        assert_int_equal(km_buf_append(&out, prefix, sizeof prefix), KAMA_OK);
        for (size_t k = 0; k < sizes[i]; k++) {
            const uint8_t byte = (uint8_t)('a' + k % 26);
            assert_int_equal(km_buf_append(&out, &byte, 1), KAMA_OK);
        }
    }
    return out;
}

static void assert_message(kama_bytes message, size_t n)
{
    static const size_t sizes[] = {5, 0, 300};
    assert_true(n < 3);
    assert_int_equal(message.len, sizes[n]);
    for (size_t k = 0; k < message.len; k++) {
        assert_int_equal(((const uint8_t *)message.data)[k], 'a' + k % 26);
    }
}

/* Feeds bytes[from..to) in a buffer of its own size and returns how many
 * messages came. */
static size_t feed_part(struct km_grpc_reader *reader, const struct km_buf *all,
                        size_t from, size_t to, size_t seen)
{
    size_t len = to - from;
    uint8_t *copy = malloc(len > 0 ? len : 1);
    memcpy(copy, all->data + from, len);
    kama_bytes chunk = kama_bytes_make(copy, len);
    kama_bytes message;
    kama_status status;
    while ((status = km_grpc_reader_next(reader, &chunk, &message)) ==
           KAMA_OK) {
        assert_message(message, seen++);
    }
    assert_int_equal(status, KAMA_MISS);
    assert_int_equal(chunk.len, 0);
    free(copy);
    return seen;
}

/* The same three messages for every cut into three parts. */
static void test_every_split(void **state)
{
    (void)state;
    struct km_buf all = frames();
    for (size_t i = 0; i <= all.len; i++) {
        for (size_t k = i; k <= all.len; k += 7) {
            struct km_grpc_reader reader;
            km_grpc_reader_init(&reader, NULL, CAP);
            size_t seen = feed_part(&reader, &all, 0, i, 0);
            seen = feed_part(&reader, &all, i, k, seen);
            seen = feed_part(&reader, &all, k, all.len, seen);
            assert_int_equal(seen, 3);
            assert_false(km_grpc_reader_partial(&reader));
            km_grpc_reader_fini(&reader);
        }
    }
    km_buf_fini(&all);
}

/* Messages that come one byte at a time are collected in one buffer. */
static void test_bytewise(void **state)
{
    (void)state;
    struct km_buf all = frames();
    struct km_grpc_reader reader;
    km_grpc_reader_init(&reader, NULL, CAP);
    size_t seen = 0;
    for (size_t i = 0; i < all.len; i++) {
        seen = feed_part(&reader, &all, i, i + 1, seen);
        assert_true(km_grpc_reader_held(&reader) <= 1024);
    }
    assert_int_equal(seen, 3);
    km_grpc_reader_fini(&reader);
    km_buf_fini(&all);
}

/* After each byte a message is partial, except between two messages. */
static void test_truncated(void **state)
{
    (void)state;
    struct km_buf all = frames();
    for (size_t i = 0; i <= all.len; i++) {
        struct km_grpc_reader reader;
        km_grpc_reader_init(&reader, NULL, CAP);
        (void)feed_part(&reader, &all, 0, i, 0);
        bool between = i == 0 || i == 10 || i == 15 || i == all.len;
        assert_int_equal(km_grpc_reader_partial(&reader), !between);
        km_grpc_reader_fini(&reader);
    }
    km_buf_fini(&all);
}

static kama_status read_one(const void *data, size_t len, uint64_t max)
{
    struct km_grpc_reader reader;
    km_grpc_reader_init(&reader, NULL, max);
    kama_bytes chunk = kama_bytes_make(data, len);
    kama_bytes message;
    kama_status status = km_grpc_reader_next(&reader, &chunk, &message);
    km_grpc_reader_fini(&reader);
    return status;
}

/* The flag is judged as soon as its byte is there. 1 says that the message is
 * compressed, which needs an encoding; others have no meaning. */
static void test_flags(void **state)
{
    (void)state;
    for (int flag = 1; flag < 256; flag++) {
        const uint8_t byte = (uint8_t)flag;
        assert_int_equal(read_one(&byte, 1, CAP), KAMA_ERR_PROTOCOL);
    }
}

/* A message of the cap's size passes, one byte more does not. */
static void test_cap(void **state)
{
    (void)state;
    uint8_t prefix[KM_GRPC_PREFIX_BYTES];
    km_grpc_prefix_write(prefix, CAP);
    assert_int_equal(read_one(prefix, 5, CAP), KAMA_MISS);
    km_grpc_prefix_write(prefix, CAP + 1);
    assert_int_equal(read_one(prefix, 5, CAP), KAMA_ERR_TOO_LARGE);
    km_grpc_prefix_write(prefix, UINT32_MAX);
    assert_int_equal(read_one(prefix, 5, CAP), KAMA_ERR_TOO_LARGE);
    assert_int_equal(read_one(prefix, 5, UINT32_MAX), KAMA_MISS);
}

/* A message that lay in the chunk can be kept. */
static void test_keep(void **state)
{
    (void)state;
    struct km_grpc_reader reader;
    km_grpc_reader_init(&reader, NULL, CAP);
    char bytes[] = "\0\0\0\0\3abc\0\0\0\0\2de";
    kama_bytes chunk = kama_bytes_make(bytes, sizeof bytes - 1);
    kama_bytes message;
    assert_int_equal(km_grpc_reader_next(&reader, &chunk, &message), KAMA_OK);
    assert_ptr_equal(message.data, bytes + 5);
    assert_int_equal(km_grpc_reader_keep(&reader, &message), KAMA_OK);
    memset(bytes, '!', 8);
    assert_int_equal(message.len, 3);
    assert_memory_equal(message.data, "abc", 3);
    assert_int_equal(km_grpc_reader_keep(&reader, &message), KAMA_OK);
    assert_int_equal(km_grpc_reader_next(&reader, &chunk, &message), KAMA_OK);
    assert_int_equal(message.len, 2);
    assert_memory_equal(message.data, "de", 2);
    km_grpc_reader_fini(&reader);
}

static kama_status read_in_pieces(const kama_allocator *mem, void *arg)
{
    (void)arg;
    struct km_grpc_reader reader;
    km_grpc_reader_init(&reader, mem, CAP);
    struct km_buf all = frames();
    kama_status status = KAMA_OK;
    for (size_t i = 0; i < all.len && status >= 0; i++) {
        kama_bytes chunk = kama_bytes_make(all.data + i, 1);
        kama_bytes message;
        status = km_grpc_reader_next(&reader, &chunk, &message);
    }
    km_buf_fini(&all);
    km_grpc_reader_fini(&reader);
    return status >= 0 ? KAMA_OK : status;
}

static void test_reader_no_memory(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(read_in_pieces, NULL) > 2);
}

/* -- grpc-timeout -------------------------------------------------------- */

#define MAX_NS ((km_ns)KM_GRPC_TIMEOUT_MS_MAX * KM_NS_PER_MS)

static void assert_timeout(const char *text, km_ns ns)
{
    km_ns timeout = 0;
    assert_int_equal(km_grpc_timeout_parse(kama_bytes_str(text), &timeout),
                     KAMA_OK);
    assert_int_equal(timeout, ns);
}

static void test_timeout_parse(void **state)
{
    (void)state;
    assert_timeout("1n", 1);
    assert_timeout("0n", 0);
    assert_timeout("2u", 2000);
    assert_timeout("3m", 3 * KM_NS_PER_MS);
    assert_timeout("4S", 4 * KM_NS_PER_S);
    assert_timeout("5M", 300 * KM_NS_PER_S);
    assert_timeout("6H", 6 * 3600 * KM_NS_PER_S);
    assert_timeout("99999999n", 99999999);
    assert_timeout("24H", MAX_NS);
    assert_timeout("25H", MAX_NS);
    assert_timeout("99999999H", MAX_NS);
    assert_timeout("99999999S", MAX_NS);
}

static void test_timeout_malformed(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "1", "n", "123456789n", "1x", "-1n", "1 n", "1.5S", "+1S", "1nn"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        km_ns timeout = 77;
        assert_int_equal(
            km_grpc_timeout_parse(kama_bytes_str(texts[i]), &timeout),
            KAMA_ERR_INVALID);
        assert_int_equal(timeout, 77);
    }
}

static void assert_formatted(km_ns ns, const char *text)
{
    char buf[KM_GRPC_TIMEOUT_CHARS];
    assert_string_equal(km_grpc_timeout_format(ns, buf), text);
}

/* A timeout has at most eight digits and is never shorter than the one that was
 * given. */
static void test_timeout_format(void **state)
{
    (void)state;
    assert_formatted(0, "0n");
    assert_formatted(99999999, "99999999n");
    assert_formatted(100000000, "100000u");
    assert_formatted(100000001, "100001u");
    assert_formatted(5 * KM_NS_PER_S, "5000000u");
    assert_formatted(1000 * KM_NS_PER_S + 1, "1000001m");
    assert_formatted(UINT64_MAX, "5124096H");
}

/* -- grpc-message -------------------------------------------------------- */

static void assert_encoded(kama_bytes text, const char *encoded)
{
    char buf[64];
    size_t n = km_grpc_message_encode(text, buf, sizeof buf);
    assert_int_equal(n, strlen(encoded));
    assert_memory_equal(buf, encoded, n);
}

static void test_message_encode(void **state)
{
    (void)state;
    assert_encoded(KM_LIT(""), "");
    assert_encoded(KM_LIT("plain text ~!"), "plain text ~!");
    assert_encoded(KM_LIT("100%"), "100%25");
    assert_encoded(KM_LIT("a\nb\0c"), "a%0Ab%00c");
    assert_encoded(KM_LIT("\xe7\xbc\x93\x7f"), "%E7%BC%93%7F");
}

/* A text is cut where it no longer fits, but never inside an escape. */
static void test_message_encode_cut(void **state)
{
    (void)state;
    char buf[8];
    assert_int_equal(km_grpc_message_encode(KM_LIT("abcdefghij"), buf, 8), 8);
    assert_int_equal(km_grpc_message_encode(KM_LIT("abcdef%"), buf, 8), 6);
    assert_int_equal(km_grpc_message_encode(KM_LIT("abcde%"), buf, 8), 8);
    assert_int_equal(km_grpc_message_encode(KM_LIT("x"), buf, 0), 0);
}

/* A text is not cut inside a character, which would make all of it
 * malformed. */
static void test_message_cut_at_a_character(void **state)
{
    (void)state;
    char buf[20];
    kama_bytes two = KM_LIT("x\xe6\x97\xa5\xe6\x9c\xac");
    assert_int_equal(km_grpc_message_encode(two, buf, 19), 19);
    assert_int_equal(km_grpc_message_encode(two, buf, 18), 10);
    assert_int_equal(km_grpc_message_encode(two, buf, 10), 10);
    assert_int_equal(km_grpc_message_encode(two, buf, 9), 1);
    kama_bytes encoded = KM_LIT("x%E6%97%A5%E6%9C%AC");
    assert_int_equal(km_grpc_message_decode(encoded, buf, 8), 7);
    assert_int_equal(km_grpc_message_decode(encoded, buf, 7), 4);
    assert_int_equal(km_grpc_message_decode(encoded, buf, 4), 1);
    assert_string_equal(buf, "x");
}

static void assert_decoded(const char *text, const char *decoded)
{
    char buf[64];
    size_t n = km_grpc_message_decode(kama_bytes_str(text), buf, sizeof buf);
    assert_int_equal(n, strlen(decoded));
    assert_string_equal(buf, decoded);
}

/* Broken escapes stay as they are. */
static void test_message_decode(void **state)
{
    (void)state;
    assert_decoded("", "");
    assert_decoded("100%25", "100%");
    assert_decoded("%E7%bc%93", "\xe7\xbc\x93");
    assert_decoded("%", "%");
    assert_decoded("%4", "%4");
    assert_decoded("%zz%41", "%zzA");
    assert_decoded("%%41", "%A");
    char buf[4];
    assert_int_equal(km_grpc_message_decode(KM_LIT("abcdef"), buf, 4), 3);
    assert_string_equal(buf, "abc");
    assert_int_equal(km_grpc_message_decode(KM_LIT("abc"), buf, 1), 0);
}

/* Every string comes back. */
static void test_message_round_trip(void **state)
{
    (void)state;
    char all[256];
    for (int i = 0; i < 256; i++) {
        all[i] = (char)i;
    }
    char encoded[3 * 256];
    size_t n = km_grpc_message_encode(kama_bytes_make(all, 256), encoded,
                                      sizeof encoded);
    char decoded[257];
    assert_int_equal(km_grpc_message_decode(kama_bytes_make(encoded, n),
                                            decoded, sizeof decoded),
                     256);
    assert_memory_equal(decoded, all, 256);
}

/* -- codes --------------------------------------------------------------- */

static void test_code_parse(void **state)
{
    (void)state;
    int code = -1;
    assert_int_equal(km_grpc_code_parse(KM_LIT("0"), &code), KAMA_OK);
    assert_int_equal(code, 0);
    assert_int_equal(km_grpc_code_parse(KM_LIT("16"), &code), KAMA_OK);
    assert_int_equal(code, 16);
    assert_int_equal(km_grpc_code_parse(KM_LIT("17"), &code), KAMA_OK);
    assert_int_equal(code, 2);
    assert_int_equal(km_grpc_code_parse(KM_LIT("99999999999999999999"), &code),
                     KAMA_OK);
    assert_int_equal(code, 2);
    code = 5;
    assert_int_equal(km_grpc_code_parse(KM_LIT(""), &code), KAMA_ERR_INVALID);
    assert_int_equal(km_grpc_code_parse(KM_LIT("1x"), &code), KAMA_ERR_INVALID);
    assert_int_equal(code, 5);
}

static void test_code_mappings(void **state)
{
    (void)state;
    assert_int_equal(km_grpc_code_from_http(503), 14);
    assert_int_equal(km_grpc_code_from_http(404), 12);
    assert_int_equal(km_grpc_code_from_http(500), 2);
    assert_int_equal(km_grpc_code_from_h2(KM_H2_REFUSED_STREAM), 14);
    assert_int_equal(km_grpc_code_from_h2(KM_H2_LOST), 14);
    assert_int_equal(km_grpc_code_from_h2(KM_H2_CANCEL), 1);
    assert_int_equal(km_grpc_code_from_h2(KM_H2_ENHANCE_YOUR_CALM), 8);
    assert_int_equal(km_grpc_code_from_h2(KM_H2_NO_ERROR), 13);
}

static void test_content_type(void **state)
{
    (void)state;
    assert_true(km_grpc_content_type_ok(KM_LIT("application/grpc")));
    assert_true(km_grpc_content_type_ok(KM_LIT("application/grpc+proto")));
    assert_true(km_grpc_content_type_ok(KM_LIT("application/grpc;x=y")));
    assert_false(km_grpc_content_type_ok(KM_LIT("application/grpc-web")));
    assert_false(km_grpc_content_type_ok(KM_LIT("application/grp")));
    assert_false(km_grpc_content_type_ok(KM_LIT("application/json")));
    assert_false(km_grpc_content_type_ok(KM_LIT("")));
}

static void assert_field(const struct km_h2_field *field, const char *name,
                         const char *value)
{
    assert_true(km_bytes_eq(field->name, kama_bytes_str(name)));
    assert_true(km_bytes_eq(field->value, kama_bytes_str(value)));
}

static void test_trailers(void **state)
{
    (void)state;
    struct km_grpc_trailers trailers;
    km_grpc_trailers_init(&trailers, KAMA_OK, "unused");
    assert_int_equal(trailers.count, 1);
    assert_field(&trailers.fields[0], "grpc-status", "0");
    km_grpc_trailers_init(&trailers, KAMA_ERR_NO_GROUP, "no 100%\n");
    assert_int_equal(trailers.count, 3);
    assert_field(&trailers.fields[0], "grpc-status", "5");
    assert_field(&trailers.fields[1], "kama-status", "KAMA_ERR_NO_GROUP");
    assert_field(&trailers.fields[2], "grpc-message", "no 100%25%0A");
    km_grpc_trailers_init(&trailers, KAMA_ERR_UNSUPPORTED, NULL);
    assert_field(&trailers.fields[0], "grpc-status", "12");
    assert_field(&trailers.fields[2], "grpc-message",
                 kama_strerror(KAMA_ERR_UNSUPPORTED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_bytewise),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_cap),
        cmocka_unit_test(test_keep),
        cmocka_unit_test(test_reader_no_memory),
        cmocka_unit_test(test_timeout_parse),
        cmocka_unit_test(test_timeout_malformed),
        cmocka_unit_test(test_timeout_format),
        cmocka_unit_test(test_message_encode),
        cmocka_unit_test(test_message_encode_cut),
        cmocka_unit_test(test_message_cut_at_a_character),
        cmocka_unit_test(test_message_decode),
        cmocka_unit_test(test_message_round_trip),
        cmocka_unit_test(test_code_parse),
        cmocka_unit_test(test_code_mappings),
        cmocka_unit_test(test_content_type),
        cmocka_unit_test(test_trailers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
