/* SPDX-License-Identifier: MIT */
/*
 * The steps follow one another on the control loop. The dial-back is tried again
 * while nobody answers, because the own server may be a moment late; an answer
 * of somebody else fails the start at once.
 */
#include "node/cluster_steps.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/status.h"
#include "base/text.h"
#include "node/cluster_status.h"
#include "node/node.h"
#include "node/node_event.h"

static const char *const names[KM_STEP_COUNT] = {
    [KM_STEP_LISTEN] = "listen",   [KM_STEP_REGISTER] = "register",
    [KM_STEP_VIEW] = "view",       [KM_STEP_PEERS] = "peers",
    [KM_STEP_STREAMS] = "streams", [KM_STEP_DIALBACK] = "dialback",
    [KM_STEP_CLOCK] = "clock",     [KM_STEP_LEASE] = "lease",
};

size_t km_cluster_steps_name(unsigned missing,
                             const char *ret_names[KM_STEP_COUNT])
{
    size_t count = 0;
    for (unsigned step = 0; step < KM_STEP_COUNT; step++) {
        if ((missing >> step & 1) != 0) {
            ret_names[count++] = names[step];
        }
    }
    return count;
}

static bool has(const struct km_cluster *cluster, enum km_cluster_step step)
{
    return (cluster->steps.done >> step & 1) != 0;
}

/* The node is ready when all steps are done and the view says that it is
 * active. Steps that go missing later are shown, and change nothing. */
static void publish(struct km_cluster *cluster)
{
    unsigned all = (1u << KM_STEP_COUNT) - 1;
    unsigned missing = all & ~cluster->steps.done;
    km_mutex_lock(&cluster->lock);
    bool becomes_ready =
        !cluster->ready && missing == 0 && cluster->state == KM_CLUSTER_MEMBER;
    cluster->missing = missing;
    cluster->ready = cluster->ready || becomes_ready;
    bool is_late = becomes_ready && cluster->is_late;
    if (becomes_ready) {
        km_cond_broadcast(&cluster->changed);
    }
    km_mutex_unlock(&cluster->lock);
    km_cluster_touch(cluster);
    if (is_late) {
        km_node_emit_event(cluster->node, KM_NODE_INFO, "joined",
                           "all steps are done: the node serves as a member");
    }
}

/* -- peers ---------------------------------------------------------------- */

struct heard {
    unsigned unknown;      /* have not answered yet */
    unsigned up;           /* have answered, and can be worked with */
    unsigned other_clocks; /* are refused for their clocks */
};

static void count_peer(void *arg, const struct km_peer_info *info)
{
    struct heard *heard = arg;
    heard->unknown += info->state == KM_PEER_UNKNOWN ? 1 : 0;
    heard->up += info->state == KM_PEER_UP ? 1 : 0;
    heard->other_clocks += info->clock_differs ? 1 : 0;
}

/* It would own keys, and nobody would ask it for them. A node that has the
 * clock of half of those it has heard, itself included, goes on: the others
 * are wrong then. */
static bool clock_is_wrong(const struct heard *heard)
{
    return heard->other_clocks > 0 && heard->other_clocks >= heard->up + 1;
}

static void fail_clock(struct km_cluster *cluster, const struct heard *heard)
{
    char text[KM_ERROR_BYTES_MAX];
    (void)km_text_printf(
        text, sizeof text,
        "the clock of this node differs by more than %d s from those of %u of "
        "the %u other nodes that have answered; set it right (the log names "
        "the clocks)",
        KM_PEERS_CLOCK_MS / 1000, heard->other_clocks,
        heard->other_clocks + heard->up);
    km_cluster_fail_start(cluster, KAMA_ERR_STATE, text);
}

/* -- dial-back ------------------------------------------------------------ */

static void dial(struct km_cluster *cluster);

static void fail_dialback(struct km_cluster *cluster, const char *why)
{
    char text[KM_ERROR_BYTES_MAX];
    (void)km_text_printf(
        text, sizeof text,
        "the advertised address %s %s; set `advertise` to an address at which "
        "the other nodes reach this one",
        cluster->address, why);
    km_cluster_fail_start(cluster, KAMA_ERR_INVALID, text);
}

/* Nobody has answered. Dials again, until it is certain that nobody will. */
static void dial_again(struct km_cluster *cluster, const char *text)
{
    km_ns now = km_loop_now(cluster->control);
    char why[KM_ERROR_BYTES_MAX];
    if (now >= cluster->steps.dial_until) {
        (void)km_text_printf(why, sizeof why, "does not lead to this node: %s",
                             text);
        fail_dialback(cluster, why);
        return;
    }
    km_loop_timer_arm(cluster->control, &cluster->steps.timer,
                      km_ns_after_ms(now, KM_CLUSTER_DIAL_AGAIN_MS));
}

