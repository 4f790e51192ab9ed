/* SPDX-License-Identifier: MIT */
/*
 * Synchronous gets. A hit never comes further than the store. What is not
 * there joins a flight: without a pool the first caller leads and runs the
 * loader itself, with one everybody waits for the load on the pool.
 */
#include "base/assert.h"
#include "base/container.h"
#include "base/status.h"
#include "group/load/load.h"
#include "group/sentence.h"
#include "group/trace.h"

#include <inttypes.h>

/* A thread that waits for a load, and what it gets. */
struct get_waiter {
    struct km_flight_sync sync;
    struct km_load_result result;
    char sentence[KM_ERROR_BYTES_MAX];
};

/* One synchronous get. */
struct get {
    kama_group *group;
    struct km_load_key key;
    uint64_t hash;
    const struct km_call_limits *call;
    struct km_pool *pool;
    bool is_miss; /* counted as one */
    bool is_coalesced;
    struct get_waiter waiter;
};

static void copy_result(struct get_waiter *w, const struct km_load *load)
{
    w->result = load->result;
    if (w->result.value != NULL) {
        (void)kama_value_ref(w->result.value);
    }
    memcpy(w->sentence, load->sentence, sizeof w->sentence);
}

static void get_wake(struct km_flight_waiter *waiter,
                     struct km_flight_call *call)
{
    struct get_waiter *w =
        KM_CONTAINER_OF(waiter, struct get_waiter, sync.waiter);
    copy_result(w, km_load_of(call));
    km_flight_sync_done(&w->sync);
}

static void count_miss(struct get *get)
{
    if (!get->is_miss) {
        get->is_miss = true;
        km_group_count(get->group, KM_GROUP_MISSES);
    }
}

/* The get waits for another's load. */
static void count_coalesced(struct get *get)
{
    count_miss(get);
    km_trace_get(get->group, KM_GET_JOINS, get->key.key);
    if (!get->is_coalesced) {
        get->is_coalesced = true;
        km_group_count(get->group, KM_GROUP_COALESCED);
    }
}

/* The result that was copied, as the answer of a call. */
static kama_status answer(struct get *get, kama_value **ret_value)
{
    struct get_waiter *w = &get->waiter;
    if (w->result.status == KAMA_OK) {
        *ret_value = w->result.value;
    } else if ((int)w->result.status < 0) {
        (void)km_fail(w->result.status, "%s", w->sentence);
    }
    return w->result.status;
}

static kama_status timed_out(const struct get *get)
{
    return km_group_fail_key(get->group, KAMA_ERR_TIMEOUT, get->key.key,
                             "no answer within the caller's deadline of "
                             "%" PRId64 " ms",
                             get->call->deadline_ms);
}

/* Fails the load that is waited for, when it is overdue. */
static void fail_overdue(struct get *get)
{
    struct km_flight_call *call =
        km_flight_call_of(&get->group->flight, &get->waiter.sync.waiter);
    if (call != NULL) {
        km_load_time_out(km_load_of(call));
        km_load_unref(km_load_of(call));
    }
}

/* Waits, parked, until the load ends or the caller's time is over. */
static kama_status await(struct get *get, kama_value **ret_value)
{
    struct km_flight_sync *sync = &get->waiter.sync;
    km_ns until = sync->waiter.call_deadline;
    bool own = get->call->deadline < until;
    km_ns now = km_group_now(get->group);
    if (own) {
        until = get->call->deadline;
    }
    if (!km_flight_sync_wait(sync, until > now ? until - now : 0)) {
        if (!own) {
            fail_overdue(get);
        } else if (km_flight_leave(&get->group->flight, &sync->waiter)) {
            return timed_out(get);
        }
        (void)km_flight_sync_wait(sync, KM_NS_NEVER);
    }
    return answer(get, ret_value);
}

