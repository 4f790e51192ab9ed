/* SPDX-License-Identifier: MIT */
/*
 * /api/v1/node, /api/v1/cluster and /api/v1/ring: the node, the members and their
 * shares of the keys, as this node sees them. The members of the first two are
 * those of `kamacache-cli --json node` and `peers`.
 *
 * Threads, ownership: as context.h. Errors: /ring refuses a group that does not
 * exist. Cost: O(members).
 */
#pragma once

#include "admin/context.h"

void km_admin_node(const struct km_admin_context *context,
                   struct km_admin_reply *reply);
void km_admin_cluster(const struct km_admin_context *context,
                      struct km_admin_reply *reply);
void km_admin_ring(const struct km_admin_context *context,
                   struct km_admin_reply *reply);
