/* SPDX-License-Identifier: MIT */
#include "turns.h"

#include "base/assert.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define SLICE_NS 100000000ull
#define BATCH 1024u
#define OUT_BYTES 128u
/* Threads begin this far from each other in the ring of lookups, and each round
 * begins elsewhere. */
#define THREAD_STEP 524287u
#define ROUND_STEP 77777u

/* The state that all threads see. Only the thread that runs the turns writes it, and only
 * between the barriers. */
struct crew {
    struct bench_turns *turns;
    pthread_barrier_t begin, end;
    const struct bench_side *side; /* NULL: the threads end */
    uint32_t from;
};

struct worker {
    struct crew *crew;
    pthread_t thread;
    unsigned number;
    uint64_t ops, cpu_ns, wall_ns; /* of the last slice */
    uint64_t sum;
};

static uint64_t read_clock(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t bench_cpu_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t bench_wall_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

static void run_slice(struct worker *w, struct bench_turn *turn)
{
    const struct bench_side *side = w->crew->side;
    uint64_t wall_from = bench_wall_ns(), cpu_from = bench_cpu_ns();
    uint64_t now = wall_from;
    turn->from = w->crew->from + w->number * THREAD_STEP;
    w->ops = 0;
    while (now - wall_from < SLICE_NS) {
        w->sum += side->run(side->arg, turn);
        w->ops += turn->count;
        turn->from += turn->count;
        now = bench_wall_ns();
    }
    w->cpu_ns = bench_cpu_ns() - cpu_from;
    w->wall_ns = now - wall_from;
}

static void *run_worker(void *arg)
{
    struct worker *w = arg;
    const struct bench_turns *turns = w->crew->turns;
    struct bench_turn turn = {
        .count = turns->batch != 0 ? turns->batch : BATCH,
        .out_bytes = turns->out_bytes != 0 ? turns->out_bytes : OUT_BYTES};
    turn.out = calloc(1, turn.out_bytes);
    KM_ASSERT(turn.out != NULL);
    for (;;) {
        (void)pthread_barrier_wait(&w->crew->begin);
        if (w->crew->side == NULL) {
            break;
        }
        run_slice(w, &turn);
        (void)pthread_barrier_wait(&w->crew->end);
    }
    free(turn.out);
    return NULL;
}

/* -- the thread that runs the turns ------------------------------------------- */

static void measure(struct crew *crew, const struct worker *workers,
                    double *ret_cpu, double *ret_wall)
{
    double cpu_ns = 0, ops = 0, per_ns = 0;
    (void)pthread_barrier_wait(&crew->begin);
    (void)pthread_barrier_wait(&crew->end);
    for (unsigned i = 0; i < crew->turns->threads; i++) {
        cpu_ns += (double)workers[i].cpu_ns;
        ops += (double)workers[i].ops;
        per_ns += (double)workers[i].ops / (double)workers[i].wall_ns;
    }
    *ret_cpu = cpu_ns / ops;
    *ret_wall = 1 / per_ns;
}

/* Each round begins with another side, so that none always follows the same. */
static void run_round(struct crew *crew, const struct worker *workers,
                      unsigned round, unsigned at)
{
    struct bench_turns *turns = crew->turns;
    crew->from = round * ROUND_STEP;
    for (unsigned i = 0; i < turns->side_count; i++) {
        unsigned side = (i + round) % turns->side_count;
        crew->side = &turns->sides[side];
        measure(crew, workers, &turns->cpu[side][at], &turns->wall[side][at]);
    }
}

static void run_rounds(struct crew *crew, const struct worker *workers)
{
    run_round(crew, workers, 0, 0);
    for (unsigned round = 0; round < crew->turns->rounds; round++) {
        run_round(crew, workers, round + 1, round);
    }
    crew->side = NULL;
    (void)pthread_barrier_wait(&crew->begin);
}

void bench_turns_run(struct bench_turns *turns)
{
    struct crew crew = {.turns = turns};
    struct worker *workers = calloc(turns->threads, sizeof *workers);
    KM_ASSERT(workers != NULL && turns->side_count <= BENCH_SIDES_MAX);
    for (unsigned i = 0; i < turns->side_count; i++) {
        turns->cpu[i] = calloc(turns->rounds, sizeof(double));
        turns->wall[i] = calloc(turns->rounds, sizeof(double));
        KM_ASSERT(turns->cpu[i] != NULL && turns->wall[i] != NULL);
    }
    (void)pthread_barrier_init(&crew.begin, NULL, turns->threads + 1);
    (void)pthread_barrier_init(&crew.end, NULL, turns->threads + 1);
    for (unsigned i = 0; i < turns->threads; i++) {
        workers[i] = (struct worker){.crew = &crew, .number = i};
        KM_ASSERT(pthread_create(&workers[i].thread, NULL, run_worker,
                                 &workers[i]) == 0);
    }
    run_rounds(&crew, workers);
    for (unsigned i = 0; i < turns->threads; i++) {
        (void)pthread_join(workers[i].thread, NULL);
    }
    (void)pthread_barrier_destroy(&crew.begin);
    (void)pthread_barrier_destroy(&crew.end);
    free(workers);
}

void bench_turns_fini(struct bench_turns *turns)
{
    for (unsigned i = 0; i < turns->side_count; i++) {
        free(turns->cpu[i]);
        free(turns->wall[i]);
    }
}
