/* SPDX-License-Identifier: MIT */
/*
 * Measures the cost of a miss without that of its loader: the loader gives a value
 * of eight bytes at once, and no key is asked for twice.
 *
 *   one        one thread, one group without a pool
 *   two        two threads, the same group: how far loads of one group stand
 *              in each other's way
 *   apart      two threads, a group for each, which shows what is possible
 *   pool       one thread, a group whose loads run on a pool of two threads
 *   flight     one thread, and two threads with keys of their own, that call a
 *              flight of kamacache/flight.h whose function returns at once
 *   bare       one thread that hands an empty job to a pool which is a mutex,
 *              two conditions and as many threads, and waits for it
 *
 * All of them take turns in slices, so that each ratio has both of its sides from
 * the same run; printed are median, p10 and p90 over the rounds.
 *
 *   miss_bench [--rounds N] [--gets N]
 */
#include "base/assert.h"
#include "base/pool.h"
#include "group/group.h"

#include <kamacache/flight.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THREADS 2
#define WORKERS 2
#define ROUNDS_MAX 200
#define GROUP_BYTES (512ull << 20)

struct options {
    unsigned rounds;
    unsigned gets; /* per thread and slice */
};

static double now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* -- gets ---------------------------------------------------------------- */

static kama_status load(void *arg, const kama_load *request, kama_sink *out)
{
    (void)arg;
    (void)request;
    return kama_sink_set(out, kama_bytes_make("12345678", 8), NULL);
}

/* A pool gets as many threads more as loads may run at a time. */
static kama_group *make_group(struct km_pool *pool)
{
    const struct km_group_env env = {.pool = pool};
    kama_group *group;
    kama_group_options options;
    kama_group_options_init(&options);
    options.name = "miss";
    options.loader = load;
    options.max_bytes = GROUP_BYTES;
    options.loader_concurrency = pool != NULL ? WORKERS - 1 : 64;
    kama_status status = km_group_new(&options, &env, &group);
    KM_ASSERT(status == KAMA_OK);
    return group;
}

struct getter {
    pthread_t thread;
    kama_group *group;
    unsigned gets;
    uint64_t key; /* the first one; no other getter has it or those behind it */
    pthread_barrier_t *start;
};

static void *run_gets(void *arg)
{
    struct getter *getter = arg;
    if (getter->start != NULL) {
        (void)pthread_barrier_wait(getter->start);
    }
    for (unsigned i = 0; i < getter->gets; i++) {
        uint64_t key = getter->key + i;
        char buf[8];
        size_t len;
        kama_status status =
            kama_get_copy(getter->group, kama_bytes_make(&key, sizeof key),
                          NULL, buf, sizeof buf, &len);
        KM_ASSERT(status == KAMA_OK);
    }
    return NULL;
}

/* Nanoseconds per get of each thread, by the wall clock. */
static double time_gets(kama_group *const *groups, unsigned threads,
                        unsigned gets)
{
    struct getter getters[THREADS];
    pthread_barrier_t start;
    (void)pthread_barrier_init(&start, NULL, threads + 1);
    for (unsigned i = 0; i < threads; i++) {
        getters[i] = (struct getter){.group = groups[i],
                                     .gets = gets,
                                     .key = (uint64_t)(i + 1) << 40,
                                     .start = &start};
        (void)pthread_create(&getters[i].thread, NULL, run_gets, &getters[i]);
    }
    (void)pthread_barrier_wait(&start);
    double from = now_ns();
    for (unsigned i = 0; i < threads; i++) {
        (void)pthread_join(getters[i].thread, NULL);
    }
    double took = now_ns() - from;
    (void)pthread_barrier_destroy(&start);
    return took / gets;
}

static double time_one(unsigned gets)
{
    kama_group *group = make_group(NULL);
    double ns = time_gets(&group, 1, gets);
    kama_group_free(group);
    return ns;
}

