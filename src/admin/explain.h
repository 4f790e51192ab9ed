/* SPDX-License-Identifier: MIT */
/*
 * /api/v1/explain: where a key lives, and what a get of it would do at each member,
 * as `kamacache-cli --json explain` prints it.
 *
 *     explain?group=users&key=u:17
 *       {"group", "key", "key_base64", "owner": {...}, "copies": [{...}, ...]}
 *
 * All members are asked, so that the answer comes later (later.h), after 2 s at most.
 *
 * Threads, ownership: as context.h. Errors: sentences that name the parameter; 503
 * while the port closes. Cost: a call to each other member.
 */
#pragma once

#include "admin/context.h"

void km_admin_explain(const struct km_admin_context *context,
                      struct km_admin_reply *reply);
