/* SPDX-License-Identifier: MIT */
/*
 * /api/v1/keys and /api/v1/key: the entries of this node. Nothing is loaded, counted
 * or kept any longer, and no other node is asked.
 *
 *     keys?group=users&prefix=u:&limit=10     or glob=u*:?, as in Redis
 *       {"keys": [{key, key_base64, value_bytes, ttl_ms, version}, ...],
 *        "cursor": "..."}                      "" behind the last key
 *     key?group=users&key=u:17
 *       {key, key_base64, found, value_bytes, ttl_ms, version, owner}
 *
 * A list of keys ends early, with a cursor to go on from, when it has visited many
 * entries that do not match, has taken long, or holds KM_ADMIN_KEYS_BYTES_MAX of
 * keys.
 *
 * Threads, ownership: as context.h. Errors: sentences that name the parameter.
 * Cost: one answer visits at most KM_ADMIN_SCANS_MAX times
 * KM_SCAN_ENTRIES_PER_CALL entries, and begins no further call of kama_scan after
 * KM_ADMIN_SCAN_MS.
 */
#pragma once

#include "admin/context.h"
#include "base/limits.h"

/* Reads the parameters `group` and `key`. text: the room of the key. Errors:
 * sentences that name the parameter. */
KAMA_NODISCARD kama_status km_admin_key_of(
    const struct km_admin_context *context, char text[KM_KEY_BYTES_MAX],
    kama_group **ret_group, kama_bytes *ret_key);
void km_admin_keys(const struct km_admin_context *context,
                   struct km_admin_reply *reply);
void km_admin_key(const struct km_admin_context *context,
                  struct km_admin_reply *reply);
