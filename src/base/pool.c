/* SPDX-License-Identifier: MIT */
/*
 * Workers behind one lock and one condition.
 *
 * A worker that leaves moves itself from the list `workers` to the list `left`.
 * The next thread that starts a worker joins it, or else km_pool_free does.
 * Threads are never detached, so that none of them outlives the pool:
 *
 *     started --> workers --no job for idle_ns, or closed--> left --> joined
 *
 * The deadlines have a lock and a thread of their own (deadline.c).
 *
 * A manual pool has neither: its owner runs the jobs, and fires the timers of the
 * heap that is here.
 */
#include "base/pool.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/deadline.h"
#include "base/limits.h"
#include "base/status.h"
#include "base/thread.h"

#include <unistd.h>

#define IDLE_NS_DEFAULT (10 * KM_NS_PER_S)
#define IDLE_NS_MAX (KM_NS_NEVER / 4) /* so that now + idle is a time */
#define NAME_BYTES 16                 /* the kernel keeps no longer name */

struct worker {
    struct km_list node; /* in workers or left */
    struct km_pool *pool;
    pthread_t thread;
};

/* Who runs the jobs and fires the timers. */
enum pool_kind {
    POOL_OF_THREADS,
    POOL_MANUAL /* the owner, by km_pool_step */
};

struct km_pool {
    const kama_allocator *mem;
    enum pool_kind kind;
    pid_t pid; /* of the process that has the threads */
    char name[NAME_BYTES];
    km_ns idle_ns; /* a worker leaves after this long without a job */
    struct km_deadlines deadlines;
    struct km_mutex lock;   /* protects everything below */
    struct km_cond wake;    /* there is a job, or the pool is closed */
    struct km_list jobs;    /* first in, first out */
    struct km_list workers; /* the threads that are alive */
    struct km_list left;    /* threads that have ended and are to be joined */
    size_t job_count;
    unsigned worker_count;
    unsigned idle_count; /* workers that wait for a job */
    unsigned threads_max;
    bool closed;
    struct km_timer_heap timers; /* of a manual pool */
};

static struct worker *worker_of(struct km_list *node)
{
    return KM_CONTAINER_OF(node, struct worker, node);
}

/* -- life ---------------------------------------------------------------- */

static struct km_pool *make_pool(const kama_allocator *mem, const char *name,
                                 unsigned threads_max)
{
    struct km_pool *pool = km_mem_zalloc(mem, 1, sizeof *pool);
    if (pool == NULL) {
        return NULL;
    }
    pool->mem = mem;
    pool->pid = getpid();
    pool->threads_max = threads_max;
    memcpy(pool->name, name, strnlen(name, NAME_BYTES - 1));
    km_list_init(&pool->jobs);
    km_list_init(&pool->workers);
    km_list_init(&pool->left);
    return pool;
}

static bool init_sync(struct km_pool *pool, const struct km_clock *clock)
{
    if (!km_mutex_init(&pool->lock, KM_RANK_POOL)) {
        return false;
    }
    if (!km_cond_init(&pool->wake)) {
        goto fail_wake;
    }
    if (!km_deadlines_init(&pool->deadlines, clock, pool->name, pool)) {
        goto fail_deadlines;
    }
    return true;
fail_deadlines:
    km_cond_fini(&pool->wake);
fail_wake:
    km_mutex_fini(&pool->lock);
    return false;
}

kama_status km_pool_new(const kama_allocator *mem, const struct km_clock *clock,
                        const char *name, unsigned threads_max,
                        struct km_pool **ret_pool)
{
    if (threads_max < 1 || threads_max > KM_POOL_THREADS_MAX) {
        return km_fail(KAMA_ERR_INVALID, "threads: %u is not in 1..%d",
                       threads_max, KM_POOL_THREADS_MAX);
    }
    mem = km_mem_or_default(mem);
    struct km_pool *pool = make_pool(mem, name, threads_max);
    if (pool == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for a pool");
    }
    if (!init_sync(pool, clock)) {
        km_mem_free(mem, pool);
        return km_fail(KAMA_ERR_THREADS, "no resources for a pool");
    }
    km_pool_set_idle_ms(pool, (int64_t)(IDLE_NS_DEFAULT / KM_NS_PER_MS));
    *ret_pool = pool;
    return KAMA_OK;
}

kama_status km_pool_new_manual(const kama_allocator *mem,
                               const struct km_clock *clock,
                               struct km_pool **ret_pool)
{
    kama_status status = km_pool_new(mem, clock, "manual", 1, ret_pool);
    if (status == KAMA_OK) {
        (*ret_pool)->kind = POOL_MANUAL;
    }
    return status;
}

void km_pool_set_idle_ms(struct km_pool *pool, int64_t idle_ms)
{
    km_ns idle_ns = km_ns_after_ms(0, idle_ms);
    pool->idle_ns = idle_ns < IDLE_NS_MAX ? idle_ns : IDLE_NS_MAX;
    pool->deadlines.idle_ns = pool->idle_ns;
}

/* A worker on `left` takes the lock no more, so that joining it while the lock is
 * held does not wait for long. */
