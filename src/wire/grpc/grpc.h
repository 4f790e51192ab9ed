/* SPDX-License-Identifier: MIT */
/*
 * What gRPC adds to HTTP/2 (PROTOCOL-HTTP2): message framing, grpc-timeout,
 * grpc-message's percent-encoding, status trailers, code mappings. Pure
 * functions and one incremental reader; no descriptor, thread or clock.
 *
 * Thread-safety: pure, or one owner. Cost: O(bytes), a copy only for messages
 * that arrive in pieces.
 */
#pragma once

#include "base/bytes.h"
#include "base/clock.h"
#include "wire/grpc/encoding.h"
#include "wire/grpc/reader.h"
#include "wire/h2/h2.h"

/* The five bytes before a message that is not compressed. */
static inline void km_grpc_prefix_write(uint8_t *prefix, uint32_t message_bytes)
{
    prefix[0] = 0;
    prefix[1] = (uint8_t)(message_bytes >> 24);
    prefix[2] = (uint8_t)(message_bytes >> 16);
    prefix[3] = (uint8_t)(message_bytes >> 8);
    prefix[4] = (uint8_t)message_bytes;
}

/* Queues one message on a stream: prefix, head (copied) and body (referenced,
 * NULL: none). Errors: those of km_h2_send, KAMA_ERR_TOO_LARGE. */
KAMA_NODISCARD kama_status km_grpc_send(struct km_h2_stream *stream,
                                        kama_bytes head, kama_value *body);

/* grpc-timeout: 1..8 digits and one of H M S m u n; at most
 * KM_GRPC_TIMEOUT_MS_MAX comes out. Errors: KAMA_ERR_INVALID. */
KAMA_NODISCARD kama_status km_grpc_timeout_parse(kama_bytes text,
                                                 km_ns *ret_timeout);
/* The shortest unit that fits 8 digits, rounded up; "0n" at least. */
#define KM_GRPC_TIMEOUT_CHARS 16
const char *km_grpc_timeout_format(km_ns timeout, char *buf);

/* Percent-encodes text for grpc-message: what is not 0x20..0x7e, and `%`, as
 * %XX; cut where it no longer fits, never inside an escape or a UTF-8
 * character. Returns the length. */
size_t km_grpc_message_encode(kama_bytes text, char *buf, size_t cap);
/* Undoes it, leaving broken escapes as they are; NUL-terminated, cut at cap,
 * never inside a UTF-8 character; cap >= 1. Returns the length. */
size_t km_grpc_message_decode(kama_bytes text, char *buf, size_t cap);

/* grpc-status: decimal; numbers that are no code become UNKNOWN (2).
 * Errors: KAMA_ERR_INVALID (not a number). */
KAMA_NODISCARD kama_status km_grpc_code_parse(kama_bytes text, int *ret_code);

/* The code for an HTTP status other than 200, and for a stream that was reset
 * without a grpc-status. */
int km_grpc_code_from_http(int http_status);
int km_grpc_code_from_h2(uint32_t error_code);

/* "application/grpc", alone or with a suffix +x or parameters ;x? */
bool km_grpc_content_type_ok(kama_bytes content_type);

/* The trailers of a call: grpc-status and, for another status than KAMA_OK,
 * kama-status and grpc-message. Valid as long as the struct, its text is
 * copied. */
struct km_grpc_trailers {
    struct km_h2_field fields[3];
    size_t count;
    char code[4];
    char message[768]; /* encoded */
};

/* text NULL: kama_strerror(status). */
void km_grpc_trailers_init(struct km_grpc_trailers *trailers,
                           kama_status status, const char *text);
