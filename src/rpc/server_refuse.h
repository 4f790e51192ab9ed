/* SPDX-License-Identifier: MIT */
/*
 * Calls that are refused: the server answers them in the place of a handler.
 *
 * A call is marked as refused when the reason is found, and it is answered when
 * its request is in, because some clients do not expect an answer while they
 * still send. A request that is large, or does not end soon, is answered
 * earlier; then its stream lingers (wire/h2/linger.c).
 *
 *     km_server_refuse --> the client ends its request,          --> _answer
 *                          or KM_RPC_REFUSED_BYTES_MAX arrive,
 *                          or KM_RPC_REFUSED_WAIT_MS pass
 *
 * A call whose handler has seen it already can be refused too (the next message
 * of a bidi call breaks the rules, or the deadline passes); its handler is told
 * with on_cancel.
 *
 * Threads: the loop of the call. Cost: O(1). Errors: an answer that cannot be
 * queued becomes a reset of the stream.
 */
#pragma once

#include <kamacache/kamacache.h>

struct km_server_call;

/* Whether a call is refused, and in which language it is answered. */
enum km_server_refusal {
    KM_SERVER_ACCEPTED,
    KM_SERVER_REFUSED,        /* in gRPC: refusal_status and refusal_text */
    KM_SERVER_REFUSED_TYPE,   /* in HTTP: 415, the content-type is not gRPC */
    KM_SERVER_REFUSED_METHOD, /* in HTTP: 405, the method is not POST */
    KM_SERVER_REFUSED_STREAM  /* in HTTP/2: REFUSED_STREAM, nothing was done */
};

/* Marks the call as refused with this status. `text` is static; NULL stands for
 * the text of the status. Only the first reason counts. */
void km_server_refuse(struct km_server_call *call, kama_status status,
                      const char *text);
/* The same for a request that is not gRPC, which is answered in HTTP. */
void km_server_refuse_foreign(struct km_server_call *call,
                              enum km_server_refusal refusal);

/* The same with a reset of the stream: clients and proxies know by its code that
 * nothing was done, and try another node. */
void km_server_refuse_stream(struct km_server_call *call);

/* Throws away `n` bytes of the request of a call that was refused or has ended,
 * and answers it if that was enough. */
void km_server_refuse_data(struct km_server_call *call, size_t n);

/* Answers a refused call now, and tells its handler `why`, if the handler has
 * seen the call. */
void km_server_refuse_answer(struct km_server_call *call, kama_status why);
