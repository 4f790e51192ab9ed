/* SPDX-License-Identifier: MIT */
#include "sync/strategies.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

/* The tag and the length of the message around the strategies. */
#define HEAD_BYTES 64

static uint64_t digest_of(const char *text)
{
    return km_hash(kama_bytes_str(text), 0);
}

static bool own_strategy(const struct km_sync *sync, uint32_t i,
                         struct km_sync_strategy *ret)
{
    return sync->events->strategy != NULL &&
           sync->events->strategy(sync->owner, i, ret);
}

/* -- sending ------------------------------------------------------------------- */

/* Beyond half of a message only digests are sent, for which the other half is enough. */
_Static_assert(KM_GROUPS_MAX * 24 + HEAD_BYTES < KM_SYNC_FRAME_BYTES / 2,
               "the digests of all groups fit into a message");

static kama_status put_all(const struct km_sync *sync, struct km_buf *body)
{
    struct km_sync_strategy own;
    kama_status st = KAMA_OK;
    for (uint32_t i = 0; st == KAMA_OK && own_strategy(sync, i, &own); i++) {
        struct km_msg_sync_strategy message = {.group = digest_of(own.group),
                                               .digest = digest_of(own.text)};
        if (body->len + strlen(own.text) < KM_SYNC_FRAME_BYTES / 2) {
            message.text = kama_bytes_str(own.text);
        }
        st = km_pb_append_element(body, KM_SYNC_FIELD_STRATEGIES,
                                  &km_msg_sync_strategy_pb, &message);
    }
    return st;
}

kama_status km_sync_strategies_put(struct km_sync *sync, uint32_t field,
                                   const struct km_pb_message *table,
                                   const void *message)
{
    struct km_buf body;
    km_buf_init(&body, sync->mem, KM_SYNC_FRAME_BYTES - HEAD_BYTES);
    kama_status st = km_pb_append(&body, table, message);
    if (st == KAMA_OK) {
        st = put_all(sync, &body);
    }
    if (st == KAMA_OK) {
        st = km_pb_append_bytes(&sync->head, field, km_buf_bytes(&body));
    }
    km_buf_fini(&body);
    return st;
}

/* -- comparing ----------------------------------------------------------------- */

/* Finds the group of this node that has the digest as its name, and returns whether there
 * is one. The other node probably has its groups in the same order, so the search begins
 * at `from`. */
static bool find_own(const struct km_sync *sync, uint64_t group, uint32_t from,
                     struct km_sync_strategy *ret)
{
    for (uint32_t i = from; own_strategy(sync, i, ret); i++) {
        if (digest_of(ret->group) == group) {
            return true;
        }
    }
    for (uint32_t i = 0; i < from && own_strategy(sync, i, ret); i++) {
        if (digest_of(ret->group) == group) {
            return true;
        }
    }
    return false;
}

/* The differences that a member has now, while its message is read. */
struct reading {
    struct km_sync_member *member;
    struct km_sync_difference *rows;
    uint32_t count;
};

static const struct km_sync_difference *find_row(
    const struct km_sync_difference *rows, uint32_t count, const char *group)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(rows[i].group, group) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