static double time_two(unsigned gets)
{
    kama_group *group = make_group(NULL);
    kama_group *const groups[THREADS] = {group, group};
    double ns = time_gets(groups, THREADS, gets);
    kama_group_free(group);
    return ns;
}

static double time_apart(unsigned gets)
{
    kama_group *const groups[THREADS] = {make_group(NULL), make_group(NULL)};
    double ns = time_gets(groups, THREADS, gets);
    kama_group_free(groups[0]);
    kama_group_free(groups[1]);
    return ns;
}

static double time_pool(unsigned gets)
{
    struct km_pool *pool;
    kama_status status = km_pool_new(NULL, km_clock_system(), "miss", 1, &pool);
    KM_ASSERT(status == KAMA_OK);
    kama_group *group = make_group(pool);
    double ns = time_gets(&group, 1, gets);
    km_group_free(group);
    km_pool_free(pool);
    return ns;
}

/* -- a flight ------------------------------------------------------------ */

static uint64_t number_hash(uint64_t key)
{
    return key * 0x9e3779b97f4a7c15u;
}

static int number_equal(uint64_t a, uint64_t b)
{
    return a == b;
}

KAMA_FLIGHT_DEFINE(number_flight, uint64_t, uint64_t, number_hash, number_equal)

static kama_status give_number(void *arg, uint64_t key, uint64_t *ret_result)
{
    (void)arg;
    *ret_result = key;
    return KAMA_OK;
}

struct flier {
    pthread_t thread;
    struct number_flight *flight;
    unsigned calls;
    uint64_t key; /* the first one */
};

static void *run_calls(void *arg)
{
    struct flier *flier = arg;
    for (unsigned i = 0; i < flier->calls; i++) {
        uint64_t result;
        kama_status status = number_flight_do(
            flier->flight, flier->key + i, give_number, NULL, 0, &result, NULL);
        KM_ASSERT(status == KAMA_OK);
    }
    return NULL;
}

/* Nanoseconds per call of each thread. */
static double time_flight(unsigned threads, unsigned calls)
{
    struct number_flight flight;
    struct flier fliers[THREADS];
    kama_status status = number_flight_init(&flight);
    KM_ASSERT(status == KAMA_OK);
    double from = now_ns();
    for (unsigned i = 0; i < threads; i++) {
        fliers[i] = (struct flier){
            .flight = &flight, .calls = calls, .key = (uint64_t)(i + 1) << 40};
        (void)pthread_create(&fliers[i].thread, NULL, run_calls, &fliers[i]);
    }
    for (unsigned i = 0; i < threads; i++) {
        (void)pthread_join(fliers[i].thread, NULL);
    }
    double took = now_ns() - from;
    number_flight_fini(&flight);
    return took / calls;
}

/* -- the bare pool ------------------------------------------------------- */

struct bare_job {
    struct bare_job *next;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
};

struct bare_pool {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    struct bare_job *jobs; /* one caller: at most one job */
    bool closed;
};

