/* SPDX-License-Identifier: MIT */
#include "sync/members.h"

#include "base/container.h"
#include "base/log.h"
#include "sync/acks.h"
#include "sync/receiver.h"
#include "sync/sender.h"
#include "sync/strategies.h"

#include <stdio.h>
#include <string.h>

static struct km_sync_member *member_at(struct km_list *node)
{
    return KM_CONTAINER_OF(node, struct km_sync_member, node);
}

struct km_sync_member *km_sync_member_find(const struct km_sync *sync,
                                           const struct km_member_id *id)
{
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &sync->members) {
        if (km_member_id_equal(&member_at(node)->id, id)) {
            return member_at(node);
        }
    }
    return NULL;
}

static const struct km_member *find_in(const struct km_view *view,
                                       const struct km_member_id *id)
{
    return view != NULL ? km_view_find_id(view, id) : NULL;
}

/* -- joining -------------------------------------------------------------------------- */

/* R12. The member is the next life of a node whose mutations are all here. Then it is
 * known: from its first mutation on, or from the second one if the first stands for what
 * no stream will tell, because the node has made it when its lease may have ended. All
 * mutations of the life before are here, and so are those. */
static void inherit(struct km_sync_member *member,
                    const struct km_member *record)
{
    const struct km_sync_member *before =
        km_member_id_is_none(&record->prev.id)
            ? NULL
            : km_sync_member_find(member->sync, &record->prev.id);
    if (before != NULL && before->applied == record->prev.final_seq) {
        member->is_known = true;
        member->applied = record->prev.originated ? 1 : 0;
    }
}

static void free_member(struct km_sync *sync, struct km_sync_member *member)
{
    km_sync_origin_unref(sync->mem, member->origin);
    km_mem_free(sync->mem, member->differences);
    km_mem_free(sync->mem, member->address);
    km_mem_free(sync->mem, member);
}

static struct km_sync_member *new_member(struct km_sync *sync,
                                         const struct km_member *record)
{
    struct km_sync_member *member = km_mem_zalloc(sync->mem, 1, sizeof *member);
    if (member == NULL) {
        return NULL;
    }
    member->sync = sync;
    member->id = record->id;
    member->address = km_mem_strdup(sync->mem, record->address);
    member->origin = km_sync_origin_new(sync->mem, &record->id);
    if (member->address == NULL || member->origin == NULL) {
        free_member(sync, member);
        return NULL;
    }
    km_sync_out_init(&member->out, member);
    inherit(member, record);
    km_list_push_back(&sync->members, &member->node);
    return member;
}

bool km_sync_is_self(const struct km_sync *sync, const struct km_member *record)
{
    return km_member_id_equal(&record->id, &sync->self) ||
           strcmp(record->address, sync->address) == 0;
}

/* Makes the members of a view that are missing, and copies their states and goodbyes. */
static void take_in(struct km_sync *sync, const struct km_view *view)
{
    for (size_t i = 0; view != NULL && i < view->count; i++) {
        const struct km_member *record = &view->members[i];
        if (km_sync_is_self(sync, record)) {
            continue;
        }
        struct km_sync_member *member = km_sync_member_find(sync, &record->id);
        member = member != NULL ? member : new_member(sync, record);
        if (member == NULL) {
            km_sync_try_again(sync);
            continue;
        }
        member->state = record->state;
        if (record->state == KM_MEMBER_LEAVING && record->clock != 0) {
            member->final_seq = record->final_seq;
            member->final_clock = record->clock;
        }
    }
}

static size_t count_others(const struct km_sync *sync)
{
    const struct km_view *view = sync->noticed;
    size_t count = 0;
    for (size_t i = 0; view != NULL && i < view->count; i++) {
        count += !km_sync_is_self(sync, &view->members[i]);
    }
    return count;
}

/* -- parting --------------------------------------------------------------------------- */

/* The clock of a goodbye, which is 0 if there was none. */
struct parting {
    enum km_sync_parting how;
    uint64_t clock;
};

static struct parting part_with(const struct km_sync_member *member,
                                uint64_t final_seq, uint64_t clock)
{
    return (struct parting){.how = member->applied == final_seq
                                       ? KM_SYNC_PARTED_CLEANLY
                                       : KM_SYNC_PARTED_UNCLEANLY,
                            .clock = clock};
}

