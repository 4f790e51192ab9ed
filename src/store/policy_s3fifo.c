/* SPDX-License-Identifier: MIT */
/*
 * S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP
 * 2023), counting bytes instead of items.
 *
 *                        hit twice or more
 *     new --> SMALL (10 %) -----------------> MAIN (90 %) --+  one more round
 *                |                             ^   |   ^    |  per hit, up to 3
 *                | others leave                |   |   +----+
 *                v                             |   v
 *             ghosts ------ key comes back ----+  leaves
 *
 * Most keys are used once and leave through the small queue without disturbing
 * the main queue. A hit writes two bits in the index, and nothing once they are
 * full.
 *
 * There are two policies. `s3fifo` is the published one. `s3fifo+` has five changes,
 * which win on the traces that docs/EVICTION.md compares:
 *
 *   1. While the cache is being filled, keys beyond the share of the small queue enter
 *      the main queue, so that a cache which was just filled keeps its entries.
 *   2. A ghost must beat the oldest record of the main queue. That has been there for R
 *      evictions and was used freq times, so that it is used every R / (freq + 1), about;
 *      the key has come back after d. If d is not clearly less, the key enters the small
 *      queue, where one hit more moves it on. So a loop that is larger than the cache
 *      cannot flush it, and a working set that moves gets in at once.
 *   3. Ghosts are remembered for twice as many evictions as the cache has entries.
 *   4. The share of the small queue adapts: it grows when a key comes back that has just
 *      left it, and shrinks for one that has just left the main queue.
 *   5. Entries that are large beside the mean need more hits to stay, and small ones
 *      need fewer.
 */
#include "store/policy.h"

enum { SMALL = 0, MAIN = 1 };

#define SMALL_SHARE 10u      /* the small queue gets one part in ten */
#define SMALL_SHARE_MIN 100u /* and never less than this part, */
#define SMALL_SHARE_MAX 2u   /* nor more than this one, if it adapts */
#define RECENT_SHARE 8u /* ghosts of this part of the entries move the share */
#define PROMOTE_FREQ 2u /* hits that move an entry to the main queue */

static const struct km_log_queue *queue_at(const struct km_policy *policy,
                                           unsigned number)
{
    return &policy->log->queues[number];
}

static uint64_t entry_count(const struct km_policy *policy)
{
    return queue_at(policy, SMALL)->count + queue_at(policy, MAIN)->count;
}

/* Returns the bytes that the main queue may have. */
static uint64_t main_max(const struct km_policy *policy)
{
    return policy->budget - policy->small_max;
}

/* Returns the queue that the next record leaves. */
static unsigned queue_to_leave(const struct km_policy *policy)
{
    bool main = queue_at(policy, SMALL)->count == 0 ||
                queue_at(policy, MAIN)->weight > main_max(policy);
    return main && queue_at(policy, MAIN)->count > 0 ? MAIN : SMALL;
}

/* The hits that a record needs to stay. */
struct prices {
    unsigned promote; /* hits that move an entry to the main queue */
    unsigned round;   /* hits that a round in the main queue costs */
};

/* Looks at the oldest record of a queue, and decides whether it stays. */
static void choose_from(const struct km_policy *policy, unsigned from,
                        struct prices (*prices)(const struct km_policy *policy,
                                                km_ref ref),
                        struct km_choice *ret_choice)
{
    km_ref ref = km_log_oldest(policy->log, from);
    *ret_choice = (struct km_choice){.queue = from};
    if (ref == 0) {
        return;
    }
    km_choice_find(policy, ref, ret_choice);
    struct prices own = prices(policy, ref);
    unsigned freq =
        km_line_freq(ret_choice->place.line, ret_choice->place.slot);
    if (from == SMALL && freq >= own.promote) {
        ret_choice->stays = true;
        ret_choice->queue = MAIN;
    } else if (from == MAIN && freq > 0) {
        ret_choice->stays = true;
        ret_choice->freq = freq > own.round ? freq - own.round : 0;
    }
}

/* -- as published ---------------------------------------------------------- */

static struct prices same_prices(const struct km_policy *policy, km_ref ref)
{
    (void)policy;
    (void)ref;
    return (struct prices){.promote = PROMOTE_FREQ, .round = 1};
}

static unsigned queue(struct km_policy *policy, uint64_t hash,
                      unsigned *ret_freq)
{
    *ret_freq = 0;
    return km_ghost_take(&policy->ghosts[SMALL], hash) != KM_GHOST_NONE ? MAIN
                                                                        : SMALL;
}

static void choose(struct km_policy *policy, struct km_choice *ret_choice)
{
    policy->small_max = policy->budget / SMALL_SHARE;
    choose_from(policy, queue_to_leave(policy), same_prices, ret_choice);
}

static void evicted(struct km_policy *policy, const struct km_choice *choice)
{
    if (choice->queue == SMALL) {
        km_ghost_add(&policy->ghosts[SMALL], choice->hash,
                     entry_count(policy) * 9 / 10);
    }
}

const struct km_policy_ops km_policy_s3fifo = {
    .name = "s3fifo",
    .queue = queue,
    .choose = choose,
    .evicted = evicted,
};

