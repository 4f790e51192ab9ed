/* SPDX-License-Identifier: MIT */
/*
 * Groups outlive the cluster of their node: they exist before the start and
 * after the stop. So the questions of a group go through a snapshot of the
 * cluster. A question is asked inside a section of the snapshot, and
 * km_cluster_groups_close returns when no section has the cluster any more; so
 * nothing is given to the peers after that.
 *
 * A request that is made without a cluster ends on a thread of the pool, because
 * it must not end inside the call that makes it.
 */
#include "node/cluster_groups.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/pool.h"
#include "group/group.h"
#include "group/sync_apply.h"
#include "node/cluster_state.h"
#include "node/cluster_status.h"
#include "node/node.h"

/* -- without a cluster ---------------------------------------------------- */

#define NO_CLUSTER                                                             \
    "this node is in no cluster now: it has not started, or has stopped"

static const struct km_owner_reply no_reply = {
    .outcome = KM_OWNER_UNREACHABLE,
    .status = KAMA_ERR_NOT_READY,
    .text = NO_CLUSTER,
};

/* The job of a request that nobody can be asked about, in its `use`. */
#define USE_OF(job, type) KM_CONTAINER_OF((void *)(job), type, use)

_Static_assert(sizeof(struct km_job) <= sizeof((struct km_owner_fill *)0)->use,
               "the job of a request is in its `use`");

static void end_fill(struct km_job *job)
{
    struct km_owner_fill *fill = USE_OF(job, struct km_owner_fill);
    fill->done(fill, &no_reply);
}

static void end_mutation(struct km_job *job)
{
    struct km_owner_mutation *mutation = USE_OF(job, struct km_owner_mutation);
    mutation->done(mutation, &no_reply);
}

static void end_peek(struct km_job *job)
{
    struct km_owner_peek *peek = USE_OF(job, struct km_owner_peek);
    peek->done(peek, &no_reply);
}

static void end_wait(struct km_job *job)
{
    struct km_owner_wait *wait = USE_OF(job, struct km_owner_wait);
    wait->changed(wait);
}

static void end_clear(struct km_job *job)
{
    struct km_owner_clear *clear = USE_OF(job, struct km_owner_clear);
    clear->done(clear, KAMA_OK, "", NULL, 0);
}

/* Ends a request on the pool; if the pool takes no job, at once. */
static void end_later(kama_node *node, void *use,
                      void (*run)(struct km_job *job))
{
    struct km_job *job = use;
    job->run = run;
    if (km_pool_submit(node->pool, job) != KAMA_OK) {
        run(job);
    }
}

/* -- the functions of the owner ------------------------------------------- */

/* Begins a question. Returns the peers, or NULL; either way km_snapshot_leave
 * ends it. */
static struct km_peers *enter(kama_node *node,
                              struct km_snapshot_reader *reader)
{
    const struct km_cluster *cluster =
        km_snapshot_enter(&node->cluster_now, reader);
    return cluster != NULL ? cluster->peers : NULL;
}

static void owner_ask(void *owner, uint32_t slot,
                      struct km_owner_answer *ret_answer)
{
    kama_node *node = owner;
    struct km_snapshot_reader reader;
    struct km_peers *peers = enter(node, &reader);
    if (peers != NULL) {
        km_peers_owner_ops.ask(peers, slot, ret_answer);
    } else {
        *ret_answer = (struct km_owner_answer){
            .place = KM_OWNER_NOBODY,
            .adoption = atomic_load(&node->adoption),
            .refusal = KAMA_ERR_NOT_READY,
            .text = NO_CLUSTER,
        };
    }
    km_snapshot_leave(&reader);
}

static struct km_peer *owner_earlier(void *owner, uint32_t slot)
{
    kama_node *node = owner;
    struct km_snapshot_reader reader;
    struct km_peers *peers = enter(node, &reader);
    struct km_peer *peer =
        peers != NULL ? km_peers_owner_ops.earlier(peers, slot) : NULL;
    km_snapshot_leave(&reader);
    return peer;
}

static struct km_peer *owner_next(void *owner, uint32_t slot,
                                  const struct km_peer *but)
{
    kama_node *node = owner;
    struct km_snapshot_reader reader;
    struct km_peers *peers = enter(node, &reader);
    struct km_peer *peer =
        peers != NULL ? km_peers_owner_ops.next(peers, slot, but) : NULL;
    km_snapshot_leave(&reader);
    return peer;
}

