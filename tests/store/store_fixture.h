/* SPDX-License-Identifier: MIT */
/* A store with a fake clock and an allocator that counts, and short functions
 * to use it. */
#pragma once

#include "base/limits.h"
#include "store/fake_clock.h"
#include "store/policy.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

struct fixture {
    struct km_mem_probe probe;
    struct fake_clock clock;
    struct km_store *store;
};

static inline struct fixture *fixture_with(struct km_store_options options)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    km_mem_probe_init(&f->probe);
    fake_clock_init(&f->clock);
    if (options.mem == NULL) {
        options.mem = &f->probe.allocator;
    }
    options.clock = &f->clock.clock;
    options.seed = 42;
    options.etag_key = 24;
    assert_int_equal(km_store_new(&options, &f->store), KAMA_OK);
    return f;
}

static inline struct fixture *fixture_new(uint64_t max_bytes,
                                          const struct km_policy_ops *policy)
{
    return fixture_with(
        (struct km_store_options){.policy = policy, .max_bytes = max_bytes});
}

/* Makes a store with pages of its own (store/pages.h), in which hits take no lock. */
static inline struct fixture *fixture_own(uint64_t max_bytes,
                                          const struct km_policy_ops *policy)
{
    return fixture_with((struct km_store_options){
        .mem = km_mem_default(), .policy = policy, .max_bytes = max_bytes});
}

/* Makes the store of a synchronized group. */
static inline struct fixture *fixture_synced(uint64_t max_bytes,
                                             const struct km_policy_ops *policy)
{
    return fixture_with((struct km_store_options){
        .policy = policy, .max_bytes = max_bytes, .keeps_floors = true});
}

/* Checks and frees the store. All blocks but `left` must have been freed
 * then. */
static inline void fixture_free(struct fixture *f, long long left)
{
    km_store_check(f->store);
    km_store_free(f->store);
    assert_int_equal(atomic_load(&f->probe.live_blocks), left);
    test_free(f);
}

static inline kama_bytes number_key(char *buf, unsigned n)
{
    return kama_bytes_make(buf, (size_t)sprintf(buf, "key-%u", n));
}

static inline kama_status put_expiring(struct fixture *f, kama_bytes key,
                                       kama_bytes value, km_ns expires_at)
{
    struct km_item_spec spec = {
        .key = key, .value = value, .expires_at = expires_at};
    kama_value *item = km_store_item_new(f->store, &spec);
    if (item == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    return km_store_put(f->store, 0, km_store_hash(f->store, key), item);
}

static inline kama_status put(struct fixture *f, kama_bytes key,
                              kama_bytes value)
{
    return put_expiring(f, key, value, 0);
}

static inline kama_status get(struct fixture *f, kama_bytes key,
                              kama_value **ret_value)
{
    return km_store_get(f->store, km_store_hash(f->store, key), key, ret_value);
}

static inline bool has(struct fixture *f, kama_bytes key)
{
    kama_value *value;
    if (get(f, key, &value) != KAMA_OK) {
        return false;
    }
    kama_value_unref(value);
    return true;
}

static inline bool del(struct fixture *f, kama_bytes key)
{
    return km_store_del(f->store, 0, km_store_hash(f->store, key), key) ==
           KAMA_OK;
}

static inline struct km_store_stats stats(struct fixture *f)
{
    struct km_store_stats s;
    km_store_stats_get(f->store, &s);
    return s;
}
