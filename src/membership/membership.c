/* SPDX-License-Identifier: MIT */
/*
 * Membership as its owner sees it. The machine itself is in registration.c (the
 * own record), lease.c (its lease) and follow.c (the members).
 */
#include "membership/membership_internal.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/status.h"
#include "base/text.h"
#include "net/address.h"

#include <stdio.h>

#define PREFIX "/kamacache/v1/"

/* -- what the parts share -------------------------------------------------- */

km_ns km_membership_now(const struct km_membership *m)
{
    return m->env.now(m->env.arg);
}

void km_membership_arm(struct km_membership *m, struct km_timer *timer,
                       km_ns at)
{
    m->env.disarm(m->env.arg, timer);
    m->env.arm(m->env.arg, timer, at);
}

void km_membership_disarm(struct km_membership *m, struct km_timer *timer)
{
    m->env.disarm(m->env.arg, timer);
}

/* The jitter takes up to a quarter away, so that nodes which have lost the
 * registry together do not come back together. */
km_ns km_membership_later(struct km_membership *m, struct km_backoff *backoff)
{
    uint32_t random;
    uint32_t delay = backoff->delay_ms;
    delay = delay == 0 ? KM_MEMBERSHIP_BACKOFF_MS_MIN : delay * 8 / 5;
    if (delay > KM_MEMBERSHIP_BACKOFF_MS_MAX) {
        delay = KM_MEMBERSHIP_BACKOFF_MS_MAX;
    }
    backoff->delay_ms = delay;
    m->env.random(m->env.arg, &random, sizeof random);
    return km_ns_after_ms(km_membership_now(m),
                          (int64_t)(delay - random % (delay / 4)));
}

void km_membership_log(struct km_membership *m, int level, const char *name,
                       const char *fmt, ...)
{
    char text[KM_EVENT_BYTES_MAX];
    va_list args;
    va_start(args, fmt);
    (void)km_text_vprintf(text, sizeof text, fmt, args);
    va_end(args);
    m->events->log(m->owner, level, name, text);
}

/* -- making ---------------------------------------------------------------- */

/* A service is a folder of keys, so that '/' must not be in its name. */
static kama_status check_name(const char *what, const char *name)
{
    kama_bytes text = KAMA_STR(name);
    if (text.len == 0 || text.len > KM_CLUSTER_NAME_BYTES_MAX ||
        strchr(name, '/') != NULL || !km_bytes_is_utf8(text)) {
        return km_fail(KAMA_ERR_INVALID,
                       "the name of a %s has 1 to " KM_TEXT_OF(
                           KM_CLUSTER_NAME_BYTES_MAX) " bytes of UTF-8 without "
                                                      "\"/\": \"%.*s\"",
                       what, KM_TEXT_UP_TO(80, name));
    }
    return KAMA_OK;
}

kama_status km_membership_set_address(struct km_membership *m,
                                      const char *address)
{
    kama_status status = km_member_address(address, m->own.address);
    if (status != KAMA_OK) {
        m->own.address[0] = '\0';
        return status;
    }
    (void)snprintf(m->member_key, sizeof m->member_key, "%smembers/%s",
                   m->prefix, m->own.address);
    (void)snprintf(m->sister_key, sizeof m->sister_key, "/services/%s/%s",
                   m->service, m->own.address);
    return KAMA_OK;
}

static kama_status copy_labels(struct km_membership *m,
                               const struct km_membership_options *o)
{
    if (o->label_count > KM_MEMBER_LABELS_MAX) {
        return km_fail(KAMA_ERR_INVALID,
                       "%zu labels; a member has at most " KM_TEXT_OF(
                           KM_MEMBER_LABELS_MAX),
                       o->label_count);
    }
    for (size_t i = 0; i < o->label_count; i++) {
        kama_bytes label = KAMA_STR(o->labels[i]);
        if (label.len > KM_MEMBER_LABEL_BYTES_MAX || !km_bytes_is_utf8(label)) {
            return km_fail(
                KAMA_ERR_INVALID,
                "label \"%.*s\": a label is UTF-8 of at most " KM_TEXT_OF(
                    KM_MEMBER_LABEL_BYTES_MAX) " bytes",
                KM_TEXT_UP_TO(80, o->labels[i]));
        }
        memcpy(m->own.label_texts[i], o->labels[i], label.len + 1);
        m->own.labels[i] = m->own.label_texts[i];
    }
    m->own.member.label_count = o->label_count;
    return KAMA_OK;
}

