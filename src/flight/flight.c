/* SPDX-License-Identifier: MIT */
/*
 * The table of calls, and their waiters.
 *
 * Two details make it correct. First, the result is settled under the same lock
 * under which the call leaves the table, so that a caller finds either the call or
 * a finished result. Second, waiters are taken out under that lock, in batches
 * that fit on the stack, and are woken without it. A waiter that leaves at the
 * same time knows for certain whether it will be woken:
 *
 *     thread that ends the call     waiter
 *     lock: takes the waiter out,
 *           waiter->call = NULL
 *                                   leave: call is NULL, returns false;
 *                                   the waiter must stay valid until it is woken
 *     wakes the waiter
 *                                   its memory may be freed now
 */
#include "flight/flight.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"

static struct km_flight_shard *shard_of(struct km_flight *flight, uint64_t hash)
{
    return &flight->shards[km_flight_shard_of(hash)];
}

unsigned km_flight_chain_of(uint64_t hash)
{
    return (unsigned)((hash >> 16) % KM_FLIGHT_CHAINS);
}

static struct km_flight_call **chain_of(struct km_flight_shard *shard,
                                        uint64_t hash)
{
    return &shard->chains[km_flight_chain_of(hash)];
}

kama_status km_flight_init(struct km_flight *flight,
                           const struct km_flight_ops *ops)
{
    memset(flight, 0, sizeof *flight);
    flight->ops = ops;
    for (unsigned i = 0; i < KM_FLIGHT_SHARDS; i++) {
        km_list_init(&flight->shards[i].open);
        atomic_init(&flight->shards[i].oldest_at, KM_NS_NEVER);
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
        KM_ASSERT(km_list_empty(&flight->shards[i].open));
        for (unsigned c = 0; c < KM_FLIGHT_CHAINS; c++) {
            KM_ASSERT(flight->shards[i].chains[c] == NULL);
        }
        km_mutex_fini(&flight->shards[i].lock);
    }
}

/* -- states -------------------------------------------------------------- */

static enum km_flight_state state_of(const struct km_flight_call *call)
{
    return atomic_load_explicit(&call->state, memory_order_relaxed);
}

/* Publishes the deadline of the oldest open call, for readers without the lock. */
static void note_oldest_locked(struct km_flight_shard *shard)
{
    KM_ASSERT_HELD(&shard->lock);
    struct km_list *node = km_list_first(&shard->open);
    km_ns at = KM_NS_NEVER;
    if (node != NULL) {
        at = KM_CONTAINER_OF(node, struct km_flight_call, in_open)->deadline;
    }
    atomic_store_explicit(&shard->oldest_at, at, memory_order_relaxed);
}

/* Makes the call visible to the callers of its key. */
static void link_locked(struct km_flight_shard *shard,
                        struct km_flight_call *call)
{
    struct km_flight_call **chain = chain_of(shard, call->hash);
    KM_ASSERT_HELD(&shard->lock);
    KM_ASSERT(state_of(call) == KM_FLIGHT_NEW);
    call->next = *chain;
    *chain = call;
    atomic_store_explicit(&call->state, KM_FLIGHT_LINKED, memory_order_relaxed);
    km_list_push_back(&shard->open, &call->in_open);
    note_oldest_locked(shard);
}