static void join_left_locked(struct km_pool *pool)
{
    struct km_list *node;
    KM_ASSERT_HELD(&pool->lock);
    while ((node = km_list_pop_front(&pool->left)) != NULL) {
        km_thread_join(worker_of(node)->thread);
        km_mem_free(pool->mem, worker_of(node));
    }
}

/* Waits until every worker has left. */
static void drain(struct km_pool *pool)
{
    km_mutex_lock(&pool->lock);
    pool->closed = true;
    km_cond_broadcast(&pool->wake);
    while (pool->worker_count > 0) {
        km_cond_wait(&pool->wake, &pool->lock);
    }
    KM_ASSERT(pool->job_count == 0);
    join_left_locked(pool);
    km_mutex_unlock(&pool->lock);
}

void km_pool_free(struct km_pool *pool)
{
    if (pool == NULL || km_pool_is_forked(pool)) {
        return;
    }
    if (pool->kind == POOL_MANUAL) {
        (void)km_pool_step(pool, 0);
    }
    km_deadlines_stop(&pool->deadlines);
    drain(pool);
    km_deadlines_fini(&pool->deadlines);
    km_cond_fini(&pool->wake);
    km_mutex_fini(&pool->lock);
    km_mem_free(pool->mem, pool);
}

void km_pool_allow(struct km_pool *pool, unsigned more)
{
    km_mutex_lock(&pool->lock);
    unsigned room = KM_POOL_THREADS_MAX - pool->threads_max;
    pool->threads_max += more < room ? more : room;
    km_mutex_unlock(&pool->lock);
}

/* -- workers ------------------------------------------------------------- */

/* Waits for a job and takes it. Returns NULL if the worker shall leave. */
static struct km_job *next_job_locked(struct km_pool *pool)
{
    KM_ASSERT_HELD(&pool->lock);
    km_ns now = km_clock_mono(km_clock_system());
    bool waited_enough = false;
    while (km_list_empty(&pool->jobs)) {
        if (pool->closed || waited_enough) {
            return NULL;
        }
        pool->idle_count++;
        waited_enough =
            !km_cond_wait_until(&pool->wake, &pool->lock, now + pool->idle_ns);
        pool->idle_count--;
    }
    KM_ASSERT(pool->job_count > 0);
    pool->job_count--;
    struct km_list *node = km_list_pop_front(&pool->jobs);
    return KM_CONTAINER_OF(node, struct km_job, node);
}

static void *run_worker(void *arg)
{
    struct worker *worker = arg;
    struct km_pool *pool = worker->pool;
    struct km_job *job;
    struct km_thread_frame frame;
    km_thread_enter(&frame, pool);
    km_mutex_lock(&pool->lock);
    while ((job = next_job_locked(pool)) != NULL) {
        km_mutex_unlock(&pool->lock);
        job->run(job); /* the job's memory may be gone after this */
        km_mutex_lock(&pool->lock);
    }
    km_list_remove(&worker->node);
    km_list_push_back(&pool->left, &worker->node);
    KM_ASSERT(pool->worker_count > 0);
    pool->worker_count--;
    if (pool->closed && pool->worker_count == 0) {
        km_cond_broadcast(&pool->wake);
    }
    km_mutex_unlock(&pool->lock);
    km_thread_leave(&frame);
    return NULL;
}

static kama_status start_worker_locked(struct km_pool *pool)
{
    KM_ASSERT_HELD(&pool->lock);
    join_left_locked(pool);
    struct worker *worker = km_mem_alloc(pool->mem, sizeof *worker);
    if (worker == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for a thread");
    }
    worker->pool = pool;
    if (!km_thread_start(&worker->thread, pool->name, run_worker, worker)) {
        km_mem_free(pool->mem, worker);
        return km_fail(KAMA_ERR_THREADS, "cannot start a thread of %s",
                       pool->name);
    }
    km_list_push_back(&pool->workers, &worker->node);
    pool->worker_count++;
    return KAMA_OK;
}

/*
 * A thread is started while the lock is held. If the lock were released meanwhile,
 * two callers could each see that the other one is starting a thread, queue their
 * jobs, and then both fail to start it: no thread would run the jobs.
 */
static kama_status submit_locked(struct km_pool *pool, struct km_job *job)
{
    KM_ASSERT_HELD(&pool->lock);
    if (pool->closed) {
        return km_fail(KAMA_ERR_CLOSED, "the pool is closed");
    }
    bool wants_worker = pool->kind == POOL_OF_THREADS &&
                        pool->job_count >= pool->idle_count &&
                        pool->worker_count < pool->threads_max;
    kama_status status = wants_worker ? start_worker_locked(pool) : KAMA_OK;
    if (status != KAMA_OK && pool->worker_count == 0) {
        return status;
    }
    km_list_push_back(&pool->jobs, &job->node);
    pool->job_count++;
    km_cond_signal(&pool->wake);
    return KAMA_OK;
}

/* -- forks --------------------------------------------------------------- */

bool km_pool_is_forked(const struct km_pool *pool)
{
    return getpid() != pool->pid;
}

