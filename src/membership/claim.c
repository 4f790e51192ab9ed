/* SPDX-License-Identifier: MIT */
/*
 * The claim of the own address, also when a record is there already
 * (docs/CLUSTER.md 2):
 *
 *     found                        then
 *     my id, my nonce, my lease    an earlier attempt has succeeded
 *     my id or my last one         an earlier attempt of mine: replace it
 *     anything else                ask who listens at the address
 *        this process              the holder is dead: replace it
 *        another process           the address is in use
 *        nobody                    wait until the record is gone
 *
 * A replacement compares the mod_revision of the found record, so that a record
 * that has changed meanwhile is looked at again.
 */
#include "membership/membership_internal.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <stdio.h>

/* Formats the own record with a state. Returns false without memory. */
static bool format_own(struct km_membership *m, enum km_member_state state,
                       struct km_buf *buf)
{
    m->own.member.state = state;
    return km_record_format(&m->own, buf) == KAMA_OK;
}

/* Lets the own record name the life before, if there was one (R12). */
static void name_life_before(struct km_membership *m)
{
    struct km_member_goodbye prev = {.id = m->registration.last_id};
    if (m->registration.registrations > 0 && m->events->life != NULL) {
        m->events->life(m->owner, &prev);
        m->own.member.prev = prev;
    }
}

static void send_claim(struct km_membership *m, kama_bytes value)
{
    bool is_active = m->registration.sent == KM_MEMBER_ACTIVE;
    const struct km_registry_claim claim = {
        .member_key = KAMA_STR(m->member_key),
        .member_value = value,
        .sister_key = is_active ? KAMA_STR(m->sister_key) : (kama_bytes){0},
        .sister_value = KAMA_STR(m->own.address),
        .joins_key = KAMA_STR(m->joins_key),
        .prefix = KAMA_STR(m->prefix),
        .lease = m->lease.id,
        .expected_mod_revision = m->registration.expected_mod_revision,
    };
    m->ops->claim(m->registry, &claim);
}

void km_claim_send(struct km_membership *m)
{
    struct km_registration *r = &m->registration;
    static const struct km_registry_result no_memory = {
        KAMA_ERR_NO_MEMORY, "no memory for the own record"};
    static const struct km_registry_result no_address = {
        KAMA_ERR_INVALID, "no address to advertise is known"};
    struct km_buf buf;
    if (m->own.address[0] == '\0') {
        km_registration_retry(m, &no_address);
        return;
    }
    if (!km_registration_may_send(m, KM_REQUEST_CLAIM)) {
        return;
    }
    km_buf_init(&buf, m->mem, SIZE_MAX);
    r->sent = r->was_active ? KM_MEMBER_ACTIVE : KM_MEMBER_JOINING;
    name_life_before(m);
    if (format_own(m, r->sent, &buf)) {
        send_claim(m, km_buf_bytes(&buf));
    } else {
        r->requests[KM_REQUEST_CLAIM] = KM_REQUEST_FREE;
        km_registration_retry(m, &no_memory);
    }
    km_buf_fini(&buf);
}

/* -- a record that is there ------------------------------------------------ */

static void replace_found(struct km_membership *m)
{
    m->registration.expected_mod_revision = m->registration.found_mod_revision;
    km_registration_enter(m, KM_REGISTRATION_CLAIMING);
}

void km_claim_again(struct km_membership *m)
{
    m->registration.expected_mod_revision = 0;
    km_registration_enter(m, KM_REGISTRATION_CLAIMING);
}

/* Looks at a record that is not obviously this process's own. */
static void probe(struct km_membership *m)
{
    km_membership_log(
        m, 1, "register",
        "%s is registered by %s already; asking who listens there",
        m->own.address, m->registration.found_id);
    km_registration_enter(m, KM_REGISTRATION_PROBING);
}

static void look_at_found(struct km_membership *m,
                          const struct km_record *record)
{
    struct km_registration *r = &m->registration;
    const struct km_member_id *id = &record->member.id;
    bool mine = km_member_id_equal(&record->nonce, &m->own.nonce);
    bool present = mine && km_member_id_equal(id, &m->own.member.id);
    (void)km_member_id_format(id, r->found_id);
    if (present) {
        /* The members as of that claim are not known, so that it is made once
         * more; `joins` counts it, and so it needs an id that is new. */
        km_registration_draw_id(m);
        replace_found(m);
    } else if (mine && km_member_id_equal(id, &r->last_id)) {
        replace_found(m);
    } else {
        probe(m);
    }
}

