/* SPDX-License-Identifier: MIT */
/*
 * Asking whether a key has a value, and how long it still lives: kama_exists,
 * kama_ttl and the services of a node are this. Nothing is loaded.
 *
 *     op->done = on_done;
 *     status = km_peek_op_start(group, op, key, ctx, &ttl_ms);
 *     if (status == KAMA_DEFERRED) { ... done runs later, exactly once ... }
 *
 * If another node owns the key, it is asked. For KAMA_LOCAL_ONLY and for a request
 * of a peer, only the memory of this node counts.
 *
 * Threads: any thread may start; done runs on a loop or pool thread, never inside
 * the call. Errors: those of kama_exists. Ownership: the op is the caller's memory
 * and must stay until done has run; the key is copied. Cost: no allocation, unless
 * another node is asked.
 */
#pragma once

#include "group/mutate_op.h"

struct km_peek_op {
    /* The answer: KAMA_OK with the time that the value has left, KAMA_MISS, or an
     * error with a sentence, which is borrowed. */
    void (*done)(struct km_peek_op *op, kama_status status, int64_t ttl_ms,
                 const char *sentence);
    /* ---- the group's ---- */
    kama_group *group;
    void *key_copy;
    struct km_owner_peek peek;
};

/* Looks for a key, or begins to. *ret_ttl_ms is written with KAMA_OK. A call that
 * would have to wait is KAMA_ERR_WOULD_DEADLOCK if patience is REFUSES. */
KAMA_NODISCARD kama_status km_peek_op_start(kama_group *group,
                                            struct km_peek_op *op,
                                            enum km_mutate_patience patience,
                                            kama_bytes key, const kama_ctx *ctx,
                                            int64_t *ret_ttl_ms);

/* Returns the time that an entry has left, rounded up; KAMA_TTL_FOREVER for
 * expires_at 0. The entry had not expired when it was looked up, so that at least
 * 1 ms is left. */
int64_t km_peek_left_ms(const kama_group *group, km_ns expires_at);

/* Returns for how long the group remembers that a key does not exist, as
 * km_peek_left_ms; 0: it does not. */
int64_t km_group_absent_ttl(kama_group *group, kama_bytes key);