/* The calling thread leads: it runs the loader. */
static kama_status lead_here(struct get *get, struct km_load *load,
                             kama_value **ret_value)
{
    struct km_flight *flight = &get->group->flight;
    km_load_run_here(load, get->call->deadline);
    if (km_flight_attach(flight, &load->call, &get->waiter.sync.waiter)) {
        return await(get, ret_value);
    }
    if (atomic_load(&load->started_at) == 0 &&
        load->result.verdict == KM_LOAD_LEADER_LATE) {
        return timed_out(get);
    }
    copy_result(&get->waiter, load);
    get->waiter.result.verdict = KM_LOAD_FOR_ALL; /* the leader's own answer */
    return answer(get, ret_value);
}

/* The pool leads; the caller is parked on the load already. */
static kama_status lead_on_pool(struct get *get, struct km_load *load,
                                kama_value **ret_value)
{
    kama_status st = km_load_start(load, get->pool);
    if (st != KAMA_OK) {
        km_load_fail(load, st, km_last_error());
    }
    return await(get, ret_value);
}

/* Nobody works on the key: starts a load. */
static kama_status start(struct get *get, kama_value **ret_value)
{
    kama_group *group = get->group;
    struct km_load *load = km_load_new(group, get->key.key, get->hash,
                                       get->key.now, get->pool != NULL);
    kama_status st = KAMA_ERR_NO_MEMORY;
    if (load == NULL) {
        return km_fail(st, "no memory for a load");
    }
    load->is_again = get->is_miss;
    enum km_flight_role role =
        km_flight_join(&group->flight, get->hash, &get->key,
                       &get->waiter.sync.waiter, &load->call, &st);
    if (role == KM_FLIGHT_LEADS) {
        km_load_ref(load);
        count_miss(get);
        km_trace_get(group, KM_GET_LEADS, get->key.key);
        st = get->pool != NULL ? lead_on_pool(get, load, ret_value)
                               : lead_here(get, load, ret_value);
        km_load_unref(load);
        return st;
    }
    if (role == KM_FLIGHT_ANSWER && st == KAMA_OK) {
        *ret_value = load->result.value;
        load->result.value = NULL;
    }
    km_load_unref(load);
    if (role != KM_FLIGHT_PARKED) {
        return (int)st < 0 ? km_group_fail_join(group, st, get->key.key) : st;
    }
    count_coalesced(get);
    return await(get, ret_value);
}

static kama_status join(struct get *get, kama_value **ret_value)
{
    kama_group *group = get->group;
    bool inside = get->pool != NULL && km_pool_is_inside(get->pool);
    kama_status st = KAMA_ERR_WOULD_DEADLOCK;
    get->key.now = km_group_now(group);
    if (get->key.now >= get->call->deadline) {
        count_miss(get);
        return timed_out(get);
    }
    enum km_flight_role role =
        km_flight_join(&group->flight, get->hash, &get->key,
                       inside ? NULL : &get->waiter.sync.waiter, NULL, &st);
    if (role == KM_FLIGHT_NOBODY && !inside) {
        return start(get, ret_value);
    }
    if (role == KM_FLIGHT_PARKED) {
        count_coalesced(get);
        return await(get, ret_value);
    }
    count_miss(get);
    return km_group_fail_join(group, st, get->key.key);
}

/* Joins again as long as only the caller that led the load was late. */
static kama_status join_until_answered(struct get *get, kama_value **ret_value)
{
    kama_status st;
    do {
        if (!km_flight_sync_init(&get->waiter.sync, get_wake)) {
            return km_fail(KAMA_ERR_NO_MEMORY, "no resources to wait");
        }
        get->waiter.sync.waiter.deadline = get->call->deadline;
        get->waiter.result.verdict = KM_LOAD_FOR_ALL;
        st = join(get, ret_value);
        km_flight_sync_fini(&get->waiter.sync);
    } while (get->waiter.result.verdict == KM_LOAD_LEADER_LATE);
    return st;
}

