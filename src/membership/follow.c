/* SPDX-License-Identifier: MIT */
/*
 * Following the members: a list, then a watch from the revision behind it, and
 * a list every 30 s and whenever the watch has ended. Lists and changes
 * overlap:
 *
 *     list sent at revision 7 ...................... answered: as of 9
 *                              changes of 8, 9, 10
 *
 * The list is older than the known members, so that it is read again. A list below
 * the revision at which it was sent, however, means that the registry has lost
 * its data.
 */
#include "membership/membership_internal.h"

#include "base/assert.h"
#include "base/container.h"

static km_ns hold_ns(const struct km_membership *m)
{
    int64_t ttl_ms = m->lease.ttl_ms > 0 ? m->lease.ttl_ms : m->lease_ttl_ms;
    return (km_ns)ttl_ms * KM_NS_PER_MS;
}

/* -- lists ----------------------------------------------------------------- */

static void send_list(struct km_membership *m)
{
    struct km_follow *f = &m->follow;
    if (f->list != KM_LIST_FREE) {
        f->list = KM_LIST_SENT_AND_WANTED;
        return;
    }
    f->list = KM_LIST_SENT;
    f->sent_at = km_membership_now(m);
    f->sent_revision = f->revision;
    f->sent_registered = m->registration.state == KM_REGISTRATION_REGISTERED;
    m->stats.lists++;
    m->ops->list(m->registry, KAMA_STR(m->prefix));
}

void km_follow_start(struct km_membership *m)
{
    m->follow.is_on = true;
    send_list(m);
}

void km_follow_stop(struct km_membership *m)
{
    struct km_follow *f = &m->follow;
    f->is_on = false;
    if (f->is_watching) {
        f->is_watching = false;
        m->ops->unwatch(m->registry);
    }
    km_membership_disarm(m, &f->timer);
    km_membership_disarm(m, &m->directory_timer);
}

void km_follow_list_at(struct km_membership *m, km_ns at)
{
    struct km_follow *f = &m->follow;
    if (f->planned_at == 0 || at < f->planned_at) {
        f->planned_at = at;
        km_membership_arm(m, &f->timer, at);
    }
}

void km_follow_on_timer(struct km_timer *timer)
{
    struct km_membership *m =
        KM_CONTAINER_OF(timer, struct km_membership, follow.timer);
    m->follow.planned_at = 0;
    send_list(m);
}

static void start_watch(struct km_membership *m)
{
    struct km_follow *f = &m->follow;
    f->is_watching = true;
    f->watch_since = km_membership_now(m);
    m->stats.watches++;
    m->ops->watch(m->registry, KAMA_STR(m->prefix), f->revision + 1);
}

/* -- the view -------------------------------------------------------------- */

/* Returns whether the view may be told: the first one has this node in it. */
static bool may_tell(const struct km_membership *m, const struct km_view *view)
{
    return m->view != NULL ||
           (m->registration.registrations > 0 &&
            km_view_find_id(view, &m->registration.last_id) != NULL);
}

/* Takes a reference to the view that is told, because the owner may cause
 * another one meanwhile. */
static void tell(struct km_membership *m, struct km_view *view,
                 void (*event)(void *owner, struct km_view *view))
{
    km_view_unref(m->view);
    m->view = view;
    (void)km_view_ref(view);
    event(m->owner, view);
    km_view_unref(view);
}

static void settle(struct km_membership *m)
{
    unsigned holds = m->directory.holds;
    km_ns now = km_membership_now(m);
    km_ns next = km_directory_settle(&m->directory, now, hold_ns(m));
    if (m->directory.holds != holds) {
        km_membership_log(m, 2, "held",
                          "more than half of the members have gone within a "
                          "second; %zu addresses are held in the view for "
                          "%lld ms",
                          km_directory_held(&m->directory),
                          (long long)(hold_ns(m) / KM_NS_PER_MS));
    }
    if (next != KM_NS_NEVER) {
        km_membership_arm(m, &m->directory_timer, next);
    }
}

void km_follow_publish(struct km_membership *m)
{
    struct km_view *view;
    if (!m->follow.is_on) {
        return;
    }
    settle(m);
    if (m->published == m->directory.changes && m->view != NULL) {
        return;
    }
    if (km_directory_view(&m->directory, &view) != KAMA_OK) {
        km_membership_arm(
            m, &m->directory_timer,
            km_ns_after_ms(km_membership_now(m), KM_MEMBERSHIP_BACKOFF_MS_MIN));
        return;
    }
    bool same = m->view != NULL && m->view->id == view->id;
    bool told = !same && may_tell(m, view);
    bool goodbye = same && m->goodbyes != m->directory.goodbyes;
    if (same || told) {
        m->published = m->directory.changes;
        m->goodbyes = m->directory.goodbyes;
    }
    if (told) {
        tell(m, view, m->events->view);
    } else if (goodbye && m->events->goodbye != NULL) {
        tell(m, view, m->events->goodbye);
    } else {
        km_view_unref(view);
    }
}

void km_follow_on_directory_timer(struct km_timer *timer)
{
    struct km_membership *m =
        KM_CONTAINER_OF(timer, struct km_membership, directory_timer);
    km_follow_publish(m);
}

