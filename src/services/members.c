/* SPDX-License-Identifier: MIT */
/* The answers are encoded inside the callbacks of cluster.h, while the texts of
 * the source are valid. */
#include "services/members.h"

#include "base/assert.h"
#include "base/status.h"
#include "group/checks.h"
#include "services/service.h"
#include "wire/msg/msg.h"

/* The numbers of the wire. */
static const int reach_numbers[] = {
    [KM_CLUSTER_REACH_UNKNOWN] = KM_MSG_REACH_UNSPECIFIED,
    [KM_CLUSTER_REACH_SELF] = KM_MSG_REACH_SELF,
    [KM_CLUSTER_REACH_UP] = KM_MSG_REACH_UP,
    [KM_CLUSTER_REACH_UNREACHABLE] = KM_MSG_REACH_UNREACHABLE,
    [KM_CLUSTER_REACH_REFUSED] = KM_MSG_REACH_REFUSED,
};

/* A message that is being written. */
struct writer {
    struct km_service_env *env;
    struct km_buf buf;
    kama_status status;
};

static void writer_init(struct writer *w, struct km_server_call *call)
{
    w->env = km_service_env_of(call);
    w->status = KAMA_OK;
    km_buf_init(&w->buf, w->env->mem, SIZE_MAX);
}

/* Encodes texts as elements of the repeated field `number` into elements, which
 * the caller has initialised, and makes a list of them. */
static kama_status make_list(struct km_buf *elements, uint32_t number,
                             const char *const *texts, size_t count,
                             struct km_pb_list *ret_list)
{
    kama_status st = KAMA_OK;
    for (size_t i = 0; i < count && st == KAMA_OK; i++) {
        st = km_pb_append_bytes(elements, number, KAMA_STR(texts[i]));
    }
    if (st == KAMA_OK && elements->len > 0) {
        *ret_list = (struct km_pb_list){
            .at = elements->data,
            .end = elements->data + elements->len,
            .number = number,
        };
    }
    return st;
}

/* -- Node ---------------------------------------------------------------- */

kama_status km_members_append_node(struct km_buf *out,
                                   struct km_service_env *env,
                                   const struct km_cluster_node *node)
{
    struct km_buf missing;
    struct km_msg_node_response response = {
        .listen = KAMA_STR(node->listen),
        .advertise = KAMA_STR(node->advertise),
        .cluster = KAMA_STR(node->cluster),
        .service = KAMA_STR(node->service),
        .etcd = KAMA_STR(node->etcd),
        .id = kama_bytes_make(node->id, sizeof node->id),
        .lease_id = node->lease_id,
        .registration = KAMA_STR(node->registration),
        .view_id = node->view_id,
        .peer_count = node->peer_count,
        .ready = node->ready,
        .degraded = KAMA_STR(node->degraded),
        .sync_differs = KAMA_STR(node->sync_differs),
        .version = KAMA_STR(kama_version()),
        .uptime_ms = km_service_env_uptime_ms(env),
        .settled = node->settled,
        .admin = KAMA_STR(node->admin),
        .group_count = km_registry_count(env->registry),
        .start_ms = km_service_env_start_ms(env),
    };
    km_buf_init(&missing, out->mem, SIZE_MAX);
    kama_status st = make_list(&missing, KM_MSG_NODE_MISSING, node->missing,
                               node->missing_count, &response.missing);
    if (st == KAMA_OK) {
        st = km_pb_append(out, &km_msg_node_response_pb, &response);
    }
    km_buf_fini(&missing);
    return st;
}

static void write_node(void *arg, const struct km_cluster_node *node)
{
    struct writer *w = arg;
    w->status = km_members_append_node(&w->buf, w->env, node);
}

void km_service_v2_node(struct km_server_call *call, kama_bytes message)
{
    char nothing; /* a request without fields is decoded into nothing */
    struct writer w;
    if (!km_service_decode(call, &km_msg_empty_pb, message, &nothing)) {
        return;
    }
    writer_init(&w, call);
    km_cluster_node(w.env, write_node, &w);
    km_service_reply_buf(call, &w.buf, w.status);
}

/* -- Members ------------------------------------------------------------- */

/* A member without streams has a message without fields, which is left out. */
static struct km_msg_member_stream show_stream(
    const struct km_cluster_stream *stream)
{
    struct km_msg_member_stream message = {.up = false};
    if (stream->sync_state != NULL) {
        message = (struct km_msg_member_stream){
            .up = stream->up,
            .lag_entries = stream->sync_queue,
            .gaps = stream->gaps_received,
            .state = KAMA_STR(stream->sync_state),
            .lag_ns = stream->sync_lag_ns,
            .unsynced = stream->unsynced,
            .acked = stream->acked,
            .applied = stream->applied,
            .sent = stream->sent,
            .received = stream->received,
            .duplicates = stream->duplicates,
            .gaps_sent = stream->gaps_sent,
            .gap_age_ms = stream->gap_age_ms,
            .quarantined = stream->quarantined,
            .differing = stream->differing,
            .bytes_sent = stream->bytes_sent,
            .bytes_received = stream->bytes_received,
        };
    }
    return message;
}

