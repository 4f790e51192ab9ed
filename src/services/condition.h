/* SPDX-License-Identifier: MIT */
/*
 * Conditions and etags as kama.v2 writes them: a number and bytes.
 *
 *     if (!km_service_condition_read(call, request.condition, request.if_match,
 *                                    &order.condition)) {
 *         return;                                       the call is finished
 *     }
 *     ...
 *     uint8_t bytes[KM_SERVICE_ETAG_BYTES];
 *     response.etag = km_service_etag_write(etag, bytes);
 *
 * A value without a version is named by a hash of its bytes, which for a long value
 * takes a good part of the time of a Get. So its etag is sent only if the client
 * asks (want_etag). Clients take an etag as it is. It has 8 bytes, the highest one first, so that it
 * reads the same here, in JSON and in the client.
 *
 * Threads: loop thread. Errors: KAMA_ERR_INVALID, and KAMA_ERR_UNSUPPORTED for a
 * condition of a later version. Ownership: nothing is kept. Cost: none worth naming.
 */
#pragma once

#include "base/limits.h"
#include "store/condition.h"

#include <kamacache/kamacache.h>
#include <stdbool.h>

struct km_server_call;

#define KM_SERVICE_ETAG_BYTES 8

/* Reads the condition of a Set. Returns false if there is none such; the call is
 * finished then. */
bool km_service_condition_read(struct km_server_call *call, int32_t number,
                               kama_bytes if_match,
                               struct km_put_condition *ret_condition);

/* Returns whether an answer has the etag of a value: if the client wants it, and
 * also if it costs almost nothing. */
static inline bool km_service_etag_is_sent(bool is_wanted, size_t value_bytes,
                                           uint64_t version)
{
    return is_wanted || version != 0 ||
           value_bytes <= KM_ETAG_UNASKED_BYTES_MAX;
}

/* Writes the etag of a value into `bytes`, and returns them; nothing if it is not
 * sent. */
kama_bytes km_service_etag_of(const kama_value *value, bool is_wanted,
                              uint8_t bytes[static KM_SERVICE_ETAG_BYTES]);

/* Writes an etag into `bytes`, and returns them; nothing for 0, which is none. */
kama_bytes km_service_etag_write(uint64_t etag,
                                 uint8_t bytes[static KM_SERVICE_ETAG_BYTES]);