/* Takes the call out of its chain, so that callers do not find it any more. */
static void unlink_locked(struct km_flight_shard *shard,
                          struct km_flight_call *call)
{
    struct km_flight_call **at = chain_of(shard, call->hash);
    KM_ASSERT_HELD(&shard->lock);
    KM_ASSERT(state_of(call) == KM_FLIGHT_LINKED);
    while (*at != call) {
        KM_ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = call->next;
    atomic_store_explicit(&call->state, KM_FLIGHT_UNLINKED,
                          memory_order_relaxed);
}

/* Returns the call that works on the key, or NULL. */
static struct km_flight_call *search_locked(const struct km_flight *flight,
                                            struct km_flight_shard *shard,
                                            uint64_t hash, const void *key)
{
    struct km_flight_call *call = *chain_of(shard, hash);
    KM_ASSERT_HELD(&shard->lock);
    while (call != NULL &&
           (call->hash != hash || !flight->ops->equal(call, key))) {
        call = call->next;
    }
    return call;
}

static bool is_joinable(const struct km_flight *flight,
                        const struct km_flight_call *call, const void *key)
{
    return flight->ops->joinable == NULL || flight->ops->joinable(call, key);
}

/* Returns the call that works on the key and may be joined, or NULL. A call that
 * may not be joined any more is taken out of the table. */
static struct km_flight_call *find_locked(const struct km_flight *flight,
                                          struct km_flight_shard *shard,
                                          uint64_t hash, const void *key)
{
    struct km_flight_call *call = search_locked(flight, shard, hash, key);
    KM_ASSERT_HELD(&shard->lock);
    if (call != NULL && !is_joinable(flight, call, key)) {
        unlink_locked(shard, call);
        return NULL;
    }
    return call;
}

void km_flight_look(struct km_flight *flight, uint64_t hash, const void *key,
                    struct km_flight_look *ret_look)
{
    struct km_flight_shard *shard = shard_of(flight, hash);
    *ret_look = (struct km_flight_look){.works = false};
    km_mutex_lock(&shard->lock);
    const struct km_flight_call *call = search_locked(flight, shard, hash, key);
    if (call != NULL) {
        ret_look->works = true;
        ret_look->joinable = is_joinable(flight, call, key);
        ret_look->waiters = call->waiter_count;
    }
    km_mutex_unlock(&shard->lock);
}

/* Adds the waiter to the call, and notes how long the call is wanted. */
static void add_waiter_locked(struct km_flight_shard *shard,
                              struct km_flight_call *call,
                              struct km_flight_waiter *waiter)
{
    km_ns until = waiter->deadline != 0 ? waiter->deadline : KM_NS_NEVER;
    KM_ASSERT_HELD(&shard->lock);
    KM_ASSERT(waiter->call == NULL);
    waiter->call = call;
    km_list_push_back(&call->waiters, &waiter->node);
    call->waiter_count++;
    if (until > call->wanted_until) {
        call->wanted_until = until;
    }
}

/* Parks the waiter on the call, if the limit and the user's `park` allow it. */
static kama_status park_locked(struct km_flight *flight,
                               struct km_flight_call *call,
                               struct km_flight_waiter *waiter)
{
    struct km_flight_shard *shard = shard_of(flight, call->hash);
    KM_ASSERT_HELD(&shard->lock);
    KM_ASSERT(waiter != NULL && waiter->wake != NULL);
    if (call->waiter_count >= KM_FLIGHT_WAITERS_MAX) {
        return KAMA_ERR_BUSY;
    }
    KM_ASSERT(waiter->hash == call->hash);
    waiter->call_deadline = call->deadline;
    kama_status st =
        flight->ops->park == NULL ? KAMA_OK : flight->ops->park(call, waiter);
    if (st == KAMA_OK) {
        add_waiter_locked(shard, call, waiter);
    }
    return st;
}

/* Returns whether the calling thread does the work of the call. */
static bool leads(const struct km_flight_call *call)
{
    return atomic_load_explicit(&call->thread, memory_order_relaxed) ==
           km_flight_self();
}

/* Makes the caller wait for a call that another caller leads. */
static enum km_flight_role follow_locked(struct km_flight *flight,
                                         struct km_flight_call *call,
                                         struct km_flight_waiter *waiter,
                                         kama_status *ret_status)
{
    KM_ASSERT_HELD(&shard_of(flight, call->hash)->lock);
    if (leads(call)) {
        *ret_status = KAMA_ERR_REENTRANT;
        return KM_FLIGHT_ANSWER;
    }
    if (waiter == NULL) {
        *ret_status = KAMA_ERR_WOULD_DEADLOCK;
        return KM_FLIGHT_ANSWER;
    }
    kama_status st = park_locked(flight, call, waiter);
    if (st != KAMA_OK) {
        *ret_status = st;
        return KM_FLIGHT_ANSWER;
    }
    call->shared = true;
    return KM_FLIGHT_PARKED;
}

/* Gives the engine's members their first values. */
static void reset_call(struct km_flight_call *call)
{
    atomic_store_explicit(&call->state, KM_FLIGHT_NEW, memory_order_relaxed);
    call->shared = false;
    call->wanted_until = 0;
    call->waiter_count = 0;
    call->leading = NULL;
    call->next = NULL;
    km_list_init(&call->waiters);
    km_list_init(&call->in_open);
}

/* Makes the caller lead with its own call. A leader that parks is parked before
 * `begin` runs, because the call could end as soon as it is linked. */
static enum km_flight_role lead_locked(struct km_flight *flight,
                                       struct km_flight_shard *shard,
                                       struct km_flight_call *call,
                                       struct km_flight_waiter *waiter,
                                       kama_status *ret_status)
{
    bool go = true;
    kama_status st = KAMA_OK;
    KM_ASSERT_HELD(&shard->lock);
    reset_call(call);
    if (call->leader == KM_FLIGHT_LEADER_PARKS) {
        st = park_locked(flight, call, waiter);
    }
    if (st == KAMA_OK && flight->ops->begin != NULL) {
        st = flight->ops->begin(call, &go);
    }
    if (st != KAMA_OK || !go) {
        if (call->leader == KM_FLIGHT_LEADER_PARKS) {
            waiter->call = NULL;
        }
        *ret_status = st;
        return KM_FLIGHT_ANSWER;
    }
    if (call->leader == KM_FLIGHT_LEADER_PARKS) {
        call->leading = waiter;
    }
    link_locked(shard, call);
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
        waiter->hash =
            hash; /* not again: whoever leaves finds its lock by it */
    }
    km_mutex_lock(&shard->lock);
    if (waiter != NULL) {
        waiter->call = NULL;
    }
    struct km_flight_call *call = find_locked(flight, shard, hash, key);
    if (call != NULL) {
        role = follow_locked(flight, call, waiter, ret_status);
    } else if (fresh != NULL) {
        KM_ASSERT(fresh->hash == hash);
        role = lead_locked(flight, shard, fresh, waiter, ret_status);
    }
    km_mutex_unlock(&shard->lock);
    return role;
}

