/* SPDX-License-Identifier: MIT */
/* An answer that cannot be decoded was refused before, so that the lists in it can
 * be walked without looking at errors: an element that is damaged is passed over. */
#include "compare.h"
#include "columns.h"
#include "compare_stream.h"
#include "members.h"

#include "base/text.h"

#include <inttypes.h>

#define CLOCK_WARN_MS 1000
#define CLOCK_FAIL_MS 60000

/* The members that are compared. */
struct ward {
    struct cli_patient *patients;
    size_t count;
    struct cli_findings *findings;
};

static const struct cli_pair *only(struct cli_pair *pair, const char *member)
{
    *pair = (struct cli_pair){.member = member};
    return pair;
}

/* Whether the member itself has answered. */
static bool has_answered(const struct cli_patient *p)
{
    return p->status == KAMA_OK && !p->is_other;
}

static struct cli_patient *find_patient(const struct ward *w,
                                        kama_bytes address)
{
    for (size_t i = 0; i < w->count; i++) {
        if (km_bytes_eq(KAMA_STR(w->patients[i].address), address)) {
            return &w->patients[i];
        }
    }
    return NULL;
}

/* -- whether each member has answered ---------------------------------------- */

/* Returns how many members say that they reach this one. */
static unsigned count_reached_by(const struct ward *w,
                                 const struct cli_patient *p)
{
    unsigned count = 0;
    for (size_t i = 0; i < w->count; i++) {
        const struct cli_patient *from = &w->patients[i];
        struct km_pb_list list = from->answer.members.members;
        struct km_msg_member m;
        kama_bytes element;
        while (from != p && has_answered(from) && km_pb_next(&list, &element)) {
            count += km_pb_decode(&km_msg_member_pb, element, &m) == KAMA_OK &&
                     m.reach == KM_MSG_REACH_UP &&
                     km_bytes_eq(m.address, KAMA_STR(p->address));
        }
    }
    return count;
}

static void check_answer(const struct ward *w, const struct cli_patient *p)
{
    struct cli_pair pair;
    unsigned reached_by = count_reached_by(w, p);
    if (p->status == KAMA_OK) {
        return;
    }
    if (p->status == KAMA_ERR_UNSUPPORTED) {
        cli_findings_add(w->findings, KM_FINDING_MEMBER_OLD, KM_SEVERITY_WARN,
                         only(&pair, p->address), "%s", p->text);
    } else if (p->status == KAMA_ERR_UNREACHABLE && reached_by > 0) {
        cli_findings_add(w->findings, KM_FINDING_ADVERTISE_UNREACHABLE,
                         KM_SEVERITY_WARN, only(&pair, p->address),
                         "%u other members reach it, and from here: %s",
                         reached_by, p->text);
    } else {
        cli_findings_add(w->findings, KM_FINDING_MEMBER_SILENT,
                         KM_SEVERITY_FAIL, only(&pair, p->address), "%s",
                         p->text);
    }
}

/* A node that has registered again since the members were listed has another id,
 * and still advertises its address. */
static void check_identity(const struct ward *w, struct cli_patient *p)
{
    const struct km_msg_node_response *node = &p->answer.node;
    struct cli_pair pair;
    char id[CLI_ID_BYTES];
    char expected[CLI_ID_BYTES];
    char advertise[KM_ERROR_BYTES_MAX];
    if (p->status != KAMA_OK || p->id.len == 0 ||
        km_bytes_eq(node->id, p->id) ||
        km_bytes_eq(node->advertise, KAMA_STR(p->address))) {
        return;
    }
    p->is_other = true;
    (void)km_text_clean(node->advertise, advertise, sizeof advertise);
    cli_findings_add(w->findings, KM_FINDING_ADVERTISE_OTHER, KM_SEVERITY_FAIL,
                     only(&pair, p->address),
                     "the node %s answers there, which advertises %s; the "
                     "member is %s",
                     cli_members_short_id(node->id, id), advertise,
                     cli_members_short_id(p->id, expected));
}

static void add_own_checks(const struct ward *w, const struct cli_patient *p)
{
    struct km_pb_list list = p->answer.checks;
    struct km_msg_doctor_check check;
    kama_bytes element;
    while (has_answered(p) && km_pb_next(&list, &element)) {
        if (km_pb_decode(&km_msg_doctor_check_pb, element, &check) == KAMA_OK) {
            cli_findings_add_check(w->findings, p->address, &check);
        }
    }
}

/* -- who reaches whom -------------------------------------------------------- */