static kama_status copy_admin(struct km_membership *m, const char *admin)
{
    kama_bytes text = KAMA_STR(admin != NULL ? admin : "");
    if (text.len >= sizeof m->own.admin || !km_bytes_is_utf8(text)) {
        return km_fail(KAMA_ERR_INVALID,
                       "admin address \"%.*s\": it is too long, or no UTF-8",
                       KM_TEXT_UP_TO(80, admin));
    }
    memcpy(m->own.admin, admin != NULL ? admin : "", text.len + 1);
    return KAMA_OK;
}

static void make_keys(struct km_membership *m)
{
    (void)snprintf(m->prefix, sizeof m->prefix, PREFIX "%s/", m->service);
    (void)snprintf(m->joins_key, sizeof m->joins_key, PREFIX "%s/joins",
                   m->service);
    (void)snprintf(m->stamp_key, sizeof m->stamp_key, PREFIX "%s/registry",
                   m->service);
}

static kama_status copy_own(struct km_membership *m,
                            const struct km_membership_options *o)
{
    kama_status status = check_name("cluster", o->cluster);
    if (status == KAMA_OK) {
        status = check_name("service", o->service);
    }
    if (status == KAMA_OK &&
        (o->weight < 1 || o->weight > KM_MEMBER_WEIGHT_MAX)) {
        status = km_fail(KAMA_ERR_INVALID,
                         "weight %u: it is a number from 1 to " KM_TEXT_OF(
                             KM_MEMBER_WEIGHT_MAX),
                         o->weight);
    }
    if (status != KAMA_OK) {
        return status;
    }
    memcpy(m->own.cluster, o->cluster, strlen(o->cluster) + 1);
    memcpy(m->service, o->service, strlen(o->service) + 1);
    make_keys(m);
    status = copy_labels(m, o);
    if (status == KAMA_OK) {
        status = copy_admin(m, o->admin);
    }
    return status == KAMA_OK && o->address != NULL
               ? km_membership_set_address(m, o->address)
               : status;
}

static void init_own(struct km_membership *m,
                     const struct km_membership_options *o)
{
    (void)snprintf(m->own.version, sizeof m->own.version, "%s", kama_version());
    m->own.nonce = o->nonce;
    m->own.member.address = m->own.address;
    m->own.member.admin = m->own.admin;
    m->own.member.version = m->own.version;
    m->own.member.labels = m->own.labels;
    m->own.member.state = KM_MEMBER_JOINING;
    m->own.member.weight = o->weight;
}

static void init_parts(struct km_membership *m,
                       const struct km_membership_options *o)
{
    m->mem = o->mem;
    m->env = o->env;
    m->ops = o->registry_ops;
    m->registry = o->registry;
    m->events = o->events;
    m->owner = o->owner;
    m->port = o->port;
    m->lease_ttl_ms =
        o->lease_ttl_ms > 0 ? o->lease_ttl_ms : KM_MEMBERSHIP_LEASE_MS_DEFAULT;
    m->registration.wanted = KM_MEMBER_JOINING;
    m->registration.timer.fire = km_registration_on_timer;
    m->registration.leave_timer.fire = km_leaving_on_timer;
    m->lease.timer.fire = km_lease_on_timer;
    m->lease.doubt_timer.fire = km_lease_on_doubt_timer;
    m->follow.timer.fire = km_follow_on_timer;
    m->directory_timer.fire = km_follow_on_directory_timer;
    km_directory_init(&m->directory, m->mem);
}

kama_status km_membership_new(const struct km_membership_options *options,
                              struct km_membership **ret_membership)
{
    const kama_allocator *mem = km_mem_or_default(options->mem);
    struct km_membership *m = km_mem_zalloc(mem, 1, sizeof *m);
    if (m == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for membership");
    }
    init_parts(m, options);
    m->mem = mem;
    km_directory_init(&m->directory, mem);
    init_own(m, options);
    kama_status status = copy_own(m, options);
    if (status != KAMA_OK) {
        km_mem_free(mem, m);
        return status;
    }
    *ret_membership = m;
    return KAMA_OK;
}

