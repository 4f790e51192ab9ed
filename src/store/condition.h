/* SPDX-License-Identifier: MIT */
/*
 * When a put may act: always, or only if the key is absent, is there, or has the
 * value that the caller has read. The store checks the condition under the lock
 * under which it puts the item, so that nothing can happen in between:
 *
 *     thread 1                               thread 2
 *     reads v1 and its etag
 *                                            reads v1 and its etag
 *     put_if(v2, match etag)  KAMA_OK
 *                                            put_if(v3, match etag)
 *                                            KAMA_ERR_EXISTS: v2 is there
 *
 * An entry that has expired, one that is hidden and one that says that the key
 * does not exist count as absent.
 *
 *     struct km_put_condition first = {.kind = KM_PUT_IF_ABSENT};
 *     status = km_store_put_if(store, adoption, hash, item, &first);
 *
 * Cost: a MATCH hashes the value that is there, unless it has a version, under the
 * lock of its shard. Threads, errors and ownership: as the put (store.h).
 */
#pragma once

#include <stdint.h>

enum km_put_kind {
    KM_PUT_ALWAYS,
    KM_PUT_IF_ABSENT,  /* the key has no value */
    KM_PUT_IF_PRESENT, /* it has one */
    KM_PUT_IF_MATCH    /* it has one with this etag */
};

struct km_put_condition {
    enum km_put_kind kind;
    uint64_t etag; /* of KM_PUT_IF_MATCH; kama_value_etag */
};
