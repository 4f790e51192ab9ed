/* SPDX-License-Identifier: MIT */
/* The list of all policies. */
#include "policy.h"

#include "base/mem.h"
#include "trace.h"

#include <string.h>

static const struct hr_policy *const policies[] = {
    &hr_policy_fifo,
    &hr_policy_lru,
    &hr_policy_sieve,
    &hr_policy_arc,
    &hr_policy_lirs,
    &hr_policy_wtinylfu,
    &hr_policy_wtinylfu_climb,
    &hr_policy_s3fifo,
    &hr_policy_s3fifo_prefill,
    &hr_policy_s3fifo_tinylfu,
    &hr_policy_s3fifo_0_1,
    &hr_policy_plus,
    &hr_policy_plus_no_prefill,
    &hr_policy_plus_no_compare,
    &hr_policy_plus_no_adapt,
    &hr_policy_plus_no_sizes,
    &hr_policy_plus_short,
    &hr_policy_plus_long,
};

const struct hr_policy *hr_policy_at(size_t i)
{
    return i < sizeof policies / sizeof policies[0] ? policies[i] : NULL;
}

const struct hr_policy *hr_policy_find(const char *name)
{
    for (size_t i = 0; hr_policy_at(i) != NULL; i++) {
        if (strcmp(policies[i]->name, name) == 0) {
            return policies[i];
        }
    }
    return NULL;
}

void *hr_policy_open(const struct hr_policy *policy,
                     const struct hr_shape *shape)
{
    void *cache = hr_array(1, policy->bytes);
    policy->init(cache, shape, policy->settings);
    return cache;
}

void hr_policy_close(const struct hr_policy *policy, void *cache)
{
    policy->fini(cache);
    km_mem_free(km_mem_default(), cache);
}
