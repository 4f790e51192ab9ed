/* SPDX-License-Identifier: MIT */
/*
 * What a node has of each other node (R8):
 *
 *     needs          min(floor, K) of each member, without the member that is asked
 *     stable         leaves out what the asked member has of the members of one view
 *     has            W of a member; of one that has left, yes; of an unknown one, no
 *     may_keep       not ahead of K; of a stranger only by the own view
 *     own            the own mutations, by K of the log
 *     least          what the heartbeats of this node say
 *     threads        a thread that sees W sees K, while tables are replaced
 *     no memory      the older table stays
 */
#include "sync/origins.h"

#include "helpers/require.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define VIEW 77u

enum { SELF, A, B, C, MEMBERS };

struct world {
    struct km_mem_probe probe;
    struct km_sync_log *log;
    struct km_sync_origins *origins;
    struct km_sync_origin *of[MEMBERS];
    struct km_member_id ids[MEMBERS + 1]; /* and a stranger */
    struct km_sync_need needs[MEMBERS];
    unsigned need_count;
};

static void world_init(struct world *w)
{
    memset(w, 0, sizeof *w);
    km_mem_probe_init(&w->probe);
    const struct km_sync_log_options options = {.mem = &w->probe.allocator,
                                                .clock = km_clock_system(),
                                                .ring_bytes = 4096};
    assert_int_equal(km_sync_log_new(&options, &w->log), KAMA_OK);
    assert_int_equal(
        km_sync_origins_new(&w->probe.allocator, w->log, &w->origins), KAMA_OK);
    assert_int_equal(km_sync_log_add(w->log, "g", NULL), 0);
    for (unsigned i = 0; i <= MEMBERS; i++) {
        w->ids[i].bytes[7] = (uint8_t)(i + 1);
        w->ids[i].bytes[15] = 9;
    }
    for (unsigned i = A; i < MEMBERS; i++) {
        w->of[i] = km_sync_origin_new(&w->probe.allocator, &w->ids[i]);
        assert_non_null(w->of[i]);
        assert_int_equal(w->of[i]->number, i + 1);
    }
    km_sync_log_begin(w->log, SELF + 1, 0);
}

static void world_fini(struct world *w)
{
    for (unsigned i = A; i < MEMBERS; i++) {
        km_sync_origin_unref(&w->probe.allocator, w->of[i]);
    }
    km_sync_origins_free(w->origins);
    km_sync_log_free(w->log);
    assert_int_equal(atomic_load(&w->probe.live_blocks), 0);
}

/* Makes a table of the members from `first` on; the last one is only noticed if told. */
static kama_status set_table(struct world *w, unsigned first, bool noticed)
{
    struct km_sync_origin_row rows[MEMBERS];
    size_t count = 0;
    for (unsigned i = first; i < MEMBERS; i++) {
        rows[count++] = (struct km_sync_origin_row){
            .origin = w->of[i], .adopted = !noticed || i < MEMBERS - 1};
    }
    return km_sync_origins_replace(w->origins, &w->ids[SELF], VIEW, rows,
                                   count);
}

static void on_need(void *arg, const struct km_sync_need *need)
{
    struct world *w = arg;
    assert_true(w->need_count < MEMBERS);
    w->needs[w->need_count++] = *need;
}

/* Returns the need of a member in a fill that asks A, or 0. */
static uint64_t need_of(struct world *w, uint64_t floor, unsigned member)
{
    uint64_t clock = 0;
    w->need_count = 0;
    km_sync_needs(w->origins, floor, &w->ids[A], on_need, w);
    for (unsigned i = 0; i < w->need_count; i++) {
        if (km_member_id_equal(&w->needs[i].id, &w->ids[member])) {
            assert_int_equal(clock, 0);
            clock = w->needs[i].clock;
        }
    }
    return clock;
}

static bool has(struct world *w, unsigned member, uint64_t clock)
{
    const struct km_sync_need need = {.id = w->ids[member], .clock = clock};
    return km_sync_has(w->origins, &need);
}

