/* SPDX-License-Identifier: MIT */
/*
 * The traceparent of a client, which goes to the loader with the gets of a call.
 * A method whose calls have one names the metadata in its row:
 *
 *     .metadata = km_service_traceparent_metadata
 *
 * and reads it in its first callback:
 *
 *     km_service_traceparent_read(call, state->traceparent);
 *     ctx.traceparent = km_service_traceparent(state->traceparent);
 *
 * A text that cannot be a traceparent, because it is too long or contains a NUL,
 * is left out: it is no reason to refuse a get.
 *
 * Cost: O(metadata). Threads: loop thread. Errors: none. Ownership: the text is a
 * copy in the caller's memory.
 */
#pragma once

#include "base/limits.h"

#include <kamacache/kamacache.h>

struct km_server_call;

extern const char *const km_service_traceparent_metadata[];

/* Copies the client's traceparent; the text is "" if there is none. */
void km_service_traceparent_read(const struct km_server_call *call,
                                 char ret_text[KM_TRACEPARENT_BYTES]);

/* Does the same with a traceparent that came in a message. */
void km_service_traceparent_copy(kama_bytes bytes,
                                 char ret_text[KM_TRACEPARENT_BYTES]);

/* Returns the text for kama_ctx.traceparent: NULL if there is none. */
static inline const char *km_service_traceparent(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}
