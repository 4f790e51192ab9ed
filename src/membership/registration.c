/* SPDX-License-Identifier: MIT */
/*
 * The record of this node. membership_internal.h has the table of states; a
 * request that fails is sent again after a while, as long as its state lasts.
 */
#include "membership/membership_internal.h"

#include "base/assert.h"
#include "base/container.h"

#include <stdio.h>

static const enum km_request_kind no_request = KM_REQUEST_KINDS;

/* -- requests -------------------------------------------------------------- */

bool km_registration_may_send(struct km_membership *m,
                              enum km_request_kind kind)
{
    enum km_request_state *state = &m->registration.requests[kind];
    if (*state == KM_REQUEST_FREE) {
        *state = KM_REQUEST_SENT;
        return true;
    }
    *state = KM_REQUEST_SENT_AND_WANTED;
    return false;
}

/* Returns the request that a state waits for. */
static enum km_request_kind request_of(enum km_registration_state state)
{
    switch (state) {
    case KM_REGISTRATION_STAMPING:
        return KM_REQUEST_STAMP;
    case KM_REGISTRATION_GRANTING:
        return KM_REQUEST_GRANT;
    case KM_REGISTRATION_CLAIMING:
        return KM_REQUEST_CLAIM;
    case KM_REGISTRATION_ASKING:
        return KM_REQUEST_LEFT;
    case KM_REGISTRATION_REGISTERED:
    case KM_REGISTRATION_LEAVING:
    case KM_REGISTRATION_PARTING:
        return KM_REQUEST_UPDATE;
    default:
        return no_request;
    }
}

static void send_stamp(struct km_membership *m)
{
    struct km_member_id bits;
    char text[KM_MEMBER_ID_TEXT_BYTES];
    if (km_registration_may_send(m, KM_REQUEST_STAMP)) {
        m->env.random(m->env.arg, bits.bytes, sizeof bits.bytes);
        m->ops->stamp(m->registry, KAMA_STR(m->stamp_key),
                      KAMA_STR(km_member_id_format(&bits, text)));
    }
}

static void send_grant(struct km_membership *m)
{
    if (km_registration_may_send(m, KM_REQUEST_GRANT)) {
        m->registration.grant_sent_at = m->env.boot(m->env.arg);
        m->ops->grant(m->registry, m->lease_ttl_ms);
    }
}

/* The lease under which the record stands, or 0. */
static int64_t lease_of(const struct km_membership *m)
{
    return m->registration.state == KM_REGISTRATION_PARTING
               ? m->registration.parting_lease
               : m->lease.id;
}

/* Clients of other implementations call every node that has a sister key: only
 * an active member has one. */
static void request_update(struct km_membership *m, kama_bytes record)
{
    bool is_active = m->registration.sent == KM_MEMBER_ACTIVE;
    const struct km_registry_update update = {
        .member_key = KAMA_STR(m->member_key),
        .member_value = record,
        .sister_key = KAMA_STR(m->sister_key),
        .sister_value = is_active ? KAMA_STR(m->own.address) : (kama_bytes){0},
        .lease = lease_of(m),
    };
    m->ops->update(m->registry, &update);
}

void km_registration_update(struct km_membership *m)
{
    static const struct km_registry_result no_memory = {
        KAMA_ERR_NO_MEMORY, "no memory for the own record"};
    struct km_registration *r = &m->registration;
    struct km_buf buf;
    bool differs = r->wanted != r->written || r->goodbye == KM_PARTING_WANTED;
    if (!differs || lease_of(m) == 0 ||
        r->requests[KM_REQUEST_UPDATE] != KM_REQUEST_FREE) {
        return; /* the answer of the request under way looks again */
    }
    km_buf_init(&buf, m->mem, SIZE_MAX);
    m->own.member.state = r->wanted;
    if (km_record_format(&m->own, &buf) == KAMA_OK) {
        r->requests[KM_REQUEST_UPDATE] = KM_REQUEST_SENT;
        r->sent = r->wanted;
        if (r->goodbye == KM_PARTING_WANTED) {
            r->goodbye = KM_PARTING_SENT;
        }
        request_update(m, km_buf_bytes(&buf));
    } else {
        km_registration_retry(m, &no_memory);
    }
    km_buf_fini(&buf);
}

