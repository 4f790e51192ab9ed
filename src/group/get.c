/* SPDX-License-Identifier: MIT */
/*
 * Gets of one key that block. A hit goes to the store and no further. A miss is a
 * get of get_op.h, on the stack of the calling thread, and a wait for its answer:
 *
 *     WAITS --done on the same thread-----------> ANSWERED
 *       |
 *       +--done on another thread: the event----> ANSWERED
 *       |
 *       +--the caller's deadline has passed-----> LEFT
 *
 * Without a pool, the thread that leads the load runs the loader itself, and its
 * get has been answered when the loader has returned. Such a thread needs neither
 * to wait nor to take the lock of the event.
 */
#include "group/get.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/event.h"
#include "base/status.h"
#include "group/checks.h"
#include "group/get_op.h"
#include "group/group_internal.h"
#include "group/look_up.h"
#include "group/trace.h"

/* -- a miss --------------------------------------------------------------- */

/* States of a blocked get (see the head of this file). Only its own thread reads
 * and writes them; another thread sets the event instead. */
enum blocked_state { BLOCKED_WAITS, BLOCKED_ANSWERED, BLOCKED_LEFT };

/* A get whose thread waits for the answer, and the answer. */
struct blocked_get {
    struct km_get_op op;
    uintptr_t thread; /* the thread that waits */
    enum blocked_state state;
    struct km_event answered; /* set when another thread has answered */
    kama_status status;
    kama_value *value;
    char sentence[KM_ERROR_BYTES_MAX];
};

static void on_done(struct km_get_op *op, kama_status status, kama_value *value,
                    const char *sentence)
{
    struct blocked_get *get = KM_CONTAINER_OF(op, struct blocked_get, op);
    get->status = status;
    get->value = value;
    if ((int)status < 0) {
        (void)km_text_printf(get->sentence, sizeof get->sentence, "%s",
                             sentence);
    }
    if (get->thread == km_flight_self()) {
        get->state = BLOCKED_ANSWERED;
    } else {
        km_event_set(&get->answered);
    }
}

/* Waits until the get is answered, or until the deadline of its caller or of the
 * load has passed. Returns KAMA_DEFERRED if the get has been answered, and the
 * error of a get that has left the load otherwise. */
static kama_status wait_in_time(struct blocked_get *get, kama_bytes key)
{
    const struct km_flight_waiter *waiter = &get->op.waiter;
    kama_group *group = get->op.group;
    km_ns now = km_group_now(group);
    km_ns until = waiter->deadline < waiter->call_deadline
                      ? waiter->deadline
                      : waiter->call_deadline;
    if (!km_event_wait(&get->answered, until > now ? until - now : 0)) {
        kama_status st = km_get_op_time_out(&get->op, key, until);
        if (st != KAMA_DEFERRED) {
            get->state = BLOCKED_LEFT;
            return st;
        }
        if (get->state == BLOCKED_WAITS) {
            (void)km_event_wait(&get->answered, KM_NS_NEVER);
        }
    }
    get->state = BLOCKED_ANSWERED;
    return KAMA_DEFERRED;
}

/* Waits for the answer of a get that was parked, and returns it. */
static kama_status await(struct blocked_get *get, kama_bytes key,
                         kama_value **ret_value)
{
    if (get->state == BLOCKED_WAITS) {
        kama_status st = wait_in_time(get, key);
        if (st != KAMA_DEFERRED) {
            return st;
        }
    }
    KM_ASSERT(get->state == BLOCKED_ANSWERED);
    KM_ASSERT((get->status == KAMA_OK) == (get->value != NULL));
    if (get->status == KAMA_OK) {
        *ret_value = get->value;
    } else if ((int)get->status < 0) {
        (void)km_fail(get->status, "%s", get->sentence);
    }
    return get->status;
}

/* Returns the answer of a get that was started with the status `started`. The get
 * is started again as long as the outcome of its load is not for it. */
static kama_status get_until_answered(struct blocked_get *get, kama_bytes key,
                                      kama_status started,
                                      kama_value **ret_value)
{
    kama_status st = started;
    while (st == KAMA_DEFERRED) {
        st = await(get, key, ret_value);
        if (st == KAMA_WOULD_LOAD) {
            get->state = BLOCKED_WAITS;
            km_event_clear(&get->answered);
            st = km_get_op_again(&get->op, key, ret_value);
        }
    }
    return st;
}

kama_status km_group_get_miss(kama_group *group, kama_bytes key,
                              const struct km_missed *missed,
                              const struct km_call_limits *limits,
                              kama_value **ret_value)
{
    struct blocked_get get;
    if (!km_gate_enter(&group->gate)) {
        return km_fail(KAMA_ERR_CLOSED, "the group is closed");
    }
    kama_status st = KAMA_ERR_NO_MEMORY;
    if (!km_event_init(&get.answered)) {
        st = km_fail(st, "no resources to wait");
    } else {
        get.op.done = on_done;
        get.op.fills = NULL;
        get.thread = km_flight_self();
        get.state = BLOCKED_WAITS;
        st = km_get_op_miss(group, &get.op, KM_GET_BLOCKED, key, missed, limits,
                            ret_value);
        st = get_until_answered(&get, key, st, ret_value);
        km_event_fini(&get.answered);
    }
    km_gate_leave(&group->gate);
    return st;
}