/* A peer knows the peers that it belongs to, which may be those of an earlier
 * start, and the thread that gives it back must not look at node->cluster. */
static void owner_release(void *owner, struct km_peer *peer)
{
    (void)owner;
    km_peers_owner_ops.release(NULL, peer);
}

static const char *owner_address(void *owner, const struct km_peer *peer)
{
    (void)owner;
    return km_peers_owner_ops.address(NULL, peer);
}

/* Gives requests to the peers. Returns false, with the list as it was, if the node
 * is in no cluster at this moment. */
static bool hand_over(kama_node *node,
                      void (*take)(void *peers, struct km_list *requests),
                      struct km_list *requests)
{
    struct km_snapshot_reader reader;
    struct km_peers *peers = enter(node, &reader);
    if (peers != NULL) {
        take(peers, requests);
    }
    km_snapshot_leave(&reader);
    return peers != NULL;
}

static bool owner_answers(void *owner, const struct km_peer *peer)
{
    (void)owner;
    return km_peers_owner_ops.answers(NULL, peer);
}

static void owner_fill(void *owner, struct km_list *fills)
{
    kama_node *node = owner;
    struct km_list *link;
    bool taken = hand_over(node, km_peers_owner_ops.fill, fills);
    while (!taken && (link = km_list_pop_front(fills)) != NULL) {
        struct km_owner_fill *fill =
            KM_CONTAINER_OF(link, struct km_owner_fill, node);
        owner_release(owner, fill->peer);
        end_later(node, fill->use, end_fill);
    }
}

static void owner_mutate(void *owner, struct km_list *mutations)
{
    kama_node *node = owner;
    struct km_list *link;
    bool taken = hand_over(node, km_peers_owner_ops.mutate, mutations);
    while (!taken && (link = km_list_pop_front(mutations)) != NULL) {
        struct km_owner_mutation *mutation =
            KM_CONTAINER_OF(link, struct km_owner_mutation, node);
        owner_release(owner, mutation->peer);
        end_later(node, mutation->use, end_mutation);
    }
}

static void owner_peek(void *owner, struct km_list *peeks)
{
    kama_node *node = owner;
    struct km_list *link;
    bool taken = hand_over(node, km_peers_owner_ops.peek, peeks);
    while (!taken && (link = km_list_pop_front(peeks)) != NULL) {
        struct km_owner_peek *peek =
            KM_CONTAINER_OF(link, struct km_owner_peek, node);
        owner_release(owner, peek->peer);
        end_later(node, peek->use, end_peek);
    }
}

static void owner_wait(void *owner, struct km_owner_wait *wait)
{
    kama_node *node = owner;
    struct km_snapshot_reader reader;
    struct km_peers *peers = enter(node, &reader);
    if (peers != NULL) {
        km_peers_owner_ops.wait(peers, wait);
    }
    km_snapshot_leave(&reader);
    if (peers == NULL) {
        end_later(node, wait->use, end_wait);
    }
}

static void owner_clear(void *owner, struct km_owner_clear *clear)
{
    kama_node *node = owner;
    struct km_snapshot_reader reader;
    struct km_peers *peers = enter(node, &reader);
    if (peers != NULL) {
        km_peers_owner_ops.clear(peers, clear);
    }
    km_snapshot_leave(&reader);
    if (peers == NULL) {
        end_later(node, clear->use, end_clear);
    }
}

static const struct km_owner_ops owner_ops = {
    .ask = owner_ask,
    .earlier = owner_earlier,
    .next = owner_next,
    .release = owner_release,
    .fill = owner_fill,
    .mutate = owner_mutate,
    .peek = owner_peek,
    .wait = owner_wait,
    .clear = owner_clear,
    .address = owner_address,
    .answers = owner_answers,
};

void km_cluster_owner_of(kama_node *node, struct km_owner *ret_owner)
{
    bool clustered = node->config.cluster.etcd != NULL;
    *ret_owner = (struct km_owner){clustered ? &owner_ops : NULL, node};
}

/* -- open and close -------------------------------------------------------- */

void km_cluster_groups_open(struct km_cluster *cluster)
{
    void *before = km_snapshot_replace(&cluster->node->cluster_now, cluster);
    KM_ASSERT(before == NULL);
}

void km_cluster_groups_close(struct km_cluster *cluster)
{
    void *before = km_snapshot_replace(&cluster->node->cluster_now, NULL);
    KM_ASSERT(before == NULL || before == cluster);
}

/* -- adoption --------------------------------------------------------------- */

