/* SPDX-License-Identifier: MIT */
/* Changes are counted under the lock of the environment, so that none is lost
 * between a look at the node and the wait for the next change. */
#include "services/cluster.h"

#include "base/assert.h"
#include "base/status.h"
#include "services/alone.h"
#include "services/env.h"

#include <stdio.h>

const char *km_cluster_reach_name(enum km_cluster_reach reach)
{
    static const char *const names[] = {"unknown", "self", "up", "unreachable",
                                        "refused"};
    KM_ASSERT((unsigned)reach < sizeof names / sizeof names[0]);
    return names[reach];
}

const struct km_metric km_cluster_metric_rows[KM_CLUSTER_M_COUNT] = {
    [KM_CLUSTER_M_PEERS] = {"peers", KM_METRIC_GAUGE, "",
                            "Other members of the view."},
    [KM_CLUSTER_M_PEERS_UP] = {"peers_up", KM_METRIC_GAUGE, "",
                               "Other members that answer."},
    [KM_CLUSTER_M_SETTLED] = {"view_settled", KM_METRIC_GAUGE, "",
                              "1 if every member has adopted the view."},
    [KM_CLUSTER_M_REGISTRY_UP] = {"registry_up", KM_METRIC_GAUGE, "",
                                  "1 if the registry can be reached."},
    [KM_CLUSTER_M_HELD_ADDRESSES] = {"held_addresses", KM_METRIC_GAUGE, "",
                                     "Addresses without a record that stay in "
                                     "the view."},
    [KM_CLUSTER_M_VIEWS_ADOPTED] = {"views_adopted", KM_METRIC_COUNTER, "",
                                    "Views that were adopted."},
    [KM_CLUSTER_M_REGISTRATIONS] = {"registrations", KM_METRIC_COUNTER, "",
                                    "Registrations of this node."},
    [KM_CLUSTER_M_REGISTRY_READS] = {"registry_reads", KM_METRIC_COUNTER, "",
                                     "Full reads of the registry."},
    [KM_CLUSTER_M_REGISTRY_WATCHES] = {"registry_watches", KM_METRIC_COUNTER,
                                       "", "Watches that were begun."},
    [KM_CLUSTER_M_JUNK_RECORDS] = {"junk_records", KM_METRIC_COUNTER, "",
                                   "Records that are none of a member."},
    [KM_CLUSTER_M_FOREIGN_RECORDS] =
        {"foreign_records", KM_METRIC_COUNTER, "",
         "Records of other clusters, or of nodes of another protocol."},
};

/* -- questions ----------------------------------------------------------- */

void km_cluster_view(struct km_service_env *env, km_cluster_view_fn cb,
                     void *arg)
{
    const struct km_cluster_source source = km_service_env_cluster(env);
    if (source.ops != NULL) {
        source.ops->view(source.arg, cb, arg);
    } else {
        km_alone_view(env, cb, arg);
    }
}

void km_cluster_node(struct km_service_env *env, km_cluster_node_fn cb,
                     void *arg)
{
    const struct km_cluster_source source = km_service_env_cluster(env);
    if (source.ops != NULL) {
        source.ops->node(source.arg, cb, arg);
    } else {
        km_alone_node(env, cb, arg);
    }
}

void km_cluster_owner(struct km_service_env *env, const char *group,
                      kama_bytes key, km_cluster_owner_fn cb, void *arg)
{
    const struct km_cluster_source source = km_service_env_cluster(env);
    if (source.ops != NULL) {
        source.ops->owner(source.arg, group, key, cb, arg);
    } else {
        km_alone_owner(env, group, key, cb, arg);
    }
}

uint64_t km_cluster_version(struct km_service_env *env)
{
    const struct km_cluster_source source = km_service_env_cluster(env);
    return source.ops != NULL ? source.ops->version(source.arg)
                              : km_alone_version(env);
}

void km_cluster_registry(struct km_service_env *env,
                         struct km_cluster_registry *ret_registry)
{
    const struct km_cluster_source *source = &env->cluster;
    *ret_registry = (struct km_cluster_registry){.exists = false};
    if (source->ops != NULL) {
        source->ops->registry(source->arg, ret_registry);
    }
}

void km_cluster_log(struct km_service_env *env, struct km_cluster_log *ret_log)
{
    const struct km_cluster_source *source = &env->cluster;
    *ret_log = (struct km_cluster_log){.exists = false};
    if (source->ops != NULL && source->ops->log != NULL) {
        source->ops->log(source->arg, ret_log);
    }
}

void km_cluster_record(struct km_service_env *env, const char *group,
                       kama_bytes key, struct km_cluster_record *ret_record)
{
    const struct km_cluster_source *source = &env->cluster;
    *ret_record = (struct km_cluster_record){.operation = ""};
    if (source->ops != NULL && source->ops->record != NULL) {
        source->ops->record(source->arg, group, key, ret_record);
    }
}

void km_cluster_survey(struct km_service_env *env,
                       struct km_cluster_survey *survey)
{
    const struct km_cluster_source *source = &env->cluster;
    if (source->ops != NULL) {
        source->ops->survey(source->arg, survey);
    } else {
        survey->done(survey, KAMA_OK);
    }
}

/* -- changes ------------------------------------------------------------- */

void km_cluster_changed(struct km_service_env *env)
{
    km_mutex_lock(&env->lock);
    km_service_env_changed_locked(env);
    km_mutex_unlock(&env->lock);
}

/* Whether the node is ready, and a sentence about the steps that are missing. */
struct readiness {
    bool ready;
    char missing[128];
};

static void read_readiness(void *arg, const struct km_cluster_node *node)
{
    struct readiness *readiness = arg;
    size_t len = 0;
    readiness->ready = node->ready;
    readiness->missing[0] = '\0';
    for (size_t i = 0; i < node->missing_count; i++) {
        size_t cap = sizeof readiness->missing - len;
        int n = snprintf(readiness->missing + len, cap, "%s%s",
                         i > 0 ? " " : "", node->missing[i]);
        len += n > 0 && (size_t)n < cap ? (size_t)n : 0;
    }
}

/* Waits until `changes` is another number than `seen`, which is the number of
 * before the node was asked. Returns false when the deadline has passed. */
static bool wait_change(struct km_service_env *env, uint64_t seen,
                        km_ns deadline)
{
    bool in_time = true;
    km_mutex_lock(&env->lock);
    while (env->changes == seen && in_time) {
        in_time = km_cond_wait_until(&env->changed, &env->lock, deadline);
    }
    km_mutex_unlock(&env->lock);
    return in_time;
}

static uint64_t count_changes(struct km_service_env *env)
{
    km_mutex_lock(&env->lock);
    uint64_t changes = env->changes;
    km_mutex_unlock(&env->lock);
    return changes;
}

kama_status km_cluster_wait_ready(struct km_service_env *env, km_ns deadline)
{
    struct readiness readiness;
    for (;;) {
        uint64_t seen = count_changes(env);
        km_cluster_node(env, read_readiness, &readiness);
        if (readiness.ready) {
            return KAMA_OK;
        }
        if (km_service_env_is_closing(env)) {
            return km_fail(KAMA_ERR_CLOSED,
                           "the node is stopped or about to stop");
        }
        if (!wait_change(env, seen, deadline)) {
            return km_fail(KAMA_ERR_TIMEOUT,
                           "the node is not ready; these steps are missing: %s",
                           readiness.missing);
        }
    }
}
