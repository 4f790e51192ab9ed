/* SPDX-License-Identifier: MIT */
/* What a record says of the life before (R12): its last mutation, and whether something
 * was mutated after the others may have given the node up. */
#include "node/cluster_life.h"

#include "sync/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define WALL_MS 1000000u
#define TTL_MS 10000

struct world {
    struct km_clock clock;
    uint64_t wall_ms;
    struct km_sync_log *log;
    struct km_cluster_life life;
};

static km_ns read_mono(void *arg)
{
    return ((struct world *)arg)->wall_ms * KM_NS_PER_MS;
}

static uint64_t read_wall(void *arg)
{
    return ((struct world *)arg)->wall_ms;
}

static void world_open(struct world *w)
{
    *w = (struct world){.wall_ms = WALL_MS};
    w->clock = (struct km_clock){
        .mono = read_mono, .coarse = read_mono, .wall_ms = read_wall, .arg = w};
    const struct km_sync_log_options options = {.mem = km_mem_default(),
                                                .clock = &w->clock};
    assert_int_equal(km_sync_log_new(&options, &w->log), KAMA_OK);
    assert_int_equal(km_sync_log_add(w->log, "g", NULL), 0);
    km_sync_log_begin(w->log, 7, 0);
    w->life.log = w->log;
    km_cluster_life_kept(&w->life, w->wall_ms, 0);
    km_cluster_life_begin(&w->life);
}

static void world_close(struct world *w)
{
    km_sync_log_free(w->log);
}

static struct km_version mutate(struct world *w)
{
    const struct km_asking asking = {.kind = KM_APPLY_DELETE,
                                     .key = kama_bytes_str("k")};
    return km_sync_log_append(w->log, 0, &asking, NULL);
}

/* Ends the life, which must have had so many mutations. */
static bool end_life(struct world *w, uint64_t seq, uint64_t clock)
{
    struct km_member_goodbye prev = {.id = {{1}}};
    km_cluster_life_end(&w->life, &prev);
    assert_int_equal(prev.final_seq, seq);
    assert_int_equal(prev.clock, clock);
    return prev.originated;
}

/* What was mutated before the lease was prolonged can be known to everybody. */
static void test_nothing_after_the_lease(void **state)
{
    struct world w;
    (void)state;
    world_open(&w);
    assert_false(end_life(&w, 0, 0));
    uint64_t clock = mutate(&w).hlc;
    w.wall_ms += 3000;
    km_cluster_life_kept(&w.life, w.wall_ms, 0);
    w.wall_ms += TTL_MS;
    km_cluster_life_lose(&w.life);
    assert_false(end_life(&w, 1, clock));
    world_close(&w);
}

/* The lease may have been revoked at any time since. */
static void test_a_mutation_behind_the_last_answer(void **state)
{
    struct world w;
    (void)state;
    world_open(&w);
    (void)mutate(&w);
    w.wall_ms += 3000;
    km_cluster_life_kept(&w.life, w.wall_ms, 0);
    w.wall_ms += 1;
    uint64_t clock = mutate(&w).hlc;
    w.wall_ms += TTL_MS;
    km_cluster_life_lose(&w.life);
    assert_true(end_life(&w, 2, clock));
    world_close(&w);
}

/* The answer that prolongs the lease counts from when it was asked for. */
static void test_a_lease_that_is_kept(void **state)
{
    struct world w;
    (void)state;
    world_open(&w);
    w.wall_ms += 2;
    uint64_t clock = mutate(&w).hlc;
    w.wall_ms += 1000;
    km_cluster_life_kept(&w.life, w.wall_ms, 1000 * KM_NS_PER_MS);
    assert_true(end_life(&w, 1, clock));
    km_cluster_life_kept(&w.life, w.wall_ms, 999 * KM_NS_PER_MS);
    assert_false(end_life(&w, 1, clock));
    world_close(&w);
}

/* The wall clock was set back behind the answer. */
static void test_a_clock_that_was_set_back(void **state)
{
    struct world w;
    (void)state;
    world_open(&w);
    w.wall_ms -= 5000;
    uint64_t clock = mutate(&w).hlc;
    assert_true(end_life(&w, 1, clock));
    world_close(&w);
}

/* A record was deleted under a living lease: nobody knows since when the others have
 * known that. */
static void test_lost_without_a_doubt(void **state)
{
    struct world w;
    (void)state;
    world_open(&w);
    km_cluster_life_lose(&w.life);
    assert_false(end_life(&w, 0, 0));
    uint64_t clock = mutate(&w).hlc;
    assert_true(end_life(&w, 1, clock));
    world_close(&w);
}

/* The lease of the next life does not make the one before last longer. */
static void test_the_next_lease(void **state)
{
    struct world w;
    (void)state;
    world_open(&w);
    w.wall_ms += TTL_MS;
    uint64_t clock = mutate(&w).hlc;
    km_cluster_life_lose(&w.life);
    w.wall_ms += 1;
    km_cluster_life_kept(&w.life, w.wall_ms, 0);
    assert_true(end_life(&w, 1, clock));
    km_sync_log_begin(w.log, 8, 1);
    km_cluster_life_begin(&w.life);
    assert_false(end_life(&w, 1, clock));
    clock = mutate(&w).hlc;
    assert_true(end_life(&w, 2, clock));
    world_close(&w);
}

/* Begins the next life. Returns how many mutations it has lost. */
static uint64_t renew(struct world *w, uint64_t origin)
{
    struct km_sync_log_state state;
    km_cluster_life_kept(&w->life, w->wall_ms, 0);
    km_cluster_life_renew(w->log, origin, &w->life.prev);
    km_cluster_life_begin(&w->life);
    km_sync_log_get(w->log, &state);
    assert_int_equal(state.origin, origin);
    assert_int_equal(state.oldest, state.seq + 1);
    return state.seq;
}

/* A new life begins with what nobody can know of the one before: with what came after the
 * lease, and with what came after the record. */
static void test_a_new_life(void **state)
{
    struct world w;
    (void)state;
    world_open(&w);
    assert_int_equal(renew(&w, 8), 0);
    uint64_t clock = mutate(&w).hlc;
    w.wall_ms += 1;
    km_cluster_life_kept(&w.life, w.wall_ms, 0);
    assert_false(end_life(&w, 1, clock));
    assert_int_equal(renew(&w, 9), 0);
    clock = mutate(&w).hlc;
    assert_true(end_life(&w, 1, clock));
    w.wall_ms += 1;
    assert_int_equal(renew(&w, 10), 1);
    assert_false(end_life(&w, 1, clock));
    (void)mutate(&w);
    w.wall_ms += 1;
    assert_int_equal(renew(&w, 11), 1);
    clock = mutate(&w).hlc;
    assert_true(end_life(&w, 2, clock));
    (void)mutate(&w);
    assert_int_equal(renew(&w, 12), 2);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_after_the_lease),
        cmocka_unit_test(test_a_mutation_behind_the_last_answer),
        cmocka_unit_test(test_a_lease_that_is_kept),
        cmocka_unit_test(test_a_clock_that_was_set_back),
        cmocka_unit_test(test_lost_without_a_doubt),
        cmocka_unit_test(test_the_next_lease),
        cmocka_unit_test(test_a_new_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
