/* SPDX-License-Identifier: MIT */
/*
 * The request of a call: HTTP/2 gives it in pieces, and the handler gets whole
 * messages.
 *
 *     km_server_request_header .. _begin  -->  refused, or accepted
 *     km_server_request_data ..           -->  messages
 *     km_server_request_end               -->  the handler of a unary call
 *
 * A message that lies whole in one chunk is given to the handler where it lies,
 * without a copy. One that comes in pieces is collected first
 * (rpc/server_held.h). The one message of a unary call is given to the handler
 * when the client has ended its request, because only then is it certain that
 * there is no second one.
 *
 * Threads: the loop of the call. Errors: none are returned; a fault of the
 * request refuses its call (rpc/server_refuse.h).
 * Cost: O(bytes); a hit's request is neither copied nor allocated for.
 */
#pragma once

#include "wire/h2/h2.h"

struct km_server_call;

/* One header of the request. Both strings are borrowed until return. */
void km_server_request_header(struct km_server_call *call, kama_bytes name,
                              kama_bytes value);
/* The header list is complete: the call is accepted or refused. */
void km_server_request_begin(struct km_server_call *call);
/* The header list was too large and is not complete: the call is refused. */
void km_server_request_begin_cut(struct km_server_call *call);

/* Bytes of the body, valid until the function returns or, if they are the last
 * ones, until km_server_request_end has returned. */
void km_server_request_data(struct km_server_call *call, kama_bytes chunk,
                            enum km_h2_chunk place);
/* The call, which was paused, is READING again, and `kept` has arrived meanwhile;
 * it lies in call->waiting. */
void km_server_request_resume(struct km_server_call *call, kama_bytes kept);
/* The client has ended its request. */
void km_server_request_end(struct km_server_call *call);
