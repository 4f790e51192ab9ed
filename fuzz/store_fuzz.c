/* SPDX-License-Identifier: MIT */
/*
 * Runs a sequence of operations on a store and on a naive one
 * (tests/store/store_model.h), which must answer the same.
 *
 *     byte 0     bit 0 LRU or S3-FIFO, bit 1 an allocator of its own or none,
 *                bit 2 all keys have room or not, bits 3 and 4 max_bytes,
 *                bit 5 versions or none
 *     byte 1     how much of max_bytes may be held, in 256ths
 *     byte 2     the number of the allocation that fails; 0: none
 *     then       8 bytes for each step: what, how, the key (2), the size (4)
 */
#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "store/policy.h"
#include "store/store_model.h"

#include <stdio.h>
#include <stdlib.h>

#define HEADER_BYTES 3u
#define STEP_BYTES 8u
#define STEPS_MAX 500u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct store_model_plan plan_of(const uint8_t *data,
                                       const struct km_mem_probe *probe)
{
    bool roomy = (data[0] & 4) != 0 && data[2] == 0;
    bool synced = (data[0] & 32) != 0;
    uint64_t max_bytes = (uint64_t)KM_GROUP_BYTES_MIN << (data[0] >> 3 & 3);
    max_bytes += synced ? STORE_MODEL_FLOORS : 0;
    return (struct store_model_plan){
        .mem = (data[0] & 2) != 0 || data[2] != 0 ? &probe->allocator : NULL,
        .policy = (data[0] & 1) != 0 ? &km_policy_lru : &km_policy_s3fifo,
        .max_bytes = max_bytes,
        .keys = roomy ? 40 : 150,
        .value_bytes_max = roomy ? 300 : max_bytes / 4,
        .held_bytes_max = roomy ? max_bytes / 10 : max_bytes / 256 * data[1],
        .check_every = 1,
        .room = roomy ? STORE_MODEL_ROOMY : STORE_MODEL_FULL,
        .allocations_fail = data[2] != 0,
        .synced = synced};
}

/* Does the steps, until one of them finds a fault. */
static void run(struct store_model *m, const uint8_t *at, size_t len)
{
    size_t steps = len / STEP_BYTES;
    for (size_t i = 0; i < steps && i < STEPS_MAX; i++, at += STEP_BYTES) {
        struct store_step step = {.what = at[0], .how = at[1]};
        memcpy(&step.key, at + 2, sizeof step.key);
        memcpy(&step.size, at + 4, sizeof step.size);
        if (!store_model_step(m, &step)) {
            return;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct km_mem_probe probe;
    if (len < HEADER_BYTES) {
        return 0;
    }
    km_mem_probe_init(&probe);
    atomic_store(&probe.fail_at, data[2]);
    struct store_model_plan plan = plan_of(data, &probe);
    struct store_model *m = store_model_new(&plan);
    if (m != NULL) {
        run(m, data + HEADER_BYTES, len - HEADER_BYTES);
        if (!store_model_finish(m)) {
            fprintf(stderr, "%s\n", store_model_fault(m));
            abort();
        }
    }
    store_model_free(m);
    KM_ASSERT(atomic_load(&probe.live_blocks) == 0);
    return 0;
}