static void *run_bare_worker(void *arg)
{
    struct bare_pool *pool = arg;
    (void)pthread_mutex_lock(&pool->lock);
    while (!pool->closed) {
        struct bare_job *job = pool->jobs;
        if (job == NULL) {
            (void)pthread_cond_wait(&pool->cond, &pool->lock);
            continue;
        }
        pool->jobs = job->next;
        (void)pthread_mutex_unlock(&pool->lock);
        (void)pthread_mutex_lock(&job->lock);
        job->done = true;
        (void)pthread_cond_signal(&job->cond);
        (void)pthread_mutex_unlock(&job->lock);
        (void)pthread_mutex_lock(&pool->lock);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void do_bare_job(struct bare_pool *pool)
{
    struct bare_job job = {.lock = PTHREAD_MUTEX_INITIALIZER,
                           .cond = PTHREAD_COND_INITIALIZER};
    (void)pthread_mutex_lock(&pool->lock);
    job.next = pool->jobs;
    pool->jobs = &job;
    (void)pthread_cond_signal(&pool->cond);
    (void)pthread_mutex_unlock(&pool->lock);
    (void)pthread_mutex_lock(&job.lock);
    while (!job.done) {
        (void)pthread_cond_wait(&job.cond, &job.lock);
    }
    (void)pthread_mutex_unlock(&job.lock);
}

struct bare_caller {
    struct bare_pool *pool;
    unsigned jobs;
};

static void *run_bare_caller(void *arg)
{
    struct bare_caller *caller = arg;
    for (unsigned i = 0; i < caller->jobs; i++) {
        do_bare_job(caller->pool);
    }
    return NULL;
}

static double time_bare(unsigned gets)
{
    struct bare_pool pool = {.lock = PTHREAD_MUTEX_INITIALIZER,
                             .cond = PTHREAD_COND_INITIALIZER};
    struct bare_caller caller = {&pool, gets};
    pthread_t workers[WORKERS];
    pthread_t thread;
    for (unsigned i = 0; i < WORKERS; i++) {
        (void)pthread_create(&workers[i], NULL, run_bare_worker, &pool);
    }
    double from = now_ns();
    (void)pthread_create(&thread, NULL, run_bare_caller, &caller);
    (void)pthread_join(thread, NULL);
    double took = now_ns() - from;
    (void)pthread_mutex_lock(&pool.lock);
    pool.closed = true;
    (void)pthread_cond_broadcast(&pool.cond);
    (void)pthread_mutex_unlock(&pool.lock);
    for (unsigned i = 0; i < WORKERS; i++) {
        (void)pthread_join(workers[i], NULL);
    }
    return took / gets;
}

/* -- the report ---------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_row(const char *what, double *values, unsigned n,
                      const char *unit, const char *bar)
{
    qsort(values, n, sizeof *values, compare);
    printf("%-44s %8.2f %s  (p10 %.2f, p90 %.2f)%s\n", what, values[n / 2],
           unit, values[n / 10], values[n - 1 - n / 10], bar);
}

static struct options read_options(int argc, char **argv)
{
    struct options o = {.rounds = 15, .gets = 100000};
    for (int i = 1; i + 1 < argc; i += 2) {
        unsigned n = (unsigned)strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--rounds") == 0) {
            o.rounds = n < ROUNDS_MAX ? n : ROUNDS_MAX;
        } else if (strcmp(argv[i], "--gets") == 0) {
            o.gets = n;
        }
    }
    return o;
}

int main(int argc, char **argv)
{
    struct options o = read_options(argc, argv);
    static double one[ROUNDS_MAX], shared[ROUNDS_MAX], apart[ROUNDS_MAX];
    static double pool[ROUNDS_MAX], on_pool[ROUNDS_MAX];
    static double flight[ROUNDS_MAX], flights[ROUNDS_MAX];
    for (unsigned i = 0; i < o.rounds; i++) {
        double alone = time_one(o.gets);
        double together = time_two(o.gets);
        double separate = time_apart(o.gets);
        double pooled = time_pool(o.gets / 10);
        double bare = time_bare(o.gets / 10);
        flight[i] = time_flight(1, o.gets);
        flights[i] = THREADS * flight[i] / time_flight(THREADS, o.gets);
        one[i] = alone;
        shared[i] = THREADS * alone / together;
        apart[i] = THREADS * alone / separate;
        pool[i] = pooled;
        on_pool[i] = pooled / bare;
    }
    print_row("a miss without a pool", one, o.rounds, "ns", "");
    print_row("two threads, one group / one thread", shared, o.rounds, "x ",
              "  bar >= 1.6");
    print_row("two threads, a group each / one thread", apart, o.rounds, "x ",
              "");
    print_row("a call of a flight", flight, o.rounds, "ns", "");
    print_row("a flight, two threads / one thread", flights, o.rounds, "x ",
              "");
    print_row("a miss on a pool", pool, o.rounds, "ns", "");
    print_row("a miss on a pool / an empty job", on_pool, o.rounds, "x ",
              "  bar <= 1.3");
    return 0;
}
