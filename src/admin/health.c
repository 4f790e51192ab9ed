/* SPDX-License-Identifier: MIT */
#include "admin/health.h"

#include "base/limits.h"

#include <string.h>

/* The reason of kama_node_info.degraded for which a node is taken out of service,
 * because others own its keys already. */
#define GIVEN_UP "given up"

#define LATE_MAX 16 /* loops that are named */

void km_admin_healthz(const struct km_admin_context *context,
                      struct km_admin_reply *reply)
{
    const struct km_admin_source *source = context->source;
    struct km_pulse_late late[LATE_MAX];
    km_ns limit = (km_ns)KM_NET_PULSE_LATE_MS * KM_NS_PER_MS;
    size_t count = source->ops->late_loops(source->arg, context->now, limit,
                                           late, LATE_MAX);
    km_admin_reply_text(reply, count == 0 ? 200 : 503,
                        count == 0 ? "ok\n" : "");
    for (size_t i = 0; i < count; i++) {
        km_admin_reply_line(reply, "%s: no answer for %llu ms", late[i].name,
                            (unsigned long long)(late[i].age / KM_NS_PER_MS));
    }
}

/* A node whose steps are all done is about to serve: the one that starts it has
 * not been told yet. */
static void show_missing(struct km_admin_reply *reply,
                         const kama_node_info *info)
{
    km_admin_reply_text(reply, 503, "");
    for (size_t i = 0; i < info->missing_count; i++) {
        km_admin_reply_line(reply, "%s", info->missing[i]);
    }
    if (info->missing_count == 0) {
        km_admin_reply_line(reply, "starting");
    }
}

struct readiness {
    struct km_admin_reply *reply;
    enum km_admin_phase phase;
};

static void on_node(void *arg, const kama_node_info *info)
{
    const struct readiness *readiness = arg;
    struct km_admin_reply *reply = readiness->reply;
    if (strcmp(info->degraded, GIVEN_UP) == 0) {
        km_admin_reply_text(reply, 503, GIVEN_UP "\n");
    } else if (!info->ready || readiness->phase != KM_ADMIN_SERVING) {
        show_missing(reply, info);
    } else {
        km_admin_reply_text(reply, 200, "ready\n");
        if (info->degraded[0] != '\0') {
            km_admin_reply_line(reply, "degraded: %s", info->degraded);
        }
        if (info->sync_differs[0] != '\0') {
            km_admin_reply_line(reply, "degraded: %s", info->sync_differs);
        }
    }
}

void km_admin_readyz(const struct km_admin_context *context,
                     struct km_admin_reply *reply)
{
    const struct km_admin_source *source = context->source;
    struct readiness readiness = {reply, source->ops->phase(source->arg)};
    if (readiness.phase == KM_ADMIN_DRAINING) {
        km_admin_reply_text(reply, 503, "draining\n");
    } else {
        source->ops->node(source->arg, on_node, &readiness);
    }
}
