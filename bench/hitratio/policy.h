/* SPDX-License-Identifier: MIT */
/*
 * Policies: which keys a cache keeps.
 *
 *     const struct hr_policy *policy = hr_policy_find("s3fifo");
 *     void *cache = hr_policy_open(policy, &shape);
 *     bool is_hit = policy->get(cache, key);
 *     hr_policy_close(policy, cache);
 *
 * A policy is a table of functions over a structure of its own. `get` is a
 * request of a read-through cache: a key that is not there is added at once.
 * It is never asked for a key that is larger than the whole cache, because
 * hr_simulate counts that as a miss itself.
 *
 * To add a policy, write a file policy_NAME.c with its table and name it in the
 * list of policy.c.
 *
 * Threads: one owner. Errors: without memory the program ends.
 * Ownership: a cache borrows the sizes of its trace.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The cache that is simulated. */
struct hr_shape {
    uint32_t keys;         /* the number of different keys */
    const uint32_t *sizes; /* of each key */
    uint64_t capacity;     /* the sum of the sizes that fit */
    uint32_t segments;     /* s3fifo+: the segments that share a stamp */
    uint32_t steps;        /* s3fifo+: queue steps that one request may take */
    bool frees_segments;   /* s3fifo+: room is made by the segment */
};

struct hr_policy {
    const char *name;
    const char *about; /* a sentence for the listing */
    size_t bytes;      /* of the structure of a cache */
    const void *settings;
    void (*init)(void *cache, const struct hr_shape *shape,
                 const void *settings);
    bool (*get)(void *cache, uint32_t key);
    void (*fini)(void *cache);
};

/* The tables of all policies; hr_policy_at returns NULL behind the last. */
const struct hr_policy *hr_policy_at(size_t i);
/* Returns the policy of that name, or NULL. */
const struct hr_policy *hr_policy_find(const char *name);

/* Makes an empty cache. */
void *hr_policy_open(const struct hr_policy *policy,
                     const struct hr_shape *shape);
/* Frees a cache. */
void hr_policy_close(const struct hr_policy *policy, void *cache);

extern const struct hr_policy hr_policy_fifo;
extern const struct hr_policy hr_policy_lru;
extern const struct hr_policy hr_policy_sieve;
extern const struct hr_policy hr_policy_arc;
extern const struct hr_policy hr_policy_lirs;
extern const struct hr_policy hr_policy_wtinylfu;
extern const struct hr_policy hr_policy_wtinylfu_climb;
extern const struct hr_policy hr_policy_s3fifo;
extern const struct hr_policy hr_policy_s3fifo_prefill;
extern const struct hr_policy hr_policy_s3fifo_tinylfu;
extern const struct hr_policy hr_policy_s3fifo_0_1;
extern const struct hr_policy hr_policy_plus;
extern const struct hr_policy hr_policy_plus_no_prefill;
extern const struct hr_policy hr_policy_plus_no_compare;
extern const struct hr_policy hr_policy_plus_no_adapt;
extern const struct hr_policy hr_policy_plus_no_sizes;
extern const struct hr_policy hr_policy_plus_short;
extern const struct hr_policy hr_policy_plus_long;
