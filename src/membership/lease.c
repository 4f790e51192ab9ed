/* SPDX-License-Identifier: MIT */
/*
 * The lease. It is kept every third of its time, and it is given up only when
 * the registry says that it is gone. Whether it may have expired is told by the
 * clock that runs on while the machine is suspended, from the moment at which
 * the last answered keepalive was sent:
 *
 *     sent ............ answered            the registry counts from some moment
 *      |<------------- ttl ------------->|  between the two
 *                                        ^ from here on: doubtful
 */
#include "membership/membership_internal.h"

#include "base/assert.h"
#include "base/container.h"

static km_ns boot_now(const struct km_membership *m)
{
    return m->env.boot(m->env.arg);
}

static km_ns third_of_lease(const struct km_membership *m)
{
    return km_ns_after_ms(km_membership_now(m), m->lease.ttl_ms / 3);
}

void km_lease_say(struct km_membership *m, enum km_membership_lease state)
{
    if (m->lease.state != state) {
        m->lease.state = state;
        m->events->lease(m->owner, state);
    }
}

/* Looks at the clock. A lease that was not registered with yet is in no
 * state. */
static void check_doubt(struct km_membership *m)
{
    struct km_lease *lease = &m->lease;
    km_ns passed = boot_now(m) - lease->confirmed_at;
    km_ns ttl = (km_ns)lease->ttl_ms * KM_NS_PER_MS;
    if (passed < ttl) {
        km_membership_arm(m, &lease->doubt_timer,
                          km_membership_now(m) + (ttl - passed));
        if (lease->state == KM_LEASE_DOUBTFUL) {
            km_membership_log(m, 1, "lease", "lease %llx is held again",
                              (unsigned long long)lease->id);
            km_lease_say(m, KM_LEASE_HELD);
        }
    } else if (lease->state == KM_LEASE_HELD) {
        km_membership_log(m, 2, "lease",
                          "lease %llx may have expired: no keepalive was "
                          "answered for %lld ms; the last view is kept",
                          (unsigned long long)lease->id,
                          (long long)(passed / KM_NS_PER_MS));
        km_lease_say(m, KM_LEASE_DOUBTFUL);
    }
}

void km_lease_keep(struct km_membership *m)
{
    struct km_lease *lease = &m->lease;
    if (lease->pending + lease->dropped < KM_MEMBERSHIP_KEPT_PENDING_MAX) {
        lease->pending++;
        m->ops->keep_alive(m->registry, lease->id);
    }
}

static void say_kept(struct km_membership *m, km_ns sent_at)
{
    if (m->events->kept != NULL) {
        m->events->kept(m->owner, m->lease.ttl_ms, sent_at);
    }
}

void km_lease_begin(struct km_membership *m, int64_t id, int64_t ttl_ms,
                    km_ns sent_at)
{
    struct km_lease *lease = &m->lease;
    KM_ASSERT(lease->pending == 0);
    lease->id = id;
    lease->ttl_ms = ttl_ms;
    lease->confirmed_at = sent_at;
    lease->backoff = (struct km_backoff){0};
    km_membership_arm(m, &lease->timer, third_of_lease(m));
    check_doubt(m);
    say_kept(m, sent_at);
}

void km_lease_stop(struct km_membership *m)
{
    struct km_lease *lease = &m->lease;
    lease->id = 0;
    lease->dropped += lease->pending;
    lease->pending = 0;
    km_membership_disarm(m, &lease->timer);
    km_membership_disarm(m, &lease->doubt_timer);
}

void km_lease_on_timer(struct km_timer *timer)
{
    struct km_membership *m =
        KM_CONTAINER_OF(timer, struct km_membership, lease.timer);
    km_membership_arm(m, timer, third_of_lease(m));
    km_lease_keep(m);
    check_doubt(m);
}

void km_lease_on_doubt_timer(struct km_timer *timer)
{
    struct km_membership *m =
        KM_CONTAINER_OF(timer, struct km_membership, lease.doubt_timer);
    check_doubt(m);
}

/* A keepalive that failed is tried again soon, because the lease may end. */
static void keep_failed(struct km_membership *m)
{
    km_ns later = km_membership_later(m, &m->lease.backoff);
    km_ns third = third_of_lease(m);
    km_membership_arm(m, &m->lease.timer, later < third ? later : third);
    check_doubt(m);
}

void km_lease_on_kept(void *owner, const struct km_registry_result *result,
                      int64_t ttl_ms, km_ns sent_at)
{
    struct km_membership *m = owner;
    struct km_lease *lease = &m->lease;
    if (lease->dropped > 0) {
        lease->dropped--;
        return;
    }
    KM_ASSERT(lease->pending > 0);
    lease->pending--;
    if (result->status != KAMA_OK) {
        keep_failed(m);
    } else if (ttl_ms <= 0) {
        km_membership_log(m, 2, "lease", "lease %llx is lost",
                          (unsigned long long)lease->id);
        km_registration_lease_lost(m);
    } else {
        lease->backoff = (struct km_backoff){0};
        lease->ttl_ms = ttl_ms;
        if (sent_at > lease->confirmed_at) {
            lease->confirmed_at = sent_at;
        }
        check_doubt(m);
        say_kept(m, sent_at);
    }
}
