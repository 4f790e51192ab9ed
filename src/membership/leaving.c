/* SPDX-License-Identifier: MIT */
/*
 * The end of a life: the record says `leaving`, then the goodbye (R11), and then the
 * lease is revoked.
 *
 *     leave ....... set_goodbye, close ..... at most 0.5 s ..... at most 1 s in all
 *      `leaving`                     the goodbye in the record      the lease ends
 *
 * Nothing of it is waited for beyond these times: others find out by the streams, or
 * when the lease expires.
 */
#include "membership/membership_internal.h"

#include "base/container.h"

/* -- leaving --------------------------------------------------------------- */

void km_leaving_say(struct km_membership *m)
{
    struct km_registration *r = &m->registration;
    km_membership_disarm(m, &r->leave_timer);
    if (!r->said_leaving) {
        r->said_leaving = true;
        m->events->leaving(m->owner);
    }
}

void km_membership_leave(struct km_membership *m)
{
    struct km_registration *r = &m->registration;
    bool registered = r->state == KM_REGISTRATION_REGISTERED;
    if (r->state == KM_REGISTRATION_LEAVING ||
        r->state > KM_REGISTRATION_FAILED) {
        return;
    }
    r->wanted = KM_MEMBER_LEAVING;
    km_membership_arm(m, &r->leave_timer,
                      km_ns_after_ms(km_membership_now(m),
                                     registered ? KM_MEMBERSHIP_LEAVE_MS : 0));
    if (!registered) {
        r->written = KM_MEMBER_LEAVING; /* there is no record to write */
    }
    km_registration_enter(m, KM_REGISTRATION_LEAVING);
}

void km_leaving_on_timer(struct km_timer *timer)
{
    struct km_membership *m =
        KM_CONTAINER_OF(timer, struct km_membership, registration.leave_timer);
    km_leaving_say(m);
}

void km_membership_set_goodbye(struct km_membership *m, uint64_t final_seq,
                               uint64_t clock)
{
    struct km_registration *r = &m->registration;
    if (r->state == KM_REGISTRATION_LEAVING && m->lease.id != 0) {
        m->own.member.final_seq = final_seq;
        m->own.member.clock = clock > 0 ? clock : 1;
        r->goodbye = KM_PARTING_WANTED;
        km_registration_update(m);
    }
}

/* -- closing --------------------------------------------------------------- */

/* Ends the lease, as far as there is time. */
static void revoke(struct km_membership *m, int64_t lease)
{
    m->registration.state = KM_REGISTRATION_REVOKING;
    km_membership_arm(m, &m->registration.timer, m->registration.closed_by);
    if (lease != 0) {
        km_registration_revoke(m, lease);
    }
}

void km_leaving_part(struct km_membership *m, bool done)
{
    if (done && m->registration.goodbye == KM_PARTING_WANTED) {
        km_registration_update(m);
    } else {
        revoke(m, m->registration.parting_lease);
    }
}

void km_leaving_end(struct km_membership *m)
{
    km_membership_disarm(m, &m->registration.timer);
    m->registration.state = KM_REGISTRATION_CLOSING;
    m->ops->close(m->registry);
}

static bool has_goodbye_to_write(const struct km_registration *r)
{
    return r->state == KM_REGISTRATION_LEAVING &&
           (r->goodbye == KM_PARTING_WANTED || r->goodbye == KM_PARTING_SENT);
}

void km_membership_close(struct km_membership *m)
{
    struct km_registration *r = &m->registration;
    int64_t lease = m->lease.id;
    if (r->state >= KM_REGISTRATION_PARTING) {
        return;
    }
    km_ns now = km_membership_now(m);
    km_follow_stop(m);
    km_lease_stop(m);
    km_membership_disarm(m, &r->timer);
    km_membership_disarm(m, &r->leave_timer);
    r->closed_by = km_ns_after_ms(now, KM_MEMBERSHIP_REVOKE_MS);
    if (lease == 0 && r->state != KM_REGISTRATION_RESIGNING) {
        km_leaving_end(m);
    } else if (has_goodbye_to_write(r)) {
        r->state = KM_REGISTRATION_PARTING;
        r->parting_lease = lease;
        km_membership_arm(m, &r->timer,
                          km_ns_after_ms(now, KM_MEMBERSHIP_GOODBYE_MS));
        km_registration_update(m);
    } else {
        revoke(m, lease);
    }
}
