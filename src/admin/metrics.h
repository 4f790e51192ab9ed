/* SPDX-License-Identifier: MIT */
/*
 * /metrics: the metrics of the node, in the text format of Prometheus, or in that
 * of OpenMetrics if the header Accept names it. The text is the library's.
 *
 * Threads, ownership: as context.h. Errors: 413 for a text that is too long.
 * Cost: that of the text.
 */
#pragma once

#include "admin/context.h"

void km_admin_metrics(const struct km_admin_context *context,
                      struct km_admin_reply *reply);