/* Gets a key that is not in memory: loads it, unless the group has no loader or
 * the caller wants no load. */
static kama_status get_absent(kama_group *group, kama_bytes key,
                              const struct km_missed *missed,
                              const kama_ctx *ctx, kama_value **ret_value)
{
    struct km_call_limits limits;
    kama_status st = km_call_limits_init(group, ctx, &limits);
    if (st != KAMA_OK) {
        return st;
    }
    if (!km_group_looks_further(group, &limits)) {
        km_trace_get(group, KM_GET_ABSENT, key);
        return km_group_absent(group, missed->why);
    }
    km_call_limits_begin(group, &limits);
    return km_group_get_miss(group, key, missed, &limits, ret_value);
}

/* -- hits ------------------------------------------------------------------ */

static KM_NOINLINE kama_status check_call(kama_group *group, kama_bytes key,
                                          const kama_ctx *ctx)
{
    struct km_call_limits call;
    kama_status st = km_group_check_key(key);
    if (st == KAMA_OK && ctx != NULL) {
        st = km_call_limits_init(group, ctx, &call);
    }
    return st;
}

/* Returns whether check_call has nothing to say against a call. */
static inline bool is_plain_call(kama_bytes key, const kama_ctx *ctx)
{
    return ctx == NULL && km_group_key_is_good(key);
}

kama_status kama_get(kama_group *group, kama_bytes key, const kama_ctx *ctx,
                     kama_value **ret_value)
{
    kama_status st;
    if (KM_UNLIKELY(!is_plain_call(key, ctx)) &&
        (st = check_call(group, key, ctx)) != KAMA_OK) {
        return st;
    }
    uint64_t hash = km_store_hash(group->store, key);
    struct km_found found =
        km_store_get_why(group->store, hash, key, ret_value);
    km_hot_keys_note(&group->hot, hash, key);
    if (found.status == KAMA_WOULD_LOAD) {
        const struct km_missed missed = {.hash = hash, .why = found.why};
        return get_absent(group, key, &missed, ctx, ret_value);
    }
    km_trace_memory(group, found.status, key);
    return found.status;
}

static kama_status copy_absent(kama_group *group, kama_bytes key,
                               enum km_miss why, const kama_ctx *ctx, void *buf,
                               size_t cap, size_t *ret_len)
{
    const struct km_missed missed = {.hash = km_store_hash(group->store, key),
                                     .why = why};
    kama_value *value;
    kama_status st = get_absent(group, key, &missed, ctx, &value);
    if (st != KAMA_OK) {
        return st;
    }
    st = km_value_copy(kama_value_bytes(value), buf, cap, ret_len);
    kama_value_unref(value);
    return st;
}

/* Ends a call that memory has not answered with a value. */
static KM_NOINLINE kama_status end_copy(kama_group *group, kama_bytes key,
                                        struct km_found found,
                                        const kama_ctx *ctx, void *buf,
                                        size_t cap, size_t *ret_len)
{
    kama_status st = found.status;
    if (st == KAMA_WOULD_LOAD) {
        st = copy_absent(group, key, found.why, ctx, buf, cap, ret_len);
    } else {
        km_trace_memory(group, st, key);
    }
    return st == KAMA_ERR_TOO_SMALL
               ? km_fail(st, "the value has %zu bytes, the buffer %zu",
                         *ret_len, cap)
               : st;
}

kama_status kama_get_copy(kama_group *group, kama_bytes key,
                          const kama_ctx *ctx, void *buf, size_t cap,
                          size_t *ret_len)
{
    kama_status st;
    if (KM_UNLIKELY(!is_plain_call(key, ctx)) &&
        (st = check_call(group, key, ctx)) != KAMA_OK) {
        return st;
    }
    uint64_t hash = km_store_hash(group->store, key);
    km_hot_keys_note(&group->hot, hash, key);
    struct km_found found =
        km_store_copy_why(group->store, hash, key, buf, cap, ret_len);
    if (KM_UNLIKELY(found.status != KAMA_OK || group->is_traced)) {
        return end_copy(group, key, found, ctx, buf, cap, ret_len);
    }
    return KAMA_OK;
}

kama_status kama_try_get(kama_group *group, kama_bytes key,
                         kama_value **ret_value)
{
    kama_status st = km_group_check_key(key);
    if (st != KAMA_OK) {
        return st;
    }
    uint64_t hash = km_store_hash(group->store, key);
    struct km_found found =
        km_store_get_why(group->store, hash, key, ret_value);
    km_hot_keys_note(&group->hot, hash, key);
    km_trace_memory(group, found.status, key);
    return found.status != KAMA_WOULD_LOAD ? found.status
                                           : km_group_absent(group, found.why);
}