void km_registration_revoke(struct km_membership *m, int64_t lease)
{
    if (m->registration.requests[KM_REQUEST_REVOKE] == KM_REQUEST_FREE) {
        m->registration.requests[KM_REQUEST_REVOKE] = KM_REQUEST_SENT;
        m->ops->revoke(m->registry, lease);
    }
}

/* Sends the request of the present state. */
static void send_request(struct km_membership *m)
{
    switch (m->registration.state) {
    case KM_REGISTRATION_STAMPING:
        send_stamp(m);
        break;
    case KM_REGISTRATION_GRANTING:
        send_grant(m);
        break;
    case KM_REGISTRATION_CLAIMING:
        km_claim_send(m);
        break;
    case KM_REGISTRATION_ASKING:
        km_claim_ask(m);
        break;
    case KM_REGISTRATION_PROBING:
        km_membership_arm(
            m, &m->registration.timer,
            km_ns_after_ms(km_membership_now(m), KM_MEMBERSHIP_PROBE_MS));
        m->events->probe(m->owner, m->own.address);
        break;
    case KM_REGISTRATION_REGISTERED:
    case KM_REGISTRATION_LEAVING:
    case KM_REGISTRATION_PARTING:
        km_registration_update(m);
        break;
    default:
        break;
    }
}

bool km_registration_answered(struct km_membership *m,
                              enum km_request_kind kind)
{
    enum km_request_state *state = &m->registration.requests[kind];
    enum km_request_state before = *state;
    KM_ASSERT(before != KM_REQUEST_FREE);
    *state = KM_REQUEST_FREE;
    if (before == KM_REQUEST_SENT) {
        return true;
    }
    if (request_of(m->registration.state) == kind) {
        send_request(m);
    }
    return false;
}

void km_registration_enter(struct km_membership *m,
                           enum km_registration_state state)
{
    m->registration.state = state;
    km_membership_disarm(m, &m->registration.timer);
    send_request(m);
}

void km_registration_retry(struct km_membership *m,
                           const struct km_registry_result *result)
{
    struct km_registration *r = &m->registration;
    bool refused = result->status == KAMA_ERR_UNAUTHENTICATED ||
                   result->status == KAMA_ERR_PERMISSION;
    if (refused && r->registrations == 0 &&
        r->state < KM_REGISTRATION_REGISTERED) {
        km_registration_give_up(m, result->status, result->text);
        return;
    }
    km_membership_arm(m, &r->timer, km_membership_later(m, &r->backoff));
    if (!r->said_unreachable && result->status != KAMA_ERR_TRY_AGAIN) {
        r->said_unreachable = true;
        km_membership_log(m, 2, "etcd",
                          "a request to the registry has failed, and is tried "
                          "again: %s: %s",
                          kama_strerror(result->status), result->text);
    }
}

void km_registration_give_up(struct km_membership *m, kama_status status,
                             const char *text)
{
    struct km_registration *r = &m->registration;
    if (r->registrations == 0) {
        r->state = KM_REGISTRATION_FAILED;
        km_membership_disarm(m, &r->timer);
        m->events->failed(m->owner, status, text);
        return;
    }
    km_membership_log(m, 3, "register", "%s", text);
    r->state = KM_REGISTRATION_CLAIMING;
    r->expected_mod_revision = 0;
    km_membership_arm(
        m, &r->timer,
        km_ns_after_ms(km_membership_now(m), KM_MEMBERSHIP_BACKOFF_MS_MAX));
}

/* -- from the start to the record ------------------------------------------ */

