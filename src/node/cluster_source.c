/* SPDX-License-Identifier: MIT */
/*
 * The answers are put together on the stack of the thread that asks: the view and
 * the placement come from the peers as one snapshot, and the answers of the peers are
 * added by id.
 */
#include "node/cluster_source.h"

#include "base/text.h"
#include "node/cluster_log.h"
#include "node/cluster_state.h"
#include "node/cluster_survey.h"
#include "node/node.h"

/* -- the members ---------------------------------------------------------- */

/* State that the callbacks of one question share. */
struct asking {
    struct km_cluster *cluster;
    struct km_cluster_member *members; /* sorted by address */
    size_t count;
    km_ns now;
    struct km_cluster_view shown;
    struct km_view *view; /* a reference: its texts are shown */
};

static uint32_t share_ppm(const struct km_placement *placement, size_t active)
{
    if (placement == NULL) {
        return 0;
    }
    uint64_t slots = km_placement_share(placement, active);
    return (uint32_t)(slots * 1000000 / KM_OWNER_SLOTS);
}

static void copy_members(struct asking *ask,
                         const struct km_peers_routing *routing)
{
    size_t active = 0;
    for (size_t i = 0; i < ask->count; i++) {
        const struct km_member *m = &routing->view->members[i];
        struct km_cluster_member *out = &ask->members[i];
        *out = (struct km_cluster_member){
            .address = m->address,
            .admin = m->admin,
            .version = m->version,
            .state = m->state,
            .labels = m->labels,
            .label_count = m->label_count,
            .weight = m->weight,
        };
        memcpy(out->id, m->id.bytes, sizeof out->id);
        if (m->state == KM_MEMBER_ACTIVE) {
            out->share_ppm = share_ppm(routing->placement, active++);
        }
    }
}

static void read_routing(void *arg, const struct km_peers_routing *routing)
{
    struct asking *ask = arg;
    ask->shown.settled = routing->settled;
    if (routing->view == NULL) {
        return;
    }
    ask->shown.view_id = routing->view->id;
    ask->members = km_mem_zalloc(&ask->cluster->node->mem, routing->view->count,
                                 sizeof *ask->members);
    if (ask->members != NULL) {
        ask->view = km_view_ref(routing->view);
        ask->count = routing->view->count;
        copy_members(ask, routing);
    }
}

static enum km_cluster_reach reach_of(enum km_peer_state state)
{
    switch (state) {
    case KM_PEER_UP:
        return KM_CLUSTER_REACH_UP;
    case KM_PEER_UNREACHABLE:
        return KM_CLUSTER_REACH_UNREACHABLE;
    case KM_PEER_REFUSED:
        return KM_CLUSTER_REACH_REFUSED;
    case KM_PEER_UNKNOWN:
        break;
    }
    return KM_CLUSTER_REACH_UNKNOWN;
}

static void read_peer(void *arg, const struct km_peer_info *info)
{
    struct asking *ask = arg;
    for (size_t i = 0; i < ask->count; i++) {
        struct km_cluster_member *m = &ask->members[i];
        if (memcmp(m->id, info->id.bytes, sizeof m->id) == 0) {
            m->reach = reach_of(info->state);
            m->latency_ns = info->latency;
            m->fills = info->fills;
            m->fills_failed = info->fills_failed;
            m->mutations = info->mutations;
            m->mutations_failed = info->mutations_failed;
            m->served = info->served;
            m->since_ms = info->since < ask->now
                              ? (ask->now - info->since) / KM_NS_PER_MS
                              : 0;
        }
    }
}

static void read_streams(struct asking *ask)
{
    for (size_t i = 0; i < ask->count; i++) {
        struct km_cluster_member *m = &ask->members[i];
        km_cluster_sync_find(ask->cluster->sync, m->id, &m->stream);
    }
}

/* Marks this node itself. */
static void mark_self(struct asking *ask, const struct km_member_id *id)
{
    for (size_t i = 0; i < ask->count; i++) {
        struct km_cluster_member *m = &ask->members[i];
        if (memcmp(m->id, id->bytes, sizeof m->id) == 0) {
            m->self = true;
            m->reach = KM_CLUSTER_REACH_SELF;
        }
    }
}

static void source_view(void *arg, km_cluster_view_fn cb, void *cb_arg)
{
    struct km_cluster *cluster = arg;
    const kama_node *node = cluster->node;
    struct asking ask = {.cluster = cluster, .now = km_clock_mono(node->clock)};
    km_peers_routing(cluster->peers, read_routing, &ask);
    km_peers_visit(cluster->peers, read_peer, &ask);
    km_mutex_lock(&cluster->lock);
    struct km_member_id id = cluster->id;
    ask.shown.registry_up = cluster->registry_up;
    km_mutex_unlock(&cluster->lock);
    read_streams(&ask);
    mark_self(&ask, &id);
    ask.shown.cluster = node->config.cluster.name;
    ask.shown.service = node->config.service;
    ask.shown.members = ask.members;
    ask.shown.count = ask.count;
    cb(cb_arg, &ask.shown);
    km_mem_free(&node->mem, ask.members);
    km_view_unref(ask.view);
}