static kama_status append_member(struct km_buf *out,
                                 const struct km_cluster_member *member)
{
    struct km_buf labels;
    KM_ASSERT((unsigned)member->reach <
              sizeof reach_numbers / sizeof reach_numbers[0]);
    struct km_msg_member message = {
        .address = KAMA_STR(member->address),
        .admin_address = KAMA_STR(member->admin),
        .id = kama_bytes_make(member->id, sizeof member->id),
        .state = member->state,
        .weight = member->weight,
        .version = KAMA_STR(member->version),
        .share_ppm = member->share_ppm,
        .self = member->self,
        .stream = show_stream(&member->stream),
        .reach = reach_numbers[member->reach],
        .latency_ns = member->latency_ns,
        .since_ms = member->since_ms,
        .fills = member->fills,
        .fills_failed = member->fills_failed,
        .mutations = member->mutations,
        .mutations_failed = member->mutations_failed,
        .served = member->served,
    };
    km_buf_init(&labels, out->mem, SIZE_MAX);
    kama_status st = make_list(&labels, KM_MSG_MEMBER_LABELS, member->labels,
                               member->label_count, &message.labels);
    if (st == KAMA_OK) {
        st = km_pb_append_element(out, KM_MSG_MEMBERS_MEMBERS,
                                  &km_msg_member_pb, &message);
    }
    km_buf_fini(&labels);
    return st;
}

kama_status km_members_append_view(struct km_buf *out,
                                   const struct km_cluster_view *view)
{
    const struct km_msg_members_response response = {
        .cluster = KAMA_STR(view->cluster),
        .service = KAMA_STR(view->service),
        .view_id = view->view_id,
        .registry_up = view->registry_up,
        .settled = view->settled,
    };
    kama_status st = km_pb_append(out, &km_msg_members_response_pb, &response);
    for (size_t i = 0; i < view->count && st == KAMA_OK; i++) {
        st = append_member(out, &view->members[i]);
    }
    return st;
}

static void write_view(void *arg, const struct km_cluster_view *view)
{
    struct writer *w = arg;
    w->status = km_members_append_view(&w->buf, view);
}

void km_service_members_writable(struct km_server_call *call)
{
    const struct km_service_members *state = km_server_call_state(call);
    struct writer w;
    if (!state->asked || !km_server_call_writable(call)) {
        return;
    }
    writer_init(&w, call);
    km_cluster_view(w.env, write_view, &w);
    km_service_reply_buf(call, &w.buf, w.status);
}

void km_service_v2_members(struct km_server_call *call, kama_bytes message)
{
    struct km_service_members *state = km_server_call_state(call);
    char nothing;
    if (!km_service_decode(call, &km_msg_empty_pb, message, &nothing)) {
        return;
    }
    state->asked = true;
    km_service_members_writable(call);
}

/* -- WatchMembers -------------------------------------------------------- */

/* The version is read before the members, so that a change in between is sent
 * once more rather than not at all. */
static void send_change(struct km_server_call *call)
{
    struct km_service_watch_members *watch = km_server_call_state(call);
    uint64_t version = km_cluster_version(watch->long_call.env);
    struct writer w;
    if (version == watch->sent || !km_server_call_writable(call)) {
        return;
    }
    writer_init(&w, call);
    km_cluster_view(w.env, write_view, &w);
    if (w.status == KAMA_OK) {
        w.status = km_server_call_send(call, km_buf_bytes(&w.buf), NULL);
    }
    km_buf_fini(&w.buf);
    if (w.status != KAMA_OK) {
        km_long_call_finish(call, w.status, NULL);
        return;
    }
    watch->sent = version;
}

static void on_change(struct km_server_call *call)
{
    struct km_service_watch_members *watch = km_server_call_state(call);
    send_change(call);
    if (km_long_call_has_joined(&watch->long_call) &&
        km_service_env_is_closing(watch->long_call.env)) {
        km_long_call_finish(call, KAMA_ERR_CLOSED, "the node shuts down");
    }
}

void km_service_watch_members_writable(struct km_server_call *call)
{
    struct km_service_watch_members *watch = km_server_call_state(call);
    if (km_long_call_has_joined(&watch->long_call)) {
        send_change(call);
    }
}

void km_service_v2_watch_members(struct km_server_call *call,
                                 kama_bytes message)
{
    char nothing;
    if (!km_service_decode(call, &km_msg_empty_pb, message, &nothing)) {
        return;
    }
    km_long_call_join(call, on_change);
    on_change(call);
}

/* -- Owner --------------------------------------------------------------- */

kama_status km_members_append_owner(struct km_buf *out,
                                    const struct km_cluster_owner_info *info)
{
    struct km_buf addresses;
    struct km_msg_owner_response response = {
        .owner_id = info->count > 0
                        ? kama_bytes_make(info->owner_id, sizeof info->owner_id)
                        : kama_bytes_make(NULL, 0),
        .slot = info->slot,
        .view_id = info->view_id,
        .self = info->self,
    };
    km_buf_init(&addresses, out->mem, SIZE_MAX);
    kama_status st =
        make_list(&addresses, KM_MSG_OWNER_ADDRESSES, info->addresses,
                  info->count, &response.addresses);
    if (st == KAMA_OK) {
        st = km_pb_append(out, &km_msg_owner_response_pb, &response);
    }
    km_buf_fini(&addresses);
    return st;
}

static void write_owner(void *arg, const struct km_cluster_owner_info *info)
{
    struct writer *w = arg;
    w->status = km_members_append_owner(&w->buf, info);
}

void km_service_v2_owner(struct km_server_call *call, kama_bytes message)
{
    struct km_msg_owner_request request;
    struct writer w;
    kama_group *group = km_service_decode_for_group(
        call, &km_msg_owner_request_pb, message, &request);
    if (group == NULL) {
        return;
    }
    km_last_error_clear();
    kama_status st = km_group_check_key(request.key);
    if (st != KAMA_OK) {
        km_service_fail(call, st);
        return;
    }
    writer_init(&w, call);
    km_cluster_owner(w.env, kama_group_name(group), request.key, write_owner,
                     &w);
    km_service_reply_buf(call, &w.buf, w.status);
}