/* Does the accounts for a waiter that was just taken out of the call's list. */
static void forget_waiter_locked(struct km_flight_shard *shard,
                                 struct km_flight_call *call,
                                 struct km_flight_waiter *waiter)
{
    KM_ASSERT_HELD(&shard->lock);
    KM_ASSERT(waiter->call == call && call->waiter_count > 0);
    waiter->call = NULL;
    call->waiter_count--;
    if (call->leading == waiter) {
        call->leading = NULL;
    }
}

/* -- the end ------------------------------------------------------------- */

/* Takes out as many waiters as fit into one batch. */
static void pop_waiters_locked(struct km_flight_shard *shard,
                               struct km_flight_call *call,
                               struct km_flight_woken *ret_woken)
{
    struct km_list *node;
    KM_ASSERT_HELD(&shard->lock);
    ret_woken->count = 0;
    while (ret_woken->count < KM_FLIGHT_WAKE_BATCH &&
           (node = km_list_pop_front(&call->waiters)) != NULL) {
        struct km_flight_waiter *waiter =
            KM_CONTAINER_OF(node, struct km_flight_waiter, node);
        forget_waiter_locked(shard, call, waiter);
        ret_woken->waiters[ret_woken->count++] = waiter;
    }
}

/* ENDED is stored with sequential consistency. A thread that first changes a state
 * at which the end of a load looks (its timer, its stage), and then finds that the
 * call has not ended, knows that the end will see the change. */
static void end_locked(struct km_flight_shard *shard,
                       struct km_flight_call *call,
                       void (*settle)(struct km_flight_call *call, void *arg),
                       void *arg, struct km_flight_woken *ret_woken)
{
    KM_ASSERT_HELD(&shard->lock);
    if (state_of(call) == KM_FLIGHT_LINKED) {
        unlink_locked(shard, call);
    }
    KM_ASSERT(state_of(call) == KM_FLIGHT_UNLINKED);
    km_list_remove(&call->in_open);
    note_oldest_locked(shard);
    if (settle != NULL) {
        settle(call, arg);
    }
    atomic_store(&call->state, KM_FLIGHT_ENDED);
    pop_waiters_locked(shard, call, ret_woken);
}

bool km_flight_end(struct km_flight *flight, struct km_flight_call *call,
                   void (*settle)(struct km_flight_call *call, void *arg),
                   void *arg, struct km_flight_woken *ret_woken)
{
    struct km_flight_shard *shard = shard_of(flight, call->hash);
    km_mutex_lock(&shard->lock);
    bool ends = state_of(call) != KM_FLIGHT_ENDED;
    if (ends) {
        end_locked(shard, call, settle, arg, ret_woken);
    }
    km_mutex_unlock(&shard->lock);
    return ends;
}

