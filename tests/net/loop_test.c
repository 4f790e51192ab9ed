/* SPDX-License-Identifier: MIT */
/* Loops: mail from many threads, timers, the end of a turn, the end. */
#include "net/loop.h"

#include "base/container.h"

#include "helpers/failmalloc.h"
#include "net/net_kit.h"

#include <sched.h>

#define PRODUCERS 4
#define MAILS 20000

/* -- mail ---------------------------------------------------------------- */

struct numbered {
    struct km_mail mail;
    struct producer *from;
    unsigned number;
};

struct producer {
    struct km_loop *loop;
    struct latch *done;
    unsigned seen; /* the loop's */
    struct numbered mails[MAILS];
    pthread_t thread;
};

static void count_mail(struct km_mail *mail)
{
    struct numbered *numbered = KM_CONTAINER_OF(mail, struct numbered, mail);
    struct producer *producer = numbered->from;
    KM_ASSERT(km_loop_is_inside(producer->loop));
    KM_ASSERT(numbered->number == producer->seen);
    producer->seen++;
    if (producer->seen == MAILS) {
        latch_hit(producer->done);
    }
}

static void *produce(void *arg)
{
    struct producer *producer = arg;
    for (unsigned i = 0; i < MAILS; i++) {
        struct numbered *numbered = &producer->mails[i];
        numbered->mail.run = count_mail;
        numbered->from = producer;
        numbered->number = i;
        km_loop_post(producer->loop, &numbered->mail);
        if (i % 1024 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

/* Every mail of every thread arrives once, in the order of its thread. */
static void test_many_producers(void **state)
{
    (void)state;
    static struct producer producers[PRODUCERS];
    struct latch done;
    latch_init(&done);
    struct km_loop *loop = loop_begin(NULL);
    for (int i = 0; i < PRODUCERS; i++) {
        producers[i].loop = loop;
        producers[i].done = &done;
        producers[i].seen = 0;
        assert_true(km_thread_start(&producers[i].thread, "producer", produce,
                                    &producers[i]));
    }
    latch_wait(&done, PRODUCERS);
    for (int i = 0; i < PRODUCERS; i++) {
        pthread_join(producers[i].thread, NULL);
    }
    loop_end(loop);
    latch_fini(&done);
}

struct counted {
    struct km_mail mail;
    unsigned runs;
};

static void count_run(struct km_mail *mail)
{
    KM_CONTAINER_OF(mail, struct counted, mail)->runs++;
}

/* Mail posted after the stop, and to a loop that never ran, is run. */
static void test_late_mail(void **state)
{
    (void)state;
    struct counted late = {.mail = {.run = count_run}};
    struct counted never = {.mail = {.run = count_run}};
    struct km_loop *loop = loop_begin(NULL);
    km_loop_stop(loop);
    km_loop_stop(loop);
    km_loop_post(loop, &late.mail);
    km_loop_join(loop);
    assert_int_equal(late.runs, 1);
    km_loop_free(loop);

    assert_int_equal(km_loop_new(NULL, NULL, 3, &loop), KAMA_OK);
    assert_int_equal(km_loop_index(loop), 3);
    assert_false(km_loop_is_started(loop));
    assert_false(km_loop_is_inside(loop));
    km_loop_post(loop, &never.mail);
    km_loop_free(loop);
    assert_int_equal(never.runs, 1);
}

/* What a loop posts to itself. */
struct own {
    struct km_loop *loop;
    struct km_mail first;
    struct km_mail hook;
    struct km_mail again; /* posts itself until the timer has fired */
    struct km_timer begin;
    struct km_timer timer;
    unsigned first_runs;
    bool fired;
    struct latch done;
};

static void on_first(struct km_mail *mail)
{
    KM_CONTAINER_OF(mail, struct own, first)->first_runs++;
}

/* Nothing else happens on the loop: without this mail it would sleep. */
static void on_own_hook(struct km_mail *mail)
{
    struct own *own = KM_CONTAINER_OF(mail, struct own, hook);
    KM_ASSERT(own->first_runs == 1);
    km_loop_post(own->loop, &own->again);
}

static void on_own_again(struct km_mail *mail)
{
    struct own *own = KM_CONTAINER_OF(mail, struct own, again);
    if (own->fired) {
        latch_hit(&own->done);
    } else {
        km_loop_post(own->loop, mail);
    }
}

static void on_own_timer(struct km_timer *timer)
{
    KM_CONTAINER_OF(timer, struct own, timer)->fired = true;
}

static void on_own_begin(struct km_timer *timer)
{
    struct own *own = KM_CONTAINER_OF(timer, struct own, begin);
    km_ns at = km_loop_now(own->loop) + 10 * KM_NS_PER_MS;
    km_loop_timer_arm(own->loop, &own->timer, at);
    km_loop_at_end_of_turn(own->loop, &own->hook);
    km_loop_post(own->loop, &own->first);
    KM_ASSERT(own->first_runs == 0);
}

static void arm_own(void *arg)
{
    struct own *own = arg;
    km_loop_timer_arm(own->loop, &own->begin, 1);
}

/* Mail that a timer posts to its own loop runs in the same turn, before the hooks
 * of its end. Mail that a hook posts keeps the loop from sleeping, and mail that
 * posts itself does not keep timers from firing. */
static void test_own_mail(void **state)
{
    (void)state;
    struct own own = {.first = {.run = on_first},
                      .hook = {.run = on_own_hook},
                      .again = {.run = on_own_again},
                      .begin = {.fire = on_own_begin},
                      .timer = {.fire = on_own_timer}};
    latch_init(&own.done);
    own.loop = loop_begin(NULL);
    on_loop(own.loop, arm_own, &own);
    latch_wait(&own.done, 1);
    loop_end(own.loop);
    latch_fini(&own.done);
}

/* -- timers -------------------------------------------------------------- */

#define TIMERS 50

struct timed {
    struct km_timer timer;
    struct clockwork *work;
    km_ns wanted;
    km_ns fired;
};

struct clockwork {
    struct km_loop *loop;
    struct timed timed[TIMERS];
    struct latch fired;
    km_ns last;
    unsigned again;
};

static void on_timed(struct km_timer *timer)
{
    struct timed *timed = KM_CONTAINER_OF(timer, struct timed, timer);
    KM_ASSERT(timer->at == 0);
    timed->fired = kit_now();
    KM_ASSERT(timed->fired >= timed->wanted);
    KM_ASSERT(timed->wanted >= timed->work->last);
    timed->work->last = timed->wanted;
    latch_hit(&timed->work->fired);
}

static void arm_timers(void *arg)
{
    struct clockwork *work = arg;
    km_ns now = km_loop_now(work->loop);
    for (int i = 0; i < TIMERS; i++) {
        struct timed *timed = &work->timed[i];
        timed->work = work;
        timed->timer.fire = on_timed;
        timed->wanted = now + (km_ns)(1 + i * 37 % TIMERS) * KM_NS_PER_MS;
        km_loop_timer_arm(work->loop, &timed->timer, now + KM_NS_PER_S * 3600);
        km_loop_timer_arm(work->loop, &timed->timer, timed->wanted);
    }
    for (int i = 0; i < TIMERS; i += 2) {
        km_loop_timer_disarm(work->loop, &work->timed[i].timer);
        km_loop_timer_disarm(work->loop, &work->timed[i].timer);
    }
}

/* Timers fire in order, none early, the disarmed ones never. */
static void test_timers(void **state)
{
    (void)state;
    struct clockwork work = {0};
    latch_init(&work.fired);
    work.loop = loop_begin(NULL);
    on_loop(work.loop, arm_timers, &work);
    latch_wait(&work.fired, TIMERS / 2);
    loop_end(work.loop);
    for (int i = 0; i < TIMERS; i++) {
        assert_int_equal(work.timed[i].fired != 0, i % 2);
    }
    latch_fini(&work.fired);
}

static void on_again(struct km_timer *timer)
{
    struct timed *timed = KM_CONTAINER_OF(timer, struct timed, timer);
    struct clockwork *work = timed->work;
    if (++work->again < 10) {
        km_loop_timer_arm(work->loop, timer, 1);
    }
    latch_hit(&work->fired);
}

static void arm_again(void *arg)
{
    struct clockwork *work = arg;
    work->timed[0].work = work;
    work->timed[0].timer.fire = on_again;
    km_loop_timer_arm(work->loop, &work->timed[0].timer, 1);
}

/* A timer that arms itself for the past lets the loop turn in between. */
static void test_timer_in_the_past(void **state)
{
    (void)state;
    struct clockwork work = {0};
    latch_init(&work.fired);
    work.loop = loop_begin(NULL);
    on_loop(work.loop, arm_again, &work);
    latch_wait(&work.fired, 10);
    loop_end(work.loop);
    assert_int_equal(work.again, 10);
    latch_fini(&work.fired);
}

/* A timer that is still armed keeps no loop alive. */
static void test_stop_with_timer(void **state)
{
    (void)state;
    struct clockwork work = {0};
    latch_init(&work.fired);
    work.loop = loop_begin(NULL);
    on_loop(work.loop, arm_timers, &work);
    loop_end(work.loop);
    latch_fini(&work.fired);
}

/* -- the end of a turn --------------------------------------------------- */

struct turns {
    struct km_loop *loop;
    struct km_mail hook;
    struct km_mail second;
    unsigned runs;
    unsigned second_runs;
    struct latch done;
};

static void on_second(struct km_mail *mail)
{
    struct turns *turns = KM_CONTAINER_OF(mail, struct turns, second);
    turns->second_runs++;
    latch_hit(&turns->done);
}

static void on_hook(struct km_mail *mail)
{
    struct turns *turns = KM_CONTAINER_OF(mail, struct turns, hook);
    turns->runs++;
    km_loop_at_end_of_turn(turns->loop, &turns->second);
}

static void ask_twice(void *arg)
{
    struct turns *turns = arg;
    km_loop_at_end_of_turn(turns->loop, &turns->hook);
    km_loop_at_end_of_turn(turns->loop, &turns->hook);
    KM_ASSERT(turns->runs == 0);
}

/* A hook that was asked for twice runs once; a hook that it asks for runs
 * before the loop sleeps. */
static void test_end_of_turn(void **state)
{
    (void)state;
    struct turns turns = {.hook = {.run = on_hook},
                          .second = {.run = on_second}};
    latch_init(&turns.done);
    turns.loop = loop_begin(NULL);
    on_loop(turns.loop, ask_twice, &turns);
    latch_wait(&turns.done, 1);
    loop_end(turns.loop);
    assert_int_equal(turns.runs, 1);
    assert_int_equal(turns.second_runs, 1);
    latch_fini(&turns.done);
}

/* -- memory -------------------------------------------------------------- */

static kama_status make_loop(const kama_allocator *mem, void *arg)
{
    (void)arg;
    struct km_loop *loop = NULL;
    kama_status status = km_loop_new(mem, NULL, 0, &loop);
    if (status != KAMA_OK) {
        return status;
    }
    assert_int_equal(km_loop_start(loop), KAMA_OK);
    loop_end(loop);
    return KAMA_OK;
}

/* Without memory there is no loop, and nothing is left behind. */
static void test_no_memory(void **state)
{
    (void)state;
    assert_int_equal(km_test_fail_each(make_loop, NULL), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_producers),
        cmocka_unit_test(test_late_mail),
        cmocka_unit_test(test_own_mail),
        cmocka_unit_test(test_timers),
        cmocka_unit_test(test_timer_in_the_past),
        cmocka_unit_test(test_stop_with_timer),
        cmocka_unit_test(test_end_of_turn),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
