/* SPDX-License-Identifier: MIT */
/* Membership itself reads no clock, so that the simulator can run it. */
#include "node/cluster_env.h"

#include "base/hash.h"
#include "net/loop.h"

static km_ns env_now(void *arg)
{
    return km_loop_now(arg);
}

static km_ns env_boot(void *arg)
{
    (void)arg;
    return km_clock_boot();
}

static uint64_t env_wall_ms(void *arg)
{
    (void)arg;
    const struct km_clock *clock = km_clock_system();
    return clock->wall_ms(clock->arg);
}

static void env_arm(void *arg, struct km_timer *timer, km_ns at)
{
    km_loop_timer_arm(arg, timer, at);
}

static void env_disarm(void *arg, struct km_timer *timer)
{
    km_loop_timer_disarm(arg, timer);
}

static void env_random(void *arg, void *buf, size_t len)
{
    (void)arg;
    km_hash_random_fill(buf, len);
}

struct km_membership_env km_cluster_env_of(struct km_loop *loop)
{
    return (struct km_membership_env){
        .now = env_now,
        .boot = env_boot,
        .wall_ms = env_wall_ms,
        .arm = env_arm,
        .disarm = env_disarm,
        .random = env_random,
        .arg = loop,
    };
}
