/* SPDX-License-Identifier: MIT */
/*
 * The parts of gRPC on top of HTTP/2, as gRPC's PROTOCOL-HTTP2 describes them:
 *
 *     HEADERS  :path /kama.v1.KamaCacheService/Get      timeouts, content types
 *              grpc-timeout 100m
 *     DATA     prefix, message                          km_grpc_send, reader.h
 *     HEADERS  grpc-status 4                            trailers, codes,
 *              kama-status KAMA_ERR_TIMEOUT             percent-encoding
 *              grpc-message 100%25 of the time is over
 *
 *     struct km_grpc_trailers trailers;
 *     km_grpc_trailers_init(&trailers, KAMA_ERR_TIMEOUT, NULL);
 *     kama_status status = km_h2_end(stream, trailers.fields, trailers.count);
 *
 * These are functions on text and bytes; a call with its deadline and its
 * states is in rpc.
 *
 * Cost: O(bytes). Threads: pure functions, but for km_grpc_send, which belongs
 * to the stream's loop. Errors: at each function. Ownership: results lie in the
 * caller's memory or are borrowed from the arguments.
 */
#pragma once

#include "base/bytes.h"
#include "base/clock.h"
#include "wire/grpc/encoding.h"
#include "wire/grpc/reader.h"
#include "wire/h2/h2.h"

/* Writes the five bytes in front of a message that is not compressed. */
static inline void km_grpc_prefix_write(uint8_t *prefix, uint32_t message_bytes)
{
    prefix[0] = 0;
    prefix[1] = (uint8_t)(message_bytes >> 24);
    prefix[2] = (uint8_t)(message_bytes >> 16);
    prefix[3] = (uint8_t)(message_bytes >> 8);
    prefix[4] = (uint8_t)message_bytes;
}

/* Queues one message on a stream: its prefix, then head, which is copied, then
 * body, of which a reference is taken; NULL means that there is no body.
 * Errors: those of km_h2_send; KAMA_ERR_TOO_LARGE if the length does not fit
 * the prefix. */
KAMA_NODISCARD kama_status km_grpc_send(struct km_h2_stream *stream,
                                        kama_bytes head, kama_value *body);

/* Reads the value of grpc-timeout: one to eight digits, and a unit out of H, M,
 * S, m, u and n. A longer time than KM_GRPC_TIMEOUT_MS_MAX is cut to that.
 * Errors: KAMA_ERR_INVALID. */
KAMA_NODISCARD kama_status km_grpc_timeout_parse(kama_bytes text,
                                                 km_ns *ret_timeout);
/* The size of a buffer for km_grpc_timeout_format. */
#define KM_GRPC_TIMEOUT_CHARS 16

/* Writes a timeout for grpc-timeout into buf and returns buf. The unit is the
 * shortest one whose number has at most eight digits, and the number is rounded
 * up, so that the server does not give up before the client. */
const char *km_grpc_timeout_format(km_ns timeout, char *buf);

/* Encodes text for grpc-message: `%` and bytes outside of 0x20..0x7e become
 * %XX. The result is cut where it no longer fits into cap bytes, but never
 * inside an escape or a UTF-8 character; it does not end with a NUL. Returns
 * its length. */
size_t km_grpc_message_encode(kama_bytes text, char *buf, size_t cap);

/* Decodes the value of grpc-message. Broken escapes stay as they are. The
 * result is cut so that it fits into cap bytes with a NUL at its end, but never
 * inside a UTF-8 character; cap is at least 1. Returns the length without the
 * NUL. */
size_t km_grpc_message_decode(kama_bytes text, char *buf, size_t cap);

/* Reads the value of grpc-status, a decimal number. A number that is not a code
 * of gRPC becomes UNKNOWN (2). Errors: KAMA_ERR_INVALID if it is not a
 * number. */
KAMA_NODISCARD kama_status km_grpc_code_parse(kama_bytes text, int *ret_code);

/* Returns the code of a call that was answered with an HTTP status other than
 * 200 and without a grpc-status. */
int km_grpc_code_from_http(int http_status);

/* Returns the code of a call whose stream was reset with an error code of
 * RFC 9113, or lost (KM_H2_LOST), before its grpc-status. */
int km_grpc_code_from_h2(uint32_t error_code);

/* Returns whether a content-type is gRPC's: "application/grpc", alone or with a
 * suffix ("+proto") or parameters (";x=y"). */
bool km_grpc_content_type_ok(kama_bytes content_type);

/* The trailers of a call: grpc-status, and kama-status and grpc-message unless
 * the status is KAMA_OK. The fields point into the struct itself, which must
 * therefore not be moved. */
struct km_grpc_trailers {
    struct km_h2_field fields[3];
    size_t count;
    char code[4];
    char message[768]; /* percent-encoded */
};

/* Fills the trailers for a status. text is copied; NULL means the sentence of
 * kama_strerror. */
void km_grpc_trailers_init(struct km_grpc_trailers *trailers,
                           kama_status status, const char *text);
