/* SPDX-License-Identifier: MIT */
/*
 * Slots and the stages of loads.
 *
 * Exactly one thread makes each change of a stage, and the thread that makes a
 * load OVER gives its slot back:
 *
 *     NEW -> ADMITTED        its own thread
 *     NEW -> QUEUED, QUEUED -> ADMITTED, NEW, OVER      under the lock
 *     ADMITTED -> RUNNING    its own thread       } compare and exchange
 *     ADMITTED -> OVER       the end of the load  }
 *     RUNNING -> PENDING     its own thread
 *     RUNNING -> OVER        its own thread
 *     PENDING -> OVER        its own thread or the end of the load
 *     NEW -> OVER            its own thread or the end of the load
 *
 * A load that ends while it is RUNNING leaves its slot to the load's thread. When
 * the loader has returned, that thread looks whether the load has ended. Both
 * write before they look, with sequential consistency, so that at least one of
 * them sees what the other has written:
 *
 *     thread that ends the load     thread of the load
 *     call = ENDED                  stage = PENDING
 *     stage PENDING? makes it OVER  call ENDED? makes it OVER
 *
 * In the same way no queued load misses a free slot:
 *
 *     thread that gives a slot back     thread that queues a load
 *     free + 1                          queued + 1
 *     queued > 0? serves the queue      free > 0? takes the slot
 */
#include "group/load/slot.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/status.h"
#include "group/load/run.h"
#include "group/sentence.h"

bool km_slots_init(struct km_slots *slots, unsigned count)
{
    for (unsigned i = 0; i < KM_THREAD_CELLS; i++) {
        unsigned part = count / KM_THREAD_CELLS;
        part += i < count % KM_THREAD_CELLS;
        atomic_init(&slots->cells[i].free, part);
    }
    atomic_init(&slots->owed, 0);
    atomic_init(&slots->queued, 0);
    km_list_init(&slots->queue);
    return km_mutex_init(&slots->lock, KM_RANK_SLOTS);
}

void km_slots_fini(struct km_slots *slots)
{
    KM_ASSERT(km_list_empty(&slots->queue));
    km_mutex_fini(&slots->lock);
}

static bool take_from(_Atomic uint32_t *number)
{
    uint32_t seen = atomic_load(number);
    while (seen > 0) {
        if (atomic_compare_exchange_weak(number, &seen, seen - 1)) {
            return true;
        }
    }
    return false;
}

/* Takes a free slot, from the thread's own cell if that has one. */
static bool try_take(struct km_slots *slots)
{
    unsigned own = km_thread_cell();
    bool taken = false;
    for (unsigned i = 0; i < KM_THREAD_CELLS && !taken; i++) {
        taken = take_from(&slots->cells[(own + i) % KM_THREAD_CELLS].free);
    }
    return taken;
}

/* Lets slots that are owed vanish, as long as there are free ones. */
static void pay_debt(struct km_slots *slots)
{
    bool is_free = true;
    while (is_free && take_from(&slots->owed)) {
        if (!try_take(slots)) {
            atomic_fetch_add(&slots->owed, 1);
            is_free = km_slots_free(slots) > 0;
        }
    }
}

/* Puts a slot among the free ones, unless one is owed. It looks once more
 * afterwards: a thread that lowers the number meanwhile has added to the debt, but
 * has not found this slot. */
static void put_back(struct km_slots *slots)
{
    if (take_from(&slots->owed)) {
        return;
    }
    atomic_fetch_add(&slots->cells[km_thread_cell()].free, 1);
    if (atomic_load(&slots->owed) > 0) {
        pay_debt(slots);
    }
}

/* Slots that are taken are owed: they vanish when they are given back. */
void km_slots_lower(struct km_slots *slots, unsigned n)
{
    atomic_fetch_add(&slots->owed, n);
    pay_debt(slots);
}