void km_registration_draw_id(struct km_membership *m)
{
    m->env.random(m->env.arg, m->own.member.id.bytes,
                  sizeof m->own.member.id.bytes);
}

void km_registration_begin(struct km_membership *m)
{
    km_registration_draw_id(m);
    m->registration.expected_mod_revision = 0;
    m->registration.wait_rounds = 0;
    m->registration.backoff = (struct km_backoff){0};
    km_registration_enter(m, KM_REGISTRATION_STAMPING);
}

void km_registration_on_stamped(void *owner,
                                const struct km_registry_result *result)
{
    struct km_membership *m = owner;
    struct km_registration *r = &m->registration;
    if (!km_registration_answered(m, KM_REQUEST_STAMP) ||
        r->state != KM_REGISTRATION_STAMPING) {
        return;
    }
    if (result->status != KAMA_OK) {
        km_registration_retry(m, result);
    } else if (m->follow.is_on) {
        km_registration_enter(m, KM_REGISTRATION_GRANTING);
    } else {
        r->state = KM_REGISTRATION_READING;
        km_follow_start(m);
    }
}

/* A node with another cluster's name, or of another protocol, would never see anybody, and
 * nobody would see it; that must not look like a cluster of one. */
void km_registration_listed(struct km_membership *m, const char *refusal)
{
    struct km_registration *r = &m->registration;
    if (r->state == KM_REGISTRATION_READING && refusal != NULL) {
        km_registration_give_up(m, KAMA_ERR_NOT_MEMBER, refusal);
    } else if (r->state == KM_REGISTRATION_READING) {
        km_registration_enter(m, KM_REGISTRATION_GRANTING);
    } else if (r->state == KM_REGISTRATION_WAITING &&
               !m->follow.own_key_present) {
        km_claim_again(m);
    }
}

void km_registration_on_granted(void *owner,
                                const struct km_registry_result *result,
                                int64_t lease, int64_t ttl_ms)
{
    struct km_membership *m = owner;
    if (!km_registration_answered(m, KM_REQUEST_GRANT) ||
        m->registration.state != KM_REGISTRATION_GRANTING) {
        return;
    }
    if (result->status != KAMA_OK) {
        km_registration_retry(m, result);
        return;
    }
    km_lease_begin(m, lease, ttl_ms, m->registration.grant_sent_at);
    km_membership_log(m, 1, "lease", "lease %llx of %lld ms was granted",
                      (unsigned long long)lease, (long long)ttl_ms);
    km_registration_enter(m, KM_REGISTRATION_CLAIMING);
}

void km_registration_done(struct km_membership *m)
{
    struct km_registration *r = &m->registration;
    km_membership_disarm(m, &r->timer);
    r->state = KM_REGISTRATION_REGISTERED;
    r->backoff = (struct km_backoff){0};
    r->written = r->sent;
    r->last_id = m->own.member.id;
    r->registrations++;
    r->wait_rounds = 0;
    r->said_unreachable = false;
    m->stats.registrations++;
    km_follow_registered(m);
    km_lease_say(m, KM_LEASE_HELD);
    m->events->registered(m->owner, &r->last_id, r->registrations);
    send_request(m);
}

/* -- the state of the record ----------------------------------------------- */

void km_membership_activate(struct km_membership *m)
{
    struct km_registration *r = &m->registration;
    if (r->wanted == KM_MEMBER_JOINING) {
        r->wanted = KM_MEMBER_ACTIVE;
        if (r->state == KM_REGISTRATION_REGISTERED) {
            km_registration_update(m);
        }
    }
}

/* The record says what was sent. */
static void written(struct km_membership *m)
{
    struct km_registration *r = &m->registration;
    r->written = r->sent;
    r->backoff = (struct km_backoff){0};
    km_registration_update(m);
    if (r->written == KM_MEMBER_LEAVING) {
        km_leaving_say(m);
    } else if (r->written == KM_MEMBER_ACTIVE && !r->was_active) {
        r->was_active = true;
        m->events->activated(m->owner);
    }
}

