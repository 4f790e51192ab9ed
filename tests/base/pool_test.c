/* SPDX-License-Identifier: MIT */
/* The pool: jobs once and in order, threads on demand and bounded, timers
 * never early, disarming as a barrier. */
#include "base/container.h"
#include "base/pool.h"

#include "base/limits.h"
#include "helpers/failmalloc.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WAIT_NS (20 * KM_NS_PER_S)

/* The state that jobs and timers of a test share. */
struct board {
    struct km_mutex lock;
    struct km_cond cond;
    int running;
    int running_max;
    int done;
    bool gate; /* jobs wait until it is open */
    struct km_pool *pool;
};

struct test_job {
    struct km_job job;
    struct board *board;
    int runs;
    int order;
};

struct test_timer {
    struct km_timer timer;
    struct board *board;
    km_ns at;
    int fired;
    bool early;
};

static km_ns now(void)
{
    return km_clock_mono(km_clock_system());
}

static void board_init(struct board *b, unsigned threads)
{
    memset(b, 0, sizeof *b);
    assert_true(km_mutex_init(&b->lock, KM_RANK_NODE));
    assert_true(km_cond_init(&b->cond));
    b->gate = true;
    assert_int_equal(
        km_pool_new(NULL, km_clock_system(), "test", threads, &b->pool),
        KAMA_OK);
}

static void board_fini(struct board *b)
{
    km_pool_check(b->pool);
    km_pool_free(b->pool);
    km_cond_fini(&b->cond);
    km_mutex_fini(&b->lock);
}

/* Lets the jobs that run from now on wait. */
static void close_gate(struct board *b)
{
    km_mutex_lock(&b->lock);
    b->gate = false;
    km_mutex_unlock(&b->lock);
}

/* Lets the jobs that wait go on. */
static void open_gate(struct board *b)
{
    km_mutex_lock(&b->lock);
    b->gate = true;
    km_cond_broadcast(&b->cond);
    km_mutex_unlock(&b->lock);
}

/* Waits until *number is count. */
static void wait_for(struct board *b, const int *number, int count)
{
    km_ns deadline = now() + WAIT_NS;
    bool in_time = true;
    km_mutex_lock(&b->lock);
    while (*number != count && in_time) {
        in_time = km_cond_wait_until(&b->cond, &b->lock, deadline);
    }
    int found = *number;
    km_mutex_unlock(&b->lock);
    assert_int_equal(found, count);
}

/* Waits, at most WAIT_NS, until that many threads are alive. */
static void wait_threads(struct board *b, unsigned count)
{
    static const struct timespec pause = {0, 1000000};
    km_ns deadline = now() + WAIT_NS;
    while (km_pool_threads(b->pool) != count && now() < deadline) {
        (void)nanosleep(&pause, NULL);
    }
    assert_int_equal(km_pool_threads(b->pool), count);
}

static void run_job(struct km_job *job)
{
    struct test_job *self = KM_CONTAINER_OF(job, struct test_job, job);
    struct board *b = self->board;
    bool inside = km_pool_is_inside(b->pool);
    km_mutex_lock(&b->lock);
    self->runs += inside ? 1 : 1000;
    b->running++;
    b->running_max = b->running > b->running_max ? b->running : b->running_max;
    km_cond_broadcast(&b->cond);
    while (!b->gate) {
        km_cond_wait(&b->cond, &b->lock);
    }
    b->running--;
    self->order = b->done++;
    km_cond_broadcast(&b->cond);
    km_mutex_unlock(&b->lock);
}

static void submit(struct board *b, struct test_job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        jobs[i] = (struct test_job){.job = {.run = run_job}, .board = b};
        assert_int_equal(km_pool_submit(b->pool, &jobs[i].job), KAMA_OK);
        km_pool_check(b->pool);
    }
}

/* -- jobs ---------------------------------------------------------------- */