unsigned km_slots_free(const struct km_slots *slots)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < KM_THREAD_CELLS; i++) {
        sum += atomic_load(&slots->cells[i].free);
    }
    return sum;
}

/* -- stages --------------------------------------------------------------- */

static enum km_load_stage stage_of(const struct km_load *load)
{
    return atomic_load(&load->stage);
}

/* Changes the stage if it is `from`. Returns whether this call has changed it. */
static bool change(struct km_load *load, enum km_load_stage from,
                   enum km_load_stage to)
{
    return atomic_compare_exchange_strong(&load->stage, &from, to);
}

static void dequeue_locked(struct km_slots *slots, struct km_load *load)
{
    KM_ASSERT_HELD(&slots->lock);
    KM_ASSERT(stage_of(load) == KM_LOAD_QUEUED);
    km_list_remove(&load->in_queue);
    atomic_fetch_sub(&slots->queued, 1);
}

/* -- giving slots back ---------------------------------------------------- */

/* Gives free slots to the loads of the queue. The thread that waits for a load is
 * woken; a load that waits for the pool is returned, because it must be submitted
 * without the lock. Returns NULL if no slot or no load is left, or if the group is
 * closed, since the loads of its queue are about to be cancelled. */
static struct km_load *next_locked(kama_group *group)
{
    struct km_slots *slots = &group->slots;
    struct km_list *node;
    KM_ASSERT_HELD(&slots->lock);
    while ((node = km_list_first(&slots->queue)) != NULL &&
           !km_gate_is_closed(&group->gate) && try_take(slots)) {
        struct km_load *next = KM_CONTAINER_OF(node, struct km_load, in_queue);
        dequeue_locked(slots, next);
        next->has_slot = true;
        atomic_store(&next->stage, KM_LOAD_ADMITTED);
        if (next->slot_cond == NULL) {
            return next;
        }
        km_cond_signal(next->slot_cond);
    }
    return NULL;
}

/* Gives the free slots to the loads of the queue, and submits those for the pool. */
static void serve_queue(kama_group *group)
{
    struct km_slots *slots = &group->slots;
    struct km_load *next;
    do {
        km_mutex_lock(&slots->lock);
        next = next_locked(group);
        km_mutex_unlock(&slots->lock);
        if (next != NULL && !km_load_submit_queued(next)) {
            put_back(slots);
        }
    } while (next != NULL);
}

static void give_back(kama_group *group)
{
    put_back(&group->slots);
    if (atomic_load(&group->slots.queued) > 0) {
        serve_queue(group);
    }
}

/* Gives the slot back after the caller has made the load OVER. The load may be freed
 * by another thread when its slot was given back. The slot of a load that was NEW is
 * not looked at: its own thread may be about to admit it with a slot; that thread
 * finds that it is too late, and gives the slot back. */
static void finish(struct km_load *load, enum km_load_stage before)
{
    kama_group *group = load->group;
    KM_ASSERT(stage_of(load) == KM_LOAD_OVER);
    if (before == KM_LOAD_RUNNING || before == KM_LOAD_PENDING) {
        km_metric_sub(group->metrics, KM_GROUP_LOADS_RUNNING, 1);
    }
    if (before != KM_LOAD_NEW && load->has_slot) {
        give_back(group);
    }
}

/* -- taking them ---------------------------------------------------------- */

static kama_status fail_ended(const struct km_load *load)
{
    return km_fail(KAMA_ERR_TIMEOUT, "%s", load->sentence);
}

/* Not slots->queued, in which this load is counted for the moment, too. */
static kama_status fail_full(const struct km_load *load)
{
    return km_group_fail_key(
        load->group, KAMA_ERR_OVERLOADED, km_load_key_bytes(load),
        "%d loads already wait for one of the %u that may run at a time",
        KM_LOADER_QUEUE_MAX, km_group_loads_max(load->group));
}

