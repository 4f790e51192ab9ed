/* SPDX-License-Identifier: MIT */
/*
 * kama.v2.Cache, the methods that show the cluster: Node, Members, WatchMembers
 * and Owner. They say what services/cluster.h says; a node alone is a cluster
 * of itself.
 *
 * WatchMembers is a long call. It sends the members when it begins, and again
 * when their version has changed and the connection has room: changes that
 * happen while the client does not read become one message.
 *
 *               sent the version of this moment
 *     WAITS <------------------------------------+
 *       |                                        |
 *       +-- a change, or room --> is there a newer version, and room?
 *                                                |
 *                                                +-- no --> WAITS
 *
 * Cost: O(members) for a message; a stream that is not read keeps a number.
 * Threads: loop thread.
 * Errors: KAMA_ERR_MALFORMED, KAMA_ERR_NO_GROUP and those of a key for Owner,
 * KAMA_ERR_NO_MEMORY, KAMA_ERR_CLOSED for a stream when the node stops.
 */
#pragma once

#include "base/buf.h"
#include "services/long_call.h"

struct km_cluster_node;
struct km_cluster_owner_info;
struct km_cluster_view;

/* The state of a call of Members. */
struct km_service_members {
    bool asked; /* the call ends with the answer */
};

/* The state of a call of WatchMembers. */
struct km_service_watch_members {
    struct km_long_call long_call; /* first */
    uint64_t sent;                 /* the version that was sent last; 0: none */
};

/* on_message; message: borrowed until return. */
void km_service_v2_node(struct km_server_call *call, kama_bytes message);
void km_service_v2_members(struct km_server_call *call, kama_bytes message);
void km_service_v2_watch_members(struct km_server_call *call,
                                 kama_bytes message);
void km_service_v2_owner(struct km_server_call *call, kama_bytes message);

/* on_writable: sends what there was no room for before. */
void km_service_members_writable(struct km_server_call *call);
void km_service_watch_members_writable(struct km_server_call *call);

/* Append the fields of a NodeResponse, a MembersResponse and an OwnerResponse.
 * Errors: KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status
km_members_append_node(struct km_buf *out, struct km_service_env *env,
                       const struct km_cluster_node *node);
KAMA_NODISCARD kama_status
km_members_append_view(struct km_buf *out, const struct km_cluster_view *view);
KAMA_NODISCARD kama_status km_members_append_owner(
    struct km_buf *out, const struct km_cluster_owner_info *info);
