/* SPDX-License-Identifier: MIT */
#include "sync/acks.h"

#include "base/assert.h"
#include "base/container.h"
#include "sync/members.h"

#include <string.h>

static struct km_sync_wait *wait_at(struct km_list *node)
{
    return KM_CONTAINER_OF(node, struct km_sync_wait, node);
}

bool km_sync_acks_init(struct km_sync *sync)
{
    static const char *const unknown[] = {"unknown"};
    km_list_init(&sync->acks.one);
    km_list_init(&sync->acks.all);
    sync->acks.unknown = km_unsynced_new(sync->mem, unknown, 1);
    return sync->acks.unknown != NULL;
}

void km_sync_acks_fini(struct km_sync *sync)
{
    km_unsynced_unref(sync->acks.unknown);
}

/* -- what members have confirmed ---------------------------------------------------------- */

/* The mutations that the members of the noticed view have confirmed. */
struct witnesses {
    size_t known; /* how many of them the machine has */
    uint64_t least;
    uint64_t most;
};

/* The mutations that a Gap covers count when the member has the Gap: until then it may still
 * show the values from before them. */
static uint64_t confirmed_by(const struct km_sync_member *member)
{
    return KM_SYNC_KEEPS(KM_SYNC_R1_GAP_ACK) ? member->out.confirmed
                                             : member->out.acked;
}

/* R10. A member that the noticed view lacks has not acknowledged anything:
 *
 *     A: notices that B is gone           B: was given up, and applies A's mutation
 *     A: dies                             nobody else has the mutation
 */
static bool counts(const struct km_sync_member *member)
{
    return member->is_noticed || !KM_SYNC_KEEPS(KM_SYNC_R10_WHOSE_ACKS);
}

static struct witnesses look_at_members(const struct km_sync *sync)
{
    struct witnesses w = {.least = UINT64_MAX};
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &sync->members) {
        const struct km_sync_member *member =
            KM_CONTAINER_OF(node, struct km_sync_member, node);
        if (counts(member)) {
            uint64_t confirmed = confirmed_by(member);
            w.known++;
            w.least = confirmed < w.least ? confirmed : w.least;
            w.most = confirmed > w.most ? confirmed : w.most;
        }
    }
    return w;
}

/* Returns up to which seq the mutations of the life that waits are acknowledged. The
 * members confirm those of the life that the machine knows. */
static uint64_t acknowledged(const struct km_sync *sync,
                             const struct witnesses *w, enum km_sync_ack ack)
{
    if (sync->others == 0) {
        return UINT64_MAX;
    }
    if (sync->acks.life != km_sync_origin_number(&sync->self)) {
        return 0;
    }
    if (ack == KM_SYNC_ACK_ONE) {
        return w->most;
    }
    return w->known < sync->others ? 0 : w->least;
}

bool km_sync_has_witnesses(const struct km_sync *sync)
{
    return sync->others > 0;
}

/* -- the end of a wait ------------------------------------------------------------------- */

static bool has_confirmed(const struct km_sync *sync,
                          const struct km_member *record,
                          const struct km_sync_wait *wait)
{
    const struct km_sync_member *member =
        km_sync_member_find(sync, &record->id);
    return member != NULL &&
           wait->version.origin == km_sync_origin_number(&sync->self) &&
           confirmed_by(member) >= wait->seq;
}

/* Returns the members that have not acknowledged a mutation. */
static struct km_unsynced *list_missing(const struct km_sync *sync,
                                        const struct km_sync_wait *wait)
{
    const struct km_view *view = sync->noticed;
    size_t cap = view != NULL ? view->count : 0;
    const char **addresses =
        cap > 0 ? km_mem_zalloc(sync->mem, cap, sizeof *addresses) : NULL;
    struct km_unsynced *list = NULL;
    size_t count = 0;
    for (size_t i = 0; addresses != NULL && i < cap; i++) {
        const struct km_member *record = &view->members[i];
        if (!km_sync_is_self(sync, record) &&
            !has_confirmed(sync, record, wait)) {
            addresses[count++] = record->address;
        }
    }
    bool nobody = addresses != NULL && count == 0;
    if (cap > 0 && !nobody) {
        list = km_unsynced_new(sync->mem, addresses, count);
        list = list != NULL ? list : km_unsynced_ref(sync->acks.unknown);
    }
    km_mem_free(sync->mem, addresses);
    return list;
}

