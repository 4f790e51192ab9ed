/* SPDX-License-Identifier: MIT */
/*
 * Loads: made and ended.
 *
 * Why the result is settled under the flight's lock: were the value stored
 * first and the call unlinked later, a del in between would remove the value,
 * and a get after that del would still join the call and receive it. Were the
 * call unlinked first, a get in between would start a second load.
 */
#include "group/load/load.h"

#include "base/container.h"
#include "base/status.h"
#include "group/sentence.h"
#include "group/trace.h"

static bool load_equal(const struct km_flight_call *call, const void *key)
{
    const struct km_load *load = km_load_of(call);
    const struct km_load_key *wanted = key;
    return load->key_len == wanted->key.len &&
           memcmp(load->key, wanted->key.data, load->key_len) == 0;
}

/* A load that was overtaken answers only those who came before the mutation;
 * an overdue one answers nobody new. */
static bool load_joinable(const struct km_flight_call *call, const void *key)
{
    const struct km_load_key *wanted = key;
    return !km_fill_overtaken(&km_load_of(call)->fill) &&
           wanted->now < call->deadline;
}

/* The fill is registered under the lock under which the call can be found: no
 * mutation passes between the two. */
static kama_status load_begin(struct km_flight_call *call, bool *ret_go)
{
    struct km_load *load = km_load_of(call);
    kama_status st =
        (load->is_again ? km_store_fill_begin_again : km_store_fill_begin)(
            load->group->store, &load->fill, call->hash,
            km_load_key_bytes(load), &load->result.value);
    *ret_go = st == KAMA_WOULD_LOAD;
    return *ret_go ? KAMA_OK : st;
}

/* Who is parked may bring a timer of its own. */
static kama_status load_park(struct km_flight_call *call,
                             struct km_flight_waiter *waiter)
{
    return km_get_op_park(km_load_of(call), waiter);
}

static void load_ref(struct km_flight_call *call)
{
    km_load_ref(km_load_of(call));
}

const struct km_flight_ops km_load_flight_ops = {.equal = load_equal,
                                                 .joinable = load_joinable,
                                                 .begin = load_begin,
                                                 .park = load_park,
                                                 .ref = load_ref};

struct km_load *km_load_new(kama_group *group, kama_bytes key, uint64_t hash,
                            km_ns now, bool on_pool)
{
    struct km_load *load = km_mem_alloc(&group->mem, sizeof *load + key.len);
    if (load == NULL) {
        return NULL;
    }
    memset(load, 0, sizeof *load);
    load->call.hash = hash;
    load->call.deadline = km_ns_after_ms(now, group->config.loader_timeout_ms);
    load->call.leader = on_pool ? 0 : km_flight_self();
    load->call.leader_parks = on_pool;
    load->loader_deadline = load->call.deadline;
    load->on_pool = on_pool;
    load->group = group;
    load->sink.load = load;
    load->deferred.load = load;
    atomic_init(&load->refs, 1);
    km_list_init(&load->in_loads);
    km_list_init(&load->in_queue);
    km_list_init(&load->in_runners);
    load->key_len = key.len;
    memcpy(load->key, key.data, key.len);
    km_group_ref(group);
    return load;
}

void km_load_ref(struct km_load *load)
{
    atomic_fetch_add_explicit(&load->refs, 1, memory_order_relaxed);
}

