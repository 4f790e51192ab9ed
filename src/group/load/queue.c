/* SPDX-License-Identifier: MIT */
/*
 * Slots for loads. A load is registered (in group->loads) from its start to
 * its end, and in group->runners while its loader is on a thread, which may be
 * longer. A load from inside a loader on the same thread needs no slot when all
 * are taken: its thread holds one already.
 */
#include "group/load/load.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/status.h"
#include "group/sentence.h"

static bool registered_locked(const struct km_load *load)
{
    return !km_list_empty(&load->in_loads);
}

/* Does the calling thread run a loader of this group? */
static bool nested_locked(const kama_group *group)
{
    uintptr_t self = km_flight_self();
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &group->runners) {
        if (KM_CONTAINER_OF(node, struct km_load, in_runners)->runner == self) {
            return true;
        }
    }
    return false;
}

bool km_load_is_nested(kama_group *group)
{
    km_mutex_lock(&group->lock);
    bool nested = nested_locked(group);
    km_mutex_unlock(&group->lock);
    return nested;
}

static void give_slot_locked(struct km_load *load)
{
    load->has_slot = true;
    load->group->slots_taken++;
}

/* May the load be registered at all? */
static kama_status admit_locked(struct km_load *load)
{
    kama_group *group = load->group;
    struct km_pool *pool = km_group_pool(group);
    if (group->closed) {
        return km_fail(KAMA_ERR_CLOSED, "the group is closed");
    }
    if (km_flight_ended(&group->flight, &load->call)) {
        return km_fail(KAMA_ERR_TIMEOUT, "%s", load->sentence);
    }
    return pool != NULL ? km_load_arm(load, pool) : KAMA_OK;
}

/* The first timer starts the thread of the timers, so that the others cannot
 * fail. */
kama_status km_load_arm_all_locked(kama_group *group, struct km_pool *pool)
{
    kama_status st = KAMA_OK;
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &group->loads) {
        if (st == KAMA_OK) {
            st = km_load_arm(KM_CONTAINER_OF(node, struct km_load, in_loads),
                             pool);
        }
    }
    return st;
}

static kama_status take_slot_locked(struct km_load *load, struct km_cond *turn,
                                    bool *ret_queued)
{
    kama_group *group = load->group;
    bool full = group->slots_taken >= km_group_loads_max(group);
    bool queues = full && (turn == NULL || !nested_locked(group));
    if (queues && group->queued >= KM_LOADER_QUEUE_MAX) {
        return km_group_fail_key(
            group, KAMA_ERR_OVERLOADED, km_load_key_bytes(load),
            "%u loads already wait for one of the %u that may run at a time",
            group->queued, km_group_loads_max(group));
    }
    kama_status st = admit_locked(load);
    if (st != KAMA_OK) {
        return st;
    }
    load->stage = KM_LOAD_ADMITTED;
    if (!full) {
        give_slot_locked(load);
    } else if (queues) {
        load->turn = turn;
        load->stage = KM_LOAD_QUEUED;
        group->queued++;
        km_list_push_back(&group->queue, &load->in_queue);
    }
    km_list_push_back(&group->loads, &load->in_loads);
    *ret_queued = queues;
    return KAMA_OK;
}

kama_status km_load_take_slot(struct km_load *load, struct km_cond *turn,
                              bool *ret_queued)
{
    kama_group *group = load->group;
    km_mutex_lock(&group->lock);
    kama_status st = take_slot_locked(load, turn, ret_queued);
    if (st == KAMA_OK && turn == NULL) {
        group->inside++;
    }
    km_mutex_unlock(&group->lock);
    return st;
}

static void dequeue_locked(struct km_load *load)
{
    KM_ASSERT(load->stage == KM_LOAD_QUEUED);
    km_list_remove(&load->in_queue);
    load->group->queued--;
}

/* Has the load a slot, or the right to run without one? One that is about to
 * run may be deferred before anybody looks again. */
static bool has_turn(const struct km_load *load)
{
    return load->stage == KM_LOAD_ADMITTED || load->stage == KM_LOAD_RUNNING ||
           load->stage == KM_LOAD_PENDING;
}

/* A deferred load that is overdue and has a slot, which no thread needs. NULL:
 * there is none before *ret_at, which comes down to when one may be. */
static struct km_load *overdue_locked(const kama_group *group, km_ns now,
                                      km_ns *ret_at)
{
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &group->loads) {
        struct km_load *load = KM_CONTAINER_OF(node, struct km_load, in_loads);
        if (!has_turn(load)) {
            continue;
        }
        if (load->call.deadline > now) {
            *ret_at =
                load->call.deadline < *ret_at ? load->call.deadline : *ret_at;
        } else if (load->stage == KM_LOAD_PENDING) {
            return load;
        }
    }
    return NULL;
}

static void fail_overdue_locked(struct km_load *load)
{
    kama_group *group = load->group;
    km_load_ref(load);
    km_mutex_unlock(&group->lock);
    km_load_time_out(load);
    km_load_forget(load);
    km_load_unref(load);
    km_mutex_lock(&group->lock);
}

/* Waits for the load's turn until then. A deferred load whose time is over
 * meanwhile is ended: perhaps nobody else waits for it. */
