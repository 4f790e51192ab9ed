/* SPDX-License-Identifier: MIT */
/*
 * The life of a loop, its mailbox and the end of its turns.
 *
 * The mailbox is a stack without a lock. Producers push on it; the loop takes
 * all of it with one exchange and turns it around. Only the push on an empty
 * stack wakes the loop:
 *
 *     mailbox --> newest --> ... --> oldest --> NULL
 *
 * A turn ends in the prepare handle, which libuv runs after everything that
 * makes work and before it sleeps. There the loop looks into its mailbox too.
 * Therefore a push by its own thread wakes nobody: that would cost a write, a
 * read and a turn for a mail that is seen anyway.
 */
#include "net/loop.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/status.h"
#include "base/sync.h"
#include "base/thread.h"
#include "net/error.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <uv.h>

struct km_loop {
    uv_loop_t uv;
    uv_async_t async;     /* wakes the loop for mail, and keeps it alive */
    uv_prepare_t prepare; /* runs at the end of a turn */
    uv_timer_t timer;     /* for the earliest of `timers` */
    const kama_allocator *mem;
    const struct km_clock *clock;
    unsigned index;
    unsigned holds;
    bool joinable;     /* the thread runs, or has ended and was not joined */
    bool stopping;     /* the loop ends with the last hold */
    km_ns now;         /* of this turn; 0: not read yet */
    km_ns fired_until; /* timers up to this time have fired */
    km_ns timer_at;    /* the time that `timer` is set to */
    struct km_timer_heap timers;
    struct km_mail *hooks; /* of the end of the turn; the last is hook_end */
    struct km_mail *hooks_last;
    struct km_mail hook_end;
    uint8_t *read_buf;
    pthread_t thread;
    struct km_mail stop_mail;
    atomic_bool stop_asked;
    atomic_bool started;
    _Atomic(uintptr_t) inside;         /* the thread that runs it, or 0 */
    _Atomic(struct km_mail *) mailbox; /* newest first */
};

/* -- mailbox ------------------------------------------------------------- */

void km_loop_post(struct km_loop *loop, struct km_mail *mail)
{
    struct km_mail *newest =
        atomic_load_explicit(&loop->mailbox, memory_order_relaxed);
    do {
        mail->next = newest;
    } while (!atomic_compare_exchange_weak_explicit(&loop->mailbox, &newest,
                                                    mail, memory_order_release,
                                                    memory_order_relaxed));
    if (newest == NULL && !km_loop_is_inside(loop)) {
        (void)uv_async_send(&loop->async);
    }
}

static bool has_mail(struct km_loop *loop)
{
    return atomic_load_explicit(&loop->mailbox, memory_order_relaxed) != NULL;
}

static struct km_mail *reverse(struct km_mail *mail)
{
    struct km_mail *oldest = NULL;
    while (mail != NULL) {
        struct km_mail *next = mail->next;
        mail->next = oldest;
        oldest = mail;
        mail = next;
    }
    return oldest;
}

/* Mail that is posted by this mail is not run here: a mail that posts itself
 * again would otherwise keep the loop from its descriptors. Returns whether
 * there was any. */
static bool run_mail(struct km_loop *loop)
{
    struct km_mail *mail = reverse(
        atomic_exchange_explicit(&loop->mailbox, NULL, memory_order_acquire));
    bool any = mail != NULL;
    while (mail != NULL) {
        struct km_mail *next = mail->next;
        mail->next = NULL;
        mail->run(mail);
        mail = next;
    }
    return any;
}

static void on_async(uv_async_t *async)
{
    (void)run_mail(async->data);
}

/* -- the end of a turn --------------------------------------------------- */

void km_loop_at_end_of_turn(struct km_loop *loop, struct km_mail *hook)
{
    if (hook->next != NULL) {
        return;
    }
    hook->next = &loop->hook_end;
    if (loop->hooks == &loop->hook_end) {
        loop->hooks = hook;
    } else {
        loop->hooks_last->next = hook;
    }
    loop->hooks_last = hook;
}

/* Hooks that these hooks queue run too, because the loop sleeps next. */
static void run_hooks(struct km_loop *loop)
{
    while (loop->hooks != &loop->hook_end) {
        struct km_mail *hook = loop->hooks;
        loop->hooks = hook->next;
        hook->next = NULL;
        hook->run(hook);
    }
}

/* -- timers -------------------------------------------------------------- */

