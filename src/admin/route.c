/* SPDX-License-Identifier: MIT */
#include "admin/route.h"

#include "admin/cluster.h"
#include "admin/explain.h"
#include "admin/group.h"
#include "admin/health.h"
#include "admin/keys.h"
#include "admin/metrics.h"
#include "admin/query.h"
#include "admin/sync.h"
#include "base/bytes.h"
#include "group/registry.h"

static void show_page(const struct km_admin_context *context,
                      struct km_admin_reply *reply);

static const struct km_admin_route routes[] = {
    {"/", "", KM_ADMIN_LINK_BARE, "This page.", show_page},
    {"/healthz", "", KM_ADMIN_LINK_BARE, "Whether every event loop turns.",
     km_admin_healthz},
    {"/readyz", "", KM_ADMIN_LINK_BARE,
     "Whether the node is ready, or what is missing.", km_admin_readyz},
    {"/metrics", "", KM_ADMIN_LINK_BARE, "Counters for Prometheus.",
     km_admin_metrics},
    {"/api/v1/node", "", KM_ADMIN_LINK_BARE, "The node, as it sees itself.",
     km_admin_node},
    {"/api/v1/cluster", "", KM_ADMIN_LINK_BARE, "The members of the cluster.",
     km_admin_cluster},
    {"/api/v1/groups", "", KM_ADMIN_LINK_BARE,
     "The groups: options and counters.", km_admin_groups},
    {"/api/v1/ring", "group", KM_ADMIN_LINK_BARE,
     "Which member owns which share of the keys.", km_admin_ring},
    {"/api/v1/sync", "", KM_ADMIN_LINK_BARE,
     "The streams of mutations between the members.", km_admin_sync},
    {"/api/v1/keys", "group prefix glob limit cursor", KM_ADMIN_LINK_GROUP,
     "Keys that this node holds.", km_admin_keys},
    {"/api/v1/key", "group key", KM_ADMIN_LINK_KEY,
     "What this node holds of one key.", km_admin_key},
    {"/api/v1/explain", "group key", KM_ADMIN_LINK_KEY,
     "Where a key lives, and what a get would do at each member.",
     km_admin_explain},
};

#define ROUTE_COUNT (sizeof routes / sizeof routes[0])

const struct km_admin_route *km_admin_route_find(kama_bytes path)
{
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        if (km_bytes_eq(KAMA_STR(routes[i].path), path)) {
            return &routes[i];
        }
    }
    return NULL;
}

void km_admin_route_answer(const struct km_admin_route *route,
                           const struct km_admin_context *context,
                           struct km_admin_reply *reply)
{
    if (route == NULL) {
        km_admin_reply_error(reply, KAMA_ERR_UNSUPPORTED, 404,
                             "there is nothing at this path; / lists what "
                             "there is");
        return;
    }
    kama_status status = km_admin_query_check(context->query, route->params);
    if (status == KAMA_OK) {
        route->answer(context, reply);
    } else {
        km_admin_reply_fail(reply, status);
    }
}

/* -- the page ------------------------------------------------------------------- */

/* Returns the name of the first group if it may stand in a link as it is. */
static const char *group_of_links(const struct km_admin_context *context)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const struct km_registry *registry = context->source->registry;
    if (km_registry_count(registry) == 0) {
        return "default";
    }
    const char *name = kama_group_name(km_registry_at(registry, 0));
    return strspn(name, plain) == strlen(name) ? name : "default";
}

static void show_link(const struct km_admin_route *route, const char *group,
                      struct km_admin_reply *reply)
{
    bool needs_group = route->link != KM_ADMIN_LINK_BARE;
    km_admin_reply_line(reply, "<li><a href=\"%s%s%s%s\">%s</a>: %s",
                        route->path, needs_group ? "?group=" : "",
                        needs_group ? group : "",
                        route->link == KM_ADMIN_LINK_KEY ? "&amp;key=name" : "",
                        route->path, route->sentence);
}

/* It has no script and no style, so that it needs no permission of the policy that
 * comes with it. All texts are those of the table. */
static void show_page(const struct km_admin_context *context,
                      struct km_admin_reply *reply)
{
    km_admin_reply_page(reply, "<!DOCTYPE html>\n<html lang=\"en\">\n"
                               "<meta charset=\"utf-8\">\n"
                               "<title>kamacached</title>\n"
                               "<h1>kamacached</h1>\n<ul>\n");
    for (size_t i = 1; i < ROUTE_COUNT; i++) {
        show_link(&routes[i], group_of_links(context), reply);
    }
    km_admin_reply_line(reply, "</ul>");
}
