/* SPDX-License-Identifier: MIT */
/*
 * The meaning of one reading of the registry, or of all changes of one revision. A key
 * whose value is junk, belongs to another cluster or to a node of another protocol, or
 * is one member too many, has no member: all nodes that look at the registry now must see the same,
 * whatever stood there before.
 */
#include "membership/membership_internal.h"

#include "base/bytes.h"
#include "base/hash.h"

#include <stdio.h>

/* Says once a minute at most that there is junk. */
static void log_junk(struct km_membership *m, kama_bytes key, const char *why)
{
    km_ns now = km_membership_now(m);
    km_ns *logged_at = &m->follow.junk_logged_at;
    char shown[128];
    if (*logged_at != 0 &&
        now < km_ns_after_ms(*logged_at, KM_MEMBERSHIP_JUNK_LOG_MS)) {
        return;
    }
    *logged_at = now > 0 ? now : 1;
    km_membership_log(
        m, 2, "junk",
        "ignoring the record \"%s\" (%s); records that were ignored so "
        "far: %llu",
        km_bytes_quote(key, shown, sizeof shown), why,
        (unsigned long long)(m->stats.junk_records + m->stats.foreign_records));
}

/* Returns whether the record was written since the last step. */
static bool is_fresh(const struct km_step *step,
                     const struct km_registry_record *record)
{
    return !step->is_list || record->mod_revision > step->since;
}

static void no_member(struct km_membership *m, struct km_step *step,
                      const struct km_registry_record *record,
                      kama_bytes address)
{
    step->lives += is_fresh(step, record);
    if (!step->is_list) { /* a list removes it at its end */
        km_directory_remove(&m->directory, address, km_membership_now(m));
    }
}

static void junk(struct km_membership *m, struct km_step *step,
                 const struct km_registry_record *record, kama_bytes address,
                 const char *why)
{
    no_member(m, step, record, address);
    if (is_fresh(step, record)) {
        m->stats.junk_records++;
        log_junk(m, record->key, why);
    }
}

/* Says why a node that finds only such records does not start. */
static void refuse(const struct km_membership *m,
                   const struct km_record *parsed,
                   char text[KM_EVENT_BYTES_MAX])
{
    if (strcmp(parsed->cluster, m->own.cluster) != 0) {
        (void)snprintf(text, KM_EVENT_BYTES_MAX,
                       "the members of the service \"%.80s\" belong to the "
                       "cluster \"%.80s\", and this node to the cluster "
                       "\"%.80s\"; correct --cluster, or choose another "
                       "--service",
                       m->service, parsed->cluster, m->own.cluster);
        return;
    }
    (void)snprintf(text, KM_EVENT_BYTES_MAX,
                   "the member %s of version \"%.40s\" speaks the versions %u "
                   "to %u of the protocol between nodes, and this node %d to "
                   "%d; stop all nodes of the other version before this one "
                   "starts",
                   parsed->address, parsed->version, parsed->proto_min,
                   parsed->proto_max, KM_MEMBER_PROTO_MIN, KM_MEMBER_PROTO_MAX);
}

/* Takes a record of a node that this one has nothing to do with. The record at the own
 * address does not count: registration waits for it, or replaces it. */
static void foreign(struct km_membership *m, struct km_step *step,
                    const struct km_registry_record *record,
                    const struct km_record *parsed)
{
    bool is_other = strcmp(parsed->cluster, m->own.cluster) != 0;
    no_member(m, step, record, KAMA_STR(parsed->address));
    if (step->refusal[0] == '\0' &&
        (is_other || !km_bytes_eq(record->key, KAMA_STR(m->member_key)))) {
        refuse(m, parsed, step->refusal);
    }
    if (is_fresh(step, record)) {
        m->stats.foreign_records++;
        log_junk(m, record->key,
                 is_other ? "it belongs to another cluster"
                          : "its node speaks no version of the protocol that "
                            "this node does");
    }
}

/* Returns whether the node of a record may be a member for this one. */
static bool is_ours(const struct km_membership *m,
                    const struct km_record *parsed)
{
    return strcmp(parsed->cluster, m->own.cluster) == 0 &&
           km_member_is_spoken(parsed->proto_min, parsed->proto_max);
}

static kama_status put_member(struct km_membership *m, struct km_step *step,
                              const struct km_registry_record *record,
                              const struct km_record *parsed)
{
    enum km_directory_change change = KM_DIRECTORY_SAME;
    kama_status status =
        km_directory_put(&m->directory, &parsed->member, record->mod_revision,
                         m->own.address, &change);
    if (status != KAMA_OK) {
        return status;
    }
    step->members++;
    step->lives += change == KM_DIRECTORY_NEW_ID;
    step->differs |=
        change == KM_DIRECTORY_NEW_ID || change == KM_DIRECTORY_UPDATED;
    if (change == KM_DIRECTORY_FULL) {
        junk(m, step, record, KAMA_STR(parsed->address),
             "there are " KM_TEXT_OF(KM_MEMBERSHIP_MEMBERS_MAX) " members");
    }
    return KAMA_OK;
}