void km_loop_timer_arm(struct km_loop *loop, struct km_timer *timer, km_ns at)
{
    if (at <= loop->fired_until) {
        at = loop->fired_until + 1;
    }
    if (timer->at != at) {
        km_timer_heap_remove(&loop->timers, timer);
        km_timer_heap_add(&loop->timers, timer, at);
    }
}

void km_loop_timer_disarm(struct km_loop *loop, struct km_timer *timer)
{
    km_timer_heap_remove(&loop->timers, timer);
}

/* fired_until is fixed before the first timer fires: a timer that arms itself
 * for now fires in the next turn, and this loop ends. */
static void on_timer(uv_timer_t *uv)
{
    struct km_loop *loop = uv->data;
    struct km_timer *timer;
    loop->timer_at = KM_NS_NEVER;
    loop->now = km_clock_mono(loop->clock);
    loop->fired_until = loop->now;
    while ((timer = km_timer_heap_pop(&loop->timers, loop->fired_until)) !=
           NULL) {
        timer->fire(timer);
    }
}

/* libuv is told of an earlier time only. Most timers are disarmed long before
 * they fire, and a wake-up for nothing now and then is cheaper than telling
 * libuv each time. Milliseconds are rounded up, and one more makes up for
 * libuv's own rounding down. */
static void set_timer(struct km_loop *loop)
{
    km_ns next = km_timer_heap_next(&loop->timers);
    if (next >= loop->timer_at) {
        return;
    }
    loop->timer_at = next;
    km_ns now = km_clock_mono(loop->clock);
    km_ns wait = loop->timer_at > now ? loop->timer_at - now : 0;
    uint64_t wait_ms = wait == 0 ? 0 : wait / KM_NS_PER_MS + 2;
    (void)uv_timer_start(&loop->timer, on_timer, wait_ms, 0);
}

/* The mail of this turn runs before the hooks, so that what it sends is written
 * in this turn. Mail that it or a hook has posted makes the next turn begin
 * without sleep. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct km_loop *loop = prepare->data;
    if (has_mail(loop)) {
        (void)run_mail(loop);
    }
    run_hooks(loop);
    if (has_mail(loop)) {
        (void)uv_async_send(&loop->async);
    }
    set_timer(loop);
    loop->now = 0;
}

/* -- questions ----------------------------------------------------- */

static uintptr_t self(void)
{
    return (uintptr_t)pthread_self();
}

bool km_loop_is_inside(const struct km_loop *loop)
{
    return atomic_load_explicit(&loop->inside, memory_order_relaxed) == self();
}

bool km_loop_is_started(const struct km_loop *loop)
{
    return atomic_load(&loop->started);
}

unsigned km_loop_index(const struct km_loop *loop)
{
    return loop->index;
}

const kama_allocator *km_loop_mem(const struct km_loop *loop)
{
    return loop->mem;
}

km_ns km_loop_now(const struct km_loop *loop)
{
    if (loop->now == 0) {
        ((struct km_loop *)loop)->now = km_clock_mono(loop->clock);
    }
    return loop->now;
}

uint8_t *km_loop_read_buffer(const struct km_loop *loop)
{
    return loop->read_buf;
}

struct uv_loop_s *km_loop_uv(struct km_loop *loop)
{
    return &loop->uv;
}

/* -- life ---------------------------------------------------------------- */

/* The mailbox's handle keeps libuv running; a loop that is to end lets
 * go of it when nothing holds the loop any more. */
static void settle_life(struct km_loop *loop)
{
    if (loop->stopping && loop->holds == 0) {
        uv_unref((uv_handle_t *)&loop->async);
    } else {
        uv_ref((uv_handle_t *)&loop->async);
    }
}

void km_loop_hold(struct km_loop *loop)
{
    loop->holds++;
    settle_life(loop);
}

void km_loop_release(struct km_loop *loop)
{
    KM_ASSERT(loop->holds > 0);
    loop->holds--;
    settle_life(loop);
}

static void on_stop(struct km_mail *mail)
{
    struct km_loop *loop = KM_CONTAINER_OF(mail, struct km_loop, stop_mail);
    loop->stopping = true;
    settle_life(loop);
}

