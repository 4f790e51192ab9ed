/* SPDX-License-Identifier: MIT */
/*
 * A world without threads: a virtual clock, a queue of events, and seeded
 * random bits. Whatever runs in it (registries, machines under test, later a
 * network with links between nodes) posts events to it and arms timers in it.
 *
 *     struct sim_world world;
 *     sim_world_init(&world, seed);
 *     sim_post(&world, 5 * KM_NS_PER_MS, deliver, message);
 *     sim_run_for(&world, 30 * KM_NS_PER_S);
 *     sim_world_fini(&world);
 *
 * Events run in the order of their times, and events of one time in an order
 * that depends on the seed only. The whole run is a function of the seed.
 *
 * A node has a clock of its own (struct sim_clock), whose origin differs from
 * those of the others, and which can be suspended: its boot time jumps then.
 *
 * Threads: one. Errors: the process ends without memory. Ownership: the world
 * owns the events that were posted; timers belong to their owners.
 */
#pragma once

#include "base/timer.h"
#include "membership/membership.h"

struct sim_world {
    km_ns now;
    uint64_t random;
    struct km_timer_heap heap;
    size_t posted; /* events that have not run yet */
};

/* Makes a world whose time is one hour. */
void sim_world_init(struct sim_world *world, uint64_t seed);
/* Frees the events that have not run. Timers are to be disarmed before. */
void sim_world_fini(struct sim_world *world);

/* Returns 64 random bits, or a number from low to high. */
uint64_t sim_random(struct sim_world *world);
uint64_t sim_between(struct sim_world *world, uint64_t low, uint64_t high);
/* Returns true in so many of a thousand cases. */
bool sim_chance(struct sim_world *world, unsigned per_mille);

/* Calls run(arg) after a delay. arg is NULL, or a block of malloc that run
 * frees; it is freed by sim_world_fini if the event has not run. */
void sim_post(struct sim_world *world, km_ns delay, void (*run)(void *arg),
              void *arg);
/* Runs the next event or timer, if it is due at `until` at the latest. Returns
 * false if there is none. */
bool sim_step(struct sim_world *world, km_ns until);
/* Runs everything that is due within a span, and moves the time on. */
void sim_run_for(struct sim_world *world, km_ns span);

/* The clock of one node. */
struct sim_clock {
    struct sim_world *world;
    km_ns origin;    /* what the monotonic clock is ahead of the world */
    km_ns suspended; /* what the boot clock is ahead of the monotonic clock */
    struct km_timer_heap *heap; /* of its timers; NULL: that of the world */
};

/* Fills in the table of time, timers and random bits that membership takes. */
void sim_clock_env(struct sim_clock *clock, struct km_membership_env *ret_env);
