/* SPDX-License-Identifier: MIT */
/*
 * How a load is made, timed and ended.
 *
 * Why the result is settled while the lock of the flight's shard is held: suppose
 * that the value were stored first, and that the call were unlinked afterwards:
 *
 *     thread that ends the load     application
 *     stores v1
 *                                   del(k)     removes v1
 *                                   get(k)     still finds the call, joins it,
 *                                              and receives v1 after its own del
 *     unlinks the call
 *
 * Suppose that the call were unlinked first: a get between the two steps would
 * find neither the value nor the call, and would start a second load. So both are
 * one step under one lock.
 */
#include "group/load/load.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/status.h"
#include "group/get_op.h"
#include "group/load/answer.h"
#include "group/load/slot.h"
#include "group/sentence.h"
#include "group/trace.h"
#include "store/rules.h"

/* -- as a call of the flight --------------------------------------------- */

static bool load_equal(const struct km_flight_call *call, const void *key)
{
    const struct km_load *load = km_load_of(call);
    const struct km_load_key *wanted = key;
    return load->key_len == wanted->key.len &&
           memcmp(load->key, wanted->key.data, load->key_len) == 0;
}

/* A load that was overtaken by a mutation answers only the callers that came
 * before the mutation. A load whose deadline has passed answers no new caller. A
 * load that asks another node is not joined by that node's requests: two nodes
 * with different views could wait for each other. A get of the settled owner does
 * not join a load that has begun before this node was that:
 *
 *     this node, unsettled          the owner of before
 *     a load reads v1
 *                                   acknowledges a delete of the key
 *     is settled
 *     a get must not receive v1
 */
static bool load_joinable(const struct km_flight_call *call, const void *key)
{
    const struct km_load_key *wanted = key;
    struct km_load *load = km_load_of(call);
    bool would_circle = wanted->origin == KAMA_ORIGIN_PEER &&
                        atomic_load(&load->asks) == KM_LOAD_ASKS_PEER;
    if (would_circle) { /* R8: its callers get the answer, and nobody keeps it */
        km_fill_give_up(&load->fill);
    }
    bool is_too_old = wanted->purpose == KM_FILL_TO_KEEP &&
                      load->fill.purpose == KM_FILL_TO_SERVE;
    bool is_overtaken =
        km_fill_overtaken(&load->fill) && KM_STORE_KEEPS(KM_STORE_R4_DETACH);
    return !is_overtaken && wanted->now < call->deadline && !would_circle &&
           !is_too_old;
}

/* The fill is registered while the lock is held under which the call becomes
 * visible, so that no mutation can pass between the two steps. */
static kama_status load_begin(struct km_flight_call *call, bool *ret_go)
{
    struct km_load *load = km_load_of(call);
    KM_ASSERT(load->result.value == NULL);
    struct km_store *store = load->group->store;
    kama_bytes key = km_load_key_bytes(load);
    kama_status st =
        load->attempt == KM_LOAD_FIRST
            ? km_store_fill_begin(store, &load->fill, call->hash, key,
                                  &load->result.value)
            : km_store_fill_begin_again(store, &load->fill, call->hash, key,
                                        &load->result.value);
    *ret_go = st == KAMA_WOULD_LOAD;
    return *ret_go ? KAMA_OK : st;
}

static void load_ref(struct km_flight_call *call)
{
    km_load_ref(km_load_of(call));
}

const struct km_flight_ops km_load_flight_ops = {.equal = load_equal,
                                                 .joinable = load_joinable,
                                                 .begin = load_begin,
                                                 .park = km_get_op_park,
                                                 .ref = load_ref};

/* -- life ---------------------------------------------------------------- */

/* A load that asks another node may take the time of that and then, if the other one
 * does not answer, the time of a loader. */
static km_ns deadline_of(const kama_group *group, km_ns now,
                         enum km_load_place place)
{
    int64_t timeout_ms = group->config.loader_timeout_ms;
    switch (place) {
    case KM_LOAD_AT_PEER:
        return km_ns_after_ms(now, 2 * timeout_ms + KM_FILL_EXTRA_MS);
    case KM_LOAD_AT_EARLIER:
        return km_ns_after_ms(now, timeout_ms + KM_EARLIER_WAIT_MS);
    case KM_LOAD_ON_CALLER:
    case KM_LOAD_ON_POOL:
        break;
    }
    return km_ns_after_ms(now, timeout_ms);
}

