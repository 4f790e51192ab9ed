/* SPDX-License-Identifier: MIT */
#include "base/status.h"
#include "group/holders.h"
#include "group/info.h"
#include "group/sync_apply.h"
#include "node/cluster_state.h"
#include "node/cluster_sync_state.h"
#include "node/group_sync.h"
#include "node/node.h"
#include "node/node_event.h"
#include "node/sync_streams.h"
#include "peers/holders.h"
#include "sync/feed.h"

/* -- what the machine tells --------------------------------------------------- */

static kama_group *find_group(void *owner, kama_bytes name)
{
    const struct km_cluster_sync *sync = owner;
    kama_group *group = km_registry_find(&sync->node->registry, name);
    return group != NULL && km_group_is_synced(group) ? group : NULL;
}

static bool strategy_of(void *owner, uint32_t i, struct km_sync_strategy *ret)
{
    const struct km_cluster_sync *sync = owner;
    const struct km_registry *registry = &sync->node->registry;
    struct km_group_info info;
    if (i >= km_registry_count(registry)) {
        return false;
    }
    const kama_group *group = km_registry_at(registry, i);
    km_group_info_get(group, &info);
    *ret = (struct km_sync_strategy){.group = kama_group_name(group),
                                     .text = info.sync};
    return true;
}

static void on_lost_member(void *owner, uint64_t hlc, const char *why)
{
    const struct km_cluster_sync *sync = owner;
    km_node_invalidate_lost(sync->node, hlc);
    km_node_emit_event(sync->node, KM_NODE_WARN, "sync",
                       "the groups with a loader or sync_ack were emptied: %s",
                       why);
}

static bool gets_value(void *owner, kama_group *group, kama_bytes key,
                       const struct km_member_id *member)
{
    struct km_cluster_sync *sync = owner;
    const struct km_strategy *strategy = km_group_strategy(group);
    return strategy->kind == KM_STRATEGY_BROADCAST ||
           km_peers_holds_cached(sync->cluster->peers, strategy,
                                 km_group_slot(group, key), member,
                                 &sync->holders);
}

static void log_line(void *owner, int level, const char *name,
                     const char *address, const char *text)
{
    const struct km_cluster_sync *sync = owner;
    km_node_tell_member(sync->node, (enum km_node_level)level, name, address, 0,
                        "%s", text);
}

static void on_said_goodbye(void *owner)
{
    km_cluster_sync_said_goodbye(owner);
}

static void on_applied(void *owner, uint32_t number, enum km_sync_kind kind,
                       struct km_version version, kama_bytes key)
{
    const struct km_cluster_sync *sync = owner;
    km_sync_feed_applied(sync->node->sync_feed, number, kind, version, key);
}

static void on_missed(void *owner, uint32_t number)
{
    const struct km_cluster_sync *sync = owner;
    km_sync_feed_missed(sync->node->sync_feed, number);
}

static const struct km_sync_events events = {
    .group = find_group,
    .strategy = strategy_of,
    .lost_member = on_lost_member,
    .gets_value = gets_value,
    .log = log_line,
    .said_goodbye = on_said_goodbye,
    .applied = on_applied,
    .missed = on_missed,
};

static void on_streams_stopped(void *arg)
{
    struct km_cluster_sync *sync = arg;
    km_loop_stop(sync->loop);
}

/* -- the role ------------------------------------------------------------------- */

void km_cluster_sync_activate(struct km_cluster *cluster)
{
    enum km_sync_role joining = KM_SYNC_JOINING;
    (void)atomic_compare_exchange_strong(&cluster->sync->role, &joining,
                                         KM_SYNC_ORIGINATES);
}

/* Replacing the cluster by itself waits for the sections that have read the role
 * before. */
void km_cluster_sync_retire(struct km_cluster *cluster)
{
    struct km_snapshot *now = &cluster->node->cluster_now;
    atomic_store(&cluster->sync->role, KM_SYNC_LEAVING);
    if (km_snapshot_own(now) == cluster) {
        (void)km_snapshot_replace(now, cluster);
    }
}

bool km_cluster_sync_is_inside(const struct km_cluster_sync *sync)
{
    return km_loop_is_inside(sync->loop);
}

/* -- questions ----------------------------------------------------------------- */

enum km_sync_role km_cluster_sync_role(const struct km_cluster *cluster)
{
    return atomic_load(&cluster->sync->role);
}

struct km_sync_origins *km_cluster_sync_origins(
    const struct km_cluster *cluster)
{
    return cluster->sync->origins;
}

