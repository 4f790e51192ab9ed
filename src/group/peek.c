/* SPDX-License-Identifier: MIT */
/*
 * kama_exists and kama_ttl: the calls that look for an entry but not for its value.
 * They look into memory only, that of this node or that of the owner: they never
 * load, they do not wait for a load, and they are counted neither as a hit nor as a
 * miss.
 */
#include "group/peek_op.h"

#include "base/container.h"
#include "base/event.h"
#include "base/limits.h"
#include "base/status.h"
#include "group/group_internal.h"

/* A peek whose thread waits for the answer. */
struct blocked_peek {
    struct km_peek_op op;
    struct km_event answered;
    kama_status status;
    int64_t ttl_ms;
    char sentence[KM_ERROR_BYTES_MAX];
};

static void on_done(struct km_peek_op *op, kama_status status, int64_t ttl_ms,
                    const char *sentence)
{
    struct blocked_peek *peek = KM_CONTAINER_OF(op, struct blocked_peek, op);
    peek->status = status;
    peek->ttl_ms = ttl_ms;
    (void)km_text_printf(peek->sentence, sizeof peek->sentence, "%s", sentence);
    km_event_set(&peek->answered);
}

/* Waits for the answer of the owner. */
static kama_status await(struct blocked_peek *peek, int64_t *ret_ttl_ms)
{
    (void)km_event_wait(&peek->answered, KM_NS_NEVER);
    if ((int)peek->status < 0) {
        return km_fail(peek->status, "%s", peek->sentence);
    }
    if (peek->status == KAMA_OK) {
        *ret_ttl_ms = peek->ttl_ms;
    }
    return peek->status;
}

kama_status kama_ttl(kama_group *group, kama_bytes key, const kama_ctx *ctx,
                     int64_t *ret_ttl_ms)
{
    struct blocked_peek peek;
    peek.op.done = on_done;
    if (!km_group_is_clustered(group)) {
        return km_peek_op_start(group, &peek.op, KM_MUTATE_BLOCKS, key, ctx,
                                ret_ttl_ms);
    }
    if (!km_event_init(&peek.answered)) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no resources to wait");
    }
    kama_status st = km_peek_op_start(group, &peek.op, km_group_patience(group),
                                      key, ctx, ret_ttl_ms);
    st = st == KAMA_DEFERRED ? await(&peek, ret_ttl_ms) : st;
    km_event_fini(&peek.answered);
    return st;
}

kama_status kama_exists(kama_group *group, kama_bytes key, const kama_ctx *ctx)
{
    int64_t ignored;
    return kama_ttl(group, key, ctx, &ignored);
}
