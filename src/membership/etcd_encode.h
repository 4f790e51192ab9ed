/* SPDX-License-Identifier: MIT */
/*
 * The requests of a registry in the words of etcd. Each function appends one
 * message to out.
 *
 *     stamp    if create_revision(key) = 0 then put
 *     claim    if create_revision(member) = 0, or mod_revision(member) = n,
 *              then put member, sister, joins, else get member
 *     update   if lease(member) = lease then put member, put or delete sister
 *     remove   if lease(key) = lease then delete
 *     list     get all keys of the prefix, one more than is accepted
 *
 * Threads: pure functions. Ownership: nothing is kept. Errors: those of
 * km_buf_reserve; the bytes that were appended before an error mean nothing. Cost:
 * O(bytes).
 */
#pragma once

#include "base/buf.h"
#include "membership/registry.h"

KAMA_NODISCARD kama_status km_etcd_encode_stamp(struct km_buf *out,
                                                kama_bytes key,
                                                kama_bytes value);
/* A sister key or a joins key that is empty is left out. */
KAMA_NODISCARD kama_status
km_etcd_encode_claim(struct km_buf *out, const struct km_registry_claim *claim);
KAMA_NODISCARD kama_status km_etcd_encode_update(
    struct km_buf *out, const struct km_registry_update *update);
KAMA_NODISCARD kama_status km_etcd_encode_remove(struct km_buf *out,
                                                 kama_bytes key, int64_t lease);
/* Asks for at most `limit` records. */
KAMA_NODISCARD kama_status km_etcd_encode_list(struct km_buf *out,
                                               kama_bytes prefix,
                                               int64_t limit);
KAMA_NODISCARD kama_status km_etcd_encode_watch(struct km_buf *out,
                                                kama_bytes prefix,
                                                int64_t from_revision);
/* ttl_ms is rounded up to seconds. */
KAMA_NODISCARD kama_status km_etcd_encode_grant(struct km_buf *out,
                                                int64_t ttl_ms);
/* The request of LeaseRevoke, LeaseKeepAlive and LeaseTimeToLive. */
KAMA_NODISCARD kama_status km_etcd_encode_lease(struct km_buf *out,
                                                int64_t lease);
KAMA_NODISCARD kama_status km_etcd_encode_login(struct km_buf *out,
                                                const char *user,
                                                const char *password);