static kama_status fail_forked(const struct km_pool *pool)
{
    return km_fail(
        KAMA_ERR_STATE,
        "the threads of %s are in the parent process; a forked child "
        "makes groups of its own",
        pool->name);
}

kama_status km_pool_submit(struct km_pool *pool, struct km_job *job)
{
    if (km_pool_is_forked(pool)) {
        return fail_forked(pool);
    }
    km_mutex_lock(&pool->lock);
    kama_status status = submit_locked(pool, job);
    km_mutex_unlock(&pool->lock);
    return status;
}

kama_status km_pool_need_worker(struct km_pool *pool)
{
    kama_status status = KAMA_OK;
    if (km_pool_is_forked(pool)) {
        return fail_forked(pool);
    }
    km_mutex_lock(&pool->lock);
    if (pool->closed) {
        status = km_fail(KAMA_ERR_CLOSED, "the pool is closed");
    } else if (pool->worker_count == 0 && pool->kind == POOL_OF_THREADS) {
        status = start_worker_locked(pool);
    }
    km_mutex_unlock(&pool->lock);
    return status;
}

/* -- deadlines ----------------------------------------------------------- */

kama_status km_pool_arm(struct km_pool *pool, struct km_timer *timer, km_ns at)
{
    if (km_pool_is_forked(pool)) {
        return fail_forked(pool);
    }
    if (pool->kind == POOL_OF_THREADS) {
        return km_deadlines_arm(&pool->deadlines, timer, at);
    }
    km_mutex_lock(&pool->lock);
    km_timer_heap_remove(&pool->timers, timer);
    km_timer_heap_add(&pool->timers, timer, at);
    km_mutex_unlock(&pool->lock);
    return KAMA_OK;
}

void km_pool_disarm(struct km_pool *pool, struct km_timer *timer)
{
    if (pool->kind == POOL_OF_THREADS) {
        km_deadlines_disarm(&pool->deadlines, timer);
        return;
    }
    km_mutex_lock(&pool->lock);
    km_timer_heap_remove(&pool->timers, timer);
    km_mutex_unlock(&pool->lock);
}

/* -- by hand ------------------------------------------------------------- */

/* Takes the next job out. Returns NULL if there is none. */
static struct km_job *pop_job_locked(struct km_pool *pool)
{
    KM_ASSERT_HELD(&pool->lock);
    struct km_list *node = km_list_pop_front(&pool->jobs);
    if (node == NULL) {
        return NULL;
    }
    KM_ASSERT(pool->job_count > 0);
    pool->job_count--;
    return KM_CONTAINER_OF(node, struct km_job, node);
}

/* Fires one timer or runs one job. Returns false if there is nothing to do. */
static bool step_once(struct km_pool *pool, km_ns now)
{
    km_mutex_lock(&pool->lock);
    struct km_timer *timer = km_timer_heap_pop(&pool->timers, now);
    struct km_job *job = timer == NULL ? pop_job_locked(pool) : NULL;
    km_mutex_unlock(&pool->lock);
    if (timer != NULL) {
        timer->fire(timer);
    } else if (job != NULL) {
        job->run(job);
    }
    return timer != NULL || job != NULL;
}

unsigned km_pool_step(struct km_pool *pool, km_ns now)
{
    struct km_thread_frame frame;
    unsigned count = 0;
    KM_ASSERT(pool->kind == POOL_MANUAL && !km_pool_is_inside(pool));
    km_thread_enter(&frame, pool);
    while (step_once(pool, now)) {
        count++;
    }
    km_thread_leave(&frame);
    return count;
}

km_ns km_pool_next(struct km_pool *pool)
{
    km_mutex_lock(&pool->lock);
    km_ns next = pool->job_count > 0 ? 0 : km_timer_heap_next(&pool->timers);
    km_mutex_unlock(&pool->lock);
    return next;
}

/* -- questions ----------------------------------------------------------- */

bool km_pool_is_inside(const struct km_pool *pool)
{
    return km_thread_is_inside(pool) && !km_pool_is_forked(pool);
}

static size_t length_of(struct km_list *list)
{
    struct km_list *node;
    struct km_list *tmp;
    size_t length = 0;
    KM_LIST_FOREACH(node, tmp, list) {
        length++;
    }
    return length;
}

void km_pool_check(struct km_pool *pool)
{
    km_mutex_lock(&pool->lock);
    KM_ASSERT(length_of(&pool->jobs) == pool->job_count);
    KM_ASSERT(length_of(&pool->workers) == pool->worker_count);
    KM_ASSERT(pool->idle_count <= pool->worker_count);
    KM_ASSERT(pool->worker_count <= pool->threads_max);
    KM_ASSERT(pool->job_count == 0 || pool->worker_count > 0 ||
              pool->kind == POOL_MANUAL);
    (void)km_timer_heap_check(&pool->timers);
    km_mutex_unlock(&pool->lock);
    (void)km_deadlines_check(&pool->deadlines);
}

unsigned km_pool_threads(struct km_pool *pool)
{
    km_mutex_lock(&pool->lock);
    unsigned threads = pool->worker_count;
    km_mutex_unlock(&pool->lock);
    return threads + km_deadlines_threads(&pool->deadlines);
}