struct km_service_sync km_cluster_sync_service(const struct km_cluster *cluster)
{
    return (struct km_service_sync){&km_sync_streams_ops,
                                    cluster->sync->streams};
}

/* -- life ------------------------------------------------------------------------ */

/* Returns the least sync_timeout of the groups; 0: there are none. */
static int64_t timeout_ms(const kama_node *node)
{
    int64_t least = 0;
    for (unsigned i = 0; i < km_registry_count(&node->registry); i++) {
        const kama_group *group = km_registry_at(&node->registry, i);
        int64_t timeout = km_group_sync_timeout_ms(group);
        if (km_group_is_synced(group) && (least == 0 || timeout < least)) {
            least = timeout;
        }
    }
    return least;
}

static kama_status make_machine(struct km_cluster_sync *sync)
{
    kama_node *node = sync->node;
    const struct km_sync_options options = {
        .mem = &node->mem,
        .env = km_sync_streams_env(sync->streams),
        .events = &events,
        .owner = sync,
        .log = node->sync_log,
        .origins = sync->origins,
        .cluster = node->config.cluster.name,
        .service = node->config.service,
        .timeout_ms = timeout_ms(node),
    };
    kama_status status = km_sync_new(&options, &sync->machine);
    if (status == KAMA_OK) {
        km_sync_streams_bind(sync->streams, sync->machine);
    }
    return status;
}

static kama_status make_parts(struct km_cluster_sync *sync)
{
    kama_node *node = sync->node;
    kama_status status =
        km_loop_new(&node->mem, node->clock, node->loop_count + 1, &sync->loop);
    if (status == KAMA_OK) {
        const struct km_sync_streams_options options = {
            .mem = &node->mem,
            .clock = node->clock,
            .loop = sync->loop,
            .woke = km_cluster_sync_look_clock,
            .moved = km_cluster_sync_look_standing,
            .stopped = on_streams_stopped,
            .arg = sync,
        };
        status = km_sync_streams_new(&options, &sync->streams);
    }
    if (status == KAMA_OK) {
        status =
            km_sync_origins_new(&node->mem, node->sync_log, &sync->origins);
    }
    return status == KAMA_OK ? make_machine(sync) : status;
}

static kama_status make_lock(struct km_cluster_sync *sync)
{
    return km_mutex_init_with(&sync->lock, KM_RANK_CLUSTER, &sync->changed)
               ? KAMA_OK
               : km_fail(KAMA_ERR_THREADS, "no resources for a lock");
}

kama_status km_cluster_sync_new(struct km_cluster *cluster,
                                struct km_cluster_sync **ret_sync)
{
    kama_node *node = cluster->node;
    struct km_cluster_sync *sync = km_mem_zalloc(&node->mem, 1, sizeof *sync);
    if (sync == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for a node");
    }
    sync->node = node;
    sync->cluster = cluster;
    sync->standing_mail.run = km_cluster_sync_on_standing;
    km_list_init(&sync->views);
    sync->news_mail.run = km_cluster_sync_on_news;
    sync->grew_mail.run = km_cluster_sync_on_grew;
    km_list_init(&sync->waits);
    sync->waits_mail.run = km_cluster_sync_on_waits;
    atomic_init(&sync->role, KM_SYNC_JOINING);
    kama_status status = make_lock(sync);
    if (status != KAMA_OK) {
        km_mem_free(&node->mem, sync);
        return status;
    }
    status = make_parts(sync);
    if (status != KAMA_OK) {
        km_cluster_sync_free(sync);
        return status;
    }
    *ret_sync = sync;
    return KAMA_OK;
}

kama_status km_cluster_sync_start(struct km_cluster_sync *sync)
{
    kama_status status = km_loop_start(sync->loop);
    if (status == KAMA_OK) {
        km_pulse_add(&sync->node->pulse, &sync->beat, sync->loop, "sync loop");
    }
    return status;
}

void km_cluster_sync_free(struct km_cluster_sync *sync)
{
    if (sync == NULL) {
        return;
    }
    km_sync_free(sync->machine);
    km_sync_origins_free(sync->origins);
    km_sync_streams_free(sync->streams);
    km_loop_free(sync->loop);
    km_cluster_sync_drop_views(sync, &sync->news, &sync->views);
    km_view_unref(sync->view);
    km_mem_free(&sync->node->mem, sync->shown);
    km_cond_fini(&sync->changed);
    km_mutex_fini(&sync->lock);
    km_mem_free(&sync->node->mem, sync);
}
