/* SPDX-License-Identifier: MIT */
/*
 * The table of calls, and the waiters.
 *
 * Two things that look like details are what makes it right. The result is
 * settled under the same lock under which the call leaves the table: a caller
 * finds either the call, or a finished result. And waiters are popped under
 * that lock in small batches: one that leaves meanwhile knows for sure whether
 * it will be woken.
 */
#include "flight/flight.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"

#define WAKE_BATCH 32

static struct km_flight_shard *shard_of(struct km_flight *flight, uint64_t hash)
{
    return &flight->shards[(hash >> 8) % KM_FLIGHT_SHARDS];
}

static struct km_flight_call **chain_of(struct km_flight_shard *shard,
                                        uint64_t hash)
{
    return &shard->chains[(hash >> 16) % KM_FLIGHT_CHAINS];
}

kama_status km_flight_init(struct km_flight *flight,
                           const struct km_flight_ops *ops)
{
    memset(flight, 0, sizeof *flight);
    flight->ops = ops;
    for (unsigned i = 0; i < KM_FLIGHT_SHARDS; i++) {
        if (!km_mutex_init(&flight->shards[i].lock, KM_RANK_FLIGHT)) {
            while (i > 0) {
                km_mutex_fini(&flight->shards[--i].lock);
            }
            return KAMA_ERR_NO_MEMORY;
        }
    }
    return KAMA_OK;
}

void km_flight_fini(struct km_flight *flight)
{
    for (unsigned i = 0; i < KM_FLIGHT_SHARDS; i++) {
        for (unsigned c = 0; c < KM_FLIGHT_CHAINS; c++) {
            KM_ASSERT(flight->shards[i].chains[c] == NULL);
        }
        km_mutex_fini(&flight->shards[i].lock);
    }
}

uintptr_t km_flight_self(void)
{
    return (uintptr_t)pthread_self();
}

static void link_call(struct km_flight_shard *shard,
                      struct km_flight_call *call)
{
    struct km_flight_call **chain = chain_of(shard, call->hash);
    call->next = *chain;
    *chain = call;
    call->linked = true;
}