/* No thread before the first job; then each job runs once. */
static void test_jobs_run_once(void **state)
{
    (void)state;
    static struct test_job jobs[2000];
    struct board b;
    board_init(&b, 4);
    assert_int_equal(km_pool_threads(b.pool), 0);
    assert_false(km_pool_is_inside(b.pool));
    submit(&b, jobs, 2000);
    wait_for(&b, &b.done, 2000);
    assert_in_range(km_pool_threads(b.pool), 1, 4);
    for (size_t i = 0; i < 2000; i++) {
        assert_int_equal(jobs[i].runs, 1);
    }
    board_fini(&b);
}

/* One thread: first in, first out. */
static void test_order(void **state)
{
    (void)state;
    struct test_job jobs[50];
    struct board b;
    board_init(&b, 1);
    submit(&b, jobs, 50);
    wait_for(&b, &b.done, 50);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(jobs[i].order, i);
    }
    assert_int_equal(km_pool_threads(b.pool), 1);
    board_fini(&b);
}

/* A thread per job that waits, up to the bound; km_pool_allow lifts it. */
static void test_bound(void **state)
{
    (void)state;
    struct test_job jobs[12];
    struct board b;
    board_init(&b, 3);
    close_gate(&b);
    submit(&b, jobs, 2);
    wait_for(&b, &b.running, 2);
    assert_int_equal(km_pool_threads(b.pool), 2);
    submit(&b, jobs + 2, 8);
    wait_for(&b, &b.running, 3);
    assert_int_equal(km_pool_threads(b.pool), 3);
    km_pool_allow(b.pool, 2);
    submit(&b, jobs + 10, 2);
    wait_for(&b, &b.running, 5);
    open_gate(&b);
    wait_for(&b, &b.done, 12);
    assert_int_equal(b.running_max, 5);
    board_fini(&b);
}

/* 1 and the limit are taken, 0 and one more are not; allow is capped. */
static void test_limits(void **state)
{
    (void)state;
    const struct km_clock *clock = km_clock_system();
    struct km_pool *pool = NULL;
    assert_int_equal(km_pool_new(NULL, clock, "p", 0, &pool), KAMA_ERR_INVALID);
    assert_int_equal(
        km_pool_new(NULL, clock, "p", KM_POOL_THREADS_MAX + 1, &pool),
        KAMA_ERR_INVALID);
    assert_null(pool);
    assert_int_equal(km_pool_new(NULL, clock, "p", KM_POOL_THREADS_MAX, &pool),
                     KAMA_OK);
    km_pool_allow(pool, 1);
    km_pool_allow(pool, UINT32_MAX);
    km_pool_free(pool);
    km_pool_free(NULL);
}

/* Without work threads leave, and come again. */
static void test_idle(void **state)
{
    (void)state;
    struct test_job jobs[3];
    struct board b;
    board_init(&b, 3);
    km_pool_set_idle_ms(b.pool, 1);
    for (int round = 1; round <= 3; round++) {
        submit(&b, jobs, 3);
        wait_for(&b, &b.done, 3 * round);
        wait_threads(&b, 0);
    }
    board_fini(&b);
}

/* km_pool_free runs the jobs that are queued. */
static void test_free_runs_jobs(void **state)
{
    (void)state;
    static struct test_job jobs[500];
    struct board b;
    board_init(&b, 2);
    submit(&b, jobs, 500);
    board_fini(&b);
    for (size_t i = 0; i < 500; i++) {
        assert_int_equal(jobs[i].runs, 1);
    }
}

struct again {
    struct km_job job;
    struct km_timer timer;
    struct km_pool *pool;
    kama_status submitted;
    kama_status armed;
};

static void run_and_free(struct km_job *job)
{
    free(job);
}

static kama_status submit_new(struct km_pool *pool)
{
    struct km_job *job = calloc(1, sizeof *job);
    assert_non_null(job);
    job->run = run_and_free;
    kama_status status = km_pool_submit(pool, job);
    if (status != KAMA_OK) {
        free(job);
    }
    return status;
}

