/* SPDX-License-Identifier: MIT */
#include "node/group_sync.h"

#include "base/container.h"
#include "base/limits.h"
#include "base/status.h"
#include "group/info.h"
#include "group/sync_apply.h"
#include "node/cluster_state.h"
#include "node/cluster_sync.h"
#include "node/node.h"
#include "node/sync_feed.h"
#include "peers/holders.h"
#include "sync/feed.h"
#include "sync/log.h"
#include "sync/origins.h"

/* -- the functions of a group ------------------------------------------------ */

static enum km_sync_role enter(void *sync, struct km_snapshot_reader *reader)
{
    kama_node *node = sync;
    const struct km_cluster *cluster =
        km_snapshot_enter(&node->cluster_now, reader);
    return cluster != NULL ? km_cluster_sync_role(cluster) : KM_SYNC_OUT;
}

static void leave(void *sync, struct km_snapshot_reader *reader)
{
    (void)sync;
    km_snapshot_leave(reader);
}

static struct km_version originate(void *sync, uint32_t number,
                                   const struct km_asking *asking,
                                   uint64_t *ret_seq)
{
    return km_sync_log_append(((kama_node *)sync)->sync_log, number, asking,
                              ret_seq);
}

static bool has_witnesses(void *sync)
{
    kama_node *node = sync;
    struct km_snapshot_reader reader;
    const struct km_cluster *cluster =
        km_snapshot_enter(&node->cluster_now, &reader);
    bool has = cluster != NULL && km_cluster_sync_has_witnesses(cluster);
    km_snapshot_leave(&reader);
    return has;
}

static void end_alone(struct km_job *job)
{
    struct km_sync_wait *wait = KM_CONTAINER_OF(job, struct km_sync_wait, job);
    wait->done(wait, NULL);
}

/* The node may have left its cluster since the mutation has begun: then it is alone. */
static void await(void *sync, struct km_sync_wait *wait)
{
    kama_node *node = sync;
    struct km_snapshot_reader reader;
    const struct km_cluster *cluster =
        km_snapshot_enter(&node->cluster_now, &reader);
    bool alone = cluster == NULL;
    if (!alone) {
        km_cluster_sync_await(cluster, wait);
    }
    km_snapshot_leave(&reader);
    if (!alone) {
        return;
    }
    wait->job.run = end_alone;
    if (km_pool_submit(node->pool, &wait->job) != KAMA_OK) {
        end_alone(&wait->job);
    }
}

static bool merge(void *sync, uint64_t hlc)
{
    kama_node *node = sync;
    uint64_t wall_ms = node->clock->wall_ms(node->clock->arg);
    bool plausible = !km_hlc_is_ahead(hlc, wall_ms, KM_SYNC_CLOCK_MS);
    if (plausible) {
        km_sync_log_merge(node->sync_log, hlc);
    }
    return plausible;
}

/* Without a cluster no fill asks anybody. */
static bool learn(void *sync, struct km_version version)
{
    kama_node *node = sync;
    struct km_snapshot_reader reader;
    if (!merge(sync, version.hlc)) {
        return false;
    }
    const struct km_cluster *cluster =
        km_snapshot_enter(&node->cluster_now, &reader);
    if (cluster != NULL) {
        km_sync_told(km_cluster_sync_origins(cluster), version);
    }
    km_snapshot_leave(&reader);
    return true;
}

static struct km_version clear(void *sync, uint32_t number, uint64_t *ret_seq)
{
    return km_sync_log_clear(((kama_node *)sync)->sync_log, number, ret_seq);
}

static void invalidate(void *sync, uint32_t number)
{
    km_sync_log_invalidate(((kama_node *)sync)->sync_log, number, 0);
}

static bool may_keep(void *sync, struct km_version version, uint64_t view_id)
{
    kama_node *node = sync;
    struct km_snapshot_reader reader;
    const struct km_cluster *cluster =
        km_snapshot_enter(&node->cluster_now, &reader);
    bool keep =
        cluster != NULL &&
        km_sync_may_keep(km_cluster_sync_origins(cluster), version, view_id);
    km_snapshot_leave(&reader);
    return keep;
}