/* Makes the load ADMITTED: it may run now, with a slot or inside another loader. */
static kama_status admit(struct km_load *load, enum km_slot_place place)
{
    KM_ASSERT(place != KM_SLOT_QUEUED && !load->has_slot);
    load->has_slot = place == KM_SLOT_TAKEN;
    if (change(load, KM_LOAD_NEW, KM_LOAD_ADMITTED)) {
        return KAMA_OK;
    }
    if (place == KM_SLOT_TAKEN) {
        give_back(load->group);
    }
    return fail_ended(load);
}

kama_status km_load_take_slot(struct km_load *load,
                              enum km_slot_place *ret_place)
{
    kama_group *group = load->group;
    *ret_place = KM_SLOT_TAKEN;
    if (km_gate_is_closed(&group->gate)) {
        return km_fail(KAMA_ERR_CLOSED, "the group is closed");
    }
    if (try_take(&group->slots)) {
        return admit(load, KM_SLOT_TAKEN);
    }
    *ret_place = KM_SLOT_NONE;
    return KAMA_OK;
}

kama_status km_load_share_slot(struct km_load *load)
{
    KM_ASSERT(km_thread_is_inside(load->group));
    return admit(load, KM_SLOT_NONE);
}

static kama_status enter_queue_locked(struct km_load *load,
                                      struct km_cond *cond)
{
    struct km_slots *slots = &load->group->slots;
    KM_ASSERT_HELD(&slots->lock);
    load->slot_cond = cond;
    if (!change(load, KM_LOAD_NEW, KM_LOAD_QUEUED)) {
        return fail_ended(load);
    }
    km_list_push_back(&slots->queue, &load->in_queue);
    return KAMA_OK;
}

/* Counts the load as queued, and only then tries once more to take a slot (see the
 * head of this file). */
static kama_status take_or_queue_locked(struct km_load *load,
                                        struct km_cond *cond,
                                        enum km_slot_place *ret_place)
{
    struct km_slots *slots = &load->group->slots;
    kama_status st = KAMA_OK;
    KM_ASSERT_HELD(&slots->lock);
    *ret_place = KM_SLOT_NONE;
    if (atomic_fetch_add(&slots->queued, 1) >= KM_LOADER_QUEUE_MAX) {
        st = fail_full(load);
    } else if (try_take(slots)) {
        *ret_place = KM_SLOT_TAKEN;
    } else {
        st = enter_queue_locked(load, cond);
        *ret_place = st == KAMA_OK ? KM_SLOT_QUEUED : KM_SLOT_NONE;
    }
    if (*ret_place != KM_SLOT_QUEUED) {
        atomic_fetch_sub(&slots->queued, 1);
    }
    return st;
}

kama_status km_load_queue(struct km_load *load, struct km_cond *cond,
                          enum km_slot_place *ret_place)
{
    struct km_slots *slots = &load->group->slots;
    km_mutex_lock(&slots->lock);
    kama_status st = take_or_queue_locked(load, cond, ret_place);
    km_mutex_unlock(&slots->lock);
    return *ret_place == KM_SLOT_TAKEN ? admit(load, KM_SLOT_TAKEN) : st;
}

/* -- waiting for one ------------------------------------------------------ */

/* Waits until the load has a slot, until deadline, or until some load is overdue.
 * An overdue load is ended here: it may be a deferred load that has a slot, and
 * perhaps no other caller waits for it. */
static void await_change_locked(struct km_load *load, km_ns deadline, km_ns now)
{
    kama_group *group = load->group;
    struct km_slots *slots = &group->slots;
    KM_ASSERT_HELD(&slots->lock);
    KM_ASSERT(load->slot_cond != NULL);
    km_ns at = km_flight_next_deadline(&group->flight);
    if (at <= now) {
        km_mutex_unlock(&slots->lock);
        km_load_fail_overdue(group, now);
        km_mutex_lock(&slots->lock);
        return;
    }
    at = at < deadline ? at : deadline;
    (void)km_cond_wait_until(load->slot_cond, &slots->lock,
                             km_clock_mono(km_clock_system()) + at - now);
}