/* A member that has not answered is told once, and not by each of the others. */
static void check_reach_of(const struct ward *w, const struct cli_patient *from)
{
    struct km_pb_list list = from->answer.members.members;
    struct km_msg_member m;
    kama_bytes element;
    while (has_answered(from) && km_pb_next(&list, &element)) {
        char since[CLI_TIME_BYTES];
        if (km_pb_decode(&km_msg_member_pb, element, &m) != KAMA_OK ||
            !cli_members_is_cut(&m)) {
            continue;
        }
        const struct cli_patient *to = find_patient(w, m.address);
        if (to != NULL && to->status == KAMA_OK) {
            const struct cli_pair pair = {from->address, to->address};
            cli_findings_add(w->findings, KM_FINDING_MEMBER_CUT,
                             KM_SEVERITY_FAIL, &pair,
                             "%s is %s from here for %s", to->address,
                             cli_members_reach(m.reach),
                             cli_columns_time(m.since_ms, since));
        }
    }
}

/* -- the streams of mutations ------------------------------------------------ */

static void check_streams_of(const struct ward *w,
                             const struct cli_patient *from)
{
    struct km_pb_list list = from->answer.members.members;
    struct km_msg_member m;
    kama_bytes element;
    while (has_answered(from) && km_pb_next(&list, &element)) {
        if (km_pb_decode(&km_msg_member_pb, element, &m) != KAMA_OK) {
            continue;
        }
        const struct cli_patient *to = find_patient(w, m.address);
        if (to != NULL && to->status == KAMA_OK) {
            const struct cli_pair pair = {from->address, to->address};
            cli_compare_stream(&pair, &from->answer.node, &m, w->findings);
        }
    }
}

/* -- clocks ------------------------------------------------------------------ */

/* Returns by how much the clock of a is at least ahead of that of b: each answer
 * was made at an unknown moment while the call ran. Below 0: behind; 0: the two
 * may be equal. */
static int64_t ahead_ms(const struct cli_patient *a,
                        const struct cli_patient *b)
{
    int64_t a_least = (int64_t)(a->answer.wall_ms - a->end_ms);
    int64_t a_most = (int64_t)(a->answer.wall_ms - a->begin_ms);
    int64_t b_least = (int64_t)(b->answer.wall_ms - b->end_ms);
    int64_t b_most = (int64_t)(b->answer.wall_ms - b->begin_ms);
    if (a_least > b_most) {
        return a_least - b_most;
    }
    return a_most < b_least ? a_most - b_least : 0;
}

/* Returns the member whose clock agrees with the most others. */
static const struct cli_patient *find_clock(const struct ward *w)
{
    const struct cli_patient *best = NULL;
    unsigned best_count = 0;
    for (size_t i = 0; i < w->count; i++) {
        unsigned count = 0;
        for (size_t k = 0; k < w->count; k++) {
            int64_t ms = ahead_ms(&w->patients[i], &w->patients[k]);
            count += has_answered(&w->patients[k]) && ms <= CLOCK_WARN_MS &&
                     ms >= -CLOCK_WARN_MS;
        }
        if (has_answered(&w->patients[i]) && count > best_count) {
            best = &w->patients[i];
            best_count = count;
        }
    }
    return best;
}

static void check_clock(const struct ward *w, const struct cli_patient *p,
                        const struct cli_patient *clock)
{
    if (!has_answered(p) || p == clock) {
        return;
    }
    int64_t ms = ahead_ms(p, clock);
    int64_t size = ms < 0 ? -ms : ms;
    if (size > CLOCK_WARN_MS) {
        const struct cli_pair pair = {p->address, clock->address};
        cli_findings_add(
            w->findings, KM_FINDING_CLOCK_OFFSET,
            size > CLOCK_FAIL_MS ? KM_SEVERITY_FAIL : KM_SEVERITY_WARN, &pair,
            "its clock is at least %.1f s %s that of %s", (double)size / 1000,
            ms > 0 ? "ahead of" : "behind", clock->address);
    }
}

/* -- views, versions --------------------------------------------------------- */

/* Returns whether two members are the same in something. */
typedef bool (*same_fn)(const struct cli_patient *a,
                        const struct cli_patient *b);

static bool same_view(const struct cli_patient *a, const struct cli_patient *b)
{
    return a->answer.members.view_id == b->answer.members.view_id;
}

static bool same_version(const struct cli_patient *a,
                         const struct cli_patient *b)
{
    return km_bytes_eq(a->answer.node.version, b->answer.node.version);
}