/* -- the node ------------------------------------------------------------- */

struct counted {
    uint64_t view_id;
    uint32_t others;
    bool settled;
    struct km_member_id self;
    char admin[KM_MEMBER_ADDRESS_BYTES]; /* of the own record; "": none */
};

static void count_others(void *arg, const struct km_peers_routing *routing)
{
    struct counted *counted = arg;
    counted->settled = routing->settled;
    if (routing->view != NULL) {
        counted->view_id = routing->view->id;
        counted->others = (uint32_t)routing->view->count;
        const struct km_member *self =
            km_view_find_id(routing->view, &counted->self);
        if (self != NULL) {
            counted->others--;
            (void)km_text_printf(counted->admin, sizeof counted->admin, "%s",
                                 self->admin);
        }
    }
}

static void source_node(void *arg, km_cluster_node_fn cb, void *cb_arg)
{
    struct km_cluster *cluster = arg;
    const kama_node *node = cluster->node;
    const char *missing[KM_STEP_COUNT];
    char address[KM_MEMBER_ADDRESS_BYTES];
    char listen[sizeof node->address];
    char differs[KM_EVENT_BYTES_MAX];
    struct km_cluster_node shown = {
        .listen = listen,
        .cluster = node->config.cluster.name,
        .service = node->config.service,
        .etcd = node->config.cluster.etcd,
        .missing = missing,
        .advertise = address,
        .admin = node->admin != NULL ? node->admin : "",
        .sync_differs = differs,
    };
    struct counted counted = {0};
    km_node_copy_address(node, listen, sizeof listen);
    km_cluster_sync_differs(cluster->sync, differs);
    km_mutex_lock(&cluster->lock);
    (void)km_text_printf(address, sizeof address, "%s", cluster->address);
    memcpy(shown.id, cluster->id.bytes, sizeof shown.id);
    counted.self = cluster->id;
    shown.lease_id = cluster->lease_id;
    shown.lease_held = cluster->lease_id != 0 && cluster->degraded[0] == '\0';
    shown.registration = cluster->registration;
    shown.degraded =
        cluster->given_up ? KM_CLUSTER_GIVEN_UP : cluster->degraded;
    shown.ready = cluster->ready && cluster->state == KM_CLUSTER_MEMBER;
    shown.missing_count =
        shown.ready ? 0 : km_cluster_steps_name(cluster->missing, missing);
    km_mutex_unlock(&cluster->lock);
    km_peers_routing(cluster->peers, count_others, &counted);
    if (counted.admin[0] != '\0') {
        shown.admin = counted.admin;
    }
    shown.view_id = counted.view_id;
    shown.peer_count = counted.others;
    shown.settled = counted.settled;
    cb(cb_arg, &shown);
}

/* -- the owner of a key ---------------------------------------------------- */

#define RANK_MAX 8

struct owner_question {
    struct km_cluster *cluster;
    km_cluster_owner_fn cb;
    void *cb_arg;
    struct km_view *view;
    struct km_placement *placement;
};

static void take_routing(void *arg, const struct km_peers_routing *routing)
{
    struct owner_question *question = arg;
    if (routing->view != NULL) {
        question->view = km_view_ref(routing->view);
    }
    if (routing->placement != NULL) {
        question->placement =
            km_placement_ref((struct km_placement *)routing->placement);
    }
}

/* Fills in the owners of the slot in the view that was taken. */
static void find_ranks(const struct owner_question *question,
                       const char **addresses,
                       struct km_cluster_owner_info *info)
{
    uint16_t ranks[RANK_MAX];
    if (question->placement == NULL || question->view == NULL ||
        km_placement_count(question->placement) == 0) {
        return;
    }
    info->count =
        km_placement_rank(question->placement, info->slot, ranks, RANK_MAX);
    for (size_t i = 0; i < info->count; i++) {
        addresses[i] = km_placement_address(question->placement, ranks[i]);
    }
    const struct km_member *owner =
        km_view_find_address(question->view, KAMA_STR(addresses[0]));
    if (owner != NULL) {
        memcpy(info->owner_id, owner->id.bytes, sizeof info->owner_id);
    }
}

