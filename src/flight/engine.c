/* SPDX-License-Identifier: MIT */
/*
 * kamacache/flight.h, made of the engine of flight.h. A call holds the key and the
 * result, which have types of the application:
 *
 *     stack of the leader     key, waiter
 *     heap                    engine_call | result_size bytes
 *     stack of a waiter       engine_waiter, with the event that it waits for
 *
 * The leader works on its own thread. It makes the call only if no other caller
 * works on the key, so that callers that wait allocate nothing.
 */
#include "flight/engine.h"

#include "base/assert.h"
#include "base/boundary.h"
#include "base/container.h"
#include "base/event.h"
#include "base/limits.h"
#include "base/status.h"
#include "base/struct.h"
#include "flight/flight.h"

#include <kamacache/flight.h>
#include <stdalign.h>

/* The counters of the calls of one shard. `led` and `coalesced` change under the
 * lock of the shard, which a call takes anyway; so they need no operation that
 * locks the bus. The others are rare. */
struct engine_counts {
    alignas(64) _Atomic uint64_t led;
    _Atomic uint64_t coalesced;
    _Atomic uint64_t failed;
    _Atomic uint64_t timed_out;
    _Atomic uint64_t refused;
};

struct kama_flight_engine {
    void *block; /* the memory that the engine is in */
    const kama_flight_type *type;
    const kama_allocator *mem;
    struct km_flight flight;
    struct engine_counts counts[KM_FLIGHT_SHARDS];
};

/* A call, on the heap. Its key is on the stack of the leader, which does not
 * return before the call has ended. */
struct engine_call {
    struct km_flight_call call;
    kama_flight_engine *engine;
    const void *key;
    kama_status status;
    alignas(max_align_t) unsigned char result[];
};

struct engine_waiter {
    struct km_flight_waiter waiter;
    struct km_event woken;
    void *ret_result;
    kama_status status;
};

static struct engine_call *engine_call_of(const struct km_flight_call *call)
{
    return KM_CONTAINER_OF(call, struct engine_call, call);
}

/* -- functions of the application ---------------------------------------- */

static const kama_bytes no_key = {NULL, 0};

/* The function that the leader runs, and its argument. */
struct engine_work {
    kama_status (*run)(void *call, const void *key, void *ret_result);
    void *arg;
};

static KM_BOUNDARY_FUNCTION kama_status call_run(const struct engine_work *work,
                                                 struct engine_call *call)
{
    KM_BOUNDARY_BEGIN("the function of a flight", NULL, no_key);
    kama_status st = work->run(work->arg, call->key, call->result);
    KM_BOUNDARY_END();
    return st;
}

static KM_BOUNDARY_FUNCTION bool call_equal(const kama_flight_type *type,
                                            const void *a, const void *b)
{
    KM_BOUNDARY_BEGIN("equal_fn of a flight", NULL, no_key);
    bool equal = type->equal(a, b) != 0;
    KM_BOUNDARY_END();
    return equal;
}

static KM_BOUNDARY_FUNCTION void call_ref(const kama_flight_type *type,
                                          const void *result)
{
    KM_BOUNDARY_BEGIN("ref_fn of a flight", NULL, no_key);
    type->ref(result);
    KM_BOUNDARY_END();
}

static KM_BOUNDARY_FUNCTION void call_unref(const kama_flight_type *type,
                                            const void *result)
{
    KM_BOUNDARY_BEGIN("unref_fn of a flight", NULL, no_key);
    type->unref(result);
    KM_BOUNDARY_END();
}

/* -- the engine ----------------------------------------------------------- */

static bool engine_equal(const struct km_flight_call *call, const void *key)
{
    const struct engine_call *c = engine_call_of(call);
    return call_equal(c->engine->type, c->key, key);
}

static struct engine_counts *counts_of(kama_flight_engine *engine,
                                       uint64_t hash)
{
    return &engine->counts[km_flight_shard_of(hash)];
}

/* Adds one to a counter that changes under a lock, while others read it. */
static void count_one_locked(_Atomic uint64_t *counter)
{
    uint64_t n = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, n + 1, memory_order_relaxed);
}