static void refused(struct km_membership *m,
                    const struct km_registry_record *found)
{
    static const struct km_registry_result vanished = {
        KAMA_ERR_TRY_AGAIN, "the record at the own address has just gone"};
    struct km_registration *r = &m->registration;
    struct km_record record;
    r->expected_mod_revision = 0;
    if (found == NULL) {
        km_registration_retry(m, &vanished);
        return;
    }
    r->found_mod_revision = found->mod_revision;
    r->found_lease = found->lease;
    m->follow.own_key_present = true;
    kama_status status = km_record_parse(found->value, KAMA_STR(m->own.address),
                                         m->env.wall_ms(m->env.arg), &record);
    if (status == KAMA_OK) {
        look_at_found(m, &record);
    } else if (status == KAMA_ERR_NO_MEMORY) {
        const struct km_registry_result result = {status, "no memory"};
        km_registration_retry(m, &result);
    } else {
        (void)snprintf(r->found_id, sizeof r->found_id, "%s",
                       "a record that is no member");
        probe(m);
    }
}

void km_claim_on_claimed(void *owner, const struct km_registry_result *result,
                         enum km_registry_verdict verdict,
                         const struct km_registry_record *records, size_t count,
                         int64_t revision)
{
    struct km_membership *m = owner;
    if (!km_registration_answered(m, KM_REQUEST_CLAIM) ||
        m->registration.state != KM_REGISTRATION_CLAIMING) {
        return;
    }
    if (result->status != KAMA_OK) {
        km_lease_keep(m); /* it says so if the lease is gone */
        km_registration_retry(m, result);
    } else if (verdict == KM_REGISTRY_DONE) {
        km_registration_done(m);
        km_follow_claimed(m, records, count, revision);
    } else {
        refused(m, count > 0 ? records : NULL);
    }
}

/* -- asking and waiting ---------------------------------------------------- */

static void in_use(struct km_membership *m, const struct km_member_id *id)
{
    char text[KM_EVENT_BYTES_MAX];
    char id_text[KM_MEMBER_ID_TEXT_BYTES];
    (void)snprintf(text, sizeof text,
                   "%s is in use by %s: another node listens at this address; "
                   "give this node an address of its own with --listen or "
                   "--advertise",
                   m->own.address,
                   id != NULL && !km_member_id_is_none(id)
                       ? km_member_id_format(id, id_text)
                       : m->registration.found_id);
    km_registration_give_up(m, KAMA_ERR_ADDR_IN_USE, text);
}

void km_claim_nobody(struct km_membership *m)
{
    if (m->registration.found_lease == 0) {
        /* Nothing would ever end a record without a lease. */
        replace_found(m);
    } else if (m->registration.wait_rounds >= KM_MEMBERSHIP_WAIT_ROUNDS_MAX) {
        char text[KM_EVENT_BYTES_MAX];
        m->registration.wait_rounds = 0;
        (void)snprintf(text, sizeof text,
                       "%s is registered by %s, which prolongs its lease, but "
                       "nobody answers at this address; stop that node, or "
                       "delete its record",
                       m->own.address, m->registration.found_id);
        km_registration_give_up(m, KAMA_ERR_ADDR_IN_USE, text);
    } else {
        km_registration_enter(m, KM_REGISTRATION_ASKING);
    }
}

void km_membership_probed(struct km_membership *m, enum km_probe_answer answer,
                          const struct km_member_id *id)
{
    if (m->registration.state != KM_REGISTRATION_PROBING) {
        return;
    }
    switch (answer) {
    case KM_PROBE_SELF:
        replace_found(m);
        break;
    case KM_PROBE_ANOTHER:
        in_use(m, id);
        break;
    case KM_PROBE_NOBODY:
        km_claim_nobody(m);
        break;
    }
}

void km_claim_ask(struct km_membership *m)
{
    if (km_registration_may_send(m, KM_REQUEST_LEFT)) {
        m->ops->time_left(m->registry, m->registration.found_lease);
    }
}

void km_claim_on_left(void *owner, const struct km_registry_result *result,
                      int64_t ttl_ms)
{
    struct km_membership *m = owner;
    struct km_registration *r = &m->registration;
    if (!km_registration_answered(m, KM_REQUEST_LEFT) ||
        r->state != KM_REGISTRATION_ASKING) {
        return;
    }
    if (result->status != KAMA_OK) {
        km_registration_retry(m, result);
        return;
    }
    int64_t wait_ms = (ttl_ms > 0 ? ttl_ms : 0) + KM_MEMBERSHIP_WAIT_SLACK_MS;
    km_ns until = km_ns_after_ms(km_membership_now(m), wait_ms);
    r->state = KM_REGISTRATION_WAITING;
    r->wait_rounds++;
    km_membership_arm(m, &r->timer, until);
    km_membership_refresh(m); /* the record may have gone unseen */
    km_membership_log(m, 1, "register",
                      "%s is held by %s, and nobody answers there; waiting for "
                      "its record to go, at most %lld ms",
                      m->own.address, r->found_id, (long long)wait_ms);
    m->events->waiting(m->owner, until);
}