void km_load_unref(struct km_load *load)
{
    if (atomic_fetch_sub_explicit(&load->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    kama_group *group = load->group;
    kama_value_unref(load->sink.item);
    kama_value_unref(load->result.value);
    km_mem_free(&group->mem, load);
    km_group_unref(group);
}

/* -- the end ------------------------------------------------------------- */

static void count_end(struct km_load *load, kama_status status)
{
    kama_group *group = load->group;
    km_ns started_at = atomic_load(&load->started_at);
    if (started_at == 0) {
        return;
    }
    km_ns took = km_group_now(group) - started_at;
    km_metric_add(group->metrics, KM_GROUP_LOAD_NS, took);
    km_histogram_record(&group->load_times, took);
    if (status == KAMA_MISS) {
        km_group_count(group, KM_GROUP_LOADS_MISSED);
    } else if (status != KAMA_OK) {
        km_group_count(group, KM_GROUP_LOADS_FAILED);
    }
}

static void settle(struct km_flight_call *call, void *arg)
{
    struct km_load *load = km_load_of(call);
    struct km_store *store = load->group->store;
    const struct km_load_outcome *s = arg;
    if (s->stored == NULL) {
        km_store_fill_cancel(store, &load->fill);
    } else if (!km_store_fill_commit(store, &load->fill, s->stored) &&
               km_fill_overtaken(&load->fill)) {
        km_group_count(load->group, KM_GROUP_OVERTAKEN);
    }
    load->result.status = s->status;
    load->result.verdict = s->verdict;
    load->result.value = s->value == NULL ? NULL : kama_value_ref(s->value);
    (void)km_text_printf(load->sentence, sizeof load->sentence, "%s",
                         s->sentence);
    count_end(load, s->status);
}

static void fire(struct km_timer *timer)
{
    struct km_load *load = KM_CONTAINER_OF(timer, struct km_load, timer);
    if (atomic_exchange(&load->timer_armed, false)) {
        km_load_time_out(load);
        km_load_unref(load);
    }
}

kama_status km_load_arm(struct km_load *load, struct km_pool *pool)
{
    load->timer.fire = fire;
    km_load_ref(load);
    atomic_store(&load->timer_armed, true);
    kama_status st = km_pool_arm(pool, &load->timer, load->call.deadline);
    if (st != KAMA_OK) {
        atomic_store(&load->timer_armed, false);
        km_load_unref(load);
    }
    return st;
}

static void disarm(struct km_load *load)
{
    if (!atomic_load(&load->timer_armed)) {
        return;
    }
    km_pool_disarm(km_group_pool(load->group), &load->timer);
    if (atomic_exchange(&load->timer_armed, false)) {
        km_load_unref(load);
    }
}

/* What is left to do for a load whose flight has been ended just now. */
static void after_end(struct km_load *load)
{
    km_trace_load_end(load);
    km_load_forget(load);
    km_flight_wake(&load->group->flight, &load->call);
    disarm(load);
    km_tell_load_failure(load);
}

bool km_load_end(struct km_load *load, struct km_load_outcome *outcome)
{
    bool ends =
        km_flight_end(&load->group->flight, &load->call, settle, outcome);
    if (ends) {
        after_end(load);
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
    km_ns now = km_group_now(load->group);
    if (km_flight_end_unwanted(&load->group->flight, &load->call, now,
                               settle_unwanted, NULL)) {
        after_end(load);
    }
}

void km_load_fail(struct km_load *load, kama_status status,
                  const char *sentence)
{
    struct km_load_outcome outcome = {.status = status, .sentence = sentence};
    (void)km_load_end(load, &outcome);
}

/* A reference to the oldest load, when it is overdue; NULL: it is not. Loads
 * have the same time each, so that the oldest is the first to be. */
static struct km_load *oldest_overdue(kama_group *group, km_ns now)
{
    struct km_load *load = NULL;
    km_mutex_lock(&group->lock);
    struct km_list *node = km_list_first(&group->loads);
    if (node != NULL) {
        load = KM_CONTAINER_OF(node, struct km_load, in_loads);
        if (now < load->call.deadline) {
            load = NULL;
        } else {
            km_load_ref(load);
        }
    }
    km_mutex_unlock(&group->lock);
    return load;
}

void km_load_time_out(struct km_load *load)
{
    char sentence[KM_ERROR_BYTES_MAX];
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

/* Ends the loads whose time is over at now, each with end_one. */
static void end_older(kama_group *group, km_ns now,
                      void (*end_one)(struct km_load *load))
{
    struct km_load *load;
    while ((load = oldest_overdue(group, now)) != NULL) {
        end_one(load);
        km_load_forget(load);
        km_load_unref(load);
    }
}

void km_load_fail_overdue(kama_group *group, km_ns now)
{
    end_older(group, now, km_load_time_out);
}

void km_load_cancel_all(kama_group *group)
{
    end_older(group, KM_NS_NEVER, cancel);
}