/* The number of groups that a sweep has to visit; groups that are added later, and those
 * that are synchronized, have nothing to sweep. */
static void sweep_all(kama_node *node)
{
    unsigned count = km_registry_count(&node->registry);
    for (unsigned i = 0; i < count; i++) {
        kama_group *group = km_registry_at(&node->registry, i);
        struct km_group_sweep sweep = {0};
        while (!km_group_is_synced(group) && km_group_sweep(group, &sweep)) {
        }
    }
}

static void on_swept(struct km_mail *mail)
{
    struct km_cluster *cluster =
        KM_CONTAINER_OF(mail, struct km_cluster, swept_mail);
    km_mutex_lock(&cluster->lock);
    uint64_t adoption = cluster->swept;
    bool ends = cluster->ends_after_sweep;
    bool again = cluster->sweep == KM_SWEEP_AGAIN && !ends;
    cluster->sweep = again ? KM_SWEEP_RUNS : KM_SWEEP_IDLE;
    km_mutex_unlock(&cluster->lock);
    if (ends) {
        km_cluster_look_end(cluster);
    } else if (again) {
        km_cluster_sweep(cluster);
    } else {
        km_peers_swept(cluster->peers, adoption);
    }
}

/* Runs on a thread of the pool. */
static void sweep(struct km_job *job)
{
    struct km_cluster *cluster =
        KM_CONTAINER_OF(job, struct km_cluster, sweep_job);
    sweep_all(cluster->node);
    cluster->swept_mail.run = on_swept;
    km_loop_post(cluster->control, &cluster->swept_mail);
}

/* Starts the job. A pool that takes none, because it has no memory for a thread,
 * leaves the slots hidden until the next adoption; nothing wrong is served. */
void km_cluster_sweep(struct km_cluster *cluster)
{
    cluster->sweep_job.run = sweep;
    if (km_pool_submit(cluster->node->pool, &cluster->sweep_job) != KAMA_OK) {
        km_mutex_lock(&cluster->lock);
        cluster->sweep = KM_SWEEP_IDLE;
        km_mutex_unlock(&cluster->lock);
    }
}

/* Returns whether no sweep runs. If one does, its end looks again. */
static bool sweep_has_ended(struct km_cluster *cluster)
{
    km_mutex_lock(&cluster->lock);
    bool ended = cluster->sweep == KM_SWEEP_IDLE;
    cluster->ends_after_sweep = !ended;
    km_mutex_unlock(&cluster->lock);
    return ended;
}

void km_cluster_look_end(struct km_cluster *cluster)
{
    bool is_idle = sweep_has_ended(cluster);
    if (km_cluster_forget_stop(cluster) && is_idle) {
        km_loop_stop(cluster->control);
        km_cluster_move(cluster, KM_CLUSTER_CLOSED);
    }
}

void km_cluster_groups_adopt(struct km_cluster *cluster, uint64_t adoption,
                             const struct km_slot_map *lost)
{
    kama_node *node = cluster->node;
    km_mutex_lock(&node->lock);
    atomic_store(&node->adoption, adoption);
    for (unsigned i = 0; i < km_registry_count(&node->registry); i++) {
        km_group_adopt(km_registry_at(&node->registry, i), adoption, lost);
    }
    km_mutex_unlock(&node->lock);
    km_cluster_forget_later(cluster);
    if (lost == NULL) {
        km_peers_swept(cluster->peers, adoption);
        return;
    }
    km_mutex_lock(&cluster->lock);
    bool idle = cluster->sweep == KM_SWEEP_IDLE;
    cluster->sweep = idle ? KM_SWEEP_RUNS : KM_SWEEP_AGAIN;
    cluster->swept = adoption;
    km_mutex_unlock(&cluster->lock);
    if (idle) {
        km_cluster_sweep(cluster);
    }
}

void km_cluster_groups_added(struct km_cluster *cluster, kama_group *group)
{
    kama_node *node = cluster->node;
    KM_ASSERT_HELD(&node->lock);
    km_group_adopt(group, atomic_load(&node->adoption), NULL);
    km_cluster_sync_regrouped(cluster->sync);
}

void km_cluster_groups_forget(struct km_cluster *cluster)
{
    kama_node *node = cluster->node;
    km_mutex_lock(&node->lock);
    for (unsigned i = 0; i < km_registry_count(&node->registry); i++) {
        kama_group *group = km_registry_at(&node->registry, i);
        if (!km_group_is_synced(group)) {
            km_group_forget(group);
        }
    }
    km_mutex_unlock(&node->lock);
}