static void init_handles(struct km_loop *loop)
{
    int failed = uv_prepare_init(&loop->uv, &loop->prepare);
    failed |= uv_prepare_start(&loop->prepare, on_prepare);
    failed |= uv_timer_init(&loop->uv, &loop->timer);
    KM_ASSERT(!failed); /* these take no resources */
    uv_unref((uv_handle_t *)&loop->prepare);
    uv_unref((uv_handle_t *)&loop->timer);
    loop->async.data = loop;
    loop->prepare.data = loop;
    loop->timer.data = loop;
}

static kama_status init_uv(struct km_loop *loop)
{
    int error = uv_loop_init(&loop->uv);
    if (error != 0) {
        return km_net_fail(KAMA_ERR_IO, "cannot make an event loop", -error);
    }
    error = uv_async_init(&loop->uv, &loop->async, on_async);
    if (error != 0) {
        (void)uv_loop_close(&loop->uv);
        return km_net_fail(KAMA_ERR_IO, "cannot make an event loop", -error);
    }
    init_handles(loop);
    return KAMA_OK;
}

static void init_fields(struct km_loop *loop)
{
    loop->timer_at = KM_NS_NEVER;
    loop->hooks = &loop->hook_end;
    loop->stop_mail.run = on_stop;
}

kama_status km_loop_new(const kama_allocator *mem, const struct km_clock *clock,
                        unsigned index, struct km_loop **ret_loop)
{
    mem = km_mem_or_default(mem);
    struct km_loop *loop = km_mem_zalloc(mem, 1, sizeof *loop);
    if (loop == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    loop->mem = mem;
    loop->clock = clock != NULL ? clock : km_clock_system();
    loop->index = index;
    init_fields(loop);
    kama_status status = KAMA_ERR_NO_MEMORY;
    loop->read_buf = km_mem_alloc(mem, KM_NET_READ_BYTES_PER_TURN);
    if (loop->read_buf == NULL) {
        goto fail_read_buf;
    }
    status = init_uv(loop);
    if (status != KAMA_OK) {
        goto fail_uv;
    }
    *ret_loop = loop;
    return KAMA_OK;

fail_uv:
    km_mem_free(mem, loop->read_buf);
fail_read_buf:
    km_mem_free(mem, loop);
    return status;
}

static void run_as(struct km_loop *loop, uv_run_mode mode)
{
    struct km_thread_frame frame;
    atomic_store(&loop->inside, self());
    km_thread_enter(&frame, &km_thread_loop_mark);
    (void)uv_run(&loop->uv, mode);
    km_thread_leave(&frame);
    atomic_store(&loop->inside, 0);
}

static void *run_thread(void *arg)
{
    run_as(arg, UV_RUN_DEFAULT);
    return NULL;
}

kama_status km_loop_start(struct km_loop *loop)
{
    char name[16];
    (void)snprintf(name, sizeof name, "kama-loop-%u", loop->index % 1000);
    KM_ASSERT(!loop->joinable);
    atomic_store(&loop->started, true);
    if (!km_thread_start(&loop->thread, name, run_thread, loop)) {
        atomic_store(&loop->started, false);
        return km_fail(KAMA_ERR_THREADS, "cannot start the thread %s", name);
    }
    loop->joinable = true;
    return KAMA_OK;
}

void km_loop_stop(struct km_loop *loop)
{
    if (!atomic_exchange(&loop->stop_asked, true)) {
        km_loop_post(loop, &loop->stop_mail);
    }
}

/* Runs the mail that came after the thread had ended, with the hooks and the
 * closing handles that it brought about. */
static void run_rest(struct km_loop *loop)
{
    atomic_store(&loop->inside, self());
    while (run_mail(loop) || loop->hooks != &loop->hook_end) {
        run_hooks(loop);
    }
    run_as(loop, UV_RUN_NOWAIT);
}

void km_loop_join(struct km_loop *loop)
{
    if (!loop->joinable) {
        return;
    }
    int failed = pthread_join(loop->thread, NULL);
    KM_ASSERT(!failed);
    loop->joinable = false;
    run_rest(loop);
}

void km_loop_free(struct km_loop *loop)
{
    if (loop == NULL) {
        return;
    }
    KM_ASSERT(!loop->joinable);
    run_rest(loop);
    KM_ASSERT(loop->holds == 0); /* something on it was not closed */
    uv_close((uv_handle_t *)&loop->async, NULL);
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->timer, NULL);
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    int busy = uv_loop_close(&loop->uv);
    KM_ASSERT(busy == 0);
    km_mem_free(loop->mem, loop->read_buf);
    km_mem_free(loop->mem, loop);
}