static bool holds(void *sync, const struct km_strategy *strategy, uint32_t slot)
{
    kama_node *node = sync;
    struct km_snapshot_reader reader;
    const struct km_cluster *cluster =
        km_snapshot_enter(&node->cluster_now, &reader);
    bool found =
        cluster != NULL && km_peers_holds(cluster->peers, strategy, slot, NULL);
    km_snapshot_leave(&reader);
    return found;
}

static const struct km_group_sync_ops ops = {
    .enter = enter,
    .leave = leave,
    .originate = originate,
    .has_witnesses = has_witnesses,
    .await = await,
    .merge = merge,
    .learn = learn,
    .clear = clear,
    .invalidate = invalidate,
    .holds = holds,
    .may_keep = may_keep,
};

/* R4: records that came before the group was there counted as applied. The floors that
 * this raises bar what they have barred. */
static uint32_t add(void *arg, const char *name, struct km_store *store)
{
    kama_node *node = arg;
    uint32_t number = km_sync_log_add(node->sync_log, name, store);
    if (number != KM_SYNC_NO_NUMBER) {
        km_sync_log_invalidate(node->sync_log, number, 0);
    }
    return number;
}

static void remove_group(void *arg, uint32_t number)
{
    km_sync_log_remove(((kama_node *)arg)->sync_log, number);
}

void km_node_group_sync_of(kama_node *node, struct km_group_sync *ret_sync)
{
    *ret_sync =
        (struct km_group_sync){.ops = node->sync_log != NULL ? &ops : NULL,
                               .arg = node,
                               .add = add,
                               .remove = remove_group};
}

/* -- the log ----------------------------------------------------------------- */

/* The log has grown. Without a cluster nobody reads it. */
static void grew(void *arg)
{
    kama_node *node = arg;
    struct km_snapshot_reader reader;
    const struct km_cluster *cluster =
        km_snapshot_enter(&node->cluster_now, &reader);
    if (cluster != NULL) {
        km_cluster_sync_grew(cluster);
    }
    km_snapshot_leave(&reader);
}

kama_status km_node_sync_log_new(kama_node *node)
{
    const struct km_sync_log_options options = {
        .mem = &node->mem, .clock = node->clock, .grew = grew, .arg = node};
    if (node->config.cluster.etcd == NULL) {
        return KAMA_OK;
    }
    kama_status status = km_sync_log_new(&options, &node->sync_log);
    if (status == KAMA_OK) {
        status = km_node_sync_feed_new(node);
    }
    if (status != KAMA_OK) {
        km_sync_log_free(node->sync_log);
        return km_fail(status, "no memory for a node");
    }
    return KAMA_OK;
}

/* -- invalidations ----------------------------------------------------------- */

void km_node_invalidate_all(kama_node *node, uint64_t hlc)
{
    km_sync_log_invalidate(node->sync_log, UINT32_MAX, hlc);
    km_sync_feed_missed(node->sync_feed, UINT32_MAX);
}

/* A value of a group without a loader is lost when it is dropped. It is dropped if
 * mutations are acknowledged, because no member passes on what it has from another one:
 *
 *     A: deletes k, B applies that, A answers and dies       C: has not heard of it
 *     C drops what it has, or it would show k for ever
 */
static bool drops_for_lost(const kama_node *node, const char *name)
{
    const kama_group *group = km_registry_find(&node->registry, KAMA_STR(name));
    struct km_group_info info = {.has_loader = true};
    if (group != NULL) {
        km_group_info_get(group, &info);
    }
    return info.has_loader ||
           (group != NULL && km_group_ack(group) != KM_SYNC_ACK_ASYNC);
}

void km_node_invalidate_lost(kama_node *node, uint64_t hlc)
{
    struct km_sync_log_state state;
    km_sync_log_get(node->sync_log, &state);
    for (uint32_t number = 0; number < state.groups; number++) {
        if (drops_for_lost(node, km_sync_log_name(node->sync_log, number))) {
            km_sync_log_invalidate(node->sync_log, number, hlc);
            km_sync_feed_missed(node->sync_feed, number);
        }
    }
}