static void end_wait(struct km_sync *sync, struct km_sync_wait *wait,
                     struct km_unsynced *unsynced)
{
    km_sync_disarm(sync, &wait->timer);
    km_list_remove(&wait->node);
    wait->done(wait, unsynced);
}

static void end_late(struct km_sync *sync, struct km_sync_wait *wait)
{
    end_wait(sync, wait, list_missing(sync, wait));
}

static void on_late(struct km_timer *timer)
{
    struct km_sync_wait *wait =
        KM_CONTAINER_OF(timer, struct km_sync_wait, timer);
    end_late(wait->owner, wait);
}

/* -- the lists --------------------------------------------------------------------------- */

static void look_at_list(struct km_sync *sync, struct km_list *list,
                         uint64_t seq)
{
    while (!km_list_empty(list) && wait_at(km_list_first(list))->seq <= seq) {
        end_wait(sync, wait_at(km_list_first(list)), NULL);
    }
}

void km_sync_acks_look(struct km_sync *sync)
{
    struct km_sync_acks *acks = &sync->acks;
    if (km_list_empty(&acks->one) && km_list_empty(&acks->all)) {
        return;
    }
    struct witnesses w = look_at_members(sync);
    look_at_list(sync, &acks->one, acknowledged(sync, &w, KM_SYNC_ACK_ONE));
    look_at_list(sync, &acks->all, acknowledged(sync, &w, KM_SYNC_ACK_ALL));
}

void km_sync_acks_end(struct km_sync *sync)
{
    struct km_sync_acks *acks = &sync->acks;
    while (!km_list_empty(&acks->one)) {
        end_late(sync, wait_at(km_list_first(&acks->one)));
    }
    while (!km_list_empty(&acks->all)) {
        end_late(sync, wait_at(km_list_first(&acks->all)));
    }
}

void km_sync_acks_renew(struct km_sync *sync, uint64_t life)
{
    if (sync->acks.life != life) {
        km_sync_acks_end(sync);
        sync->acks.life = life;
    }
}

/* Waits come nearly in the order of their seqs, because several threads hand them over. */
static void insert(struct km_list *list, struct km_sync_wait *wait)
{
    struct km_list *before = list->prev;
    while (before != list && wait_at(before)->seq > wait->seq) {
        before = before->prev;
    }
    km_list_insert_before(before->next, &wait->node);
}

/* The log may have begun a life already that the machine does not know yet
 * (km_sync_get_log): its waits stay until the machine does. */
void km_sync_await(struct km_sync *sync, struct km_sync_wait *wait)
{
    struct km_sync_log_state log;
    km_sync_log_get(sync->log, &log);
    wait->owner = sync;
    wait->timer = (struct km_timer){.fire = on_late};
    km_list_init(&wait->node);
    if (sync->is_closed || wait->version.origin != log.origin) {
        end_late(sync, wait);
        return;
    }
    km_sync_acks_renew(sync, log.origin);
    insert(wait->ack == KM_SYNC_ACK_ONE ? &sync->acks.one : &sync->acks.all,
           wait);
    km_sync_arm(sync, &wait->timer, wait->until);
    km_sync_acks_look(sync);
}

static void check_list(const struct km_list *list)
{
    uint64_t seq = 0;
    const struct km_list *node;
    for (node = list->next; node != list; node = node->next) {
        const struct km_sync_wait *wait =
            KM_CONTAINER_OF(node, struct km_sync_wait, node);
        KM_ASSERT(wait->seq >= seq && wait->timer.at != 0);
        seq = wait->seq;
    }
}

void km_sync_acks_check(const struct km_sync *sync)
{
    check_list(&sync->acks.one);
    check_list(&sync->acks.all);
}
