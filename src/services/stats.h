/* SPDX-License-Identifier: MIT */
/*
 * kama.v2.Cache/Stats and Groups: the counters of the node and of its groups,
 * and the options that the groups were made with.
 *
 * With many groups the answers are large. They are made only when there is room
 * on the connection, so that a client that asks and does not read costs
 * nothing: a call that has to wait keeps its question and makes the answer,
 * with the figures of that moment, in on_writable.
 *
 * Cost: O(groups) for Groups and for Stats of the whole node.
 * Threads: loop thread.
 * Errors: KAMA_ERR_MALFORMED, KAMA_ERR_NO_GROUP, KAMA_ERR_INVALID for a Stats
 * that names one group and asks for all, KAMA_ERR_NO_MEMORY.
 */
#pragma once

#include "base/buf.h"
#include "group/registry.h"

#include <stdbool.h>

struct km_server_call;

/* The state of a call. */
struct km_service_stats {
    kama_group *group; /* NULL: all groups and the server */
    bool asked;        /* whether the question was read; the call ends with the
                        * answer */
};

/* on_message; message: borrowed until return. */
void km_service_v2_stats(struct km_server_call *call, kama_bytes message);
void km_service_v2_groups(struct km_server_call *call, kama_bytes message);

/* on_writable: replies, if the question was read before. */
void km_service_stats_writable(struct km_server_call *call);
void km_service_groups_writable(struct km_server_call *call);

/* Appends a GroupInfo for each group as the repeated field `number`. Errors:
 * KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status km_stats_append_groups(
    struct km_buf *buf, uint32_t number, const struct km_registry *groups);