static void count_one(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static kama_status engine_begin(struct km_flight_call *call, bool *ret_go)
{
    (void)ret_go;
    count_one_locked(&counts_of(engine_call_of(call)->engine, call->hash)->led);
    return KAMA_OK;
}

static kama_status engine_park(struct km_flight_call *call,
                               struct km_flight_waiter *waiter)
{
    (void)waiter;
    count_one_locked(
        &counts_of(engine_call_of(call)->engine, call->hash)->coalesced);
    return KAMA_OK;
}

static const struct km_flight_ops engine_ops = {
    .equal = engine_equal,
    .begin = engine_begin,
    .park = engine_park,
};

kama_status km_flight_engine_new(const kama_flight_type *type,
                                 const kama_allocator *mem,
                                 kama_flight_engine **ret_engine)
{
    if (type == NULL) {
        return km_fail(KAMA_ERR_INVALID, "flight type: the pointer is NULL");
    }
    if (type->struct_size < sizeof *type) {
        return km_fail(KAMA_ERR_INVALID, "flight type: struct_size is %u",
                       type->struct_size);
    }
    void *block;
    kama_flight_engine *engine = km_mem_zalloc_aligned(
        mem, sizeof *engine, _Alignof(kama_flight_engine), &block);
    if (engine == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for a flight");
    }
    engine->block = block;
    engine->type = type;
    engine->mem = mem;
    kama_status st = km_flight_init(&engine->flight, &engine_ops);
    if (st != KAMA_OK) {
        km_mem_free(mem, block);
        return km_fail(st, "no resources for a flight");
    }
    *ret_engine = engine;
    return KAMA_OK;
}

kama_status kama_flight_engine_new(const kama_flight_type *type,
                                   kama_flight_engine **ret_engine)
{
    return km_flight_engine_new(type, km_mem_default(), ret_engine);
}

void kama_flight_engine_free(kama_flight_engine *engine)
{
    if (engine != NULL) {
        km_flight_fini(&engine->flight);
        km_mem_free(engine->mem, engine->block);
    }
}

static void count_running(struct km_flight_call *call, void *arg)
{
    kama_flight_stats *stats = arg;
    stats->running++;
    stats->waiting += call->waiter_count;
}

static void add_counts(struct engine_counts *counts, kama_flight_stats *stats)
{
    stats->led += atomic_load_explicit(&counts->led, memory_order_relaxed);
    stats->coalesced +=
        atomic_load_explicit(&counts->coalesced, memory_order_relaxed);
    stats->failed +=
        atomic_load_explicit(&counts->failed, memory_order_relaxed);
    stats->timed_out +=
        atomic_load_explicit(&counts->timed_out, memory_order_relaxed);
    stats->refused +=
        atomic_load_explicit(&counts->refused, memory_order_relaxed);
}

void kama_flight_engine_stats(kama_flight_engine *engine,
                              kama_flight_stats *ret_stats, size_t struct_size)
{
    kama_flight_stats own = {.struct_size = 0};
    km_flight_visit(&engine->flight, count_running, &own);
    for (unsigned i = 0; i < KM_FLIGHT_SHARDS; i++) {
        add_counts(&engine->counts[i], &own);
    }
    own.calls = own.led + own.coalesced + own.refused;
    km_struct_init(ret_stats, struct_size, &own, sizeof own);
}

/* Hands a counted result over to a caller. If the caller did not ask for it, its
 * reference is given back. */
static void hand_over(const kama_flight_type *type, const void *result,
                      void *ret_result)
{
    if (ret_result != NULL) {
        type->assign(ret_result, result);
    } else if (type->unref != NULL) {
        call_unref(type, result);
    }
}

/* Runs on the leader's thread, while the result is still valid. */
static void engine_wake(struct km_flight_waiter *waiter,
                        struct km_flight_call *call)
{
    struct engine_waiter *w =
        KM_CONTAINER_OF(waiter, struct engine_waiter, waiter);
    const struct engine_call *c = engine_call_of(call);
    const kama_flight_type *type = c->engine->type;
    KM_ASSERT(km_flight_ended(call));
    w->status = c->status;
    if (c->status == KAMA_OK) {
        if (type->ref != NULL) {
            call_ref(type, c->result);
        }
        hand_over(type, c->result, w->ret_result);
    }
    km_event_set(&w->woken);
}

/* Waits until the leader has woken the waiter, or until the timeout. A waiter that
 * can no longer leave is about to be woken, and has to wait for that. */
static kama_status engine_wait(kama_flight_engine *engine,
                               struct engine_waiter *w, int64_t timeout_ms,
                               int *ret_shared)
{
    km_ns span = timeout_ms > 0 ? km_ns_after_ms(0, timeout_ms) : KM_NS_NEVER;
    if (!km_event_wait(&w->woken, span)) {
        if (km_flight_leave(&engine->flight, &w->waiter)) {
            count_one(&counts_of(engine, w->waiter.hash)->timed_out);
            return km_fail(KAMA_ERR_TIMEOUT, "flight: no result within %lld ms",
                           (long long)timeout_ms);
        }
        (void)km_event_wait(&w->woken, KM_NS_NEVER);
    }
    if (w->status == KAMA_OK && ret_shared != NULL) {
        *ret_shared = 1;
    }
    return w->status;
}

/* Runs the application's function and ends the call. The thread is not cancelled
 * meanwhile, because the waiters would never be woken. */
static kama_status engine_lead(kama_flight_engine *engine,
                               struct engine_call *call,
                               const struct engine_work *work, void *ret_result,
                               int *ret_shared)
{
    struct km_flight_woken woken;
    int cancel = km_cancel_defer();
    call->status = call_run(work, call);
    if (call->status < 0) {
        count_one(&counts_of(engine, call->call.hash)->failed);
    }
    (void)km_flight_end(&engine->flight, &call->call, NULL, NULL, &woken);
    int shared = call->call.shared ? 1 : 0;
    km_flight_wake(&engine->flight, &call->call, &woken);
    km_cancel_allow(cancel);
    kama_status st = call->status;
    if (st == KAMA_OK) {
        hand_over(engine->type, call->result, ret_result);
        if (ret_shared != NULL) {
            *ret_shared = shared;
        }
    }
    return st;
}

static struct engine_call *engine_call_new(kama_flight_engine *engine,
                                           uint64_t hash, const void *key)
{
    const kama_flight_type *type = engine->type;
    struct engine_call *call =
        km_mem_zalloc(engine->mem, 1, sizeof *call + type->result_size);
    if (call != NULL) {
        call->call.hash = hash;
        atomic_init(&call->call.thread, km_flight_self());
        call->engine = engine;
        call->key = key;
    }
    return call;
}

static void fail_join(kama_status status)
{
    if (status == KAMA_ERR_REENTRANT) {
        (void)km_fail(status, "flight: called for a key from inside the "
                              "function that works on it");
    } else if (status == KAMA_ERR_BUSY) {
        (void)km_fail(status, "flight: %d callers already wait for this key",
                      KM_FLIGHT_WAITERS_MAX);
    } else {
        (void)km_fail(status, "flight: %s", kama_strerror(status));
    }
}

kama_status kama_flight_engine_do(
    kama_flight_engine *engine, uint64_t hash, const void *key,
    kama_status (*run)(void *call, const void *key, void *ret_result),
    void *call, int64_t timeout_ms, void *ret_result, int *ret_shared)
{
    struct engine_waiter w = {.waiter = {.wake = engine_wake},
                              .ret_result = ret_result};
    const struct engine_work work = {run, call};
    kama_status st = KAMA_ERR_NO_MEMORY;
    if (!km_event_init(&w.woken)) {
        count_one(&counts_of(engine, hash)->refused);
        return km_fail(st, "no resources to wait");
    }
    struct engine_call *fresh = NULL;
    enum km_flight_role role =
        km_flight_join(&engine->flight, hash, key, &w.waiter, NULL, &st);
    if (role == KM_FLIGHT_NOBODY) {
        fresh = engine_call_new(engine, hash, key);
        role = fresh == NULL ? KM_FLIGHT_ANSWER
                             : km_flight_join(&engine->flight, hash, key,
                                              &w.waiter, &fresh->call, &st);
    }
    if (role == KM_FLIGHT_LEADS) {
        st = engine_lead(engine, fresh, &work, ret_result, ret_shared);
    } else if (role == KM_FLIGHT_PARKED) {
        st = engine_wait(engine, &w, timeout_ms, ret_shared);
    } else {
        count_one(&counts_of(engine, hash)->refused);
        fail_join(st);
    }
    km_mem_free(engine->mem, fresh);
    km_event_fini(&w.woken);
    return st;
}
