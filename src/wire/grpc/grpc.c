/* SPDX-License-Identifier: MIT */
/*
 * The texts of gRPC's headers and trailers: timeouts, percent-encoding, status
 * trailers, and the codes for errors of HTTP.
 */
#include "wire/grpc/grpc.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/status.h"

#include <stdio.h>

/* -- grpc-timeout -------------------------------------------------------- */

/* Returns the nanoseconds of a unit, or 0 if the letter is not a unit. */
static km_ns timeout_unit_ns(char unit)
{
    switch (unit) {
    case 'H':
        return 3600 * KM_NS_PER_S;
    case 'M':
        return 60 * KM_NS_PER_S;
    case 'S':
        return KM_NS_PER_S;
    case 'm':
        return KM_NS_PER_MS;
    case 'u':
        return 1000;
    case 'n':
        return 1;
    default:
        return 0;
    }
}

kama_status km_grpc_timeout_parse(kama_bytes text, km_ns *ret_timeout)
{
    const char *s = text.data;
    if (text.len < 2 || text.len > 9) {
        return KAMA_ERR_INVALID;
    }
    uint64_t n = 0;
    for (size_t i = 0; i + 1 < text.len; i++) {
        if (s[i] < '0' || s[i] > '9') {
            return KAMA_ERR_INVALID;
        }
        n = n * 10 + (uint64_t)(s[i] - '0');
    }
    km_ns unit = timeout_unit_ns(s[text.len - 1]);
    if (unit == 0) {
        return KAMA_ERR_INVALID;
    }
    /* 99999999H does not fit into 64 bits of nanoseconds, so the number is
     * capped before it is multiplied. */
    const km_ns max = (km_ns)KM_GRPC_TIMEOUT_MS_MAX * KM_NS_PER_MS;
    *ret_timeout = n > max / unit ? max : n * unit;
    return KAMA_OK;
}

const char *km_grpc_timeout_format(km_ns timeout, char *buf)
{
    static const char units[] = {'n', 'u', 'm', 'S', 'M', 'H'};
    for (size_t i = 0; i < sizeof units; i++) {
        km_ns unit = timeout_unit_ns(units[i]);
        uint64_t n = timeout / unit + (timeout % unit != 0);
        if (n <= 99999999 || units[i] == 'H') {
            n = n <= 99999999 ? n : 99999999;
            snprintf(buf, KM_GRPC_TIMEOUT_CHARS, "%u%c", (unsigned)n, units[i]);
            break;
        }
    }
    return buf;
}

/* -- grpc-message -------------------------------------------------------- */

#define ENCODED_CHAR_BYTES_MAX 12 /* four bytes as %XX */

/* Encodes the n bytes at s and returns the length of the result. */
static size_t encode_bytes(const uint8_t *s, size_t n, char *out)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] >= 0x20 && s[i] <= 0x7e && s[i] != '%') {
            out[len++] = (char)s[i];
            continue;
        }
        out[len++] = '%';
        out[len++] = hex[s[i] >> 4];
        out[len++] = hex[s[i] & 15];
    }
    return len;
}

size_t km_grpc_message_encode(kama_bytes text, char *buf, size_t cap)
{
    size_t n = 0;
    while (text.len > 0) {
        char unit[ENCODED_CHAR_BYTES_MAX];
        size_t taken = km_bytes_utf8_char(text);
        taken = taken > 0 ? taken : 1;
        size_t len = encode_bytes(text.data, taken, unit);
        if (len > cap - n) {
            break;
        }
        memcpy(buf + n, unit, len);
        n += len;
        text = km_bytes_skip(text, taken);
    }
    return n;
}

/* Returns the value of a hexadecimal digit, or -1. */
static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t km_grpc_message_decode(kama_bytes text, char *buf, size_t cap)
{
    const uint8_t *s = text.data;
    KM_ASSERT(cap >= 1);
    size_t n = 0;
    size_t i = 0;
    for (; i < text.len && n + 1 < cap; i++) {
        uint8_t c = s[i];
        if (c == '%' && i + 2 < text.len && hex_digit(s[i + 1]) >= 0 &&
            hex_digit(s[i + 2]) >= 0) {
            c = (uint8_t)(hex_digit(s[i + 1]) << 4 | hex_digit(s[i + 2]));
            i += 2;
        }
        buf[n++] = (char)c;
    }
    if (i < text.len) {
        n -= km_bytes_utf8_tail(kama_bytes_make(buf, n));
    }
    buf[n] = '\0';
    return n;
}

