/* SPDX-License-Identifier: MIT */
/*
 * Least recently used, exactly: the entry leaves that was not used for the longest
 * time. The records are linked in the order of their use, and each has a word with the
 * refs of its two neighbours:
 *
 *     first (the oldest)  <->  record  <->  record  <->  last
 *
 * An eviction makes a hole somewhere in the log, and the sweep makes segments of the
 * holes. A hit takes the lock of the shard, because it writes links.
 */
#include "store/policy.h"

#define QUEUE 1u

static km_ref prev_of(const struct km_policy *policy, km_ref ref)
{
    return (km_ref)km_record_word(km_log_at(policy->log, ref), 1);
}

static km_ref next_of(const struct km_policy *policy, km_ref ref)
{
    return (km_ref)(km_record_word(km_log_at(policy->log, ref), 1) >> 32);
}

static void link(struct km_policy *policy, km_ref prev, km_ref next)
{
    if (prev != 0) {
        km_word *record = km_log_at(policy->log, prev);
        uint64_t links = km_record_word(record, 1) & UINT32_MAX;
        km_word_set(&record[1], links | (uint64_t)next << 32);
    } else {
        policy->first = next;
    }
    if (next != 0) {
        km_word *record = km_log_at(policy->log, next);
        uint64_t links = km_record_word(record, 1) & ~(uint64_t)UINT32_MAX;
        km_word_set(&record[1], links | prev);
    } else {
        policy->last = prev;
    }
}

static unsigned queue(struct km_policy *policy, uint64_t hash,
                      unsigned *ret_freq)
{
    (void)policy;
    *ret_freq = 0;
    (void)hash;
    return QUEUE;
}

static void added(struct km_policy *policy, km_ref ref)
{
    km_word_set(&km_log_at(policy->log, ref)[1], 0);
    link(policy, policy->last, ref);
    policy->last = ref;
}

static void left(struct km_policy *policy, km_ref ref)
{
    link(policy, prev_of(policy, ref), next_of(policy, ref));
}

static void used(struct km_policy *policy, km_ref ref)
{
    if (policy->last != ref) {
        left(policy, ref);
        added(policy, ref);
    }
}

static void moved(struct km_policy *policy, km_ref from, km_ref to)
{
    (void)from;
    km_ref prev = prev_of(policy, to);
    km_ref next = next_of(policy, to);
    link(policy, prev, to);
    link(policy, to, next);
}

static void choose(struct km_policy *policy, struct km_choice *ret_choice)
{
    *ret_choice = (struct km_choice){.queue = QUEUE};
    if (policy->first != 0) {
        km_choice_find(policy, policy->first, ret_choice);
    }
}

const struct km_policy_ops km_policy_lru = {
    .name = "lru",
    .has_links = true,
    .queue = queue,
    .choose = choose,
    .added = added,
    .used = used,
    .left = left,
    .moved = moved,
};
