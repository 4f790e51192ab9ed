/* SPDX-License-Identifier: MIT */
#include "admin/route.h"

#include "admin/cluster.h"
#include "admin/explain.h"
#include "admin/group.h"
#include "admin/health.h"
#include "admin/keys.h"
#include "admin/metrics.h"
#include "admin/query.h"
#include "base/bytes.h"

static void show_page(const struct km_admin_context *context,
                      struct km_admin_reply *reply);

static const struct km_admin_route routes[] = {
    {"/", "", "", "This page.", show_page},
    {"/healthz", "", "", "Whether every event loop turns.", km_admin_healthz},
    {"/readyz", "", "", "Whether the node is ready, or what is missing.",
     km_admin_readyz},
    {"/metrics", "", "", "Counters for Prometheus.", km_admin_metrics},
    {"/api/v1/node", "", "", "The node, as it sees itself.", km_admin_node},
    {"/api/v1/cluster", "", "", "The members of the cluster.",
     km_admin_cluster},
    {"/api/v1/groups", "", "", "The groups: options and counters.",
     km_admin_groups},
    {"/api/v1/ring", "group", "", "Which member owns which share of the keys.",
     km_admin_ring},
    {"/api/v1/keys", "group prefix glob limit cursor", "?group=default",
     "Keys that this node holds.", km_admin_keys},
    {"/api/v1/key", "group key", "?group=default&amp;key=name",
     "What this node holds of one key.", km_admin_key},
    {"/api/v1/explain", "group key", "?group=default&amp;key=name",
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

/* It has no script and no style, so that it needs no permission of the policy that
 * comes with it. All texts are those of the table. */
static void show_page(const struct km_admin_context *context,
                      struct km_admin_reply *reply)
{
    (void)context;
    km_admin_reply_page(reply, "<!DOCTYPE html>\n<html lang=\"en\">\n"
                               "<meta charset=\"utf-8\">\n"
                               "<title>kamacached</title>\n"
                               "<h1>kamacached</h1>\n<ul>\n");
    for (size_t i = 1; i < ROUTE_COUNT; i++) {
        km_admin_reply_line(reply, "<li><a href=\"%s%s\">%s</a>: %s",
                            routes[i].path, routes[i].example, routes[i].path,
                            routes[i].sentence);
    }
    km_admin_reply_line(reply, "</ul>");
}