/* Returns the first member that is the same as the most others. */
static const struct cli_patient *find_usual(const struct ward *w, same_fn same)
{
    const struct cli_patient *best = NULL;
    unsigned best_count = 0;
    for (size_t i = 0; i < w->count; i++) {
        unsigned count = 0;
        for (size_t k = 0; k < w->count; k++) {
            count += has_answered(&w->patients[k]) &&
                     same(&w->patients[i], &w->patients[k]);
        }
        if (has_answered(&w->patients[i]) && count > best_count) {
            best = &w->patients[i];
            best_count = count;
        }
    }
    return best;
}

static void check_view(const struct ward *w, const struct cli_patient *p,
                       const struct cli_patient *usual)
{
    const struct km_msg_members_response *view = &p->answer.members;
    char own[CLI_VIEW_BYTES];
    char its[CLI_VIEW_BYTES];
    struct cli_pair pair = {p->address, usual->address};
    if (!same_view(p, usual)) {
        cli_findings_add(
            w->findings, KM_FINDING_VIEW_DIFFERS, KM_SEVERITY_WARN, &pair,
            "its view is %s with %" PRIu32 " members, and that of %s is %s "
            "with %" PRIu32,
            cli_members_view(view->view_id, own), view->members.count,
            usual->address,
            cli_members_view(usual->answer.members.view_id, its),
            usual->answer.members.members.count);
    }
    if (!view->settled) {
        cli_findings_add(w->findings, KM_FINDING_VIEW_UNSETTLED,
                         KM_SEVERITY_WARN, only(&pair, p->address),
                         "its view %s is not settled",
                         cli_members_view(view->view_id, own));
    }
}

static void check_version(const struct ward *w, const struct cli_patient *p,
                          const struct cli_patient *usual)
{
    const struct cli_pair pair = {p->address, usual->address};
    char own[64];
    char its[64];
    if (!same_version(p, usual)) {
        (void)km_text_clean(p->answer.node.version, own, sizeof own);
        (void)km_text_clean(usual->answer.node.version, its, sizeof its);
        cli_findings_add(w->findings, KM_FINDING_VERSION_DIFFERS,
                         KM_SEVERITY_WARN, &pair, "it runs %s, and %s runs %s",
                         own, usual->address, its);
    }
}

/* -- groups ------------------------------------------------------------------ */

/* Writes the group of that name. Returns false if the member has none. */
static bool find_group(const struct cli_patient *p, kama_bytes name,
                       struct km_msg_group_info *ret_group)
{
    struct km_pb_list list = p->answer.groups;
    kama_bytes element;
    while (km_pb_next(&list, &element)) {
        if (km_pb_decode(&km_msg_group_info_pb, element, ret_group) ==
                KAMA_OK &&
            km_bytes_eq(ret_group->name, name)) {
            return true;
        }
    }
    return false;
}

/* The difference between two members in a group. */
struct difference {
    char text[KM_ERROR_BYTES_MAX]; /* "max_bytes is 5, and there 7; ..." */
};

static void add_number(struct difference *d, const char *option, int64_t own,
                       int64_t its)
{
    if (own != its) {
        (void)km_text_printf(d->text, sizeof d->text,
                             "%s%s%s is %" PRId64 ", and there %" PRId64,
                             d->text, d->text[0] != '\0' ? "; " : "", option,
                             own, its);
    }
}

static void add_text(struct difference *d, const char *option, kama_bytes own,
                     kama_bytes its)
{
    char a[64];
    char b[64];
    if (!km_bytes_eq(own, its)) {
        (void)km_text_clean(own, a, sizeof a);
        (void)km_text_clean(its, b, sizeof b);
        (void)km_text_printf(d->text, sizeof d->text,
                             "%s%s%s is \"%s\", and there \"%s\"", d->text,
                             d->text[0] != '\0' ? "; " : "", option, a, b);
    }
}

/* Writes "NAME=VALUE,...", or "" for none. */
static void write_options(struct km_pb_list list, char ret_text[64])
{
    struct km_msg_group_option option;
    kama_bytes element;
    char name[24];
    char value[24];
    size_t len = 0;
    ret_text[0] = '\0';
    while (km_pb_next(&list, &element)) {
        if (km_pb_decode(&km_msg_group_option_pb, element, &option) ==
            KAMA_OK) {
            (void)km_text_clean(option.name, name, sizeof name);
            (void)km_text_clean(option.value, value, sizeof value);
            (void)km_text_printf(ret_text + len, 64 - len, "%s%s=%s",
                                 len > 0 ? "," : "", name, value);
            len = strlen(ret_text);
        }
    }
}

/* Options without a field of their own: they are in the same order everywhere. */
static void add_other_options(struct difference *d, struct km_pb_list own,
                              struct km_pb_list its)
{
    char a[64];
    char b[64];
    write_options(own, a);
    write_options(its, b);
    add_text(d, "the list of other options", kama_bytes_str(a),
             kama_bytes_str(b));
}