static void source_owner(void *arg, const char *group, kama_bytes key,
                         km_cluster_owner_fn cb, void *cb_arg)
{
    struct km_cluster *cluster = arg;
    const char *addresses[RANK_MAX];
    struct km_cluster_owner_info info = {
        .addresses = addresses,
        .slot = km_owner_slot(km_owner_seed(group), key),
    };
    struct owner_question question = {.cluster = cluster};
    km_peers_routing(cluster->peers, take_routing, &question);
    find_ranks(&question, addresses, &info);
    info.view_id = question.view != NULL ? question.view->id : 0;
    km_mutex_lock(&cluster->lock);
    info.self = info.count == 0 || memcmp(info.owner_id, cluster->id.bytes,
                                          sizeof info.owner_id) == 0;
    km_mutex_unlock(&cluster->lock);
    cb(cb_arg, &info);
    km_placement_unref(question.placement);
    km_view_unref(question.view);
}

static uint64_t source_version(void *arg)
{
    struct km_cluster *cluster = arg;
    km_mutex_lock(&cluster->lock);
    uint64_t version = cluster->version;
    km_mutex_unlock(&cluster->lock);
    return version;
}

static void source_registry(void *arg, struct km_cluster_registry *registry)
{
    struct km_cluster *cluster = arg;
    km_ns now = km_clock_boot();
    *registry = (struct km_cluster_registry){.exists = true};
    km_mutex_lock(&cluster->lock);
    registry->up = cluster->registry_up;
    if (cluster->lease_id != 0 && cluster->lease_kept_at != 0) {
        registry->lease_ttl_ms = (uint64_t)cluster->lease_ttl_ms;
        registry->lease_age_ms = (now - cluster->lease_kept_at) / KM_NS_PER_MS;
        registry->latency_ns = cluster->registry_latency;
    }
    km_mutex_unlock(&cluster->lock);
}

struct requests_question {
    km_cluster_requests_fn cb;
    void *arg;
};

static void read_requests(void *arg, const struct km_peer_info *info)
{
    const struct requests_question *question = arg;
    const struct km_cluster_requests requests = {.address = info->address,
                                                 .fill_codes = info->fill_codes,
                                                 .mutation_codes =
                                                     info->mutation_codes,
                                                 .times = info->times};
    question->cb(question->arg, &requests);
}

static void source_requests(void *arg, km_cluster_requests_fn cb, void *cb_arg)
{
    struct km_cluster *cluster = arg;
    struct requests_question question = {cb, cb_arg};
    km_peers_visit(cluster->peers, read_requests, &question);
}

static void count_peers(void *arg, const struct km_peer_info *info)
{
    uint64_t *values = arg;
    values[KM_CLUSTER_M_PEERS]++;
    values[KM_CLUSTER_M_PEERS_UP] += info->state == KM_PEER_UP ? 1 : 0;
}

static void read_settled(void *arg, const struct km_peers_routing *routing)
{
    uint64_t *values = arg;
    values[KM_CLUSTER_M_SETTLED] = routing->settled ? 1 : 0;
}

static void source_counters(void *arg, uint64_t values[KM_CLUSTER_M_COUNT])
{
    struct km_cluster *cluster = arg;
    memset(values, 0, KM_CLUSTER_M_COUNT * sizeof values[0]);
    km_peers_visit(cluster->peers, count_peers, values);
    km_peers_routing(cluster->peers, read_settled, values);
    values[KM_CLUSTER_M_VIEWS_ADOPTED] = atomic_load(&cluster->views);
    km_mutex_lock(&cluster->lock);
    values[KM_CLUSTER_M_REGISTRY_UP] = cluster->registry_up ? 1 : 0;
    values[KM_CLUSTER_M_HELD_ADDRESSES] = cluster->seen.held;
    values[KM_CLUSTER_M_REGISTRATIONS] = cluster->seen.registrations;
    values[KM_CLUSTER_M_REGISTRY_READS] = cluster->seen.lists;
    values[KM_CLUSTER_M_REGISTRY_WATCHES] = cluster->seen.watches;
    values[KM_CLUSTER_M_JUNK_RECORDS] = cluster->seen.junk_records;
    values[KM_CLUSTER_M_FOREIGN_RECORDS] = cluster->seen.foreign_records;
    km_mutex_unlock(&cluster->lock);
}

static void source_log(void *arg, struct km_cluster_log *ret_log)
{
    const struct km_cluster *cluster = arg;
    const kama_node *node = cluster->node;
    km_cluster_log_show(node->sync_log, node->clock, ret_log);
}

static void source_record(void *arg, const char *group, kama_bytes key,
                          struct km_cluster_record *ret_record)
{
    const struct km_cluster *cluster = arg;
    const kama_node *node = cluster->node;
    km_cluster_log_find(node->sync_log, node->clock, group, key, ret_record);
}

const struct km_cluster_ops km_cluster_source_ops = {
    .view = source_view,
    .node = source_node,
    .owner = source_owner,
    .version = source_version,
    .registry = source_registry,
    .survey = km_node_survey,
    .requests = source_requests,
    .counters = source_counters,
    .log = source_log,
    .record = source_record,
};
