/* SPDX-License-Identifier: MIT */
/*
 * Sides that take turns: each round measures every side for a slice of time, so
 * that all sides meet the same state of the machine.
 *
 *     struct bench_side sides[] = {{"kama_get_copy", run_ours, &ours},
 *                                  {"limit loop", run_limit, &limit}};
 *     struct bench_turns turns = {.sides = sides, .side_count = 2,
 *                                 .threads = 1, .rounds = 25};
 *     bench_turns_run(&turns);
 *     ... turns.cpu[side][round] ...
 *     bench_turns_fini(&turns);
 *
 * The threads stay the same from the first slice to the last, as those of a
 * program would. A slice has 100 ms: long beside a switch of threads, and short
 * beside the moods of a shared machine.
 *
 * Threads: one thread runs the turns. Errors: a lack of memory or of threads
 * fails an assertion.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define BENCH_SIDES_MAX 8
/* Every how many operations there is a write where gets and sets are mixed. */
#define BENCH_WRITE_EVERY 20u

/* A part of a slice, as its side sees it. */
struct bench_turn {
    uint32_t from;  /* the number of its first operation */
    uint32_t count; /* how many operations to do */
    uint8_t *out;   /* room for out_bytes, of this thread */
    size_t out_bytes;
};

struct bench_side {
    const char *name;
    /* Does the operations of the turn. Returns a number that depends on
     * every value, so that the compiler leaves nothing out. */
    uint64_t (*run)(void *arg, const struct bench_turn *turn);
    void *arg;
};

struct bench_turns {
    const struct bench_side *sides;
    unsigned side_count;
    unsigned threads;
    unsigned rounds;
    size_t out_bytes; /* 0: 128 */
    unsigned batch;   /* operations between looks at the clock; 0: 1024 */
    double *cpu[BENCH_SIDES_MAX];  /* out: thread CPU ns per operation */
    double *wall[BENCH_SIDES_MAX]; /* out: ns per operation of all threads
                                    * together */
};

/* Measures, after one round that does not count. */
void bench_turns_run(struct bench_turns *turns);
void bench_turns_fini(struct bench_turns *turns);

/* The thread CPU time and the time of day that only goes forward, in ns. */
uint64_t bench_cpu_ns(void);
uint64_t bench_wall_ns(void);
