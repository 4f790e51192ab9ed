/* SPDX-License-Identifier: MIT */
/*
 * Each loop drains its own connections and counts itself out; the last one
 * reports. Between the loops there is only mail and two counters.
 */
#include "net/drain.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/mem.h"

/* -- one loop ------------------------------------------------------------ */

static struct km_drain_entry *entry_of(struct km_list *node)
{
    return KM_CONTAINER_OF(node, struct km_drain_entry, node);
}

static void finish_loop(struct km_drain_loop *dl)
{
    struct km_drain *drain = dl->drain;
    dl->state = KM_DRAIN_DRAINED;
    km_loop_timer_disarm(dl->loop, &dl->timer);
    if (atomic_fetch_sub(&drain->loops_left, 1) == 1) {
        km_loop_post(drain->loops[0].loop, &drain->done_mail);
    }
}

static void each(struct km_drain_loop *dl,
                 void (*step)(struct km_drain_loop *dl,
                              struct km_drain_entry *entry))
{
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &dl->entries) {
        step(dl, entry_of(node));
    }
}

static void notice(struct km_drain_loop *dl, struct km_drain_entry *entry)
{
    (void)dl;
    entry->ops->notice(entry);
}

static void finish(struct km_drain_loop *dl, struct km_drain_entry *entry)
{
    (void)dl;
    entry->ops->finish(entry);
}

static void cut(struct km_drain_loop *dl, struct km_drain_entry *entry)
{
    atomic_fetch_add(&dl->drain->cut, entry->ops->cut(entry));
}

static void on_timer(struct km_timer *timer)
{
    struct km_drain_loop *dl =
        KM_CONTAINER_OF(timer, struct km_drain_loop, timer);
    if (dl->state == KM_DRAIN_NOTICED) {
        dl->state = KM_DRAIN_FINISHING;
        km_loop_timer_arm(dl->loop, timer, dl->until);
        each(dl, finish);
    } else {
        each(dl, cut);
    }
}

/* The time between the first two steps: in it arrives what clients had sent
 * before they were told. */
static int64_t gap_ms(int64_t timeout_ms)
{
    return timeout_ms / 2 < KM_NET_DRAIN_GAP_MS ? timeout_ms / 2
                                                : KM_NET_DRAIN_GAP_MS;
}

static void on_loop_mail(struct km_mail *mail)
{
    struct km_drain_loop *dl =
        KM_CONTAINER_OF(mail, struct km_drain_loop, mail);
    int64_t timeout_ms = dl->drain->request.timeout_ms;
    km_ns now = km_loop_now(dl->loop);
    dl->state = KM_DRAIN_NOTICED;
    dl->until = km_ns_after_ms(now, timeout_ms);
    if (km_list_empty(&dl->entries)) {
        finish_loop(dl);
        return;
    }
    km_loop_timer_arm(dl->loop, &dl->timer,
                      km_ns_after_ms(now, gap_ms(timeout_ms)));
    each(dl, notice);
}

bool km_drain_add(struct km_drain *drain, unsigned loop_index,
                  struct km_drain_entry *entry)
{
    struct km_drain_loop *dl = &drain->loops[loop_index];
    if (dl->state != KM_DRAIN_OPEN) {
        return false;
    }
    km_list_push_back(&dl->entries, &entry->node);
    return true;
}

void km_drain_remove(struct km_drain *drain, unsigned loop_index,
                     struct km_drain_entry *entry)
{
    struct km_drain_loop *dl = &drain->loops[loop_index];
    km_list_remove(&entry->node);
    if (km_list_empty(&dl->entries) && dl->state != KM_DRAIN_OPEN &&
        dl->state != KM_DRAIN_DRAINED) {
        finish_loop(dl);
    }
}

/* -- all of them --------------------------------------------------------- */

static void on_done(struct km_mail *mail)
{
    struct km_drain *drain = KM_CONTAINER_OF(mail, struct km_drain, done_mail);
    drain->request.done(drain->request.done_arg, atomic_load(&drain->cut));
}

/* On the first loop: descriptors that it has accepted were posted to the other
 * loops before, and arrive there before this mail. */
static void on_start(struct km_mail *mail)
{
    struct km_drain *drain = KM_CONTAINER_OF(mail, struct km_drain, start_mail);
    drain->request.stop_accepting(drain->request.stop_arg);
    for (unsigned i = 0; i < drain->loop_count; i++) {
        km_loop_post(drain->loops[i].loop, &drain->loops[i].mail);
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
    drain->done_mail.run = on_done;
    for (unsigned i = 0; i < loop_count; i++) {
        struct km_drain_loop *dl = &drain->loops[i];
        dl->drain = drain;
        dl->loop = loops[i];
        dl->mail.run = on_loop_mail;
        dl->timer.fire = on_timer;
        km_list_init(&dl->entries);
    }
    return KAMA_OK;
}

void km_drain_fini(struct km_drain *drain)
{
    for (unsigned i = 0; drain->loops != NULL && i < drain->loop_count; i++) {
        KM_ASSERT(km_list_empty(&drain->loops[i].entries));
    }
    km_mem_free(drain->mem, drain->loops);
    *drain = (struct km_drain){0};
}