static kama_status apply_member(struct km_membership *m, struct km_step *step,
                                const struct km_registry_record *record,
                                kama_bytes address)
{
    struct km_record parsed;
    char why[KM_ERROR_BYTES_MAX];
    if (record->deleted) {
        km_directory_remove(&m->directory, address, km_membership_now(m));
        return KAMA_OK;
    }
    kama_status status = km_record_parse(record->value, address,
                                         m->env.wall_ms(m->env.arg), &parsed);
    if (status == KAMA_ERR_NO_MEMORY) {
        return status;
    }
    if (status != KAMA_OK) {
        kama_last_error(why, sizeof why);
        junk(m, step, record, address, why);
        return KAMA_OK;
    }
    if (!is_ours(m, &parsed)) {
        foreign(m, step, record, &parsed);
        return KAMA_OK;
    }
    return put_member(m, step, record, &parsed);
}

static void note_own_key(struct km_membership *m, struct km_step *step,
                         const struct km_registry_record *record)
{
    if (step->is_list) {
        step->own_key = true;
    } else {
        m->follow.own_key_present = !record->deleted;
    }
}

static kama_status apply(struct km_membership *m, struct km_step *step,
                         const struct km_registry_record *record)
{
    static const char members[] = "members/";
    kama_bytes prefix = KAMA_STR(m->prefix);
    if (!km_bytes_starts(record->key, prefix)) {
        return KAMA_OK;
    }
    kama_bytes name = km_bytes_skip(record->key, prefix.len);
    if (km_bytes_eq(name, KM_LIT("joins"))) {
        step->joins = record->deleted ? 0 : record->version;
    } else if (km_bytes_starts(name, KAMA_STR(members))) {
        if (km_bytes_eq(record->key, KAMA_STR(m->member_key))) {
            note_own_key(m, step, record);
        }
        return apply_member(m, step, record,
                            km_bytes_skip(name, sizeof members - 1));
    }
    return KAMA_OK;
}

/* Adds the member of a record to a list, if it is one of the own cluster. */
static kama_status add_member(const struct km_membership *m,
                              const struct km_registry_record *record,
                              struct km_directory *to)
{
    static const char members[] = "members/";
    enum km_directory_change change;
    struct km_record parsed;
    kama_bytes name = km_bytes_skip(record->key, strlen(m->prefix));
    if (km_bytes_eq(name, KM_LIT("joins"))) {
        km_directory_count_joins(to, (uint64_t)record->version);
    }
    if (!km_bytes_starts(name, KAMA_STR(members))) {
        return KAMA_OK;
    }
    kama_status status =
        km_record_parse(record->value, km_bytes_skip(name, sizeof members - 1),
                        m->env.wall_ms(m->env.arg), &parsed);
    if (status != KAMA_OK || !is_ours(m, &parsed)) {
        return status == KAMA_ERR_NO_MEMORY ? status : KAMA_OK;
    }
    return km_directory_put(to, &parsed.member, record->mod_revision,
                            m->own.address, &change);
}

kama_status km_step_view(const struct km_membership *m,
                         const struct km_registry_record *records, size_t count,
                         struct km_view **ret_view)
{
    struct km_directory directory;
    kama_status status = KAMA_OK;
    km_directory_init(&directory, m->mem);
    for (size_t i = 0; i < count && status == KAMA_OK; i++) {
        if (km_bytes_starts(records[i].key, KAMA_STR(m->prefix))) {
            status = add_member(m, &records[i], &directory);
        }
    }
    if (status == KAMA_OK) {
        status = km_directory_view(&directory, ret_view);
    }
    km_directory_fini(&directory);
    return status;
}

void km_step_read_stamp(const struct km_membership *m, struct km_step *step,
                        const struct km_registry_record *records, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (km_bytes_eq(records[i].key, KAMA_STR(m->stamp_key))) {
            step->touches_stamp = true;
            step->has_stamp = !records[i].deleted;
            step->stamp = km_hash(records[i].value, 0);
        }
    }
}

kama_status km_step_apply(struct km_membership *m, struct km_step *step,
                          const struct km_registry_record *records,
                          size_t count)
{
    kama_status status = KAMA_OK;
    for (size_t i = 0; i < count && status == KAMA_OK; i++) {
        status = apply(m, step, &records[i]);
    }
    return status;
}
