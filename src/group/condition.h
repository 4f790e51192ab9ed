/* SPDX-License-Identifier: MIT */
/*
 * The conditions of kama_set_options: reading them, and the answer of a set whose
 * condition was not fulfilled. The store checks a condition (store/condition.h), at
 * the owner of the key; this module says it to the caller:
 *
 *     KAMA_SET_IF_...     the key has no value     it has another one
 *     ABSENT              -                        KAMA_ERR_EXISTS
 *     PRESENT             KAMA_MISS                -
 *     MATCH               KAMA_ERR_TRY_AGAIN       KAMA_ERR_TRY_AGAIN
 *
 *     st = km_condition_init(own.condition, own.if_etag, &order->condition);
 *     ...
 *     st = km_store_put_if(store, adoption, hash, item, &op->condition);
 *     return km_condition_answer(&op->condition, st);
 *
 * Threads: any thread. Errors: as said below. Ownership: nothing is kept. Cost: one
 * sentence for an answer that is an error.
 */
#pragma once

#include "store/condition.h"

#include <kamacache/kamacache.h>

/* Checks a condition, a number of kama_condition, and its etag. Errors:
 * KAMA_ERR_INVALID, and KAMA_ERR_UNSUPPORTED for a number of a later version. */
KAMA_NODISCARD kama_status km_condition_init(
    uint32_t number, uint64_t etag, struct km_put_condition *ret_condition);

/* Returns the caller's answer for a status of km_store_put_if, which is not that of
 * an old adoption. */
kama_status km_condition_answer(const struct km_put_condition *condition,
                                kama_status status);
