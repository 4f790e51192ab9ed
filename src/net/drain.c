/* SPDX-License-Identifier: MIT */
/*
 * Each loop drains its own connections and counts itself out; the last one
 * reports. The gap is one for all loops, because the first one stops to accept
 * at its end. Between the loops there are only mails and counters:
 *
 *     start --mail--> loop 0 --mail--> every loop: NOTICED
 *                     loop 0 <--mail-- the last loop that is NOTICED
 *                        gap
 *                     loop 0 --mail--> every loop: FINISHING, cut
 *                     loop 0 <--mail-- the last loop that is DRAINED
 *                        done
 */
#include "net/drain.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/mem.h"

/* -- one loop ------------------------------------------------------------ */

/* Returns the time between the first two steps, in which everything arrives
 * that clients had sent before they were told. */
static int64_t gap_ms(int64_t timeout_ms)
{
    return timeout_ms / 2 < KM_NET_DRAIN_GAP_MS ? timeout_ms / 2
                                                : KM_NET_DRAIN_GAP_MS;
}

static struct km_drain_entry *entry_of(struct km_list *node)
{
    return KM_CONTAINER_OF(node, struct km_drain_entry, node);
}

static void end_loop(struct km_drain_loop *drain_loop)
{
    struct km_drain *drain = drain_loop->drain;
    KM_ASSERT(drain_loop->state == KM_DRAIN_FINISHING);
    KM_ASSERT(km_list_empty(&drain_loop->entries));
    drain_loop->state = KM_DRAIN_DRAINED;
    km_loop_timer_disarm(drain_loop->loop, &drain_loop->late_timer);
    km_loop_timer_disarm(drain_loop->loop, &drain_loop->cut_timer);
    if (atomic_fetch_sub(&drain->loops_left, 1) == 1) {
        km_loop_post(drain->loops[0].loop, &drain->done_mail);
    }
}

static void each(struct km_drain_loop *drain_loop,
                 void (*step)(struct km_drain_loop *drain_loop,
                              struct km_drain_entry *entry))
{
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &drain_loop->entries) {
        step(drain_loop, entry_of(node));
    }
}

static void notice(struct km_drain_loop *drain_loop,
                   struct km_drain_entry *entry)
{
    if (entry->ops->notice(entry) == KM_DRAIN_USED) {
        atomic_fetch_add(&drain_loop->drain->used, 1);
    }
}

static void finish(struct km_drain_loop *drain_loop,
                   struct km_drain_entry *entry)
{
    (void)drain_loop;
    entry->ops->finish(entry);
}

static void cut(struct km_drain_loop *drain_loop, struct km_drain_entry *entry)
{
    atomic_fetch_add(&drain_loop->drain->cut, entry->ops->cut(entry));
}

static void on_late_timer(struct km_timer *timer)
{
    each(KM_CONTAINER_OF(timer, struct km_drain_loop, late_timer), finish);
}

static void on_cut_timer(struct km_timer *timer)
{
    each(KM_CONTAINER_OF(timer, struct km_drain_loop, cut_timer), cut);
}

static void on_notice_mail(struct km_mail *mail)
{
    struct km_drain_loop *drain_loop =
        KM_CONTAINER_OF(mail, struct km_drain_loop, notice_mail);
    struct km_drain *drain = drain_loop->drain;
    KM_ASSERT(drain_loop->state == KM_DRAIN_OPEN);
    drain_loop->state = KM_DRAIN_NOTICED;
    drain_loop->until = km_ns_after_ms(km_loop_now(drain_loop->loop),
                                       drain->request.timeout_ms);
    each(drain_loop, notice);
    if (atomic_fetch_sub(&drain->loops_open, 1) == 1) {
        km_loop_post(drain->loops[0].loop, &drain->gap_mail);
    }
}

/* Those that came in the gap get the two steps that the others have had. */
static void notice_late(struct km_drain_loop *drain_loop)
{
    int64_t timeout_ms = drain_loop->drain->request.timeout_ms;
    struct km_loop *loop = drain_loop->loop;
    if (km_list_empty(&drain_loop->late_entries)) {
        return;
    }
    km_loop_timer_arm(loop, &drain_loop->late_timer,
                      km_ns_after_ms(km_loop_now(loop), gap_ms(timeout_ms)));
    struct km_list *node;
    while ((node = km_list_pop_front(&drain_loop->late_entries)) != NULL) {
        km_list_push_back(&drain_loop->entries, node);
        notice(drain_loop, entry_of(node));
    }
}

static void on_finish_mail(struct km_mail *mail)
{
    struct km_drain_loop *drain_loop =
        KM_CONTAINER_OF(mail, struct km_drain_loop, finish_mail);
    KM_ASSERT(drain_loop->state == KM_DRAIN_NOTICED);
    drain_loop->state = KM_DRAIN_FINISHING;
    if (km_list_empty(&drain_loop->entries) &&
        km_list_empty(&drain_loop->late_entries)) {
        end_loop(drain_loop);
        return;
    }
    km_loop_timer_arm(drain_loop->loop, &drain_loop->cut_timer,
                      drain_loop->until);
    each(drain_loop, finish);
    notice_late(drain_loop);
}

bool km_drain_accepts(const struct km_drain *drain, unsigned loop_index)
{
    return drain->loops[loop_index].state <= KM_DRAIN_NOTICED;
}

bool km_drain_add(struct km_drain *drain, unsigned loop_index,
                  struct km_drain_entry *entry)
{
    struct km_drain_loop *drain_loop = &drain->loops[loop_index];
    if (!km_drain_accepts(drain, loop_index)) {
        return false;
    }
    atomic_fetch_add(&drain->open, 1);
    km_list_push_back(drain_loop->state == KM_DRAIN_OPEN
                          ? &drain_loop->entries
                          : &drain_loop->late_entries,
                      &entry->node);
    return true;
}

