/* SPDX-License-Identifier: MIT */
/*
 * The metadata that a call keeps for its handler: "authorization", and the names
 * that the method's row asks for. Everything else is passed over, so that a call
 * without such headers costs nothing.
 *
 *     one header  --km_server_metadata_header-->  kept, or marked as too much
 *     all of them --km_server_metadata_refuse-->  the call is refused, if so
 *     the handler's first callback returns
 *                 --km_server_metadata_drop--->   freed
 *
 * The values count as memory of the request (rpc/server_held.h) from the end of
 * the headers on. They do not outlive the handler's first callback, so that a
 * call that is open for hours holds no token.
 *
 * Threads: the loop of the call. Cost: one allocation per value. Errors: too
 * much, and no memory, refuse the call. Ownership: the call owns the values.
 */
#pragma once

#include "base/bytes.h"

struct km_server_call;

/* A value. */
struct km_server_metadata {
    struct km_server_metadata *next;
    const char *name; /* static, or of the method's row */
    size_t len;
    uint8_t bytes[];
};

/* One header of the request. Both strings are borrowed until return. */
void km_server_metadata_header(struct km_server_call *call, kama_bytes name,
                               kama_bytes value);

/* Refuses the call if not all of its metadata could be kept. */
void km_server_metadata_refuse(struct km_server_call *call);

/* Frees the values. The caller counts the memory of the request again. */
void km_server_metadata_drop(struct km_server_call *call);
