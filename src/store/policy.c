/* SPDX-License-Identifier: MIT */
/* What policies share, and the list of policies. */
#include "store/policy.h"

#define SMALL_SHARE 10u /* queue 0 begins with this part of the budget */

/* Every policy that a group can choose. */
static const struct km_policy_ops *const policies[] = {
    &km_policy_s3fifo_plus, &km_policy_s3fifo, &km_policy_lru};

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
                    struct km_account *account, struct km_log *log,
                    struct km_index *index, uint64_t budget)
{
    *policy = (struct km_policy){.ops = ops,
                                 .log = log,
                                 .index = index,
                                 .budget = budget,
                                 .small_max = budget / SMALL_SHARE,
                                 .is_filling = true};
    for (unsigned q = 0; q < KM_LOG_QUEUES; q++) {
        km_ghost_init(&policy->ghosts[q], account);
    }
}

void km_policy_fini(struct km_policy *policy)
{
    for (unsigned q = 0; q < KM_LOG_QUEUES; q++) {
        km_ghost_fini(&policy->ghosts[q]);
    }
}

void km_policy_clear(struct km_policy *policy)
{
    struct km_account *account = policy->ghosts[0].account;
    km_policy_fini(policy);
    km_policy_init(policy, policy->ops, account, policy->log, policy->index,
                   policy->budget);
}

static uint64_t weight(const struct km_policy *policy)
{
    return policy->log->queues[0].weight + policy->log->queues[1].weight;
}

void km_policy_note_full(struct km_policy *policy)
{
    policy->is_filling = false;
    policy->budget = weight(policy);
}

/* Memory is freed by the segment, so that a part of the budget is free now and then.
 * Only if much is free, the shard was emptied. */
unsigned km_policy_queue(struct km_policy *policy, uint64_t hash,
                         unsigned *ret_freq)
{
    if (weight(policy) < policy->budget / 4 * 3) {
        policy->is_filling = true;
    }
    return policy->ops->queue(policy, hash, ret_freq);
}

bool km_policy_has_ghost_of(const struct km_policy *policy, uint64_t hash)
{
    return km_ghost_find(&policy->ghosts[0], hash) != KM_GHOST_NONE ||
           km_ghost_find(&policy->ghosts[1], hash) != KM_GHOST_NONE;
}

void km_choice_find(const struct km_policy *policy, km_ref ref,
                    struct km_choice *choice)
{
    const km_word *record = km_log_at(policy->log, ref);
    choice->hash = km_index_hash(policy->index, record);
    choice->place = km_index_find_ref(policy->index, choice->hash, ref);
    KM_ASSERT(choice->place.ref == ref);
}

/* Asserts that the links make one chain through all records. */
static void check_links(const struct km_policy *policy)
{
    uint64_t count = 0;
    km_ref before = 0;
    for (km_ref ref = policy->first; ref != 0; count++) {
        uint64_t links = km_record_word(km_log_at(policy->log, ref), 1);
        KM_ASSERT((km_ref)links == before);
        before = ref;
        ref = (km_ref)(links >> 32);
    }
    KM_ASSERT(before == policy->last);
    KM_ASSERT(count == policy->index->entry_count);
}

void km_policy_check(const struct km_policy *policy)
{
    for (unsigned q = 0; q < KM_LOG_QUEUES; q++) {
        km_ghost_check(&policy->ghosts[q]);
    }
    if (policy->ops->has_links) {
        check_links(policy);
    }
}
