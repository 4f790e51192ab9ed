/* SPDX-License-Identifier: MIT */
/*
 * A call that is LINKED is in one chain and among the open calls; an UNLINKED call
 * is only among the open calls; a call that is NEW or has ENDED is in neither. So
 * the chains of a shard have as many calls as there are LINKED open calls.
 */
#include "flight/flight_check.h"

#include "base/assert.h"
#include "base/container.h"
#include "flight/flight.h"

/* Returns how many calls the chain has. */
static unsigned check_chain_locked(struct km_flight_shard *shard,
                                   unsigned chain)
{
    unsigned linked = 0;
    KM_ASSERT_HELD(&shard->lock);
    for (struct km_flight_call *call = shard->chains[chain]; call != NULL;
         call = call->next) {
        KM_ASSERT(atomic_load(&call->state) == KM_FLIGHT_LINKED);
        KM_ASSERT(km_flight_chain_of(call->hash) == chain);
        linked++;
    }
    return linked;
}

static void check_waiters_locked(struct km_flight_shard *shard,
                                 const struct km_flight_call *call)
{
    struct km_list *node;
    struct km_list *tmp;
    unsigned waiters = 0;
    unsigned leading = 0;
    KM_ASSERT_HELD(&shard->lock);
    KM_LIST_FOREACH(node, tmp, &call->waiters) {
        const struct km_flight_waiter *waiter =
            KM_CONTAINER_OF(node, struct km_flight_waiter, node);
        KM_ASSERT(waiter->call == call && waiter->hash == call->hash);
        leading += waiter == call->leading;
        waiters++;
    }
    KM_ASSERT(waiters == call->waiter_count);
    KM_ASSERT(leading == (call->leading != NULL));
}

/* Returns how many of the open calls are linked. */
static unsigned check_open_locked(struct km_flight_shard *shard)
{
    struct km_list *node;
    struct km_list *tmp;
    unsigned linked = 0;
    km_ns oldest_at = KM_NS_NEVER;
    KM_ASSERT_HELD(&shard->lock);
    KM_LIST_FOREACH(node, tmp, &shard->open) {
        const struct km_flight_call *call =
            KM_CONTAINER_OF(node, struct km_flight_call, in_open);
        if (oldest_at == KM_NS_NEVER) {
            oldest_at = call->deadline;
        }
        KM_ASSERT(atomic_load(&call->state) == KM_FLIGHT_LINKED ||
                  atomic_load(&call->state) == KM_FLIGHT_UNLINKED);
        check_waiters_locked(shard, call);
        linked += atomic_load(&call->state) == KM_FLIGHT_LINKED;
    }
    KM_ASSERT(atomic_load(&shard->oldest_at) == oldest_at);
    return linked;
}

void km_flight_check(struct km_flight *flight)
{
    for (unsigned i = 0; i < KM_FLIGHT_SHARDS; i++) {
        struct km_flight_shard *shard = &flight->shards[i];
        unsigned in_chains = 0;
        km_mutex_lock(&shard->lock);
        for (unsigned c = 0; c < KM_FLIGHT_CHAINS; c++) {
            in_chains += check_chain_locked(shard, c);
        }
        KM_ASSERT(check_open_locked(shard) == in_chains);
        km_mutex_unlock(&shard->lock);
    }
}