static bool may_keep(struct world *w, unsigned member, uint64_t clock,
                     uint64_t view_id)
{
    return km_sync_may_keep(
        w->origins,
        (struct km_version){.hlc = clock,
                            .origin = km_sync_origin_number(&w->ids[member])},
        view_id);
}

static struct km_version append(struct world *w)
{
    const struct km_asking asking = {.kind = KM_APPLY_DELETE, .key = {"k", 1}};
    return km_sync_log_append(w->log, 0, &asking, NULL);
}

static void test_needs(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    assert_int_equal(need_of(&w, 100, B), 0); /* there is no table yet */
    assert_int_equal(set_table(&w, A, false), KAMA_OK);
    km_sync_origin_reached(w.of[A], 90);
    km_sync_origin_reached(w.of[B], 50);
    km_sync_origin_reached(w.of[C], 200);
    km_sync_origin_reached(w.of[B], 40); /* K only grows */
    assert_int_equal(need_of(&w, 0, B), 0);
    assert_int_equal(w.need_count, 0);
    assert_int_equal(need_of(&w, 100, A), 0);
    assert_int_equal(need_of(&w, 100, B), 50);
    assert_int_equal(need_of(&w, 100, C), 100);
    assert_int_equal(need_of(&w, 100, SELF), 0);
    struct km_version v = append(&w);
    assert_int_equal(need_of(&w, 100, SELF), 100);
    assert_int_equal(need_of(&w, v.hlc + 1, SELF), v.hlc);
    world_fini(&w);
}

/* The answer of a member has told this node of a mutation whose record has not come: it is a
 * need like one that has, but no reason to keep what is ahead of the stream. */
static void test_told(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    const struct km_version v = {.hlc = 70, .origin = B + 1};
    km_sync_told(w.origins, v); /* there is no table yet */
    assert_int_equal(set_table(&w, A, false), KAMA_OK);
    assert_int_equal(need_of(&w, 100, B), 0);
    km_sync_origin_reached(w.of[B], 50);
    km_sync_told(w.origins, v);
    km_sync_told(w.origins, (struct km_version){60, B + 1}); /* it only grows */
    km_sync_told(w.origins, (struct km_version){90, MEMBERS + 1});
    assert_int_equal(need_of(&w, 100, B), 70);
    assert_int_equal(need_of(&w, 65, B), 65);
    assert_int_equal(need_of(&w, 100, C), 0);
    assert_false(may_keep(&w, B, 70, VIEW));
    km_sync_origin_reached(w.of[B], 80);
    assert_int_equal(need_of(&w, 100, B), 80);
    world_fini(&w);
}

/* A need at or below what the asked member has said of this view is left out; but not
 * of a member that this view does not have. */
static void test_stable(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    assert_int_equal(set_table(&w, A, true), KAMA_OK);
    km_sync_origin_reached(w.of[B], 50);
    km_sync_origin_reached(w.of[C], 50);
    km_sync_origin_set_stable(w.of[A], VIEW, 50);
    assert_int_equal(need_of(&w, 100, B), 0);
    assert_int_equal(need_of(&w, 100, C), 50);
    km_sync_origin_set_stable(w.of[A], VIEW, 49);
    assert_int_equal(need_of(&w, 100, B), 50);
    km_sync_origin_set_stable(w.of[A], VIEW + 1, 50);
    assert_int_equal(need_of(&w, 100, B), 50);
    world_fini(&w);
}

static void test_has(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    assert_false(has(&w, SELF, 1));
    assert_int_equal(set_table(&w, A, false), KAMA_OK);
    km_sync_origin_applied(w.of[B], 50);
    km_sync_origin_applied(w.of[B], 40);
    assert_true(has(&w, B, 50));
    assert_false(has(&w, B, 51));
    assert_true(has(&w, SELF, 1000));
    assert_false(has(&w, A, 1));
    assert_int_equal(set_table(&w, B, false), KAMA_OK);
    assert_true(has(&w, A, 1)); /* it has left */
    assert_false(has(&w, MEMBERS, 1));
    assert_int_equal(
        km_sync_origins_replace(w.origins, &w.ids[MEMBERS], VIEW, NULL, 0),
        KAMA_OK);
    assert_true(has(&w, SELF, 1000)); /* the life before */
    assert_true(has(&w, B, 51));
    world_fini(&w);
}

