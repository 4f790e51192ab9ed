/* SPDX-License-Identifier: MIT */
#include "admin/metrics.h"

#include "base/bytes.h"

#define OPENMETRICS "application/openmetrics-text"

/* Returns whether the header names the type. Prometheus asks for it first and
 * gives all others a lower weight. */
static bool names_openmetrics(kama_bytes accept)
{
    size_t len = strlen(OPENMETRICS);
    for (size_t i = 0; i + len <= accept.len; i++) {
        if (memcmp((const char *)accept.data + i, OPENMETRICS, len) == 0) {
            return true;
        }
    }
    return false;
}

void km_admin_metrics(const struct km_admin_context *context,
                      struct km_admin_reply *reply)
{
    const struct km_admin_source *source = context->source;
    enum km_metric_format format = names_openmetrics(context->accept)
                                       ? KM_METRIC_OPENMETRICS
                                       : KM_METRIC_PROMETHEUS;
    km_admin_reply_text(reply, 200, "");
    reply->type = km_metric_content_type(format);
    kama_status status =
        source->ops->metrics(source->arg, format, &reply->body);
    if (status != KAMA_OK) {
        km_admin_reply_fail(reply, status);
    }
}