static void await_turn_locked(struct km_load *load, km_ns deadline, km_ns now)
{
    kama_group *group = load->group;
    km_ns at = deadline;
    struct km_load *overdue = overdue_locked(group, now, &at);
    if (overdue != NULL) {
        fail_overdue_locked(overdue);
        return;
    }
    (void)km_cond_wait_until(load->turn, &group->lock,
                             km_clock_mono(km_clock_system()) + at - now);
}

kama_status km_load_await_slot(struct km_load *load, km_ns deadline)
{
    kama_group *group = load->group;
    km_mutex_lock(&group->lock);
    km_ns now = km_group_now(group);
    while (load->stage == KM_LOAD_QUEUED && now < deadline) {
        await_turn_locked(load, deadline, now);
        now = km_group_now(group);
    }
    kama_status st =
        load->stage == KM_LOAD_ADMITTED ? KAMA_OK : KAMA_ERR_CANCELLED;
    if (load->stage == KM_LOAD_QUEUED) {
        dequeue_locked(load); /* its condition is about to go */
        load->stage = KM_LOAD_NEW;
        st = KAMA_ERR_TIMEOUT;
    }
    km_mutex_unlock(&group->lock);
    return st;
}

/* Gives the free slot to the first in the queue; not in a closed group, whose
 * queue is about to be cancelled. Returns a load that is to be
 * submitted to the pool; its runner's reference is the caller's. */
static struct km_load *next_locked(kama_group *group)
{
    struct km_list *node = km_list_first(&group->queue);
    if (node == NULL || group->closed ||
        group->slots_taken >= km_group_loads_max(group)) {
        return NULL;
    }
    struct km_load *next = KM_CONTAINER_OF(node, struct km_load, in_queue);
    dequeue_locked(next);
    next->stage = KM_LOAD_ADMITTED;
    give_slot_locked(next);
    if (next->turn != NULL) {
        km_cond_signal(next->turn);
        return NULL;
    }
    return next;
}

/* The load is OVER; returns what next_locked does. */
static struct km_load *finish_locked(struct km_load *load)
{
    kama_group *group = load->group;
    KM_ASSERT(load->stage != KM_LOAD_OVER);
    if (load->stage == KM_LOAD_RUNNING || load->stage == KM_LOAD_PENDING) {
        KM_ASSERT(group->working > 0);
        group->working--;
    }
    load->stage = KM_LOAD_OVER;
    if (!load->has_slot) {
        return NULL;
    }
    KM_ASSERT(group->slots_taken > 0);
    load->has_slot = false;
    group->slots_taken--;
    return next_locked(group);
}

/* A queued load that got a slot goes to the pool; when the pool refuses it
 * ends, and the slot goes on to the one after it. */
static void submit_next(struct km_load *load)
{
    while (load != NULL) {
        kama_group *group = load->group;
        if (km_load_submit(load, km_group_pool(group)) == KAMA_OK) {
            return;
        }
        km_mutex_lock(&group->lock);
        struct km_load *next = finish_locked(load);
        km_mutex_unlock(&group->lock);
        km_load_fail(load, KAMA_ERR_OVERLOADED, km_last_error());
        km_load_unref(load);
        km_group_leave(group);
        load = next;
    }
}

/* A load that has ended leaves the queue. Returns whether the runner's reference
 * is the caller's to give back: no caller's thread waits for its turn. */
static bool leave_queue_locked(struct km_load *load)
{
    dequeue_locked(load);
    if (load->turn != NULL) {
        km_cond_signal(load->turn);
    }
    return load->turn == NULL;
}

void km_load_forget(struct km_load *load)
{
    kama_group *group = load->group;
    struct km_load *next = NULL;
    bool orphaned = false;
    km_mutex_lock(&group->lock);
    if (registered_locked(load)) {
        km_list_remove(&load->in_loads);
    }
    if (load->stage == KM_LOAD_QUEUED) {
        orphaned = leave_queue_locked(load);
    }
    if (load->stage != KM_LOAD_RUNNING && load->stage != KM_LOAD_OVER) {
        next = finish_locked(load);
    }
    km_mutex_unlock(&group->lock);
    submit_next(next);
    if (orphaned) {
        km_load_unref(load);
        km_group_leave(group);
    }
}

bool km_load_begin(struct km_load *load)
{
    kama_group *group = load->group;
    km_mutex_lock(&group->lock);
    bool begins = load->stage == KM_LOAD_ADMITTED &&
                  !km_flight_ended(&group->flight, &load->call);
    if (begins) {
        load->stage = KM_LOAD_RUNNING;
        load->runner = km_flight_self();
        km_list_push_back(&group->runners, &load->in_runners);
        group->working++;
    }
    km_mutex_unlock(&group->lock);
    return begins;
}

/*
 * Whether the load has ended is asked under the group's lock: who ends a
 * deferred load later takes that lock in km_load_forget, and finds it PENDING.
 */
void km_load_returned(struct km_load *load)
{
    kama_group *group = load->group;
    struct km_load *next = NULL;
    km_mutex_lock(&group->lock);
    km_list_remove(&load->in_runners);
    load->runner = 0;
    if (km_flight_ended(&group->flight, &load->call)) {
        next = finish_locked(load);
    } else {
        load->stage = KM_LOAD_PENDING;
    }
    km_mutex_unlock(&group->lock);
    submit_next(next);
}