kama_status km_load_await_slot(struct km_load *load, km_ns deadline)
{
    kama_group *group = load->group;
    struct km_slots *slots = &group->slots;
    km_mutex_lock(&slots->lock);
    km_ns now = km_group_now(group);
    while (stage_of(load) == KM_LOAD_QUEUED && now < deadline) {
        await_change_locked(load, deadline, now);
        now = km_group_now(group);
    }
    kama_status st = KAMA_OK;
    if (stage_of(load) == KM_LOAD_QUEUED) {
        dequeue_locked(slots, load); /* its condition is about to be ended */
        atomic_store(&load->stage, KM_LOAD_NEW);
        st = KAMA_ERR_TIMEOUT;
    } else if (stage_of(load) != KM_LOAD_ADMITTED) {
        st = KAMA_ERR_CANCELLED;
    }
    km_mutex_unlock(&slots->lock);
    return st;
}

/* -- around the loader ---------------------------------------------------- */

bool km_load_begin(struct km_load *load)
{
    if (km_flight_ended(&load->call)) {
        km_load_release(load);
        return false;
    }
    if (!change(load, KM_LOAD_ADMITTED, KM_LOAD_RUNNING)) {
        return false;
    }
    km_metric_add(load->group->metrics, KM_GROUP_LOADS_RUNNING, 1);
    return true;
}

void km_load_returned(struct km_load *load)
{
    KM_ASSERT(stage_of(load) == KM_LOAD_RUNNING);
    if (!km_flight_ended(&load->call)) {
        atomic_store(&load->stage, KM_LOAD_PENDING);
        if (km_flight_ended(&load->call)) {
            km_load_release(load);
        }
        return;
    }
    atomic_store(&load->stage, KM_LOAD_OVER);
    finish(load, KM_LOAD_RUNNING);
}

/* Takes a load that has ended out of the queue. Returns whether it was there. */
static bool leave_queue(struct km_load *load)
{
    kama_group *group = load->group;
    struct km_slots *slots = &group->slots;
    km_mutex_lock(&slots->lock);
    bool was_queued = stage_of(load) == KM_LOAD_QUEUED;
    bool has_caller = load->slot_cond != NULL;
    if (was_queued) {
        dequeue_locked(slots, load);
        atomic_store(&load->stage, KM_LOAD_OVER);
        if (has_caller) {
            km_cond_signal(load->slot_cond);
        }
    }
    km_mutex_unlock(&slots->lock);
    if (was_queued && !has_caller) {
        km_load_unref(load); /* the runner's reference: it will never run */
        km_gate_leave(&group->gate);
    }
    return was_queued;
}

void km_load_release(struct km_load *load)
{
    bool again;
    do {
        enum km_load_stage stage = stage_of(load);
        again = false;
        if (stage == KM_LOAD_QUEUED) {
            again = !leave_queue(load);
        } else if (stage != KM_LOAD_RUNNING && stage != KM_LOAD_OVER) {
            again = !change(load, stage, KM_LOAD_OVER);
            if (!again) {
                finish(load, stage);
            }
        }
    } while (again);
}

void km_slots_check(struct km_slots *slots)
{
    unsigned n = 0;
    struct km_list *node;
    struct km_list *tmp;
    km_mutex_lock(&slots->lock);
    KM_LIST_FOREACH(node, tmp, &slots->queue) {
        const struct km_load *load =
            KM_CONTAINER_OF(node, struct km_load, in_queue);
        KM_ASSERT(stage_of(load) == KM_LOAD_QUEUED);
        KM_ASSERT(!load->has_slot && &load->group->slots == slots);
        n++;
    }
    KM_ASSERT(n == atomic_load(&slots->queued));
    KM_ASSERT(n <= KM_LOADER_QUEUE_MAX);
    km_mutex_unlock(&slots->lock);
}
