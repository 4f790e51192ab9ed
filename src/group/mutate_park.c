/* SPDX-License-Identifier: MIT */
#include "group/mutate_park.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/status.h"
#include "group/group_internal.h"
#include "group/sentence.h"

/* Makes the op independent of its caller. */
static kama_status copy_key(struct km_mutate_op *op)
{
    if (op->item != NULL || op->key_copy != NULL || op->key.len == 0) {
        return KAMA_OK;
    }
    op->key_copy = km_mem_alloc(&op->group->mem, op->key.len);
    if (op->key_copy == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for a key");
    }
    memcpy(op->key_copy, op->key.data, op->key.len);
    op->key = kama_bytes_make(op->key_copy, op->key.len);
    return KAMA_OK;
}

/* Counts the memory of the op in that of its group. An owner that is slow, or a
 * view that does not come, would otherwise collect the values of all callers. */
static kama_status reserve(struct km_mutate_op *op)
{
    atomic_size_t *sum = &op->group->parked_bytes;
    size_t value_bytes = op->item != NULL ? kama_value_bytes(op->item).len : 0;
    size_t bytes = sizeof *op + op->key.len + value_bytes;
    if (op->parked_bytes != 0) {
        return KAMA_OK;
    }
    if (atomic_fetch_add(sum, bytes) + bytes > KM_MUTATE_PARKED_BYTES_MAX) {
        (void)atomic_fetch_sub(sum, bytes);
        return km_group_fail_key(
            op->group, KAMA_ERR_OVERLOADED, op->key,
            "nothing was changed: changes of %u MiB wait for other nodes "
            "already; try again later",
            KM_MUTATE_PARKED_BYTES_MAX >> 20);
    }
    op->parked_bytes = bytes;
    return KAMA_OK;
}

kama_status km_mutate_reserve(struct km_mutate_op *op)
{
    if (op->patience == KM_MUTATE_TRIES) {
        return KAMA_WOULD_LOAD;
    }
    if (op->patience == KM_MUTATE_REFUSES) {
        return km_group_fail_key(
            op->group, KAMA_ERR_WOULD_DEADLOCK, op->key,
            "this call would wait on a thread that other "
            "nodes' answers need%s",
            op->kind == KM_MUTATION_CLEAR ? "" : "; use the _async call");
    }
    return reserve(op);
}

kama_status km_mutate_park(struct km_mutate_op *op)
{
    kama_status st = km_mutate_reserve(op);
    return st == KAMA_OK ? copy_key(op) : st;
}

void km_mutate_trim(struct km_mutate_op *op)
{
    KM_ASSERT(op->parked_bytes >= sizeof *op && op->item == NULL);
    (void)atomic_fetch_sub(&op->group->parked_bytes,
                           op->parked_bytes - sizeof *op);
    op->parked_bytes = sizeof *op;
}

void km_mutate_unpark(struct km_mutate_op *op)
{
    if (op->parked_bytes != 0) {
        (void)atomic_fetch_sub(&op->group->parked_bytes, op->parked_bytes);
        op->parked_bytes = 0;
    }
    km_mem_free(&op->group->mem, op->key_copy);
    op->key_copy = NULL;
}
