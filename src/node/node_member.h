/* SPDX-License-Identifier: MIT */
/*
 * A member and a node in the structures of the public API, made from the
 * answers of services/cluster.h.
 *
 * Threads: any thread; pure functions. Errors: none.
 * Ownership: texts and arrays are borrowed from the argument. Cost: O(1).
 */
#pragma once

#include "services/cluster.h"

/* Writes the public form of a member. */
void km_node_member_show(const struct km_cluster_member *member,
                         kama_member *ret_member);
/* Writes the public form of a node, with the facts that its services add. */
void km_node_info_show(const struct km_cluster_node *node,
                       struct km_service_env *env, kama_node_info *ret_info);
/* Writes the public form of the owner of a key. */
void km_node_owner_show(const struct km_cluster_owner_info *info,
                        kama_owner *ret_owner);
