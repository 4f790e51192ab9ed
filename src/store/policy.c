/* SPDX-License-Identifier: MIT */
/*
 * The queues that policies share, with their counts and bytes, and the list of
 * policies.
 */
#include "store/policy.h"

/* Every policy that a group can choose. */
static const struct km_policy_ops *const policies[] = {&km_policy_s3fifo,
                                                       &km_policy_lru};

const struct km_policy_ops *km_policy_find(const char *name)
{
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        if (strcmp(policies[i]->name, name) == 0) {
            return policies[i];
        }
    }
    return NULL;
}

void km_policy_init(struct km_policy *policy, const struct km_policy_ops *ops,
                    struct km_account *account)
{
    policy->ops = ops;
    policy->has_evicted = false;
    for (unsigned q = 0; q < KM_POLICY_QUEUES; q++) {
        km_list_init(&policy->queues[q].list);
        policy->queues[q].bytes = 0;
        policy->queues[q].count = 0;
    }
    km_ghost_init(&policy->ghost, account);
}

void km_policy_fini(struct km_policy *policy)
{
    KM_ASSERT(km_list_empty(&policy->queues[0].list));
    KM_ASSERT(km_list_empty(&policy->queues[1].list));
    km_ghost_fini(&policy->ghost);
}

/* Counts an item that leaves a queue. */
static void count_out(struct km_policy_queue *queue, const kama_value *item)
{
    size_t bytes = km_item_block_bytes(item);
    KM_ASSERT(queue->count > 0 && queue->bytes >= bytes);
    queue->count--;
    queue->bytes -= bytes;
}

/* The queue is known from the state of the item, so that no search is
 * necessary. */
void km_policy_remove(struct km_policy *policy, kama_value *item)
{
    count_out(&policy->queues[km_item_queue(item)], item);
    km_list_remove(&item->link);
}

void km_policy_drain(struct km_policy *policy, struct km_list *list)
{
    for (unsigned q = 0; q < KM_POLICY_QUEUES; q++) {
        km_list_splice(list, &policy->queues[q].list);
        policy->queues[q].bytes = 0;
        policy->queues[q].count = 0;
    }
}

void km_policy_push(struct km_policy *policy, unsigned q, kama_value *item)
{
    struct km_policy_queue *queue = &policy->queues[q];
    km_item_set_queue(item, q);
    km_list_push_back(&queue->list, &item->link);
    queue->count++;
    queue->bytes += km_item_block_bytes(item);
}

/* The state of the item keeps the number of the queue, which `evicted` looks
 * at. */
kama_value *km_policy_pop(struct km_policy *policy, unsigned q)
{
    struct km_list *link = km_list_pop_front(&policy->queues[q].list);
    if (link == NULL) {
        return NULL;
    }
    kama_value *item = km_item_of(link);
    count_out(&policy->queues[q], item);
    return item;
}

void km_policy_swap(struct km_policy *policy, kama_value *old, kama_value *item)
{
    struct km_policy_queue *queue = &policy->queues[km_item_queue(old)];
    item->state = old->state;
    km_list_insert_before(&old->link, &item->link);
    queue->count++;
    queue->bytes += km_item_block_bytes(item);
    km_policy_remove(policy, old);
}

/* Asserts that the links of a queue are whole and its sums are right. */
static void check_queue(const struct km_policy *policy, unsigned q)
{
    const struct km_policy_queue *queue = &policy->queues[q];
    uint64_t bytes = 0;
    uint64_t count = 0;
    struct km_list *link;
    struct km_list *tmp;
    KM_LIST_FOREACH(link, tmp, &queue->list) {
        KM_ASSERT(link->next->prev == link && link->prev->next == link);
        KM_ASSERT(km_item_queue(km_item_of(link)) == q);
        bytes += km_item_block_bytes(km_item_of(link));
        count++;
    }
    KM_ASSERT(bytes == queue->bytes);
    KM_ASSERT(count == queue->count);
}

void km_policy_check(const struct km_policy *policy)
{
    for (unsigned q = 0; q < KM_POLICY_QUEUES; q++) {
        check_queue(policy, q);
    }
    km_ghost_check(&policy->ghost);
}
