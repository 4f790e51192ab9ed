/* SPDX-License-Identifier: MIT */
#include "store/usage.h"

#include "store/store_internal.h"

static void add_log(struct km_usage *usage, const struct km_log *log)
{
    uint64_t live = log->queues[0].live + log->queues[1].live;
    uint64_t appended = km_log_bytes(log);
    uint64_t segments =
        (uint64_t)km_log_segment_count(log) *
        km_pages_bytes(&log->account->pages, log->segment_bytes);
    usage->live += live;
    usage->holes += appended - live;
    usage->free += segments - appended;
    usage->fixed += km_log_table_bytes(log);
}

void km_usage_add_shard_locked(struct km_usage *usage,
                               const struct km_shard *shard)
{
    KM_ASSERT_HELD(&shard->lock);
    add_log(usage, &shard->log);
    usage->index += km_index_bytes(&shard->index);
    usage->ghosts += km_ghost_bytes(&shard->departed.ghosts);
    for (unsigned q = 0; q < KM_LOG_QUEUES; q++) {
        usage->ghosts += km_ghost_bytes(&shard->policy.ghosts[q]);
    }
}

/* Adds the memory of pages beside the runs that are in use. */
static void add_pages(struct km_usage *usage, struct km_pages *pages)
{
    struct km_pages_rest rest;
    km_pages_rest_get(pages, &rest);
    usage->free += rest.warm_bytes + rest.leaving_bytes;
    usage->fixed += rest.head_bytes;
}

void km_usage_add_common(struct km_usage *usage, const struct km_store *store)
{
    struct km_account *account = store->account;
    uint64_t held_blocks = km_account_held_blocks(account);
    uint64_t blocks = km_account_blocks(account);
    add_pages(usage, &account->pages);
    add_pages(usage, &account->blocks);
    usage->blocks += blocks > held_blocks ? blocks - held_blocks : 0;
    usage->held += km_account_held(account);
    usage->free += km_account_prepaid(account);
    usage->fixed +=
        store->base_bytes +
        (store->floors != NULL ? km_floors_bytes(store->floors) : 0) +
        atomic_load_explicit(&store->guest_bytes, memory_order_relaxed);
}

uint64_t km_usage_sum(const struct km_usage *usage)
{
    return usage->live + usage->holes + usage->free + usage->blocks +
           usage->index + usage->ghosts + usage->held + usage->fixed;
}
