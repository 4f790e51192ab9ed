/* SPDX-License-Identifier: MIT */
/* The streams as they are seen from outside: a copy for people, and the question of the
 * start whether all of them stand. */
#include "base/container.h"
#include "base/text.h"
#include "node/cluster_state.h"
#include "node/cluster_sync_state.h"
#include "node/node.h"
#include "sync/sync.h"

#include <string.h>

/* -- for people -------------------------------------------------------------- */

/* Makes room for one row more. Without memory the row is not shown. */
static bool reserve_locked(struct km_cluster_sync *sync)
{
    KM_ASSERT_HELD(&sync->lock);
    if (sync->shown_count < sync->shown_cap) {
        return true;
    }
    const kama_allocator *mem = &sync->node->mem;
    size_t cap = sync->shown_cap > 0 ? 2 * sync->shown_cap : 8;
    struct km_sync_shown *rows = km_mem_zalloc(mem, cap, sizeof *rows);
    if (rows == NULL) {
        return false;
    }
    if (sync->shown_count > 0) {
        memcpy(rows, sync->shown, sync->shown_count * sizeof *rows);
    }
    km_mem_free(mem, sync->shown);
    sync->shown = rows;
    sync->shown_cap = cap;
    return true;
}

static void show_row(void *arg, const struct km_sync_member_info *info)
{
    struct km_cluster_sync *sync = arg;
    if (!reserve_locked(sync)) {
        return;
    }
    sync->shown[sync->shown_count++] = (struct km_sync_shown){
        .id = info->id,
        .stream = {.sync_state = km_sync_peer_state_name(info->state),
                   .up = info->up,
                   .sync_lag_ns = info->lag,
                   .sync_queue = info->queue,
                   .acked = info->acked,
                   .applied = info->applied,
                   .sent = info->sent,
                   .received = info->received,
                   .duplicates = info->duplicates,
                   .bytes_sent = info->bytes_sent,
                   .bytes_received = info->bytes_received,
                   .gaps_sent = info->gaps_sent,
                   .gaps_received = info->gaps_received,
                   .gap_age_ms = info->gap_age / KM_NS_PER_MS,
                   .unsynced = info->unsynced,
                   .quarantined = info->quarantined,
                   .differing = info->difference_count}};
}

/* Names the first group that differs, and the first member on which it does. */
static void show_difference(void *arg, const struct km_sync_member_info *info)
{
    struct km_cluster_sync *sync = arg;
    if (info->difference_count > 0 && sync->differs[0] == '\0') {
        const struct km_sync_difference *d = &info->differences[0];
        (void)km_text_printf(sync->differs, sizeof sync->differs,
                             "group %s has sync=%s here and sync=%s on %s",
                             d->group, d->here, d->there, info->address);
    }
}

void km_cluster_sync_show(struct km_cluster_sync *sync)
{
    km_mutex_lock(&sync->lock);
    sync->shown_count = 0;
    sync->differs[0] = '\0';
    km_sync_visit(sync->machine, show_row, sync);
    km_sync_visit(sync->machine, show_difference, sync);
    km_mutex_unlock(&sync->lock);
}

static void arm_tick(struct km_cluster_sync *sync)
{
    km_loop_timer_arm(
        sync->loop, &sync->tick,
        km_ns_after_ms(km_loop_now(sync->loop), KM_SYNC_SHOWN_MS));
}

static void on_tick(struct km_timer *timer)
{
    struct km_cluster_sync *sync =
        KM_CONTAINER_OF(timer, struct km_cluster_sync, tick);
    km_cluster_sync_look_clock(sync);
    km_cluster_sync_show(sync);
    arm_tick(sync);
}

void km_cluster_sync_begin_to_show(struct km_cluster_sync *sync)
{
    sync->tick.fire = on_tick;
    arm_tick(sync);
}

void km_cluster_sync_find(struct km_cluster_sync *sync,
                          const uint8_t id[KM_MEMBER_ID_BYTES],
                          struct km_cluster_stream *ret_stream)
{
    *ret_stream = (struct km_cluster_stream){0};
    km_mutex_lock(&sync->lock);
    for (size_t i = 0; i < sync->shown_count; i++) {
        if (memcmp(sync->shown[i].id.bytes, id, KM_MEMBER_ID_BYTES) == 0) {
            *ret_stream = sync->shown[i].stream;
        }
    }
    km_mutex_unlock(&sync->lock);
}

void km_cluster_sync_differs(struct km_cluster_sync *sync,
                             char ret_text[KM_EVENT_BYTES_MAX])
{
    km_mutex_lock(&sync->lock);
    memcpy(ret_text, sync->differs, sizeof sync->differs);
    km_mutex_unlock(&sync->lock);
}

/* -- the streams that a start waits for -------------------------------------- */

void km_cluster_sync_on_standing(struct km_mail *mail)
{
    struct km_cluster_sync *sync =
        KM_CONTAINER_OF(mail, struct km_cluster_sync, standing_mail);
    km_cluster_step_done(sync->cluster, KM_STEP_STREAMS);
}

struct standing {
    const struct km_view *view;
    size_t missing;
};

static void count_missing(void *arg, const struct km_sync_member_info *info)
{
    struct standing *standing = arg;
    const struct km_member *member = km_view_find_id(standing->view, &info->id);
    if (member != NULL && member->state == KM_MEMBER_ACTIVE &&
        (!info->up || !info->is_known)) {
        standing->missing++;
    }
}

static bool all_stand(const struct km_cluster_sync *sync)
{
    struct standing standing = {.view = sync->view};
    if (sync->view != NULL) {
        km_sync_visit(sync->machine, count_missing, &standing);
    }
    return sync->view != NULL && standing.missing == 0;
}

/* A node is ready when its streams stand, and is shown with them from then on. The mail is
 * posted under the lock, so that none is under way to a control loop that has
 * ended. */
void km_cluster_sync_look_standing(void *arg)
{
    struct km_cluster_sync *sync = arg;
    if (!atomic_load(&sync->watched) || sync->closed || !all_stand(sync)) {
        return;
    }
    km_cluster_sync_show(sync);
    km_mutex_lock(&sync->lock);
    if (atomic_exchange(&sync->watched, false)) {
        km_loop_post(sync->cluster->control, &sync->standing_mail);
    }
    km_mutex_unlock(&sync->lock);
}