/* -- the own record -------------------------------------------------------- */

void km_follow_registered(struct km_membership *m)
{
    struct km_follow *f = &m->follow;
    f->own_seen = false;
    f->sent_registered = false;
    if (!f->is_watching) {
        km_follow_list_at(m, km_membership_now(m));
    }
}

/* Returns whether the own record is gone: it was seen and is not there any
 * more, or a list that began after the registration does not have it. A list
 * from before the registration says nothing. */
static bool own_record_gone(struct km_membership *m, bool fresh_list)
{
    struct km_follow *f = &m->follow;
    const struct km_entry *entry =
        km_directory_find(&m->directory, KAMA_STR(m->own.address));
    if (m->registration.state != KM_REGISTRATION_REGISTERED) {
        return false;
    }
    if (entry != NULL &&
        km_member_id_equal(&entry->member->id, &m->registration.last_id)) {
        f->own_seen = true;
        return false;
    }
    return f->own_seen || fresh_list;
}

/* -- joins ----------------------------------------------------------------- */

/* Returns whether more registrations have happened than were seen. */
static bool missed_a_life(struct km_membership *m, const struct km_step *step)
{
    struct km_follow *f = &m->follow;
    int64_t before = f->joins;
    bool knows = f->knows_joins;
    if (step->joins < 0) {
        return false;
    }
    f->joins = step->joins;
    f->knows_joins = true;
    km_directory_count_joins(&m->directory, (uint64_t)step->joins);
    return knows &&
           (step->joins < before || step->joins - before > step->lives);
}

static void say_forget(struct km_membership *m)
{
    const char *why = "a member has come and gone unseen";
    km_membership_log(m, 2, "etcd", "%s; all groups are cleared", why);
    m->events->forget(m->owner, why);
}

/* -- lost data ------------------------------------------------------------- */

static bool has_lost_data(const struct km_follow *f, const struct km_step *step,
                          int64_t revision)
{
    bool stamp_lost =
        f->has_stamp && (!step->has_stamp || step->stamp != f->stamp);
    return f->revision > 0 && (stamp_lost || revision < f->sent_revision);
}

static void lose_data(struct km_membership *m)
{
    m->follow.knows_joins = false;
    km_membership_log(
        m, 2, "etcd",
        "the registry has lost its data; members without a record "
        "are held in the view for %lld ms",
        (long long)(hold_ns(m) / KM_NS_PER_MS));
}

/* Writes `registry` again, if somebody has deleted it. */
static void keep_stamp(struct km_membership *m, const struct km_step *step)
{
    struct km_member_id bits;
    char text[KM_MEMBER_ID_TEXT_BYTES];
    m->follow.has_stamp = step->has_stamp;
    m->follow.stamp = step->stamp;
    if (!step->has_stamp &&
        m->registration.state == KM_REGISTRATION_REGISTERED &&
        m->registration.requests[KM_REQUEST_STAMP] == KM_REQUEST_FREE) {
        m->registration.requests[KM_REQUEST_STAMP] = KM_REQUEST_SENT;
        m->env.random(m->env.arg, bits.bytes, sizeof bits.bytes);
        m->ops->stamp(m->registry, KAMA_STR(m->stamp_key),
                      KAMA_STR(km_member_id_format(&bits, text)));
    }
}

/* -- what a list says ------------------------------------------------------ */

static kama_status apply_list(struct km_membership *m, struct km_step *step,
                              const struct km_registry_record *records,
                              size_t count, int64_t revision)
{
    km_ns now = km_membership_now(m);
    unsigned changes = m->directory.changes;
    bool lost = has_lost_data(&m->follow, step, revision);
    step->since = lost ? 0 : step->since;
    km_directory_begin_list(&m->directory);
    kama_status status = km_step_apply(m, step, records, count);
    if (status != KAMA_OK) {
        return status;
    }
    if (lost) {
        lose_data(m);
        km_directory_end_list_held(&m->directory, now, hold_ns(m));
    } else {
        km_directory_end_list(&m->directory, now);
    }
    step->differs |= lost || m->directory.changes != changes;
    m->follow.revision = revision;
    m->follow.own_key_present = step->own_key;
    keep_stamp(m, step);
    return KAMA_OK;
}

static void list_failed(struct km_membership *m,
                        const struct km_registry_result *result)
{
    struct km_registration *r = &m->registration;
    if (r->state == KM_REGISTRATION_READING &&
        (result->status == KAMA_ERR_UNAUTHENTICATED ||
         result->status == KAMA_ERR_PERMISSION)) {
        km_registration_give_up(m, result->status, result->text);
        return;
    }
    km_follow_list_at(m, km_membership_later(m, &m->follow.list_backoff));
}

/* Acts on a list or a change: each of these steps may call the owner. */
static void conclude(struct km_membership *m, const struct km_step *step,
                     bool fresh_list)
{
    bool forget = missed_a_life(m, step);
    if (own_record_gone(m, fresh_list)) {
        km_registration_resign(m, "it is not among the members");
    }
    km_registration_listed(m, step->is_list && step->members == 0 &&
                                      step->refusal[0] != '\0'
                                  ? step->refusal
                                  : NULL);
    if (forget && m->follow.is_on) {
        say_forget(m);
    }
    km_follow_publish(m);
}