/* R12. Returns the record of the next life of a member, or NULL. */
static const struct km_member *next_life(const struct km_sync *sync,
                                         const struct km_sync_member *member)
{
    const struct km_view *view = sync->adopted;
    for (size_t i = 0; view != NULL && i < view->count; i++) {
        if (km_member_id_equal(&view->members[i].prev.id, &member->id)) {
            return &view->members[i];
        }
    }
    return NULL;
}

/* R11. Returns how a member has left. One that was still joining has made no mutation. */
static struct parting parting_of(const struct km_sync *sync,
                                 const struct km_sync_member *member)
{
    const struct km_member *next = next_life(sync, member);
    if (next != NULL) {
        return part_with(member, next->prev.final_seq, next->prev.clock);
    }
    if (member->said_goodbye) {
        return part_with(member, member->applied, 0); /* merged with it */
    }
    if (member->final_clock != 0) {
        return part_with(member, member->final_seq, member->final_clock);
    }
    if (member->state == KM_MEMBER_JOINING && member->applied == 0) {
        return part_with(member, 0, 0);
    }
    return (struct parting){.how = KM_SYNC_PARTED_UNCLEANLY};
}

/* R11. A node that may lack mutations of a member that is gone invalidates its groups. */
static void part(struct km_sync_member *member)
{
    struct km_sync *sync = member->sync;
    struct parting parting = parting_of(sync, member);
    if (parting.how == KM_SYNC_PARTED_UNCLEANLY &&
        KM_SYNC_KEEPS(KM_SYNC_R11_BEHIND)) {
        char why[KM_MEMBER_ADDRESS_BYTES + 64];
        (void)snprintf(
            why, sizeof why,
            "%s is gone, and some of its mutations may be missing here",
            member->address);
        sync->events->lost_member(sync->owner, parting.clock, why);
        sync->gates++;
    }
    km_sync_log_merge(sync->log, parting.clock);
    if (member->in != NULL) {
        km_sync_in_end(member->in, KAMA_ERR_NOT_MEMBER,
                       "the sender is no member any more");
    }
    km_sync_out_stop(&member->out);
    km_sync_strategies_part(member);
    km_list_remove(&member->node);
    free_member(sync, member);
}

static void let_go(struct km_sync *sync)
{
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &sync->members) {
        struct km_sync_member *member = member_at(node);
        if (find_in(sync->noticed, &member->id) == NULL &&
            find_in(sync->adopted, &member->id) == NULL) {
            part(member);
        }
    }
}

/* -- together -------------------------------------------------------------------------- */

void km_sync_members_publish(struct km_sync *sync)
{
    size_t count = 0;
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &sync->members) {
        count++;
    }
    struct km_sync_origin_row *rows =
        km_mem_zalloc(sync->mem, count + 1, sizeof *rows);
    if (rows == NULL) {
        km_sync_try_again(sync);
        return;
    }
    size_t i = 0;
    KM_LIST_FOREACH(node, tmp, &sync->members) {
        struct km_sync_member *member = member_at(node);
        rows[i++] = (struct km_sync_origin_row){
            .origin = member->origin,
            .adopted = find_in(sync->adopted, &member->id) != NULL};
    }
    if (km_sync_origins_replace(sync->origins, &sync->self,
                                sync->adopted != NULL ? sync->adopted->id : 0,
                                rows, count) != KAMA_OK) {
        km_sync_try_again(sync);
    }
    km_mem_free(sync->mem, rows);
}

/* Streams go to the members of the noticed view, and to no others. */
static void direct_streams(struct km_sync *sync)
{
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &sync->members) {
        struct km_sync_member *member = member_at(node);
        member->is_noticed = find_in(sync->noticed, &member->id) != NULL;
        if (!member->is_noticed) {
            km_sync_out_stop(&member->out);
        } else if (member->out.timer.at == 0) { /* it does not pause */
            km_sync_out_start(&member->out);
        }
    }
}

/* R10. The table is replaced before a stream of a new member is answered, so that no
 * mutation is applied that the needs of this node leave out. */
void km_sync_members_follow(struct km_sync *sync)
{
    take_in(sync, sync->adopted);
    take_in(sync, sync->noticed);
    sync->others = count_others(sync);
    let_go(sync);
    km_sync_members_publish(sync);
    direct_streams(sync);
    km_sync_in_answer_held(sync);
    km_sync_acks_look(sync);
}

void km_sync_members_fini(struct km_sync *sync)
{
    struct km_list *node;
    while ((node = km_list_pop_front(&sync->members)) != NULL) {
        free_member(sync, member_at(node));
    }
}