/* The last connection of all loops is gone while they are NOTICED. */
static void tell_idle(struct km_drain *drain)
{
    if (!atomic_exchange(&drain->idle_posted, true)) {
        km_loop_post(drain->loops[0].loop, &drain->idle_mail);
    }
}

void km_drain_remove(struct km_drain *drain, unsigned loop_index,
                     struct km_drain_entry *entry)
{
    struct km_drain_loop *drain_loop = &drain->loops[loop_index];
    if (km_list_empty(&entry->node)) {
        return;
    }
    km_list_remove(&entry->node);
    bool last = atomic_fetch_sub(&drain->open, 1) == 1;
    if (drain_loop->state == KM_DRAIN_NOTICED && last) {
        tell_idle(drain);
    } else if (drain_loop->state == KM_DRAIN_FINISHING &&
               km_list_empty(&drain_loop->entries) &&
               km_list_empty(&drain_loop->late_entries)) {
        end_loop(drain_loop);
    }
}

/* -- all of them --------------------------------------------------------- */

static void on_done(struct km_mail *mail)
{
    struct km_drain *drain = KM_CONTAINER_OF(mail, struct km_drain, done_mail);
    drain->request.done(drain->request.done_arg, atomic_load(&drain->cut));
}

/* Runs on the first loop, because that one accepts: the descriptors that it
 * has accepted were posted to the other loops before, and so arrive there
 * before the mail that is posted here. Otherwise a connection could open on a
 * loop that has drained already. */
static void finish_all(struct km_drain *drain)
{
    if (drain->request.stop_accepting != NULL) {
        drain->request.stop_accepting(drain->request.stop_arg);
    }
    for (unsigned i = 0; i < drain->loop_count; i++) {
        km_loop_post(drain->loops[i].loop, &drain->loops[i].finish_mail);
    }
}

static void on_gap_timer(struct km_timer *timer)
{
    finish_all(KM_CONTAINER_OF(timer, struct km_drain, gap_timer));
}

/* Returns whether nobody has used the server lately, and no connection is
 * left. */
static bool is_idle(const struct km_drain *drain)
{
    return atomic_load(&drain->used) == 0 && atomic_load(&drain->open) == 0;
}

/* Every loop is NOTICED. */
static void on_gap_mail(struct km_mail *mail)
{
    struct km_drain *drain = KM_CONTAINER_OF(mail, struct km_drain, gap_mail);
    struct km_loop *loop = drain->loops[0].loop;
    int64_t ms = gap_ms(drain->request.timeout_ms);
    if (ms == 0 || is_idle(drain)) {
        finish_all(drain);
        return;
    }
    km_loop_timer_arm(loop, &drain->gap_timer,
                      km_ns_after_ms(km_loop_now(loop), ms));
}

/* If the timer is not armed, then gap_mail comes later, or the gap is over. */
static void on_idle_mail(struct km_mail *mail)
{
    struct km_drain *drain = KM_CONTAINER_OF(mail, struct km_drain, idle_mail);
    atomic_store(&drain->idle_posted, false);
    if (drain->gap_timer.at != 0 && is_idle(drain)) {
        km_loop_timer_disarm(drain->loops[0].loop, &drain->gap_timer);
        finish_all(drain);
    }
}

static void on_start(struct km_mail *mail)
{
    struct km_drain *drain = KM_CONTAINER_OF(mail, struct km_drain, start_mail);
    for (unsigned i = 0; i < drain->loop_count; i++) {
        km_loop_post(drain->loops[i].loop, &drain->loops[i].notice_mail);
    }
}

void km_drain_start(struct km_drain *drain,
                    const struct km_drain_request *request)
{
    bool was_started = atomic_exchange(&drain->started, true);
    KM_ASSERT(!was_started);
    drain->request = *request;
    if (drain->request.timeout_ms < 0) {
        drain->request.timeout_ms = 0;
    }
    atomic_store(&drain->loops_open, drain->loop_count);
    atomic_store(&drain->loops_left, drain->loop_count);
    km_loop_post(drain->loops[0].loop, &drain->start_mail);
}

kama_status km_drain_init(struct km_drain *drain, const kama_allocator *mem,
                          struct km_loop **loops, unsigned loop_count)
{
    KM_ASSERT(loop_count > 0);
    *drain = (struct km_drain){.mem = mem, .loop_count = loop_count};
    drain->loops = km_mem_zalloc(mem, loop_count, sizeof *drain->loops);
    if (drain->loops == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    drain->start_mail.run = on_start;
    drain->gap_mail.run = on_gap_mail;
    drain->gap_timer.fire = on_gap_timer;
    drain->idle_mail.run = on_idle_mail;
    drain->done_mail.run = on_done;
    for (unsigned i = 0; i < loop_count; i++) {
        struct km_drain_loop *drain_loop = &drain->loops[i];
        drain_loop->drain = drain;
        drain_loop->loop = loops[i];
        drain_loop->notice_mail.run = on_notice_mail;
        drain_loop->finish_mail.run = on_finish_mail;
        drain_loop->late_timer.fire = on_late_timer;
        drain_loop->cut_timer.fire = on_cut_timer;
        km_list_init(&drain_loop->entries);
        km_list_init(&drain_loop->late_entries);
    }
    return KAMA_OK;
}

void km_drain_fini(struct km_drain *drain)
{
    for (unsigned i = 0; drain->loops != NULL && i < drain->loop_count; i++) {
        KM_ASSERT(km_list_empty(&drain->loops[i].entries));
        KM_ASSERT(km_list_empty(&drain->loops[i].late_entries));
    }
    km_mem_free(drain->mem, drain->loops);
    *drain = (struct km_drain){0};
}
