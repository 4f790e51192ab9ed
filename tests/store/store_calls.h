/* SPDX-License-Identifier: MIT */
/* The calls of the store that a test can replace by faulty ones, to show that it
 * notices the fault. Each member has the contract of the function of the store
 * that has its name. */
#pragma once

#include "store/store.h"
#include "store/store_touch.h"

struct store_calls {
    kama_status (*get)(struct km_store *store, uint64_t hash, kama_bytes key,
                       kama_value **ret_value);
    kama_status (*copy)(struct km_store *store, uint64_t hash, kama_bytes key,
                        void *buf, size_t cap, size_t *ret_len);
    kama_status (*put)(struct km_store *store, uint64_t adoption, uint64_t hash,
                       kama_value *item);
    kama_status (*del)(struct km_store *store, uint64_t adoption, uint64_t hash,
                       kama_bytes key);
    kama_status (*touch)(struct km_store *store, uint64_t adoption,
                         uint64_t hash, kama_bytes key, km_ns expires_at);
    void (*clear)(struct km_store *store);
    bool (*fill_commit)(struct km_store *store, struct km_fill *fill,
                        kama_value *item);
};

/* Returns the calls of the store itself. */
static inline struct store_calls store_calls_real(void)
{
    return (struct store_calls){.get = km_store_get,
                                .copy = km_store_copy,
                                .put = km_store_put,
                                .del = km_store_del,
                                .touch = km_store_touch,
                                .clear = km_store_clear,
                                .fill_commit = km_store_fill_commit};
}