static void take_list(struct km_membership *m,
                      const struct km_registry_record *records, size_t count,
                      int64_t revision)
{
    struct km_follow *f = &m->follow;
    struct km_step step = {.is_list = true, .since = f->revision, .joins = 0};
    km_step_read_stamp(m, &step, records, count);
    if (revision < f->revision && !has_lost_data(f, &step, revision)) {
        km_follow_list_at(m, km_membership_now(m));
        return;
    }
    if (apply_list(m, &step, records, count, revision) != KAMA_OK) {
        km_follow_list_at(m, km_membership_later(m, &f->list_backoff));
        return;
    }
    f->list_backoff = (struct km_backoff){0};
    if (!f->is_watching || step.differs) {
        start_watch(m);
    }
    km_follow_list_at(
        m, km_ns_after_ms(km_membership_now(m), KM_MEMBERSHIP_RECONCILE_MS));
    km_ns sent_at = f->sent_at;
    conclude(m, &step, f->sent_registered);
    if (m->events->read != NULL) {
        m->events->read(m->owner, sent_at);
    }
}

void km_follow_on_listed(void *owner, const struct km_registry_result *result,
                         const struct km_registry_record *records, size_t count,
                         int64_t revision)
{
    struct km_membership *m = owner;
    struct km_follow *f = &m->follow;
    bool again = f->list == KM_LIST_SENT_AND_WANTED;
    f->list = KM_LIST_FREE;
    if (!f->is_on) {
        return;
    }
    if (again) {
        km_follow_list_at(m, km_ns_after_ms(km_membership_now(m),
                                            KM_MEMBERSHIP_BACKOFF_MS_MIN));
    }
    if (result->status == KAMA_OK) {
        take_list(m, records, count, revision);
    } else {
        list_failed(m, result);
    }
}

/* -- what a claim says ----------------------------------------------------- */

/* The directory is ahead of the claim. It is told again behind the older
 * view. */
static void tell_older(struct km_membership *m, struct km_view *view)
{
    m->published = m->directory.changes - 1;
    tell(m, view, m->events->view);
    km_follow_publish(m);
}

/* Without memory the record is claimed once more, with the members that are
 * there then. */
static void claim_again(struct km_membership *m)
{
    km_registration_resign(m, "there was no memory for the members");
}

/* The claim is as good as a list, unless the directory knows more. */
void km_follow_claimed(struct km_membership *m,
                       const struct km_registry_record *records, size_t count,
                       int64_t revision)
{
    struct km_follow *f = &m->follow;
    struct km_step step = {.is_list = true, .since = f->revision, .joins = 0};
    struct km_view *view;
    if (m->registration.state != KM_REGISTRATION_REGISTERED || !f->is_on) {
        return;
    }
    if (km_step_view(m, records, count, &view) != KAMA_OK) {
        claim_again(m);
        return;
    }
    km_step_read_stamp(m, &step, records, count);
    bool lost = has_lost_data(f, &step, revision);
    if (km_view_find_id(view, &m->registration.last_id) == NULL ||
        (revision == f->revision && !lost)) { /* nothing that is new */
        km_view_unref(view);
        km_follow_publish(m);
        return;
    }
    if (revision < f->revision && !lost) {
        tell_older(m, view);
        return;
    }
    km_view_unref(view);
    if (apply_list(m, &step, records, count, revision) != KAMA_OK) {
        claim_again(m);
        return;
    }
    conclude(m, &step, false);
}

/* -- what a watch says ----------------------------------------------------- */

void km_follow_on_changed(void *owner, int64_t revision,
                          const struct km_registry_record *records,
                          size_t count)
{
    struct km_membership *m = owner;
    struct km_follow *f = &m->follow;
    struct km_step step = {.since = f->revision, .joins = -1};
    if (!f->is_on || !f->is_watching || revision <= f->revision) {
        return;
    }
    km_step_read_stamp(m, &step, records, count);
    if (km_step_apply(m, &step, records, count) != KAMA_OK) {
        km_follow_list_at(m, km_membership_later(m, &f->list_backoff));
        return;
    }
    f->revision = revision;
    if (step.touches_stamp) { /* the list says what that means */
        km_follow_list_at(m, km_membership_now(m));
    }
    conclude(m, &step, false);
}

void km_follow_on_watch_ended(void *owner,
                              const struct km_registry_result *result,
                              int64_t compact_revision)
{
    struct km_membership *m = owner;
    struct km_follow *f = &m->follow;
    (void)result;
    (void)compact_revision; /* the list is the answer to that too */
    f->is_watching = false;
    if (!f->is_on) {
        return;
    }
    if (km_membership_now(m) - f->watch_since >
        KM_MEMBERSHIP_BACKOFF_MS_MAX * KM_NS_PER_MS) {
        f->watch_backoff = (struct km_backoff){0};
    }
    km_follow_list_at(m, km_membership_later(m, &f->watch_backoff));
}
