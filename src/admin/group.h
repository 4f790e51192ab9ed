/* SPDX-License-Identifier: MIT */
/*
 * /api/v1/groups: the options of each group, as `kamacache-cli --json groups`
 * prints them, and its counters in `stats`, as `stats` prints them. And the
 * parameter `group`, which other requests have.
 *
 * Threads, ownership: as context.h. Errors: a sentence that names the group.
 * Cost: O(groups).
 */
#pragma once

#include "admin/context.h"

void km_admin_groups(const struct km_admin_context *context,
                     struct km_admin_reply *reply);

enum km_admin_presence { KM_ADMIN_OPTIONAL, KM_ADMIN_REQUIRED };

/* Writes the group that the parameter `group` names; NULL if it is optional and
 * not there. Errors: KAMA_ERR_INVALID (it is required), KAMA_ERR_NO_GROUP. */
KAMA_NODISCARD kama_status
km_admin_group_of(const struct km_admin_context *context,
                  enum km_admin_presence presence, kama_group **ret_group);
