/* SPDX-License-Identifier: MIT */
#include "node/node_member.h"

#include "services/env.h"

_Static_assert(KAMA_MEMBER_ID_BYTES == KM_MEMBER_ID_BYTES, "one id");
_Static_assert((int)KAMA_MEMBER_JOINING == (int)KM_MEMBER_JOINING &&
                   (int)KAMA_MEMBER_ACTIVE == (int)KM_MEMBER_ACTIVE &&
                   (int)KAMA_MEMBER_LEAVING == (int)KM_MEMBER_LEAVING,
               "the states have the same numbers");

static void show_stream(const struct km_cluster_stream *stream,
                        kama_member *member)
{
    member->sync_state = stream->sync_state != NULL ? stream->sync_state : "";
    member->sync_up = stream->up;
    member->sync_queue = stream->sync_queue;
    member->sync_lag_ns = stream->sync_lag_ns;
    member->sync_acked = stream->acked;
    member->sync_applied = stream->applied;
    member->sync_sent = stream->sent;
    member->sync_received = stream->received;
    member->sync_duplicates = stream->duplicates;
    member->sync_bytes_sent = stream->bytes_sent;
    member->sync_bytes_received = stream->bytes_received;
    member->sync_gaps_sent = stream->gaps_sent;
    member->sync_gaps_received = stream->gaps_received;
    member->sync_gap_age_ms = stream->gap_age_ms;
    member->quarantined = stream->quarantined;
    member->unsynced = stream->unsynced;
    member->sync_differing = stream->differing;
}

void km_node_member_show(const struct km_cluster_member *m,
                         kama_member *ret_member)
{
    *ret_member = (kama_member){
        .struct_size = sizeof *ret_member,
        .state = (int32_t)m->state,
        .address = m->address,
        .admin = m->admin,
        .version = m->version,
        .labels = m->labels,
        .label_count = m->label_count,
        .weight = m->weight,
        .share_ppm = m->share_ppm,
        .self = m->self,
        .reach = km_cluster_reach_name(m->reach),
        .latency_ns = m->latency_ns,
        .since_ms = m->since_ms,
        .fills = m->fills,
        .fills_failed = m->fills_failed,
        .mutations = m->mutations,
        .mutations_failed = m->mutations_failed,
        .served = m->served,
    };
    memcpy(ret_member->id, m->id, sizeof ret_member->id);
    show_stream(&m->stream, ret_member);
}

void km_node_info_show(const struct km_cluster_node *node,
                       struct km_service_env *env, kama_node_info *ret_info)
{
    *ret_info = (kama_node_info){
        .struct_size = sizeof *ret_info,
        .ready = node->ready,
        .missing = node->missing,
        .missing_count = node->missing_count,
        .listen = node->listen,
        .advertise = node->advertise,
        .cluster = node->cluster,
        .service = node->service,
        .etcd = node->etcd,
        .lease_id = node->lease_id,
        .registration = node->registration,
        .view_id = node->view_id,
        .peer_count = node->peer_count,
        .settled = node->settled,
        .degraded = node->degraded,
        .sync_differs = node->sync_differs,
        .admin = node->admin,
        .group_count = km_registry_count(env->registry),
        .start_ms = km_service_env_start_ms(env),
    };
    memcpy(ret_info->id, node->id, sizeof ret_info->id);
}

void km_node_owner_show(const struct km_cluster_owner_info *info,
                        kama_owner *ret_owner)
{
    *ret_owner = (kama_owner){
        .struct_size = sizeof *ret_owner,
        .self = info->self,
        .addresses = info->addresses,
        .address_count = info->count,
        .slot = info->slot,
        .view_id = info->view_id,
    };
    if (info->count > 0) {
        memcpy(ret_owner->id, info->owner_id, sizeof ret_owner->id);
    }
}