/* Copies what the loader is told about the caller that leads. */
static void copy_caller(struct km_load *load, const struct km_load_key *key)
{
    load->request.origin = key->origin;
    load->request.user = key->user;
    if (key->traceparent != NULL) {
        (void)km_text_printf(load->traceparent, sizeof load->traceparent, "%s",
                             key->traceparent);
        load->request.traceparent = load->traceparent;
    }
}

struct km_load *km_load_new(kama_group *group, const struct km_load_key *key,
                            uint64_t hash, enum km_load_place place,
                            enum km_load_attempt attempt)
{
    struct km_load *load =
        km_mem_alloc(&group->mem, sizeof *load + key->key.len);
    if (load == NULL) {
        return NULL;
    }
    memset(load, 0, offsetof(struct km_load, sink.sentence));
    load->deferred.load = load;
    load->deferred.sentence[0] = '\0';
    load->sink.sentence[0] = '\0';
    load->sentence[0] = '\0';
    copy_caller(load, key);
    load->call.hash = hash;
    load->call.deadline = deadline_of(group, key->now, place);
    load->call.leader = KM_FLIGHT_LEADER_PARKS;
    load->call.thread = place == KM_LOAD_ON_CALLER ? km_flight_self() : 0;
    load->loader_deadline = load->call.deadline;
    load->place = place;
    load->attempt = attempt;
    load->group = group;
    load->sink.load = load;
    atomic_init(&load->refs, 1);
    km_list_init(&load->in_queue);
    load->key_len = key->key.len;
    memcpy(load->key, key->key.data, key->key.len);
    return load;
}

void km_load_ref(struct km_load *load)
{
    unsigned before =
        atomic_fetch_add_explicit(&load->refs, 1, memory_order_relaxed);
    KM_ASSERT(before > 0);
}

/* A deferred load has a reference to the group, because kama_group_free may have
 * returned before the load is finished. It is given back last. */
void km_load_unref(struct km_load *load)
{
    unsigned before =
        atomic_fetch_sub_explicit(&load->refs, 1, memory_order_acq_rel);
    KM_ASSERT(before > 0);
    if (before != 1) {
        return;
    }
    kama_group *group = load->group;
    KM_ASSERT(atomic_load(&load->timer_state) != KM_LOAD_TIMER_ARMED);
    KM_ASSERT(atomic_load(&load->stage) != KM_LOAD_QUEUED);
    if (load->peer != NULL) {
        group->owner.ops->release(group->owner.arg, load->peer);
    }
    bool was_deferred = load->was_deferred;
    kama_value_unref(load->sink.item);
    kama_value_unref(load->result.value);
    km_mem_free(&group->mem, load);
    if (was_deferred) {
        km_group_unref(group);
    }
}

/* -- the timer ------------------------------------------------------------ */

/* Gives back the reference and the place in the gate that an armed timer has. */
static void drop_timer(struct km_load *load)
{
    kama_group *group = load->group;
    km_load_unref(load);
    km_gate_leave(&group->gate);
}

/* Ends the load when its time is over. If the state is NONE, the load has ended and
 * has dropped its timer, which was about to fire. */
static void fire(struct km_timer *timer)
{
    struct km_load *load = KM_CONTAINER_OF(timer, struct km_load, timer);
    enum km_load_timer before =
        atomic_exchange(&load->timer_state, KM_LOAD_TIMER_FIRED);
    km_load_time_out(load);
    if (before != KM_LOAD_TIMER_NONE) {
        drop_timer(load);
    }
}

static void disarm(struct km_load *load)
{
    enum km_load_timer armed = KM_LOAD_TIMER_ARMED;
    if (atomic_compare_exchange_strong(&load->timer_state, &armed,
                                       KM_LOAD_TIMER_NONE)) {
        km_pool_disarm(km_group_pool(load->group), &load->timer);
        drop_timer(load);
    }
}

/*
 * No timer stays armed after the end of its load. Both the state of the timer and
 * the state of the call are sequentially consistent, so that at least one of the
 * two threads sees what the other has written:
 *
 *     thread that ends the load     thread that arms the timer
 *     call = ENDED                  timer = ARMED
 *     timer ARMED? disarms it       call ENDED? disarms it
 *
 * The timer may fire before it is ARMED. The thread that arms it does not wait for
 * that, because firing takes locks that its caller may hold; the timer then drops
 * its own reference, like any other that fires.
 */