static void unlink_call(struct km_flight_shard *shard,
                        struct km_flight_call *call)
{
    struct km_flight_call **at = chain_of(shard, call->hash);
    if (!call->linked) {
        return;
    }
    while (*at != call) {
        KM_ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = call->next;
    call->linked = false;
}

/* The call that works on key and may be joined. One that may not be joined
 * any more is taken out of the table. */
static struct km_flight_call *find_call(struct km_flight *flight,
                                        struct km_flight_shard *shard,
                                        uint64_t hash, const void *key)
{
    struct km_flight_call *call = *chain_of(shard, hash);
    while (call != NULL &&
           (call->hash != hash || !flight->ops->equal(call, key))) {
        call = call->next;
    }
    if (call != NULL && flight->ops->joinable != NULL &&
        !flight->ops->joinable(call, key)) {
        unlink_call(shard, call);
        return NULL;
    }
    return call;
}

static void add_waiter(struct km_flight_call *call,
                       struct km_flight_waiter *waiter)
{
    km_ns until = waiter->deadline != 0 ? waiter->deadline : KM_NS_NEVER;
    waiter->call = call;
    km_list_push_back(&call->waiters, &waiter->node);
    call->waiter_count++;
    if (until > call->wanted_until) {
        call->wanted_until = until;
    }
}

static kama_status park(struct km_flight *flight, struct km_flight_call *call,
                        struct km_flight_waiter *waiter)
{
    if (call->waiter_count >= KM_FLIGHT_WAITERS_MAX) {
        return KAMA_ERR_BUSY;
    }
    waiter->call_deadline = call->deadline;
    waiter->hash = call->hash;
    kama_status st =
        flight->ops->park == NULL ? KAMA_OK : flight->ops->park(call, waiter);
    if (st == KAMA_OK) {
        add_waiter(call, waiter);
    }
    return st;
}

/* Waits for another's call. */
static enum km_flight_role follow(struct km_flight *flight,
                                  struct km_flight_call *call,
                                  struct km_flight_waiter *waiter,
                                  kama_status *ret_status)
{
    if (call->leader != 0 && call->leader == km_flight_self()) {
        *ret_status = KAMA_ERR_REENTRANT;
        return KM_FLIGHT_ANSWER;
    }
    if (waiter == NULL) {
        *ret_status = KAMA_ERR_WOULD_DEADLOCK;
        return KM_FLIGHT_ANSWER;
    }
    kama_status st = park(flight, call, waiter);
    if (st != KAMA_OK) {
        *ret_status = st;
        return KM_FLIGHT_ANSWER;
    }
    call->shared = true;
    return KM_FLIGHT_PARKED;
}

static void reset_call(struct km_flight_call *call)
{
    call->linked = false;
    call->ended = false;
    call->shared = false;
    call->wanted_until = 0;
    call->waiter_count = 0;
    call->next = NULL;
    km_list_init(&call->waiters);
}

/* Starts the caller's own call. */
static enum km_flight_role lead(struct km_flight *flight,
                                struct km_flight_shard *shard,
                                struct km_flight_call *call,
                                struct km_flight_waiter *waiter,
                                kama_status *ret_status)
{
    bool go = true;
    kama_status st = KAMA_OK;
    reset_call(call);
    if (call->leader_parks) {
        st = park(flight, call, waiter);
    }
    if (st == KAMA_OK && flight->ops->begin != NULL) {
        st = flight->ops->begin(call, &go);
    }
    if (st != KAMA_OK || !go) {
        if (call->leader_parks) {
            waiter->call = NULL;
        }
        *ret_status = st;
        return KM_FLIGHT_ANSWER;
    }
    link_call(shard, call);
    return KM_FLIGHT_LEADS;
}

enum km_flight_role km_flight_join(struct km_flight *flight, uint64_t hash,
                                   const void *key,
                                   struct km_flight_waiter *waiter,
                                   struct km_flight_call *fresh,
                                   kama_status *ret_status)
{
    struct km_flight_shard *shard = shard_of(flight, hash);
    enum km_flight_role role = KM_FLIGHT_NOBODY;
    if (waiter != NULL && waiter->hash != hash) {
        waiter->hash = hash;
    }
    km_mutex_lock(&shard->lock);
    if (waiter != NULL) {
        waiter->call = NULL;
    }
    struct km_flight_call *call = find_call(flight, shard, hash, key);
    if (call != NULL) {
        role = follow(flight, call, waiter, ret_status);
    } else if (fresh != NULL) {
        KM_ASSERT(fresh->hash == hash);
        role = lead(flight, shard, fresh, waiter, ret_status);
    }
    km_mutex_unlock(&shard->lock);
    return role;
}

bool km_flight_attach(struct km_flight *flight, struct km_flight_call *call,
                      struct km_flight_waiter *waiter)
{
    struct km_flight_shard *shard = shard_of(flight, call->hash);
    km_mutex_lock(&shard->lock);
    bool running = !call->ended;
    if (running) {
        waiter->hash = call->hash;
        waiter->call_deadline = call->deadline;
        add_waiter(call, waiter);
    }
    km_mutex_unlock(&shard->lock);
    return running;
}

void km_flight_lead(struct km_flight *flight, struct km_flight_call *call,
                    uintptr_t leader)
{
    struct km_flight_shard *shard = shard_of(flight, call->hash);
    km_mutex_lock(&shard->lock);
    call->leader = leader;
    km_mutex_unlock(&shard->lock);
}

static void end_locked(struct km_flight_shard *shard,
                       struct km_flight_call *call,
                       void (*settle)(struct km_flight_call *call, void *arg),
                       void *arg)
{
    call->ended = true;
    unlink_call(shard, call);
    if (settle != NULL) {
        settle(call, arg);
    }
}

bool km_flight_end(struct km_flight *flight, struct km_flight_call *call,
                   void (*settle)(struct km_flight_call *call, void *arg),
                   void *arg)
{
    struct km_flight_shard *shard = shard_of(flight, call->hash);
    km_mutex_lock(&shard->lock);
    bool first = !call->ended;
    if (first) {
        end_locked(shard, call, settle, arg);
    }
    km_mutex_unlock(&shard->lock);
    return first;
}

bool km_flight_end_unwanted(
    struct km_flight *flight, struct km_flight_call *call, km_ns now,
    void (*settle)(struct km_flight_call *call, void *arg), void *arg)
{
    struct km_flight_shard *shard = shard_of(flight, call->hash);
    km_mutex_lock(&shard->lock);
    bool ends =
        !call->ended && (call->waiter_count == 0 || now >= call->wanted_until);
    if (ends) {
        end_locked(shard, call, settle, arg);
    }
    km_mutex_unlock(&shard->lock);
    return ends;
}

static size_t pop_waiters(struct km_flight_shard *shard,
                          struct km_flight_call *call,
                          struct km_flight_waiter **ret_waiters)
{
    size_t n = 0;
    km_mutex_lock(&shard->lock);
    for (; n < WAKE_BATCH; n++) {
        struct km_list *node = km_list_pop_front(&call->waiters);
        if (node == NULL) {
            break;
        }
        ret_waiters[n] = KM_CONTAINER_OF(node, struct km_flight_waiter, node);
        ret_waiters[n]->call = NULL;
        call->waiter_count--;
    }
    km_mutex_unlock(&shard->lock);
    return n;
}

void km_flight_wake(struct km_flight *flight, struct km_flight_call *call)
{
    struct km_flight_shard *shard = shard_of(flight, call->hash);
    struct km_flight_waiter *waiters[WAKE_BATCH];
    size_t n;
    while ((n = pop_waiters(shard, call, waiters)) > 0) {
        for (size_t i = 0; i < n; i++) {
            waiters[i]->wake(waiters[i], call);
        }
    }
}

bool km_flight_ended(struct km_flight *flight, struct km_flight_call *call)
{
    struct km_flight_shard *shard = shard_of(flight, call->hash);
    km_mutex_lock(&shard->lock);
    bool ended = call->ended;
    km_mutex_unlock(&shard->lock);
    return ended;
}

bool km_flight_leave(struct km_flight *flight, struct km_flight_waiter *waiter)
{
    struct km_flight_shard *shard = shard_of(flight, waiter->hash);
    km_mutex_lock(&shard->lock);
    struct km_flight_call *call = waiter->call;
    if (call != NULL) {
        km_list_remove(&waiter->node);
        waiter->call = NULL;
        call->waiter_count--;
    }
    km_mutex_unlock(&shard->lock);
    return call != NULL;
}

bool km_flight_leave_call(struct km_flight *flight, struct km_flight_call *call,
                          struct km_flight_waiter *waiter)
{
    struct km_flight_shard *shard = shard_of(flight, call->hash);
    struct km_list *node;
    struct km_list *tmp;
    bool found = false;
    km_mutex_lock(&shard->lock);
    KM_LIST_FOREACH(node, tmp, &call->waiters) {
        if (node == &waiter->node) {
            km_list_remove(node);
            waiter->call = NULL;
            call->waiter_count--;
            found = true;
            break;
        }
    }
    km_mutex_unlock(&shard->lock);
    return found;
}

struct km_flight_call *km_flight_call_of(struct km_flight *flight,
                                         struct km_flight_waiter *waiter)
{
    struct km_flight_shard *shard = shard_of(flight, waiter->hash);
    km_mutex_lock(&shard->lock);
    struct km_flight_call *call = waiter->call;
    if (call != NULL && flight->ops->ref != NULL) {
        flight->ops->ref(call);
    }
    km_mutex_unlock(&shard->lock);
    return call;
}

bool km_flight_sync_init(struct km_flight_sync *sync,
                         void (*wake)(struct km_flight_waiter *waiter,
                                      struct km_flight_call *call))
{
    memset(sync, 0, sizeof *sync);
    sync->waiter.wake = wake;
    if (!km_mutex_init(&sync->lock, KM_RANK_WAITER)) {
        return false;
    }
    if (!km_cond_init(&sync->cond)) {
        km_mutex_fini(&sync->lock);
        return false;
    }
    return true;
}

void km_flight_sync_fini(struct km_flight_sync *sync)
{
    km_cond_fini(&sync->cond);
    km_mutex_fini(&sync->lock);
}

void km_flight_sync_done(struct km_flight_sync *sync)
{
    km_mutex_lock(&sync->lock);
    sync->done = true;
    km_cond_signal(&sync->cond);
    km_mutex_unlock(&sync->lock);
}

bool km_flight_sync_wait(struct km_flight_sync *sync, km_ns span_ns)
{
    km_ns until = KM_NS_NEVER;
    bool in_time = true;
    km_ns now = km_clock_mono(km_clock_system());
    if (span_ns < KM_NS_NEVER - now) {
        until = now + span_ns;
    }
    km_mutex_lock(&sync->lock);
    while (!sync->done && in_time) {
        in_time = km_cond_wait_until(&sync->cond, &sync->lock, until);
    }
    bool done = sync->done;
    km_mutex_unlock(&sync->lock);
    return done;
}