/* -- codes --------------------------------------------------------------- */

kama_status km_grpc_code_parse(kama_bytes text, int *ret_code)
{
    const char *s = text.data;
    if (text.len == 0) {
        return KAMA_ERR_INVALID;
    }
    unsigned code = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (s[i] < '0' || s[i] > '9') {
            return KAMA_ERR_INVALID;
        }
        code = code > 99 ? code : code * 10 + (unsigned)(s[i] - '0');
    }
    *ret_code = code <= 16 ? (int)code : 2;
    return KAMA_OK;
}

int km_grpc_code_from_http(int http_status)
{
    switch (http_status) {
    case 400:
        return 13; /* INTERNAL */
    case 401:
        return 16; /* UNAUTHENTICATED */
    case 403:
        return 7; /* PERMISSION_DENIED */
    case 404:
        return 12; /* UNIMPLEMENTED */
    case 429:
    case 502:
    case 503:
    case 504:
        return 14; /* UNAVAILABLE */
    default:
        return 2; /* UNKNOWN */
    }
}

int km_grpc_code_from_h2(uint32_t error_code)
{
    switch (error_code) {
    case KM_H2_LOST:
    case KM_H2_REFUSED_STREAM:
        return 14; /* UNAVAILABLE */
    case KM_H2_CANCEL:
        return 1; /* CANCELLED */
    case KM_H2_ENHANCE_YOUR_CALM:
        return 8; /* RESOURCE_EXHAUSTED */
    case 0xc:     /* INADEQUATE_SECURITY */
        return 7; /* PERMISSION_DENIED */
    default:
        return 13; /* INTERNAL */
    }
}

bool km_grpc_content_type_ok(kama_bytes content_type)
{
    static const kama_bytes base = {"application/grpc", 16};
    if (!km_bytes_starts(content_type, base)) {
        return false;
    }
    if (content_type.len == base.len) {
        return true;
    }
    char next = ((const char *)content_type.data)[base.len];
    return next == '+' || next == ';';
}

void km_grpc_trailers_init(struct km_grpc_trailers *trailers,
                           kama_status status, const char *text)
{
    struct km_h2_field *fields = trailers->fields;
    if (status == KAMA_OK) {
        trailers->count = 1;
        fields[0] = (struct km_h2_field){KM_LIT("grpc-status"), KM_LIT("0"),
                                         KM_H2_FIELD_STATIC};
        return;
    }
    int len = snprintf(trailers->code, sizeof trailers->code, "%u",
                       (unsigned)km_status_grpc(status) % 100);
    if (text == NULL) {
        text = kama_strerror(status);
    }
    size_t message_len = km_grpc_message_encode(
        kama_bytes_str(text), trailers->message, sizeof trailers->message);
    trailers->count = 3;
    fields[0] = (struct km_h2_field){
        KM_LIT("grpc-status"), kama_bytes_make(trailers->code, (size_t)len), 0};
    fields[1] = (struct km_h2_field){
        KM_LIT("kama-status"), kama_bytes_str(kama_status_name(status)), 0};
    fields[2] = (struct km_h2_field){
        KM_LIT("grpc-message"), kama_bytes_make(trailers->message, message_len),
        KM_H2_FIELD_NO_INDEX};
}

kama_status km_grpc_send(struct km_h2_stream *stream, kama_bytes head,
                         kama_value *body)
{
    size_t bytes = head.len + (body != NULL ? kama_value_bytes(body).len : 0);
    if (bytes > UINT32_MAX) {
        return KAMA_ERR_TOO_LARGE;
    }
    uint8_t prefix[KM_GRPC_PREFIX_BYTES];
    km_grpc_prefix_write(prefix, (uint32_t)bytes);
    return km_h2_send_parts(stream, kama_bytes_make(prefix, sizeof prefix),
                            head, body);
}