kama_status km_load_arm(struct km_load *load, struct km_pool *pool)
{
    enum km_load_timer none = KM_LOAD_TIMER_NONE;
    enum km_load_timer arming = KM_LOAD_TIMER_ARMING;
    kama_group *group = load->group;
    if (!atomic_compare_exchange_strong(&load->timer_state, &none,
                                        KM_LOAD_TIMER_ARMING)) {
        return KAMA_OK;
    }
    if (!km_gate_enter(&group->gate)) {
        atomic_store(&load->timer_state, KM_LOAD_TIMER_NONE);
        return km_fail(KAMA_ERR_CLOSED, "the group is closed");
    }
    km_load_ref(load);
    load->timer.fire = fire;
    kama_status st = km_pool_arm(pool, &load->timer, km_load_late_at(load));
    if (st != KAMA_OK) {
        atomic_store(&load->timer_state, KM_LOAD_TIMER_NONE);
        drop_timer(load);
        return st;
    }
    (void)atomic_compare_exchange_strong(&load->timer_state, &arming,
                                         KM_LOAD_TIMER_ARMED);
    if (km_flight_ended(&load->call)) {
        disarm(load);
    }
    return KAMA_OK;
}

/* Collects a load that runs on its caller, with a reference. It is in no list of
 * the pool, whose node is free for this. */
static void collect(struct km_flight_call *call, void *arg)
{
    struct km_load *load = km_load_of(call);
    struct km_list *loads = arg;
    if (load->place == KM_LOAD_ON_CALLER) {
        km_load_ref(load);
        km_list_push_back(loads, &load->job.node);
    }
}

/* The timers are armed without the locks of the flight: one may fire at once, and
 * a gate that is closed meanwhile is left under a lock of a lower rank. */
kama_status km_load_arm_all(kama_group *group, struct km_pool *pool)
{
    struct km_list loads;
    struct km_list *node;
    kama_status st = KAMA_OK;
    km_list_init(&loads);
    km_flight_visit(&group->flight, collect, &loads);
    while ((node = km_list_pop_front(&loads)) != NULL) {
        struct km_load *load = KM_CONTAINER_OF(node, struct km_load, job.node);
        if (st == KAMA_OK) {
            st = km_load_arm(load, pool);
        }
        km_load_unref(load);
    }
    return st;
}

/* -- the end ------------------------------------------------------------- */

static void count_end(struct km_load *load, kama_status status, km_ns now)
{
    kama_group *group = load->group;
    km_ns started_at = atomic_load(&load->started_at);
    if (started_at == 0) {
        return;
    }
    km_ns took = now - started_at;
    km_metric_add(group->metrics, KM_GROUP_LOAD_NS, took);
    km_stripes_record(&group->load_times, took);
    km_group_count(group, status == KAMA_OK     ? KM_GROUP_LOADS_FOUND
                          : status == KAMA_MISS ? KM_GROUP_LOADS_MISSED
                                                : KM_GROUP_LOADS_FAILED);
}

/* Returns a time at which no mutation had overtaken the load. The time was read
 * before the mark of the fill is, which no mutation can change any more. What is
 * not kept is not current: another node may act as the owner of the key. */
static km_ns current_at(const struct km_load *load,
                        const struct km_load_outcome *outcome, km_ns now)
{
    if (outcome->verdict == KM_LOAD_FOR_EARLIER) {
        return outcome->current_at;
    }
    return load->fill.purpose == KM_FILL_TO_KEEP &&
                   !km_fill_overtaken(&load->fill)
               ? now
               : 0;
}

/* Counts whether the store has kept what it was to keep. */
static void count_kept(struct km_load *load,
                       const struct km_load_outcome *outcome, bool kept)
{
    kama_group *group = load->group;
    if (!outcome->from_owner) {
        if (outcome->stored != NULL && !kept &&
            km_fill_overtaken(&load->fill)) {
            km_group_count(group, KM_GROUP_OVERTAKEN);
        }
    } else if (load->fill.purpose == KM_FILL_TO_KEEP &&
               (outcome->status == KAMA_OK || outcome->stored != NULL)) {
        km_group_count(group,
                       kept ? KM_GROUP_FILLS_KEPT : KM_GROUP_FILLS_NOT_KEPT);
    }
}

/* Hands the result to the store, or ends the fill without one. */
static void store_result(struct km_load *load,
                         const struct km_load_outcome *outcome)
{
    struct km_store *store = load->group->store;
    kama_value *stored = outcome->stored;
    bool kept = false;
    if (stored == NULL) {
        km_store_fill_cancel(store, &load->fill);
    } else {
        load->result.current = !km_fill_overtaken(&load->fill);
        kept = km_store_fill_commit(store, &load->fill, stored);
        load->result.absent_ttl_ms =
            outcome->status == KAMA_MISS ? kama_value_ttl_ms(stored) : 0;
    }
    count_kept(load, outcome, kept);
}

