/* SPDX-License-Identifier: MIT */
/* Drains: the steps that a connection sees, and when they are over. */
#include "net/drain.h"

#include "base/limits.h"
#include "base/mem.h"
#include "net/net_kit.h"

#define LOOPS 2

/* A connection that notes its steps, and ends at the one that it is told to. */
struct entry {
    struct km_drain_entry drain;
    struct rig *rig;
    unsigned loop_index;
    enum { AT_NOTICE, AT_FINISH, AT_CUT } ends;
    enum km_drain_use use;
    char steps[8];
};

struct rig {
    struct km_loop *loops[LOOPS];
    struct km_drain drain;
    struct entry entries[LOOPS];
    struct latch stopped;
    struct latch drained;
    unsigned cut;
    bool late_entry_added;
    struct entry *added_at_notice; /* by the first entry that is noticed */
    char steps_at_stop[8];         /* of the entry of loop 0 */
};

static void note(struct km_drain_entry *drain, const char *step, int ends)
{
    struct entry *entry = KM_CONTAINER_OF(drain, struct entry, drain);
    strncat(entry->steps, step, 1);
    if ((int)entry->ends == ends) {
        km_drain_remove(&entry->rig->drain, entry->loop_index, drain);
    }
}

static enum km_drain_use on_notice(struct km_drain_entry *drain)
{
    struct entry *entry = KM_CONTAINER_OF(drain, struct entry, drain);
    struct rig *rig = entry->rig;
    if (rig->added_at_notice != NULL) {
        bool added = km_drain_add(&rig->drain, entry->loop_index,
                                  &rig->added_at_notice->drain);
        KM_ASSERT(added);
        rig->added_at_notice = NULL;
    }
    enum km_drain_use use = entry->use;
    note(drain, "n", AT_NOTICE);
    return use;
}

static void on_finish(struct km_drain_entry *entry)
{
    note(entry, "f", AT_FINISH);
}

static unsigned on_cut(struct km_drain_entry *entry)
{
    note(entry, "c", AT_CUT);
    return 3;
}

static const struct km_drain_ops ops = {on_notice, on_finish, on_cut};

static void rig_begin(struct rig *rig)
{
    *rig = (struct rig){0};
    latch_init(&rig->stopped);
    latch_init(&rig->drained);
    for (int i = 0; i < LOOPS; i++) {
        rig->loops[i] = loop_begin(NULL);
    }
    assert_int_equal(
        km_drain_init(&rig->drain, km_mem_or_default(NULL), rig->loops, LOOPS),
        KAMA_OK);
}

static void rig_end(struct rig *rig)
{
    for (int i = 0; i < LOOPS; i++) {
        loop_end(rig->loops[i]);
    }
    km_drain_fini(&rig->drain);
    latch_fini(&rig->drained);
    latch_fini(&rig->stopped);
}

static void add(void *arg)
{
    struct entry *entry = arg;
    bool added =
        km_drain_add(&entry->rig->drain, entry->loop_index, &entry->drain);
    KM_ASSERT(added);
}

static void rig_add(struct rig *rig, unsigned loop_index, int ends)
{
    struct entry *entry = &rig->entries[loop_index];
    *entry = (struct entry){
        .drain = {.ops = &ops}, .rig = rig, .loop_index = loop_index};
    entry->ends = ends;
    on_loop(rig->loops[loop_index], add, entry);
}

static void on_stop(void *arg)
{
    struct rig *rig = arg;
    KM_ASSERT(km_loop_is_inside(rig->loops[0]));
    memcpy(rig->steps_at_stop, rig->entries[0].steps,
           sizeof rig->steps_at_stop);
    latch_hit(&rig->stopped);
}

static void on_drained(void *arg, unsigned cut)
{
    struct rig *rig = arg;
    rig->cut = cut;
    latch_hit(&rig->drained);
}

static void rig_drain(struct rig *rig, int64_t timeout_ms)
{
    const struct km_drain_request request = {
        .timeout_ms = timeout_ms,
        .stop_accepting = on_stop,
        .stop_arg = rig,
        .done = on_drained,
        .done_arg = rig,
    };
    km_drain_start(&rig->drain, &request);
    latch_wait(&rig->drained, 1);
    assert_int_equal(latch_count(&rig->stopped), 1);
}

