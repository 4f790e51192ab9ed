/* SPDX-License-Identifier: MIT */
#include "node/keeper.h"

#include "base/container.h"
#include "group/keep.h"

#define TURN_NS KM_NS_PER_MS
#define BUSY_GAP_NS (3 * KM_NS_PER_MS) /* timers are some milliseconds late */
#define IDLE_GAP_NS (KM_NS_PER_S / 2)

/* Keeps house in the groups that have something to do, one after the other, until one
 * has used up the time. Returns whether there is more to do at once. The next turn
 * begins with the next group, so that a busy group does not keep the others waiting. */
static bool turn(struct km_keeper *keeper)
{
    km_ns until = km_clock_mono(keeper->clock) + TURN_NS;
    unsigned count = km_registry_count(keeper->registry);
    bool more = false;
    for (unsigned i = 0; i < count && !more; i++) {
        unsigned number = keeper->next++ % count;
        if (atomic_load_explicit(&keeper->keep_at[number],
                                 memory_order_relaxed) < until) {
            more =
                km_group_keep(km_registry_at(keeper->registry, number), until);
        }
    }
    return more;
}

static void on_timer(struct km_timer *timer)
{
    struct km_keeper *keeper = KM_CONTAINER_OF(timer, struct km_keeper, timer);
    km_ns gap = turn(keeper) ? BUSY_GAP_NS : IDLE_GAP_NS;
    km_loop_timer_arm(keeper->loop, timer, km_clock_mono(keeper->clock) + gap);
}

static void on_start(struct km_mail *mail)
{
    struct km_keeper *keeper = KM_CONTAINER_OF(mail, struct km_keeper, start);
    on_timer(&keeper->timer);
}

void km_keeper_init(struct km_keeper *keeper, const struct km_clock *clock,
                    const struct km_registry *registry)
{
    keeper->clock = clock;
    keeper->registry = registry;
}

_Atomic km_ns *km_keeper_lend(struct km_keeper *keeper)
{
    return &keeper->keep_at[km_registry_count(keeper->registry)];
}

void km_keeper_start(struct km_keeper *keeper, struct km_loop *loop)
{
    keeper->loop = loop;
    keeper->timer = (struct km_timer){.fire = on_timer};
    keeper->start = (struct km_mail){.run = on_start};
    km_loop_post(loop, &keeper->start);
}