static void settle(struct km_flight_call *call, void *arg)
{
    struct km_load *load = km_load_of(call);
    const struct km_load_outcome *outcome = arg;
    KM_ASSERT((outcome->status == KAMA_OK) == (outcome->value != NULL));
    KM_ASSERT(outcome->stored == NULL || (int)outcome->status >= 0);
    km_ns now = outcome->now != 0 ? outcome->now : km_group_now(load->group);
    store_result(load, outcome);
    load->result.status = outcome->status;
    load->result.verdict = outcome->verdict;
    load->result.from_owner = outcome->from_owner;
    load->result.current_at = current_at(load, outcome, now);
    load->result.value =
        outcome->value == NULL ? NULL : kama_value_ref(outcome->value);
    if (outcome->sentence[0] != '\0') {
        (void)km_text_printf(load->sentence, sizeof load->sentence, "%s",
                             outcome->sentence);
    }
    count_end(load, outcome->status, now);
}

/* Does the rest for a load whose call has just been ended: gives the slot back,
 * disarms the timer, tells the observer, and wakes the callers that wait. */
static void after_end(struct km_load *load, struct km_flight_woken *woken)
{
    km_trace_load_end(load);
    km_load_release(load);
    disarm(load);
    km_tell_load_failure(load);
    km_flight_wake(&load->group->flight, &load->call, woken);
}

bool km_load_end(struct km_load *load, struct km_load_outcome *outcome)
{
    struct km_flight_woken woken;
    bool ends = km_flight_end(&load->group->flight, &load->call, settle,
                              outcome, &woken);
    if (ends) {
        after_end(load, &woken);
    }
    return ends;
}

static void settle_unwanted(struct km_flight_call *call, void *arg)
{
    struct km_load *load = km_load_of(call);
    char sentence[KM_ERROR_BYTES_MAX];
    struct km_load_outcome outcome = {.status = KAMA_ERR_TIMEOUT,
                                      .verdict = KM_LOAD_UNWANTED,
                                      .sentence = sentence};
    (void)arg;
    km_group_sentence(load->group, km_load_key_bytes(load), sentence,
                      "the load did not begin within its callers' deadlines");
    settle(call, &outcome);
}

void km_load_drop_unwanted(struct km_load *load)
{
    struct km_flight_woken woken;
    km_ns now = km_group_now(load->group);
    if (km_flight_end_unwanted(&load->group->flight, &load->call, now,
                               settle_unwanted, NULL, &woken)) {
        after_end(load, &woken);
    }
}

void km_load_fail(struct km_load *load, kama_status status,
                  const char *sentence)
{
    struct km_load_outcome outcome = {.status = status, .sentence = sentence};
    (void)km_load_end(load, &outcome);
}

void km_load_time_out(struct km_load *load)
{
    char sentence[KM_ERROR_BYTES_MAX];
    if (km_flight_ended(&load->call)) {
        return;
    }
    km_load_describe_timeout(load, sentence);
    km_load_fail(load, KAMA_ERR_TIMEOUT, sentence);
}

static void cancel(struct km_load *load)
{
    char sentence[KM_ERROR_BYTES_MAX];
    km_group_sentence(load->group, km_load_key_bytes(load), sentence,
                      "the group was freed during the load");
    km_load_fail(load, KAMA_ERR_CANCELLED, sentence);
}

/* -- many loads ----------------------------------------------------------- */

/* Calls end_one for each load of a shard whose deadline is at or before now. */
static void end_older(kama_group *group, unsigned shard, km_ns now,
                      void (*end_one)(struct km_load *load))
{
    struct km_flight_call *call;
    while ((call = km_flight_oldest(&group->flight, shard, now)) != NULL) {
        struct km_load *load = km_load_of(call);
        end_one(load);
        km_load_unref(load);
    }
}

void km_load_fail_overdue_shard(kama_group *group, unsigned shard, km_ns now)
{
    end_older(group, shard, now, km_load_time_out);
}

void km_load_fail_overdue(kama_group *group, km_ns now)
{
    for (unsigned i = 0; i < KM_FLIGHT_SHARDS; i++) {
        end_older(group, i, now, km_load_time_out);
    }
}

void km_load_cancel_all(kama_group *group)
{
    for (unsigned i = 0; i < KM_FLIGHT_SHARDS; i++) {
        end_older(group, i, KM_NS_NEVER, cancel);
    }
}