static void on_dialed(struct km_peers_probe *probe, kama_status status,
                      const char *text, const struct km_member_id *id,
                      const struct km_member_id *nonce, const char *service)
{
    struct km_cluster *cluster =
        KM_CONTAINER_OF(probe, struct km_cluster, steps.probe);
    char why[KM_MEMBER_ID_TEXT_BYTES + 48];
    char shown[KM_MEMBER_ID_TEXT_BYTES];
    (void)service;
    if (cluster->steps.dialback != KM_DIALBACK_RUNS) {
        return;
    }
    cluster->steps.dialback = KM_DIALBACK_IDLE;
    if (status != KAMA_OK) {
        dial_again(cluster, text);
        return;
    }
    if (!km_member_id_equal(nonce, &cluster->nonce)) {
        (void)km_text_printf(why, sizeof why,
                             "leads to the node %s, not to this node",
                             km_member_id_format(id, shown));
        fail_dialback(cluster, why);
        return;
    }
    cluster->steps.dialback = KM_DIALBACK_DONE;
    km_cluster_step_done(cluster, KM_STEP_DIALBACK);
}

static void dial(struct km_cluster *cluster)
{
    struct km_cluster_steps *steps = &cluster->steps;
    km_ns now = km_loop_now(cluster->control);
    if (steps->dial_until == 0) {
        steps->dial_until = km_ns_after_ms(now, KM_CLUSTER_DIAL_MS);
    }
    steps->dialback = KM_DIALBACK_RUNS;
    steps->probe.done = on_dialed;
    km_peers_probe(cluster->peers, cluster->address,
                   km_ns_after_ms(now, KM_CLUSTER_PROBE_MS), &steps->probe);
}

static void on_timer(struct km_timer *timer)
{
    struct km_cluster *cluster =
        KM_CONTAINER_OF(timer, struct km_cluster, steps.timer);
    km_cluster_steps_look(cluster);
}

/* -- the order ------------------------------------------------------------- */

/* Begins to wait for the peers when the node is registered and has a view. */
static void look_peers(struct km_cluster *cluster)
{
    struct km_cluster_steps *steps = &cluster->steps;
    km_ns now = km_loop_now(cluster->control);
    if (!has(cluster, KM_STEP_REGISTER) || !has(cluster, KM_STEP_VIEW) ||
        has(cluster, KM_STEP_PEERS)) {
        return;
    }
    if (steps->peers_until == 0) {
        steps->peers_until = km_ns_after_ms(now, KM_CLUSTER_PEERS_WAIT_MS);
        steps->timer.fire = on_timer;
    }
    struct heard heard = {0};
    km_peers_visit(cluster->peers, count_peer, &heard);
    bool has_heard = heard.unknown == 0 || now >= steps->peers_until;
    if (has_heard && clock_is_wrong(&heard)) {
        steps->done &= ~(1u << KM_STEP_CLOCK);
        fail_clock(cluster, &heard);
    } else if (has_heard) {
        steps->done |= 1u << KM_STEP_PEERS | 1u << KM_STEP_CLOCK;
    } else {
        km_loop_timer_arm(cluster->control, &steps->timer, steps->peers_until);
    }
}

/* An active node originates mutations. The others should not have to wait for them, and no
 * Gap of a first contact should drop what was just set here. */
static void look_streams(struct km_cluster *cluster)
{
    struct km_cluster_steps *steps = &cluster->steps;
    km_ns now = km_loop_now(cluster->control);
    if (!has(cluster, KM_STEP_PEERS) || has(cluster, KM_STEP_STREAMS)) {
        return;
    }
    if (steps->streams_until == 0) {
        steps->streams_until = km_ns_after_ms(now, KM_CLUSTER_PEERS_WAIT_MS);
        km_cluster_sync_watch(cluster->sync);
    }
    if (now < steps->streams_until) {
        km_loop_timer_arm(cluster->control, &steps->timer,
                          steps->streams_until);
    } else {
        steps->done |= 1u << KM_STEP_STREAMS;
    }
}

void km_cluster_steps_look(struct km_cluster *cluster)
{
    struct km_cluster_steps *steps = &cluster->steps;
    look_peers(cluster);
    look_streams(cluster);
    if (has(cluster, KM_STEP_STREAMS) && steps->dialback == KM_DIALBACK_IDLE &&
        !has(cluster, KM_STEP_DIALBACK)) {
        dial(cluster);
    }
    publish(cluster);
}

void km_cluster_step_done(struct km_cluster *cluster, enum km_cluster_step step)
{
    if (!has(cluster, step)) {
        cluster->steps.done |= 1u << step;
        if (step == KM_STEP_DIALBACK) {
            km_membership_activate(cluster->membership);
        }
    }
    km_cluster_steps_look(cluster);
}

void km_cluster_step_undone(struct km_cluster *cluster,
                            enum km_cluster_step step)
{
    cluster->steps.done &= ~(1u << step);
    publish(cluster);
}

void km_cluster_steps_stop(struct km_cluster *cluster)
{
    km_loop_timer_disarm(cluster->control, &cluster->steps.timer);
    km_cluster_sync_unwatch(cluster->sync);
    cluster->steps.dialback = KM_DIALBACK_DONE;
}