void km_registration_on_updated(void *owner,
                                const struct km_registry_result *result,
                                enum km_registry_verdict verdict)
{
    struct km_membership *m = owner;
    enum km_registration_state state = m->registration.state;
    bool registered =
        state == KM_REGISTRATION_REGISTERED || state == KM_REGISTRATION_LEAVING;
    if (!km_registration_answered(m, KM_REQUEST_UPDATE)) {
        return;
    }
    bool done = result->status == KAMA_OK && verdict == KM_REGISTRY_DONE;
    if (m->registration.goodbye == KM_PARTING_SENT) {
        m->registration.goodbye = done ? KM_PARTING_WRITTEN : KM_PARTING_WANTED;
    }
    if (state == KM_REGISTRATION_PARTING) {
        km_leaving_part(m, done);
    } else if (!registered) {
        return;
    } else if (result->status != KAMA_OK) {
        km_registration_retry(m, result);
    } else if (verdict == KM_REGISTRY_DONE) {
        written(m);
    } else if (state == KM_REGISTRATION_REGISTERED) {
        km_registration_resign(m, "the registry has another record");
    } else {
        km_leaving_say(m);
    }
}

/* -- losing it ------------------------------------------------------------- */

void km_registration_resign(struct km_membership *m, const char *why)
{
    int64_t lease = m->lease.id;
    km_membership_log(m, 2, "register",
                      "the record of %s was deleted under a living lease (%s); "
                      "registering again",
                      m->own.address, why);
    km_lease_stop(m);
    m->registration.state = KM_REGISTRATION_RESIGNING;
    km_membership_arm(
        m, &m->registration.timer,
        km_ns_after_ms(km_membership_now(m), KM_MEMBERSHIP_REVOKE_MS));
    km_registration_revoke(m, lease);
    km_lease_say(m, KM_LEASE_LOST);
}

void km_registration_lease_lost(struct km_membership *m)
{
    enum km_registration_state state = m->registration.state;
    bool registered = state == KM_REGISTRATION_REGISTERED;
    km_lease_stop(m);
    if (registered) {
        km_registration_begin(m);
    } else if (state > KM_REGISTRATION_GRANTING &&
               state < KM_REGISTRATION_REGISTERED) {
        m->registration.expected_mod_revision = 0;
        km_registration_enter(m, KM_REGISTRATION_GRANTING);
    }
    if (m->lease.state != KM_LEASE_NONE) {
        km_lease_say(m, KM_LEASE_LOST);
    }
    if (state == KM_REGISTRATION_LEAVING) {
        km_leaving_say(m);
    }
}

/* -- answers and timers ---------------------------------------------------- */

void km_registration_on_revoked(void *owner,
                                const struct km_registry_result *result)
{
    struct km_membership *m = owner;
    (void)result; /* a lease that could not be revoked expires */
    m->registration.requests[KM_REQUEST_REVOKE] = KM_REQUEST_FREE;
    if (m->registration.state == KM_REGISTRATION_RESIGNING) {
        km_registration_begin(m);
    } else if (m->registration.state == KM_REGISTRATION_REVOKING) {
        km_leaving_end(m);
    }
}

void km_registration_on_timer(struct km_timer *timer)
{
    struct km_membership *m =
        KM_CONTAINER_OF(timer, struct km_membership, registration.timer);
    switch (m->registration.state) {
    case KM_REGISTRATION_PROBING:
        km_claim_nobody(m);
        break;
    case KM_REGISTRATION_WAITING:
        km_claim_again(m);
        break;
    case KM_REGISTRATION_RESIGNING:
        km_registration_begin(m);
        break;
    case KM_REGISTRATION_PARTING:
        km_leaving_part(m, false);
        break;
    case KM_REGISTRATION_REVOKING:
        km_leaving_end(m);
        break;
    default:
        send_request(m);
        break;
    }
}