/* Arms a timer until the pool is closed for timers, then adds jobs until it is
 * closed for those. */
static void run_again(struct km_job *job)
{
    static const struct timespec pause = {0, 1000000};
    struct again *self = KM_CONTAINER_OF(job, struct again, job);
    do {
        (void)nanosleep(&pause, NULL);
        self->armed = km_pool_arm(self->pool, &self->timer, KM_NS_NEVER);
    } while (self->armed == KAMA_OK);
    do {
        (void)nanosleep(&pause, NULL);
        self->submitted = submit_new(self->pool);
    } while (self->submitted == KAMA_OK);
}

/* While it is being freed the pool takes neither timers nor jobs. */
static void test_closed(void **state)
{
    (void)state;
    struct again again = {.job = {.run = run_again}};
    assert_int_equal(km_pool_new(NULL, km_clock_system(), "p", 1, &again.pool),
                     KAMA_OK);
    assert_int_equal(km_pool_submit(again.pool, &again.job), KAMA_OK);
    km_pool_free(again.pool);
    assert_int_equal(again.armed, KAMA_ERR_CLOSED);
    assert_int_equal(again.submitted, KAMA_ERR_CLOSED);
}

static void count_run(struct km_job *job)
{
    struct test_job *self = KM_CONTAINER_OF(job, struct test_job, job);
    self->runs++;
}

static kama_status use_pool(const kama_allocator *mem, void *arg)
{
    struct km_pool *pool;
    struct test_job jobs[3];
    kama_status status = km_pool_new(mem, km_clock_system(), "p", 3, &pool);
    kama_status first = status;
    (void)arg;
    if (status != KAMA_OK) {
        return status;
    }
    for (size_t i = 0; i < 3; i++) {
        jobs[i] = (struct test_job){.job = {.run = count_run}};
        status = km_pool_submit(pool, &jobs[i].job);
        jobs[i].order = status == KAMA_OK ? 1 : 0;
        first = first == KAMA_OK ? status : first;
    }
    km_pool_free(pool);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(jobs[i].runs, jobs[i].order);
    }
    return first;
}

/* If an allocation fails, the job that was refused does not run, and the others do.
 */
static void test_no_memory(void **state)
{
    (void)state;
    (void)km_test_fail_each(use_pool, NULL);
}

/* -- timers -------------------------------------------------------------- */

static void fire(struct km_timer *timer)
{
    struct test_timer *self = KM_CONTAINER_OF(timer, struct test_timer, timer);
    struct board *b = self->board;
    km_ns at = now();
    km_mutex_lock(&b->lock);
    self->fired++;
    self->early = self->early || at < self->at;
    b->done++;
    km_cond_broadcast(&b->cond);
    km_mutex_unlock(&b->lock);
}

static void arm(struct board *b, struct test_timer *t, km_ns at)
{
    t->board = b;
    t->timer.fire = fire;
    t->at = at;
    assert_int_equal(km_pool_arm(b->pool, &t->timer, at), KAMA_OK);
}

/* Many timers at mixed times: each fires once, none before its time. */
static void test_timers_are_not_early(void **state)
{
    (void)state;
    static struct test_timer timers[10000];
    struct board b;
    board_init(&b, 1);
    memset(timers, 0, sizeof timers);
    km_ns start = now();
    for (size_t i = 0; i < 10000; i++) {
        arm(&b, &timers[i], start + i * 7919 % 200 * KM_NS_PER_MS);
    }
    assert_int_equal(km_pool_threads(b.pool), 1);
    wait_for(&b, &b.done, 10000);
    assert_true(now() >= start + 199 * KM_NS_PER_MS);
    for (size_t i = 0; i < 10000; i++) {
        assert_int_equal(timers[i].fired, 1);
        assert_false(timers[i].early);
    }
    board_fini(&b);
}