/* -- s3fifo+ --------------------------------------------------------------- */

/* Returns the mean size of the entries. */
static uint64_t mean_weight(const struct km_policy *policy)
{
    uint64_t count = entry_count(policy);
    uint64_t weight =
        queue_at(policy, SMALL)->weight + queue_at(policy, MAIN)->weight;
    return count > 0 ? weight / count : 1;
}

static struct prices prices_by_size(const struct km_policy *policy, km_ref ref)
{
    uint64_t weight =
        km_record_weight(km_record_header(km_log_at(policy->log, ref)));
    uint64_t mean = mean_weight(policy);
    return (struct prices){.promote = weight > 2 * mean   ? 3
                                      : weight < mean / 2 ? 1
                                                          : PROMOTE_FREQ,
                           .round = weight > 4 * mean   ? 3
                                    : weight > 2 * mean ? 2
                                                        : 1};
}

/* Keeps the share of the small queue within its limits. */
static void bound_small_max(struct km_policy *policy)
{
    uint64_t low = policy->budget / SMALL_SHARE_MIN;
    uint64_t high = policy->budget / SMALL_SHARE_MAX;
    if (policy->small_max < low) {
        policy->small_max = low;
    } else if (policy->small_max > high) {
        policy->small_max = high;
    }
}

/* Looks for the ghost of a key, and moves the share of the small queue accordingly: by
 * the size of a mean entry, because that of a large one would throw it about. Returns
 * the age of a ghost of the small queue, 0 for one of the main queue, and
 * KM_GHOST_NONE for a key that is not known. */
static uint64_t take_ghost(struct km_policy *policy, uint64_t hash)
{
    uint64_t mean = mean_weight(policy);
    uint64_t age = km_ghost_take(&policy->ghosts[SMALL], hash);
    if (age != KM_GHOST_NONE) {
        if (age <= entry_count(policy) / RECENT_SHARE) {
            policy->small_max += mean;
        }
    } else if (km_ghost_take(&policy->ghosts[MAIN], hash) != KM_GHOST_NONE) {
        policy->small_max -=
            policy->small_max < mean ? policy->small_max : mean;
        age = 0;
    }
    bound_small_max(policy);
    return age;
}

/* Returns the queue of a key that is known, while the main queue has its share. The main
 * queue turns once if its oldest record stays: its age would mean nothing otherwise. */
static unsigned queue_of_known(struct km_policy *policy, uint64_t age,
                               unsigned *ret_freq)
{
    struct km_choice oldest;
    choose_from(policy, MAIN, prices_by_size, &oldest);
    uint32_t segment = km_log_segment_of(policy->log, oldest.place.ref);
    uint64_t r = policy->log->stamp - policy->log->segments[segment].stamp;
    unsigned freq = km_line_freq(oldest.place.line, oldest.place.slot);
    if (age > 0 && 3 * age * (freq + 1) < 2 * r) {
        return MAIN;
    }
    policy->turns_main = oldest.stays;
    *ret_freq = 1;
    return SMALL;
}

/* Returns whether the main queue has its share. The memory of records is freed by the
 * segment, so that the queue falls below its share by up to a segment and comes back to
 * it; meanwhile ghosts must beat its oldest record all the same. */
static bool main_has_its_share(const struct km_policy *policy)
{
    const struct km_log_queue *main = queue_at(policy, MAIN);
    return main->count > 0 &&
           main->weight + policy->log->segment_bytes >= main_max(policy);
}

static unsigned queue_plus(struct km_policy *policy, uint64_t hash,
                           unsigned *ret_freq)
{
    uint64_t age = take_ghost(policy, hash);
    *ret_freq = 0;
    if (age != KM_GHOST_NONE) {
        return main_has_its_share(policy)
                   ? queue_of_known(policy, age, ret_freq)
                   : MAIN;
    }
    return policy->is_filling &&
                   queue_at(policy, SMALL)->weight >= policy->small_max
               ? MAIN
               : SMALL;
}

static void choose_plus(struct km_policy *policy, struct km_choice *ret_choice)
{
    bound_small_max(policy);
    if (policy->turns_main) {
        policy->turns_main = false;
        choose_from(policy, MAIN, prices_by_size, ret_choice);
        if (ret_choice->stays) {
            return;
        }
    }
    choose_from(policy, queue_to_leave(policy), prices_by_size, ret_choice);
}

/* Segments of the main queue are stamped with the number of keys that have left the
 * small queue so far. */
static void evicted_plus(struct km_policy *policy,
                         const struct km_choice *choice)
{
    if (choice->queue == SMALL) {
        km_ghost_add(&policy->ghosts[SMALL], choice->hash,
                     entry_count(policy) * 2);
        policy->log->stamp++;
    } else {
        km_ghost_add(&policy->ghosts[MAIN], choice->hash,
                     entry_count(policy) / RECENT_SHARE);
    }
}

const struct km_policy_ops km_policy_s3fifo_plus = {
    .name = "s3fifo+",
    .queue = queue_plus,
    .choose = choose_plus,
    .evicted = evicted_plus,
};
