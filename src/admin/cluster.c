/* SPDX-License-Identifier: MIT */
#include "admin/cluster.h"

#include "admin/group.h"
#include "admin/json.h"
#include "admin/sync.h"
#include "wire/msg/msg.h"

#include <inttypes.h>
#include <stdio.h>

/* The states of the API have the numbers of the wire, whose words are shown. */
_Static_assert(KAMA_MEMBER_JOINING == 1 && KAMA_MEMBER_ACTIVE == 2 &&
                   KAMA_MEMBER_LEAVING == 3,
               "the numbers of kama.v2.MemberState");

/* -- the node ---------------------------------------------------------------- */

static void set_lease(struct km_admin_json *json, int64_t lease_id)
{
    char text[17] = "";
    if (lease_id != 0) {
        (void)snprintf(text, sizeof text, "%" PRIx64, (uint64_t)lease_id);
    }
    km_admin_json_text(json, "lease_id", text);
}

static void on_node(void *arg, const kama_node_info *info)
{
    struct km_admin_json *json = arg;
    km_admin_json_text(json, "listen", info->listen);
    km_admin_json_text(json, "advertise", info->advertise);
    km_admin_json_text(json, "admin", info->admin);
    km_admin_json_text(json, "cluster", info->cluster);
    km_admin_json_text(json, "service", info->service);
    km_admin_json_text(json, "etcd", info->etcd);
    km_admin_json_id(json, "id", info->id, sizeof info->id);
    set_lease(json, info->lease_id);
    km_admin_json_text(json, "registration", info->registration);
    km_admin_json_view(json, "view_id", info->view_id);
    km_admin_json_bool(json, "settled", info->settled);
    km_admin_json_uint(json, "peer_count", info->peer_count);
    km_admin_json_uint(json, "group_count", info->group_count);
    km_admin_json_bool(json, "ready", info->ready);
    km_admin_json_texts(json, "missing", info->missing, info->missing_count);
    km_admin_json_text(json, "degraded", info->degraded);
    km_admin_json_text(json, "sync_differs", info->sync_differs);
    km_admin_json_uint(json, "start_ms", info->start_ms);
}

void km_admin_node(const struct km_admin_context *context,
                   struct km_admin_reply *reply)
{
    const struct km_admin_source *source = context->source;
    struct km_admin_json json;
    km_admin_json_begin(&json);
    source->ops->node(source->arg, on_node, &json);
    km_admin_json_text(&json, "version", kama_version());
    km_admin_json_uint(&json, "uptime_ms", source->ops->uptime_ms(source->arg));
    km_admin_reply_json(reply, km_admin_json_end(&json));
}

/* -- the members --------------------------------------------------------------- */

/* An object with a list of members. */
struct listing {
    struct km_admin_json json;
    json_t *members;
};

static void add_member(struct listing *listing, struct km_admin_json *member)
{
    if (json_array_append_new(listing->members, km_admin_json_end(member)) !=
        0) {
        listing->json.failed = true;
    }
}

static void on_view(void *arg, const struct km_admin_view *view)
{
    struct km_admin_json *json = &((struct listing *)arg)->json;
    km_admin_json_text(json, "cluster", view->cluster);
    km_admin_json_text(json, "service", view->service);
    km_admin_json_view(json, "view_id", view->view_id);
    km_admin_json_bool(json, "settled", view->settled);
    km_admin_json_bool(json, "registry_up", view->registry_up);
}

static void set_traffic(struct km_admin_json *json, const kama_member *m)
{
    km_admin_json_uint(json, "latency_ns", m->latency_ns);
    km_admin_json_uint(json, "since_ms", m->since_ms);
    km_admin_json_uint(json, "fills", m->fills);
    km_admin_json_uint(json, "fills_failed", m->fills_failed);
    km_admin_json_uint(json, "mutations", m->mutations);
    km_admin_json_uint(json, "mutations_failed", m->mutations_failed);
    km_admin_json_uint(json, "served", m->served);
}

static void on_member(void *arg, const kama_member *m)
{
    struct km_admin_json json;
    km_admin_json_begin(&json);
    km_admin_json_text(&json, "address", m->address);
    km_admin_json_text(&json, "admin_address", m->admin);
    km_admin_json_id(&json, "id", m->id, sizeof m->id);
    km_admin_json_text(&json, "state", km_msg_member_state_name(m->state));
    km_admin_json_texts(&json, "labels", m->labels, m->label_count);
    km_admin_json_uint(&json, "weight", m->weight);
    km_admin_json_text(&json, "version", m->version);
    km_admin_json_uint(&json, "share_ppm", m->share_ppm);
    km_admin_json_bool(&json, "self", m->self);
    km_admin_json_text(&json, "reach", m->reach);
    set_traffic(&json, m);
    km_admin_json_set(&json, "stream", km_admin_sync_stream(m));
    add_member(arg, &json);
}

static void list_members(const struct km_admin_context *context,
                         struct km_admin_reply *reply,
                         struct km_admin_visitor visitor)
{
    const struct km_admin_source *source = context->source;
    struct listing listing = {.members = json_array()};
    km_admin_json_begin(&listing.json);
    visitor.arg = &listing;
    source->ops->members(source->arg, &visitor);
    km_admin_json_set(&listing.json, "members", listing.members);
    km_admin_reply_json(reply, km_admin_json_end(&listing.json));
}

void km_admin_cluster(const struct km_admin_context *context,
                      struct km_admin_reply *reply)
{
    const struct km_admin_visitor visitor = {.view = on_view,
                                             .member = on_member};
    list_members(context, reply, visitor);
}

/* -- the shares ---------------------------------------------------------------- */

static void on_ring_view(void *arg, const struct km_admin_view *view)
{
    struct km_admin_json *json = &((struct listing *)arg)->json;
    km_admin_json_view(json, "view_id", view->view_id);
    km_admin_json_bool(json, "settled", view->settled);
}

static void on_ring_member(void *arg, const kama_member *m)
{
    struct km_admin_json json;
    km_admin_json_begin(&json);
    km_admin_json_text(&json, "address", m->address);
    km_admin_json_text(&json, "state", km_msg_member_state_name(m->state));
    km_admin_json_uint(&json, "weight", m->weight);
    km_admin_json_uint(&json, "share_ppm", m->share_ppm);
    km_admin_json_bool(&json, "self", m->self);
    add_member(arg, &json);
}

/* All groups have the same shares; each has other slots for the same key. */
void km_admin_ring(const struct km_admin_context *context,
                   struct km_admin_reply *reply)
{
    const struct km_admin_visitor visitor = {.view = on_ring_view,
                                             .member = on_ring_member};
    kama_group *group;
    kama_status status = km_admin_group_of(context, KM_ADMIN_OPTIONAL, &group);
    if (status != KAMA_OK) {
        km_admin_reply_fail(reply, status);
        return;
    }
    list_members(context, reply, visitor);
}
