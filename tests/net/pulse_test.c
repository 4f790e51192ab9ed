/* SPDX-License-Identifier: MIT */
/* The pulse: which loops stand still, and for how long. The time is the test's
 * own; a loop is held up by a mail that waits for the test. */
#include "net/pulse.h"

#include "base/event.h"
#include "net/net_kit.h"

#define LOOPS 2
#define SECOND KM_NS_PER_S

struct ground {
    struct km_pulse pulse;
    struct km_loop *loops[LOOPS];
    struct km_beat beats[LOOPS];
};

static void begin(struct ground *g)
{
    memset(g, 0, sizeof *g);
    assert_true(km_pulse_init(&g->pulse));
    for (unsigned i = 0; i < LOOPS; i++) {
        char name[16];
        assert_int_equal(km_loop_new(NULL, NULL, i, &g->loops[i]), KAMA_OK);
        assert_int_equal(km_loop_start(g->loops[i]), KAMA_OK);
        (void)snprintf(name, sizeof name, "loop %u", i);
        km_pulse_add(&g->pulse, &g->beats[i], g->loops[i], name);
    }
}

static void end(struct ground *g)
{
    for (unsigned i = 0; i < LOOPS; i++) {
        km_pulse_remove(&g->pulse, &g->beats[i]);
        km_loop_stop(g->loops[i]);
        km_loop_join(g->loops[i]);
        km_loop_free(g->loops[i]);
    }
    km_pulse_fini(&g->pulse);
}

static size_t late(struct ground *g, km_ns now, struct km_pulse_late *one)
{
    struct km_pulse_late all[LOOPS];
    size_t count = km_pulse_late(&g->pulse, now, 2 * SECOND, all, LOOPS);
    if (count > 0) {
        *one = all[0];
    }
    return count;
}

static void wait_answers(struct ground *g)
{
    for (unsigned i = 0; i < LOOPS; i++) {
        km_ns until = kit_now() + KIT_LIMIT_S * KM_NS_PER_S;
        while (!atomic_load(&g->beats[i].answered)) {
            assert_true(kit_now() < until);
            (void)usleep(1000);
        }
    }
}

/* A mail that holds its loop up until the test lets it go. */
struct hold {
    struct km_mail mail;
    struct km_event holds;
    struct km_event released;
};

static void on_hold(struct km_mail *mail)
{
    struct hold *hold = KM_CONTAINER_OF(mail, struct hold, mail);
    km_event_set(&hold->holds);
    (void)km_event_wait(&hold->released, KM_NS_NEVER);
}

static void hold_up(struct hold *hold, struct km_loop *loop)
{
    hold->mail.run = on_hold;
    assert_true(km_event_init(&hold->holds));
    assert_true(km_event_init(&hold->released));
    km_loop_post(loop, &hold->mail);
    assert_true(km_event_wait(&hold->holds, KIT_LIMIT_S * KM_NS_PER_S));
}

static void let_go(struct hold *hold)
{
    km_event_set(&hold->released);
}

/* Loops that turn answer each question, so that none is ever late. */
static void test_loops_that_turn(void **state)
{
    struct ground g;
    struct km_pulse_late one;
    (void)state;
    begin(&g);
    assert_int_equal(late(&g, 100 * SECOND, &one), 0);
    for (unsigned i = 1; i <= 100; i++) {
        km_pulse_ask(&g.pulse, i * SECOND);
        wait_answers(&g);
        assert_int_equal(late(&g, (i + 50) * SECOND, &one), 0);
    }
    end(&g);
}

/* A loop that is held up is named, with the age of the first question that it
 * has not answered; later questions do not make it younger. When it turns again
 * it answers, and it is asked again. */
static void test_a_loop_that_stands_still(void **state)
{
    struct ground g;
    struct hold hold;
    struct km_pulse_late one = {.age = 0};
    (void)state;
    begin(&g);
    hold_up(&hold, g.loops[1]);
    km_pulse_ask(&g.pulse, 10 * SECOND);
    km_pulse_ask(&g.pulse, 11 * SECOND);
    km_ns until = kit_now() + KIT_LIMIT_S * KM_NS_PER_S;
    while (late(&g, 12 * SECOND, &one) != 1) {
        assert_true(kit_now() < until); /* the other loop answers in its time */
    }
    assert_string_equal(one.name, "loop 1");
    assert_int_equal(one.age, 2 * SECOND);
    assert_int_equal(late(&g, 12 * SECOND - 1, &one), 0);
    let_go(&hold);
    wait_answers(&g);
    assert_int_equal(late(&g, 20 * SECOND, &one), 0);
    km_pulse_ask(&g.pulse, 20 * SECOND);
    wait_answers(&g);
    end(&g);
    km_event_fini(&hold.holds);
    km_event_fini(&hold.released);
}

/* A beat that was removed, or never added, is asked no more and can be removed
 * again; a mail that is under way to it arrives. */
static void test_removing(void **state)
{
    struct ground g;
    struct hold hold;
    struct km_beat never;
    struct km_pulse_late one;
    (void)state;
    begin(&g);
    memset(&never, 0, sizeof never);
    km_pulse_remove(&g.pulse, &never);
    hold_up(&hold, g.loops[0]);
    km_pulse_ask(&g.pulse, SECOND);
    km_pulse_remove(&g.pulse, &g.beats[0]);
    km_pulse_remove(&g.pulse, &g.beats[0]);
    assert_false(atomic_load(&g.beats[0].answered));
    let_go(&hold);
    wait_answers(&g);
    assert_int_equal(late(&g, 9 * SECOND, &one), 0);
    end(&g);
    km_event_fini(&hold.holds);
    km_event_fini(&hold.released);
}

/* More loops are late than the caller has room for. */
static void test_room_for_one(void **state)
{
    struct ground g;
    struct hold holds[LOOPS];
    struct km_pulse_late one;
    (void)state;
    begin(&g);
    for (unsigned i = 0; i < LOOPS; i++) {
        hold_up(&holds[i], g.loops[i]);
    }
    km_pulse_ask(&g.pulse, SECOND);
    assert_int_equal(km_pulse_late(&g.pulse, 9 * SECOND, SECOND, &one, 1), 1);
    for (unsigned i = 0; i < LOOPS; i++) {
        let_go(&holds[i]);
    }
    wait_answers(&g);
    end(&g);
    for (unsigned i = 0; i < LOOPS; i++) {
        km_event_fini(&holds[i].holds);
        km_event_fini(&holds[i].released);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loops_that_turn),
        cmocka_unit_test(test_a_loop_that_stands_still),
        cmocka_unit_test(test_removing),
        cmocka_unit_test(test_room_for_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