static void compare_options(const struct km_msg_group_info *own,
                            const struct km_msg_group_info *its,
                            struct difference *d)
{
    add_number(d, "max_bytes", (int64_t)own->max_bytes,
               (int64_t)its->max_bytes);
    add_number(d, "max_value_bytes", (int64_t)own->max_value_bytes,
               (int64_t)its->max_value_bytes);
    add_number(d, "ttl_ms", own->ttl_ms, its->ttl_ms);
    add_number(d, "negative_ttl_ms", own->negative_ttl_ms,
               its->negative_ttl_ms);
    add_number(d, "loader (0: none)", own->has_loader, its->has_loader);
    add_number(d, "loader_timeout_ms", own->loader_timeout_ms,
               its->loader_timeout_ms);
    add_number(d, "loader_concurrency", own->loader_concurrency,
               its->loader_concurrency);
    add_text(d, "policy", own->policy, its->policy);
    add_other_options(d, own->options, its->options);
}

static void check_group(const struct ward *w, const struct cli_patient *p,
                        const struct cli_patient *first,
                        const struct km_msg_group_info *its)
{
    const struct cli_pair pair = {p->address, first->address};
    struct km_msg_group_info own;
    struct difference d = {.text = ""};
    char name[128];
    (void)km_text_clean(its->name, name, sizeof name);
    if (!find_group(p, its->name, &own)) {
        cli_findings_add(
            w->findings, KM_FINDING_GROUP_MISSING, KM_SEVERITY_FAIL, &pair,
            "it has no group \"%s\", which %s has", name, first->address);
        return;
    }
    if (!km_bytes_eq(own.sync, its->sync)) {
        char strategy[64];
        char other[64];
        (void)km_text_clean(own.sync, strategy, sizeof strategy);
        (void)km_text_clean(its->sync, other, sizeof other);
        cli_findings_add(w->findings, KM_FINDING_GROUP_SYNC, KM_SEVERITY_FAIL,
                         &pair,
                         "group \"%s\" has sync=%s, and on %s it has sync=%s",
                         name, strategy, first->address, other);
    }
    compare_options(&own, its, &d);
    if (d.text[0] != '\0') {
        cli_findings_add(w->findings, KM_FINDING_GROUP_OPTIONS,
                         KM_SEVERITY_WARN, &pair, "group \"%s\" of %s: %s",
                         name, first->address, d.text);
    }
}

/* Compares a group of a member with that of all others, if the member is the first
 * one that has it. */
static void check_group_of(const struct ward *w,
                           const struct cli_patient *first,
                           const struct km_msg_group_info *group)
{
    struct km_msg_group_info ignored;
    for (const struct cli_patient *p = w->patients; p < first; p++) {
        if (has_answered(p) && find_group(p, group->name, &ignored)) {
            return;
        }
    }
    for (size_t i = 0; i < w->count; i++) {
        if (has_answered(&w->patients[i]) && &w->patients[i] != first) {
            check_group(w, &w->patients[i], first, group);
        }
    }
}

static void check_groups(const struct ward *w, const struct cli_patient *p)
{
    struct km_pb_list list = p->answer.groups;
    struct km_msg_group_info group;
    kama_bytes element;
    while (has_answered(p) && km_pb_next(&list, &element)) {
        if (km_pb_decode(&km_msg_group_info_pb, element, &group) == KAMA_OK) {
            check_group_of(w, p, &group);
        }
    }
}

/* -- the whole --------------------------------------------------------------- */

static void check_each(const struct ward *w)
{
    for (size_t i = 0; i < w->count; i++) {
        check_identity(w, &w->patients[i]);
    }
    for (size_t i = 0; i < w->count; i++) {
        check_answer(w, &w->patients[i]);
        add_own_checks(w, &w->patients[i]);
        check_reach_of(w, &w->patients[i]);
        check_streams_of(w, &w->patients[i]);
        check_groups(w, &w->patients[i]);
    }
}

void cli_compare(struct cli_patient *patients, size_t count,
                 struct cli_findings *findings)
{
    const struct ward w = {patients, count, findings};
    check_each(&w);
    const struct cli_patient *clock = find_clock(&w);
    const struct cli_patient *view = find_usual(&w, same_view);
    const struct cli_patient *version = find_usual(&w, same_version);
    for (size_t i = 0; i < count && view != NULL; i++) {
        if (has_answered(&patients[i])) {
            check_clock(&w, &patients[i], clock);
            check_view(&w, &patients[i], view);
            check_version(&w, &patients[i], version);
        }
    }
}
