/* SPDX-License-Identifier: MIT */
#include "node/cluster_forget.h"

#include "base/container.h"
#include "group/adopt.h"
#include "group/holders.h"
#include "node/cluster_groups.h"
#include "node/cluster_state.h"
#include "node/node.h"
#include "peers/holders.h"
#include "store/store_hide.h"

/* The peers drop a table up to a second after its minute (km_peers_find_unheld). */
#define AFTER_MS (KM_PEERS_EARLIER_MS + 2000)

static bool has_forgetful_group(const kama_node *node)
{
    unsigned count = km_registry_count(&node->registry);
    bool found = false;
    for (unsigned i = 0; i < count && !found; i++) {
        found = km_group_forgets(km_registry_at(&node->registry, i));
    }
    return found;
}

/* -- the job ------------------------------------------------------------------- */

/* The adoption by which the slots are not held. */
struct decision {
    struct km_peers *peers;
    uint64_t adoption;
};

/* A newer adoption may have given a slot back, and a value that was stored by it may be the
 * only one of the cluster. It forgets what it leaves, a minute later. */
static bool is_due(void *arg)
{
    const struct decision *decision = arg;
    return km_peers_adoption(decision->peers) == decision->adoption;
}

static void forget_in(kama_group *group, const struct km_slot_map *unheld,
                      struct decision *decision)
{
    const struct km_forgetting forgetting = {
        .slots = unheld, .is_due = is_due, .arg = decision};
    struct km_group_sweep sweep = {0};
    while (km_group_forget_slots(group, &forgetting, &sweep)) {
    }
}

/* Runs on a thread of the pool. */
static void forget_all(struct km_cluster *cluster, struct km_slot_map *unheld)
{
    kama_node *node = cluster->node;
    struct decision decision = {.peers = cluster->peers};
    unsigned count = km_registry_count(&node->registry);
    for (unsigned i = 0; i < count; i++) {
        kama_group *group = km_registry_at(&node->registry, i);
        if (km_group_forgets(group)) {
            memset(unheld, 0, sizeof *unheld);
            if (km_peers_find_unheld(cluster->peers, km_group_strategy(group),
                                     unheld, &decision.adoption)) {
                forget_in(group, unheld, &decision);
            }
        }
    }
}

static void run(struct km_job *job)
{
    struct km_cluster *cluster =
        KM_CONTAINER_OF(job, struct km_cluster, forget.job);
    struct km_slot_map *unheld =
        km_mem_alloc(&cluster->node->mem, sizeof *unheld);
    if (unheld != NULL) {
        forget_all(cluster, unheld);
    }
    cluster->forget.has_failed = unheld == NULL;
    km_mem_free(&cluster->node->mem, unheld);
    km_loop_post(cluster->control, &cluster->forget.mail);
}

/* -- the control loop ------------------------------------------------------------ */

static void on_timer(struct km_timer *timer);

static void wait_until_due(struct km_cluster *cluster)
{
    struct km_cluster_forget *f = &cluster->forget;
    f->stage = KM_FORGET_WAITS;
    f->timer.fire = on_timer;
    km_loop_timer_arm(cluster->control, &f->timer, f->due);
}

/* Without memory for the job nothing was forgotten, and no view may come that tries it again. */
static void on_forgotten(struct km_mail *mail)
{
    struct km_cluster *cluster =
        KM_CONTAINER_OF(mail, struct km_cluster, forget.mail);
    struct km_cluster_forget *f = &cluster->forget;
    km_ns now = km_clock_mono(cluster->node->clock);
    f->stage = KM_FORGET_IDLE;
    if (f->has_failed && f->due <= now) {
        f->due = km_ns_after_ms(now, AFTER_MS);
    }
    if (f->is_closed) {
        km_cluster_look_end(cluster);
    } else if (f->due > now) {
        wait_until_due(cluster);
    }
}

static void on_timer(struct km_timer *timer)
{
    struct km_cluster *cluster =
        KM_CONTAINER_OF(timer, struct km_cluster, forget.timer);
    struct km_cluster_forget *f = &cluster->forget;
    f->stage = KM_FORGET_RUNS;
    f->job.run = run;
    f->mail.run = on_forgotten;
    if (km_pool_submit(cluster->node->pool, &f->job) != KAMA_OK) {
        f->due = km_ns_after_ms(km_clock_mono(cluster->node->clock), AFTER_MS);
        wait_until_due(cluster);
    }
}

void km_cluster_forget_later(struct km_cluster *cluster)
{
    struct km_cluster_forget *f = &cluster->forget;
    if (f->is_closed || !has_forgetful_group(cluster->node)) {
        return;
    }
    f->due = km_ns_after_ms(km_clock_mono(cluster->node->clock), AFTER_MS);
    if (f->stage == KM_FORGET_IDLE) {
        wait_until_due(cluster);
    }
}

bool km_cluster_forget_stop(struct km_cluster *cluster)
{
    struct km_cluster_forget *f = &cluster->forget;
    f->is_closed = true;
    if (f->stage == KM_FORGET_WAITS) {
        km_loop_timer_disarm(cluster->control, &f->timer);
        f->stage = KM_FORGET_IDLE;
    }
    return f->stage == KM_FORGET_IDLE;
}
