/* SPDX-License-Identifier: MIT */
/*
 * /api/v1/sync: the streams of mutations between this node and each other member, and
 * the log from which its own mutations are sent.
 *
 *     {"log": {"seq": 9, "entries": 4, "bytes": 300, "age_ns": 1200000},
 *      "members": [{"address": "10.0.0.2:8001", "id": "...", "stream": {...}}]}
 *
 * Threads, ownership: as context.h. Errors: none. Cost: O(members).
 */
#pragma once

#include "admin/context.h"

#include <jansson.h>

void km_admin_sync(const struct km_admin_context *context,
                   struct km_admin_reply *reply);

/* Returns the streams of a member as JSON: null if it has none, NULL without
 * memory. */
json_t *km_admin_sync_stream(const kama_member *member);
