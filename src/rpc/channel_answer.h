/* SPDX-License-Identifier: MIT */
/*
 * The answer of a server to a call, piece by piece as HTTP/2 delivers it.
 *
 *     _header .. _begin    the response's headers; then
 *     _data ..             messages for the caller; then
 *     _header .. _end      trailers, and the end of the stream
 *     _lost                the stream has gone before that
 *
 * Even if the answer is not a valid one of gRPC, the call ends
 * once, with a status, a code and a sentence.
 *
 * Threads: the loop of the channel. Ownership: bytes are borrowed until
 * return. Errors: none are returned; they end the call. Cost: O(bytes),
 * without a copy of messages that lie whole in one chunk.
 */
#pragma once

#include "base/bytes.h"

struct km_channel_call;

/* One header or trailer. */
void km_channel_answer_header(struct km_channel_call *call, kama_bytes name,
                              kama_bytes value);
/* The headers of the response are complete. */
void km_channel_answer_begin(struct km_channel_call *call);
/* The headers or the trailers were larger than KM_H2_HEADER_LIST_BYTES_MAX, and
 * are not complete. */
void km_channel_answer_cut(struct km_channel_call *call);
/* Bytes of the body. */
void km_channel_answer_data(struct km_channel_call *call, kama_bytes chunk);
/* The server has ended the stream. */
void km_channel_answer_end(struct km_channel_call *call);
/* The stream is gone, and the answer was not complete. The call may be requeued
 * instead of ended. */
void km_channel_answer_lost(struct km_channel_call *call, uint32_t error_code);