kama_status km_group_get_slow(kama_group *group, kama_bytes key, uint64_t hash,
                              const struct km_call_limits *call,
                              kama_value **ret_value)
{
    struct get get = {.group = group,
                      .key = {.key = key},
                      .hash = hash,
                      .call = call,
                      .pool = km_group_pool_for_call(group)};
    if (!km_group_enter(group)) {
        return km_fail(KAMA_ERR_CLOSED, "the group is closed");
    }
    km_ns started_at = group->is_traced ? km_group_now(group) : 0;
    kama_status st = join_until_answered(&get, ret_value);
    km_trace_answer(group, key, st, started_at);
    km_group_leave(group);
    return st;
}

/* The way of a get whose key is not in memory. */
static kama_status get_absent(kama_group *group, kama_bytes key, uint64_t hash,
                              const kama_ctx *ctx, kama_value **ret_value)
{
    struct km_call_limits call;
    kama_status st = km_call_limits_init(group, ctx, &call);
    if (st != KAMA_OK) {
        return st;
    }
    if (group->config.loader == NULL || (call.flags & KAMA_NO_LOAD) != 0) {
        km_trace_get(group, KM_GET_ABSENT, key);
        return km_group_absent(group);
    }
    km_call_limits_begin(group, &call);
    return km_group_get_slow(group, key, hash, &call, ret_value);
}

static kama_status check_call(kama_group *group, kama_bytes key,
                              const kama_ctx *ctx)
{
    struct km_call_limits call;
    kama_status st = km_group_check_key(key);
    if (st == KAMA_OK && ctx != NULL) {
        st = km_call_limits_init(group, ctx, &call);
    }
    return st;
}

kama_status kama_get(kama_group *group, kama_bytes key, const kama_ctx *ctx,
                     kama_value **ret_value)
{
    kama_status st = check_call(group, key, ctx);
    if (KM_UNLIKELY(st != KAMA_OK)) {
        return st;
    }
    uint64_t hash = km_store_hash(group->store, key);
    st = km_store_get(group->store, hash, key, ret_value);
    if (st == KAMA_WOULD_LOAD) {
        return get_absent(group, key, hash, ctx, ret_value);
    }
    km_trace_memory(group, st, key);
    return st;
}

static kama_status copy_absent(kama_group *group, kama_bytes key, uint64_t hash,
                               const kama_ctx *ctx, void *buf, size_t cap,
                               size_t *ret_len)
{
    kama_value *value;
    kama_status st = get_absent(group, key, hash, ctx, &value);
    if (st != KAMA_OK) {
        return st;
    }
    kama_bytes bytes = kama_value_bytes(value);
    if (bytes.len > cap) {
        st = KAMA_ERR_TOO_SMALL;
    } else if (bytes.len > 0) {
        memcpy(buf, bytes.data, bytes.len);
    }
    *ret_len = bytes.len;
    kama_value_unref(value);
    return st;
}

kama_status kama_get_copy(kama_group *group, kama_bytes key,
                          const kama_ctx *ctx, void *buf, size_t cap,
                          size_t *ret_len)
{
    kama_status st = check_call(group, key, ctx);
    if (KM_UNLIKELY(st != KAMA_OK)) {
        return st;
    }
    uint64_t hash = km_store_hash(group->store, key);
    st = km_store_copy(group->store, hash, key, buf, cap, ret_len);
    if (KM_LIKELY(st != KAMA_WOULD_LOAD)) {
        km_trace_memory(group, st, key);
    } else {
        st = copy_absent(group, key, hash, ctx, buf, cap, ret_len);
    }
    if (KM_LIKELY(st == KAMA_OK)) {
        return st;
    }
    return st == KAMA_ERR_TOO_SMALL
               ? km_fail(st, "the value has %zu bytes, the buffer %zu",
                         *ret_len, cap)
               : st;
}

kama_status kama_try_get(kama_group *group, kama_bytes key,
                         kama_value **ret_value)
{
    kama_status st = km_group_check_key(key);
    if (st != KAMA_OK) {
        return st;
    }
    uint64_t hash = km_store_hash(group->store, key);
    st = km_store_get(group->store, hash, key, ret_value);
    km_trace_memory(group, st, key);
    return st != KAMA_WOULD_LOAD ? st : km_group_absent(group);
}