static void test_nothing_open(void **state)
{
    (void)state;
    struct rig rig;
    rig_begin(&rig);
    rig_drain(&rig, 60000);
    assert_int_equal(rig.cut, 0);
    rig_end(&rig);
}

/* The last connection of all loops ends the drain, long before its timeout. */
static void test_ends_early(void **state)
{
    (void)state;
    struct rig rig;
    rig_begin(&rig);
    rig_add(&rig, 0, AT_NOTICE);
    rig_add(&rig, 1, AT_FINISH);
    rig_drain(&rig, 3600000);
    assert_string_equal(rig.entries[0].steps, "n");
    assert_string_equal(rig.entries[1].steps, "nf");
    assert_int_equal(rig.cut, 0);
    rig_end(&rig);
}

/* Calls that still run after the timeout are cut off and counted. */
static void test_cuts(void **state)
{
    (void)state;
    struct rig rig;
    rig_begin(&rig);
    rig_add(&rig, 0, AT_NOTICE);
    rig_add(&rig, 1, AT_CUT);
    rig_drain(&rig, 0);
    assert_string_equal(rig.entries[1].steps, "nfc");
    assert_int_equal(rig.cut, 3);
    rig_end(&rig);
}

/* The server accepts until the gap is over. A connection that comes in the gap is
 * noticed at its end, and finished later. */
static void test_comes_in_the_gap(void **state)
{
    (void)state;
    struct rig rig;
    rig_begin(&rig);
    rig_add(&rig, 0, AT_NOTICE);
    struct entry late = {.drain = {.ops = &ops}, .rig = &rig};
    late.ends = AT_FINISH;
    rig.added_at_notice = &late;
    rig_drain(&rig, 3600000);
    assert_string_equal(rig.entries[0].steps, "n");
    assert_string_equal(rig.steps_at_stop, "n");
    assert_string_equal(late.steps, "nf");
    rig_end(&rig);
}

static km_ns drain_for(enum km_drain_use use)
{
    struct rig rig;
    rig_begin(&rig);
    rig_add(&rig, 0, AT_NOTICE);
    rig_add(&rig, 1, AT_NOTICE);
    rig.entries[1].use = use;
    km_ns begin = km_clock_mono(km_clock_system());
    rig_drain(&rig, 3600000);
    km_ns took = km_clock_mono(km_clock_system()) - begin;
    assert_string_equal(rig.steps_at_stop, "n");
    rig_end(&rig);
    return took;
}

/* The gap lasts when a connection was used lately, although none is left: its
 * client may connect again. */
static void test_gap_of_a_busy_server(void **state)
{
    (void)state;
    assert_true(drain_for(KM_DRAIN_USED) >= KM_NET_DRAIN_GAP_MS * KM_NS_PER_MS);
}

/* An idle server need not sit the gap out. A busy machine may be slow, and tries
 * again. */
static void test_no_gap_of_an_idle_server(void **state)
{
    (void)state;
    int tries = 1;
    while (drain_for(KM_DRAIN_IDLE) >= KM_NET_DRAIN_GAP_MS * KM_NS_PER_MS) {
        assert_true(tries++ < 20);
    }
}

static void add_late(void *arg)
{
    struct rig *rig = arg;
    struct km_drain_entry late = {.ops = &ops};
    rig->late_entry_added = km_drain_add(&rig->drain, 1, &late);
}

/* A connection that comes while its loop drains is not added. */
static void test_too_late(void **state)
{
    (void)state;
    struct rig rig;
    rig_begin(&rig);
    rig_drain(&rig, 60000);
    on_loop(rig.loops[1], add_late, &rig);
    assert_false(rig.late_entry_added);
    rig_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_open),
        cmocka_unit_test(test_ends_early),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_comes_in_the_gap),
        cmocka_unit_test(test_gap_of_a_busy_server),
        cmocka_unit_test(test_no_gap_of_an_idle_server),
        cmocka_unit_test(test_too_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
