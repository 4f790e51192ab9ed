/* SPDX-License-Identifier: MIT */
/*
 * grpc.reflection.v1 and v1alpha, which have the same messages: a generic
 * client asks which services, methods and messages there are, and needs no
 * .proto file.
 *
 * The answers come from the set of descriptors that the build embeds
 * (descriptors.h). Nothing is allocated but the answer.
 *
 * A stream of reflection is a long call (long_call.h), with one answer per
 * question. It ends with OK when the client sends no more, and with UNAVAILABLE
 * when the node stops. A client that asks on without reading the answers is cut
 * off with RESOURCE_EXHAUSTED.
 *
 * Threads: loop thread.
 * Errors: KAMA_ERR_MALFORMED, KAMA_ERR_NO_MEMORY, KAMA_ERR_OVERLOADED,
 * KAMA_ERR_CLOSED. A name that does not exist is no error of the call: the
 * answer says it.
 */
#pragma once

#include "services/long_call.h"

/* The state of a stream. */
struct km_service_reflect {
    struct km_long_call long_call; /* first */
};

/* on_message: answers one question; message: borrowed until return. */
void km_service_reflect(struct km_server_call *call, kama_bytes message);

/* on_half_close: the client asks no more, and the stream ends with OK. */
void km_service_reflect_half_closed(struct km_server_call *call);