static void test_may_keep(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    assert_false(may_keep(&w, A, 1, 0));
    assert_int_equal(set_table(&w, A, false), KAMA_OK);
    km_sync_origin_reached(w.of[B], 50);
    assert_true(may_keep(&w, B, 50, VIEW + 1));
    assert_false(may_keep(&w, B, 51, VIEW));
    assert_true(may_keep(&w, MEMBERS, 51, VIEW));
    assert_false(may_keep(&w, MEMBERS, 51, VIEW + 1));
    struct km_version v = append(&w);
    assert_true(may_keep(&w, SELF, v.hlc, VIEW));
    assert_false(may_keep(&w, SELF, v.hlc + 1, VIEW));
    world_fini(&w);
}

static void test_least(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    assert_int_equal(km_sync_origins_stable(w.origins), 0);
    assert_int_equal(set_table(&w, A, true), KAMA_OK);
    km_sync_log_merge(w.log, 60);
    km_sync_origin_applied(w.of[A], 50);
    assert_int_equal(km_sync_origins_stable(w.origins), 0);
    km_sync_origin_applied(w.of[B], 70);
    assert_int_equal(km_sync_origins_stable(w.origins), 50);
    km_sync_origin_applied(w.of[A], 90);
    assert_int_equal(km_sync_origins_stable(w.origins), 60);
    world_fini(&w);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    assert_int_equal(set_table(&w, A, false), KAMA_OK);
    atomic_store(&w.probe.allocs, 0);
    atomic_store(&w.probe.fail_at, 1);
    assert_int_equal(set_table(&w, B, false), KAMA_ERR_NO_MEMORY);
    km_sync_origin_applied(w.of[A], 10);
    assert_true(has(&w, A, 10));
    assert_false(has(&w, A, 11));
    world_fini(&w);
}

/* -- threads -------------------------------------------------------------------- */

struct reader {
    pthread_t thread;
    struct world *world;
    atomic_bool *stop;
};

static void ignore_need(void *arg, const struct km_sync_need *need)
{
    (void)arg;
    REQUIRE(need->clock > 0);
}

/* W of B is never ahead of its K. */
static void *read_all(void *arg)
{
    struct reader *r = arg;
    struct world *w = r->world;
    for (uint64_t clock = 1; !atomic_load(r->stop);) {
        if (has(w, B, clock)) {
            REQUIRE(may_keep(w, B, clock, 0));
            clock++;
        }
        km_sync_needs(w->origins, clock, &w->ids[A], ignore_need, w);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct world w;
    struct reader readers[2];
    atomic_bool stop = false;
    world_init(&w);
    assert_int_equal(set_table(&w, A, false), KAMA_OK);
    for (unsigned i = 0; i < 2; i++) {
        readers[i] = (struct reader){.world = &w, .stop = &stop};
        assert_int_equal(
            pthread_create(&readers[i].thread, NULL, read_all, &readers[i]), 0);
    }
    for (uint64_t clock = 1; clock <= 20000; clock++) {
        km_sync_origin_reached(w.of[B], clock);
        km_sync_origin_applied(w.of[B], clock);
        km_sync_origin_set_stable(w.of[A], VIEW, clock / 2);
        if (clock % 100 == 0) {
            assert_int_equal(
                set_table(&w, clock % 200 == 0 ? A : B, clock % 300 == 0),
                KAMA_OK);
        }
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < 2; i++) {
        (void)pthread_join(readers[i].thread, NULL);
    }
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_needs),     cmocka_unit_test(test_told),
        cmocka_unit_test(test_stable),    cmocka_unit_test(test_has),
        cmocka_unit_test(test_may_keep),  cmocka_unit_test(test_least),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
