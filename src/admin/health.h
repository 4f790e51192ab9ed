/* SPDX-License-Identifier: MIT */
/*
 * /healthz and /readyz, for orchestrators and load balancers. Both are plain text,
 * one line for each finding.
 *
 *     /healthz  200 ok        every event loop turns
 *               503           loop 1: no answer for 2310 ms
 *     /readyz   200 ready     no step is missing
 *               200 ready     and the node has lost etcd or its lease since: it
 *                   degraded: lease     stays in service, because an outage of
 *                                       the registry must not take all nodes away
 *               503 peers     one line for each step that is missing
 *               503 draining  the node stops
 *               503 given up  a member says that the cluster has given it up
 *
 * Threads, ownership: as context.h. Errors: none. Cost: O(loops), O(steps).
 */
#pragma once

#include "admin/context.h"

void km_admin_healthz(const struct km_admin_context *context,
                      struct km_admin_reply *reply);
void km_admin_readyz(const struct km_admin_context *context,
                     struct km_admin_reply *reply);
