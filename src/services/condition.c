/* SPDX-License-Identifier: MIT */
#include "services/condition.h"

#include "base/status.h"
#include "group/condition.h"
#include "services/service.h"
#include "wire/msg/msg.h"

_Static_assert((int)KM_MSG_CONDITION_ABSENT == (int)KM_PUT_IF_ABSENT &&
                   (int)KM_MSG_CONDITION_PRESENT == (int)KM_PUT_IF_PRESENT &&
                   (int)KM_MSG_CONDITION_MATCH == (int)KM_PUT_IF_MATCH,
               "the numbers of kama.v2 are those of the store");

kama_bytes km_service_etag_write(uint64_t etag,
                                 uint8_t bytes[static KM_SERVICE_ETAG_BYTES])
{
    for (unsigned i = 0; i < KM_SERVICE_ETAG_BYTES; i++) {
        bytes[i] = (uint8_t)(etag >> (8 * (KM_SERVICE_ETAG_BYTES - 1 - i)));
    }
    return kama_bytes_make(bytes, etag != 0 ? KM_SERVICE_ETAG_BYTES : 0);
}

kama_bytes km_service_etag_of(const kama_value *value, bool is_wanted,
                              uint8_t bytes[static KM_SERVICE_ETAG_BYTES])
{
    bool is_sent = km_service_etag_is_sent(
        is_wanted, kama_value_bytes(value).len, kama_value_version(value));
    return km_service_etag_write(is_sent ? kama_value_etag(value) : 0, bytes);
}

static uint64_t read_etag(kama_bytes bytes)
{
    const uint8_t *p = bytes.data;
    uint64_t etag = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        etag = etag << 8 | p[i];
    }
    return etag;
}

static kama_status read_condition(int32_t number, kama_bytes if_match,
                                  struct km_put_condition *ret_condition)
{
    if (number == KM_MSG_CONDITION_MATCH &&
        if_match.len != KM_SERVICE_ETAG_BYTES) {
        return km_fail(
            KAMA_ERR_INVALID,
            "if_match: %zu bytes; an etag has %d, and want_etag asks "
            "for that of a long value",
            if_match.len, KM_SERVICE_ETAG_BYTES);
    }
    if (number != KM_MSG_CONDITION_MATCH && if_match.len > 0) {
        return km_fail(KAMA_ERR_INVALID,
                       "if_match: an etag is only for CONDITION_MATCH");
    }
    return km_condition_init((uint32_t)number, read_etag(if_match),
                             ret_condition);
}

bool km_service_condition_read(struct km_server_call *call, int32_t number,
                               kama_bytes if_match,
                               struct km_put_condition *ret_condition)
{
    kama_status st = read_condition(number, if_match, ret_condition);
    if (st != KAMA_OK) {
        km_service_fail(call, st);
    }
    return st == KAMA_OK;
}
