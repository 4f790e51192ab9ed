/* SPDX-License-Identifier: MIT */
/* The virtual world: one heap of timers is its queue of events. */
#include "sim/world.h"

#include "base/assert.h"
#include "base/container.h"

#include <stdlib.h>
#include <string.h>

struct event {
    struct km_timer timer;
    struct sim_world *world;
    void (*run)(void *arg);
    void *arg;
};

void sim_world_init(struct sim_world *world, uint64_t seed)
{
    *world = (struct sim_world){.now = 3600 * KM_NS_PER_S, .random = seed};
}

static void fire_event(struct km_timer *timer)
{
    struct event *event = KM_CONTAINER_OF(timer, struct event, timer);
    void (*run)(void *arg) = event->run;
    void *arg = event->arg;
    event->world->posted--;
    free(event);
    run(arg);
}

static void drop_event(void *arg)
{
    free(arg);
}

void sim_world_fini(struct sim_world *world)
{
    struct km_timer *timer;
    while ((timer = km_timer_heap_pop(&world->heap, KM_NS_NEVER)) != NULL) {
        KM_ASSERT(timer->fire == fire_event);
        struct event *event = KM_CONTAINER_OF(timer, struct event, timer);
        drop_event(event->arg); /* messages are blocks of malloc, or NULL */
        free(event);
    }
}

/* splitmix64 */
uint64_t sim_random(struct sim_world *world)
{
    uint64_t z = world->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t sim_between(struct sim_world *world, uint64_t low, uint64_t high)
{
    return low + sim_random(world) % (high - low + 1);
}

bool sim_chance(struct sim_world *world, unsigned per_mille)
{
    return sim_random(world) % 1000 < per_mille;
}

void sim_post(struct sim_world *world, km_ns delay, void (*run)(void *arg),
              void *arg)
{
    struct event *event = calloc(1, sizeof *event);
    KM_ASSERT(event != NULL);
    *event = (struct event){
        .timer.fire = fire_event, .world = world, .run = run, .arg = arg};
    world->posted++;
    km_timer_heap_add(&world->heap, &event->timer, world->now + delay);
}

bool sim_step(struct sim_world *world, km_ns until)
{
    km_ns next = km_timer_heap_next(&world->heap);
    if (next > until) {
        return false;
    }
    world->now = next > world->now ? next : world->now;
    struct km_timer *timer = km_timer_heap_pop(&world->heap, world->now);
    KM_ASSERT(timer != NULL);
    timer->fire(timer);
    return true;
}

void sim_run_for(struct sim_world *world, km_ns span)
{
    km_ns until = world->now + span;
    while (sim_step(world, until)) {
    }
    world->now = until;
}

/* -- clocks ---------------------------------------------------------------- */

static km_ns read_now(void *arg)
{
    const struct sim_clock *clock = arg;
    return clock->world->now + clock->origin;
}

static km_ns read_boot(void *arg)
{
    const struct sim_clock *clock = arg;
    return clock->world->now + clock->origin + clock->suspended;
}

static uint64_t read_wall_ms(void *arg)
{
    const struct sim_clock *clock = arg;
    return 1700000000000u + clock->world->now / KM_NS_PER_MS;
}

static struct km_timer_heap *heap_of(const struct sim_clock *clock)
{
    return clock->heap != NULL ? clock->heap : &clock->world->heap;
}

static void arm(void *arg, struct km_timer *timer, km_ns at)
{
    const struct sim_clock *clock = arg;
    km_ns world_at = at > clock->origin ? at - clock->origin : 0;
    km_timer_heap_add(heap_of(clock), timer,
                      world_at > clock->world->now ? world_at
                                                   : clock->world->now);
}

static void disarm(void *arg, struct km_timer *timer)
{
    const struct sim_clock *clock = arg;
    km_timer_heap_remove(heap_of(clock), timer);
}

static void fill_random(void *arg, void *buf, size_t len)
{
    const struct sim_clock *clock = arg;
    uint8_t *to = buf;
    for (size_t i = 0; i < len; i++) {
        to[i] = (uint8_t)(sim_random(clock->world) >> 32);
    }
}

void sim_clock_env(struct sim_clock *clock, struct km_membership_env *ret_env)
{
    *ret_env = (struct km_membership_env){.now = read_now,
                                          .boot = read_boot,
                                          .wall_ms = read_wall_ms,
                                          .arm = arm,
                                          .disarm = disarm,
                                          .random = fill_random,
                                          .arg = clock};
}