static kama_status add_row(struct reading *r,
                           const struct km_sync_strategy *own,
                           const struct km_msg_sync_strategy *theirs)
{
    struct km_sync_difference *rows = km_mem_resize(
        r->member->sync->mem, r->rows, (r->count + 1) * sizeof *rows);
    if (rows == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    r->rows = rows;
    struct km_sync_difference *row = &rows[r->count++];
    *row = (struct km_sync_difference){.group = own->group, .here = own->text};
    (void)km_text_clean(theirs->text.len > 0 ? theirs->text : KM_LIT("unknown"),
                        row->there, sizeof row->there);
    return KAMA_OK;
}

static kama_status read_all(struct reading *r, struct km_pb_list list)
{
    struct km_sync_strategy own;
    struct km_msg_sync_strategy theirs;
    kama_bytes element;
    for (uint32_t i = 0; km_pb_next(&list, &element); i++) {
        if (km_pb_decode(&km_msg_sync_strategy_pb, element, &theirs) !=
            KAMA_OK) {
            return KAMA_ERR_MALFORMED;
        }
        if (i < KM_GROUPS_MAX &&
            find_own(r->member->sync, theirs.group, i, &own) &&
            digest_of(own.text) != theirs.digest &&
            find_row(r->rows, r->count, own.group) == NULL &&
            add_row(r, &own, &theirs) != KAMA_OK) {
            return KAMA_ERR_NO_MEMORY;
        }
    }
    return KAMA_OK;
}

/* Returns whether a node with this strategy tells others of changes, and hears of theirs. One
 * that this version does not know is taken for such a strategy. */
static bool hears(const char *text)
{
    struct km_strategy strategy;
    return km_strategy_parse(text, &strategy) != KAMA_OK ||
           km_strategy_is_streamed(&strategy);
}

static void tell_difference(const struct km_sync_member *member,
                            const struct km_sync_difference *row)
{
    if (hears(row->here) && hears(row->there)) {
        km_sync_say(member->sync, KM_LOG_WARN, member->address,
                    "group %s has sync=%s here and sync=%s on %s; until "
                    "both have the same one, they tell each other only "
                    "that its keys have changed",
                    row->group, row->here, row->there, member->address);
    } else {
        km_sync_say(member->sync, KM_LOG_WARN, member->address,
                    "group %s has sync=%s here and sync=%s on %s; until "
                    "both have the same one, neither hears of the changes "
                    "of the other, and its values can be old",
                    row->group, row->here, row->there, member->address);
    }
}

/* Says what has begun and what has ended. */
static void tell_changes(const struct km_sync_member *member,
                         const struct reading *now)
{
    for (uint32_t i = 0; i < member->difference_count; i++) {
        const struct km_sync_difference *before = &member->differences[i];
        if (find_row(now->rows, now->count, before->group) == NULL) {
            km_sync_say(member->sync, KM_LOG_INFO, member->address,
                        "group %s has the same strategy here and on %s again",
                        before->group, member->address);
        }
    }
    for (uint32_t i = 0; i < now->count; i++) {
        const struct km_sync_difference *row = &now->rows[i];
        if (find_row(member->differences, member->difference_count,
                     row->group) == NULL) {
            tell_difference(member, row);
        }
    }
}

static void mark_numbers(struct km_sync_member *member)
{
    struct km_sync_log *log = member->sync->log;
    struct km_sync_log_state state;
    km_sync_log_get(log, &state);
    memset(&member->differing, 0, sizeof member->differing);
    for (uint32_t n = 0; member->difference_count > 0 && n < state.groups;
         n++) {
        if (find_row(member->differences, member->difference_count,
                     km_sync_log_name(log, n)) != NULL) {
            km_sync_named_add(&member->differing, n);
        }
    }
}

/* Groups are only added in a life, so a shorter list is an older one. It comes on the other
 * stream: a Welcome from before the group was there may arrive behind the Hello that tells
 * of it. */
kama_status km_sync_strategies_learn(struct km_sync_member *member,
                                     struct km_pb_list strategies)
{
    struct reading now = {.member = member};
    kama_status st = read_all(&now, strategies);
    if (st != KAMA_OK || strategies.count < member->strategy_count) {
        km_mem_free(member->sync->mem, now.rows);
        return st;
    }
    tell_changes(member, &now);
    km_mem_free(member->sync->mem, member->differences);
    member->differences = now.rows;
    member->difference_count = now.count;
    member->strategy_count = strategies.count;
    mark_numbers(member);
    return KAMA_OK;
}

void km_sync_strategies_part(const struct km_sync_member *member)
{
    for (uint32_t i = 0; i < member->difference_count; i++) {
        km_sync_say(member->sync, KM_LOG_INFO, member->address,
                    "%s is gone, where group %s had another strategy than here",
                    member->address, member->differences[i].group);
    }
}

bool km_sync_strategies_differ(const struct km_sync_member *member,
                               uint32_t number)
{
    return km_sync_named_has(&member->differing, number);
}