void km_membership_free(struct km_membership *m)
{
    if (m == NULL) {
        return;
    }
    KM_ASSERT(m->registration.state == KM_REGISTRATION_IDLE ||
              m->registration.state == KM_REGISTRATION_OVER);
    km_view_unref(m->view);
    km_directory_fini(&m->directory);
    km_mem_free(m->mem, m);
}

/* -- the doors of the owner ------------------------------------------------ */

void km_membership_start(struct km_membership *m)
{
    KM_ASSERT(m->registration.state == KM_REGISTRATION_IDLE);
    km_registration_begin(m);
}

void km_membership_refresh(struct km_membership *m)
{
    if (m->follow.is_on) {
        km_ns earliest =
            km_ns_after_ms(m->follow.sent_at, KM_MEMBERSHIP_REFRESH_MS);
        km_ns now = km_membership_now(m);
        km_follow_list_at(m, earliest > now ? earliest : now);
    }
}

void km_membership_told_gone(struct km_membership *m)
{
    if (m->lease.id != 0) {
        km_lease_keep(m);
    }
    km_membership_refresh(m);
}

const struct km_member_id *km_membership_id(const struct km_membership *m)
{
    return &m->registration.last_id;
}

const char *km_membership_address(const struct km_membership *m)
{
    return m->own.address;
}

enum km_membership_lease km_membership_lease_state(
    const struct km_membership *m)
{
    return m->lease.state;
}

int64_t km_membership_lease_id(const struct km_membership *m)
{
    return m->lease.id;
}

void km_membership_stats_get(const struct km_membership *m,
                             struct km_membership_stats *ret_stats)
{
    *ret_stats = m->stats;
    ret_stats->held = km_directory_held(&m->directory);
}

/* -- the doors of the registry --------------------------------------------- */

/* Takes the local address of the connection for the own one, and for that of an
 * admin port on all addresses. */
static void take_local_address(struct km_membership *m, const char *local)
{
    char text[KM_MEMBER_ADDRESS_BYTES];
    char sentence[KM_ERROR_BYTES_MAX];
    const char *format = strchr(local, ':') != NULL ? "[%s]:%u" : "%s:%u";
    (void)snprintf(text, sizeof text, format, local, m->port);
    if (km_membership_set_address(m, text) != KAMA_OK) {
        kama_last_error(sentence, sizeof sentence);
        km_membership_log(m, 3, "advertise",
                          "the local address of the connection to the registry "
                          "cannot be advertised (%s); set --advertise",
                          sentence);
        return;
    }
    (void)memcpy(text, m->own.admin, sizeof text);
    km_address_at_host(text, local, m->own.admin, sizeof m->own.admin);
    km_membership_log(m, 1, "advertise",
                      "advertising %s, the local address of the connection to "
                      "the registry",
                      m->own.address);
}

static void tell_registry(struct km_membership *m, kama_status status,
                          const char *text)
{
    if (m->events->registry != NULL) {
        m->events->registry(m->owner, status, text);
    }
}

static void on_connected(void *owner, const char *endpoint, const char *local)
{
    struct km_membership *m = owner;
    m->registration.said_unreachable = false;
    if (m->own.address[0] == '\0') {
        take_local_address(m, local);
    }
    tell_registry(m, KAMA_OK, endpoint);
}

static void on_disconnected(void *owner, const char *text)
{
    struct km_membership *m = owner;
    m->registration.said_unreachable = true;
    tell_registry(m, KAMA_ERR_UNREACHABLE, text);
}

static void on_removed(void *owner, const struct km_registry_result *result)
{
    (void)owner;
    (void)result;
}

static void on_closed(void *owner)
{
    struct km_membership *m = owner;
    KM_ASSERT(m->registration.state == KM_REGISTRATION_CLOSING);
    m->registration.state = KM_REGISTRATION_OVER;
    m->events->closed(m->owner);
}

const struct km_registry_events km_membership_registry_events = {
    .stamped = km_registration_on_stamped,
    .granted = km_registration_on_granted,
    .kept = km_lease_on_kept,
    .revoked = km_registration_on_revoked,
    .left = km_claim_on_left,
    .claimed = km_claim_on_claimed,
    .updated = km_registration_on_updated,
    .removed = on_removed,
    .listed = km_follow_on_listed,
    .changed = km_follow_on_changed,
    .watch_ended = km_follow_on_watch_ended,
    .connected = on_connected,
    .disconnected = on_disconnected,
    .closed = on_closed,
};