bool km_flight_end_unwanted(struct km_flight *flight,
                            struct km_flight_call *call, km_ns now,
                            void (*settle)(struct km_flight_call *call,
                                           void *arg),
                            void *arg, struct km_flight_woken *ret_woken)
{
    struct km_flight_shard *shard = shard_of(flight, call->hash);
    km_mutex_lock(&shard->lock);
    bool ends = state_of(call) != KM_FLIGHT_ENDED &&
                (call->waiter_count == 0 || now >= call->wanted_until);
    if (ends) {
        end_locked(shard, call, settle, arg, ret_woken);
    }
    km_mutex_unlock(&shard->lock);
    return ends;
}

void km_flight_wake(struct km_flight *flight, struct km_flight_call *call,
                    struct km_flight_woken *woken)
{
    struct km_flight_shard *shard = shard_of(flight, call->hash);
    bool was_full;
    do {
        for (unsigned i = 0; i < woken->count; i++) {
            woken->waiters[i]->wake(woken->waiters[i], call);
        }
        was_full = woken->count == KM_FLIGHT_WAKE_BATCH;
        if (was_full) {
            km_mutex_lock(&shard->lock);
            pop_waiters_locked(shard, call, woken);
            km_mutex_unlock(&shard->lock);
        }
    } while (was_full);
}

/* -- calls that are late ------------------------------------------------- */

struct km_flight_call *km_flight_oldest(struct km_flight *flight,
                                        unsigned shard_index, km_ns now)
{
    struct km_flight_shard *shard = &flight->shards[shard_index];
    struct km_flight_call *call = NULL;
    if (!km_flight_is_late(flight, shard_index, now)) {
        return NULL;
    }
    km_mutex_lock(&shard->lock);
    struct km_list *node = km_list_first(&shard->open);
    if (node != NULL) {
        call = KM_CONTAINER_OF(node, struct km_flight_call, in_open);
    }
    if (call != NULL && call->deadline <= now) {
        flight->ops->ref(call);
    } else {
        call = NULL;
    }
    km_mutex_unlock(&shard->lock);
    return call;
}

km_ns km_flight_next_deadline(const struct km_flight *flight)
{
    km_ns next = KM_NS_NEVER;
    for (unsigned i = 0; i < KM_FLIGHT_SHARDS; i++) {
        km_ns at = atomic_load_explicit(&flight->shards[i].oldest_at,
                                        memory_order_relaxed);
        next = at < next ? at : next;
    }
    return next;
}

void km_flight_visit(struct km_flight *flight,
                     void (*visit)(struct km_flight_call *call, void *arg),
                     void *arg)
{
    for (unsigned i = 0; i < KM_FLIGHT_SHARDS; i++) {
        struct km_flight_shard *shard = &flight->shards[i];
        struct km_list *node;
        struct km_list *tmp;
        km_mutex_lock(&shard->lock);
        KM_LIST_FOREACH(node, tmp, &shard->open) {
            visit(KM_CONTAINER_OF(node, struct km_flight_call, in_open), arg);
        }
        km_mutex_unlock(&shard->lock);
    }
}

/* -- waiters that leave -------------------------------------------------- */

bool km_flight_leave(struct km_flight *flight, struct km_flight_waiter *waiter)
{
    struct km_flight_shard *shard = shard_of(flight, waiter->hash);
    km_mutex_lock(&shard->lock);
    struct km_flight_call *call = waiter->call;
    if (call != NULL) {
        km_list_remove(&waiter->node);
        forget_waiter_locked(shard, call, waiter);
    }
    km_mutex_unlock(&shard->lock);
    return call != NULL;
}

struct km_flight_waiter *km_flight_leave_leader(struct km_flight *flight,
                                                struct km_flight_call *call)
{
    struct km_flight_shard *shard = shard_of(flight, call->hash);
    km_mutex_lock(&shard->lock);
    struct km_flight_waiter *waiter = call->leading;
    if (waiter != NULL) {
        km_list_remove(&waiter->node);
        forget_waiter_locked(shard, call, waiter);
    }
    km_mutex_unlock(&shard->lock);
    return waiter;
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