/* An earlier timer is not kept waiting by a later one; moving works in both
 * directions; a time that has passed fires at once. */
static void test_moving(void **state)
{
    (void)state;
    struct test_timer late = {0};
    struct test_timer soon = {0};
    struct board b;
    board_init(&b, 1);
    arm(&b, &late, now() + 3600 * KM_NS_PER_S);
    arm(&b, &soon, now() + KM_NS_PER_MS);
    wait_for(&b, &soon.fired, 1);
    arm(&b, &soon, now() + 3600 * KM_NS_PER_S);
    arm(&b, &late, 1);
    wait_for(&b, &late.fired, 1);
    arm(&b, &late, KM_NS_NEVER);
    km_pool_disarm(b.pool, &soon.timer);
    km_pool_disarm(b.pool, &soon.timer);
    km_pool_disarm(b.pool, &late.timer);
    assert_int_equal(soon.fired, 1);
    assert_int_equal(late.fired, 1);
    board_fini(&b);
}

/* Without a timer the deadline thread leaves; the next one brings it back. */
static void test_timer_thread_idles(void **state)
{
    (void)state;
    struct test_timer timer = {0};
    struct board b;
    board_init(&b, 1);
    km_pool_set_idle_ms(b.pool, 1);
    for (int round = 1; round <= 3; round++) {
        arm(&b, &timer, 1);
        wait_for(&b, &timer.fired, round);
        wait_threads(&b, 0);
    }
    board_fini(&b);
}

/* A timer that is armed does not fire while the pool is freed. */
static void test_free_with_armed_timer(void **state)
{
    (void)state;
    struct test_timer timer = {0};
    struct board b;
    board_init(&b, 1);
    arm(&b, &timer, now() + 3600 * KM_NS_PER_S);
    board_fini(&b);
    assert_int_equal(timer.fired, 0);
}

struct repeating {
    struct km_timer timer;
    struct board *board;
    atomic_int fired;
};

static void fire_again(struct km_timer *timer)
{
    struct repeating *self = KM_CONTAINER_OF(timer, struct repeating, timer);
    atomic_fetch_add(&self->fired, 1);
    km_mutex_lock(&self->board->lock);
    self->board->done++;
    km_cond_broadcast(&self->board->cond);
    km_mutex_unlock(&self->board->lock);
    kama_status status = km_pool_arm(self->board->pool, timer, 1);
    assert_int_equal(status, KAMA_OK);
}

/* Disarming is a barrier, also for a timer that arms itself in fire: after it
 * the memory is the caller's (freed here, for the sanitizers to watch). */
static void test_disarm_races(void **state)
{
    (void)state;
    struct board b;
    board_init(&b, 1);
    for (int round = 0; round < 300; round++) {
        struct repeating *r = calloc(1, sizeof *r);
        assert_non_null(r);
        r->timer.fire = fire_again;
        r->board = &b;
        int before = b.done;
        assert_int_equal(km_pool_arm(b.pool, &r->timer, 1), KAMA_OK);
        if (round % 2 == 0) {
            km_mutex_lock(&b.lock);
            while (b.done == before) {
                km_cond_wait(&b.cond, &b.lock);
            }
            km_mutex_unlock(&b.lock);
        }
        km_pool_disarm(b.pool, &r->timer);
        int fired = atomic_load(&r->fired);
        assert_true(round % 2 != 0 || fired > 0);
        assert_int_equal(r->timer.at, 0);
        free(r);
    }
    board_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs_run_once),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_free_runs_jobs),
        cmocka_unit_test(test_closed),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_timers_are_not_early),
        cmocka_unit_test(test_moving),
        cmocka_unit_test(test_timer_thread_idles),
        cmocka_unit_test(test_free_with_armed_timer),
        cmocka_unit_test(test_disarm_races),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
