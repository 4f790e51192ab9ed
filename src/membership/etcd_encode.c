/* SPDX-License-Identifier: MIT */
/* Transactions are appended part by part, because a list that is made here is
 * not a member of a struct (wire/msg/pb_encode.h). */
#include "membership/etcd_encode.h"

#include "wire/msg/etcd.h"

/* -- parts of a transaction ---------------------------------------------- */

/* Appends "target(key) = number". The number is written even if it is 0. */
static kama_status append_compare(struct km_buf *out, kama_bytes key,
                                  enum km_etcd_target target, uint32_t field,
                                  int64_t number)
{
    const struct km_etcd_compare compare = {.target = (int32_t)target,
                                            .key = key};
    struct km_buf part;
    km_buf_init(&part, out->mem, SIZE_MAX);
    kama_status status = km_pb_append(&part, &km_etcd_compare_pb, &compare);
    if (status == KAMA_OK) {
        status = km_pb_append_varint(&part, field, (uint64_t)number);
    }
    if (status == KAMA_OK) {
        status =
            km_pb_append_bytes(out, KM_ETCD_TXN_COMPARE, km_buf_bytes(&part));
    }
    km_buf_fini(&part);
    return status;
}

static kama_status append_put(struct km_buf *out, kama_bytes key,
                              kama_bytes value, int64_t lease)
{
    const struct km_etcd_step step = {
        .put = {.key = key, .value = value, .lease = lease}};
    return km_pb_append_element(out, KM_ETCD_TXN_SUCCESS, &km_etcd_step_pb,
                                &step);
}

static kama_status append_delete(struct km_buf *out, kama_bytes key)
{
    const struct km_etcd_step step = {.remove = {.key = key}};
    return km_pb_append_element(out, KM_ETCD_TXN_SUCCESS, &km_etcd_step_pb,
                                &step);
}

/* Appends the key that follows the last key of the prefix: the prefix, the last
 * of whose bytes that can be raised is raised. "\0" means that there is none. */
static kama_status append_end(struct km_buf *out, kama_bytes prefix)
{
    const uint8_t *bytes = prefix.data;
    size_t len = prefix.len;
    while (len > 0 && bytes[len - 1] == 0xff) {
        len--;
    }
    if (len == 0) {
        return km_buf_append(out, "", 1);
    }
    kama_status status = km_buf_append(out, bytes, len);
    if (status == KAMA_OK) {
        out->data[out->len - 1]++;
    }
    return status;
}

/* -- transactions -------------------------------------------------------- */

kama_status km_etcd_encode_stamp(struct km_buf *out, kama_bytes key,
                                 kama_bytes value)
{
    kama_status status = append_compare(out, key, KM_ETCD_TARGET_CREATE,
                                        KM_ETCD_COMPARE_CREATE_REVISION, 0);
    return status == KAMA_OK ? append_put(out, key, value, 0) : status;
}

static kama_status append_claim_condition(struct km_buf *out,
                                          const struct km_registry_claim *claim)
{
    if (claim->expected_mod_revision == 0) {
        return append_compare(out, claim->member_key, KM_ETCD_TARGET_CREATE,
                              KM_ETCD_COMPARE_CREATE_REVISION, 0);
    }
    return append_compare(out, claim->member_key, KM_ETCD_TARGET_MOD,
                          KM_ETCD_COMPARE_MOD_REVISION,
                          claim->expected_mod_revision);
}

static kama_status append_claim_writes(struct km_buf *out,
                                       const struct km_registry_claim *claim)
{
    kama_status status =
        append_put(out, claim->member_key, claim->member_value, claim->lease);
    if (status == KAMA_OK && claim->sister_key.len > 0) {
        status = append_put(out, claim->sister_key, claim->sister_value,
                            claim->lease);
    }
    if (status == KAMA_OK && claim->joins_key.len > 0) {
        status = append_put(out, claim->joins_key, KM_LIT("1"), 0);
    }
    return status;
}

/* The reads see the writes of the steps before them. */
static kama_status append_claim_read(struct km_buf *out, kama_bytes prefix)
{
    struct km_buf end;
    km_buf_init(&end, out->mem, SIZE_MAX);
    kama_status status = append_end(&end, prefix);
    if (status == KAMA_OK) {
        const struct km_etcd_step step = {
            .range = {.key = prefix, .range_end = km_buf_bytes(&end)}};
        status = km_pb_append_element(out, KM_ETCD_TXN_SUCCESS,
                                      &km_etcd_step_pb, &step);
    }
    km_buf_fini(&end);
    return status;
}

kama_status km_etcd_encode_claim(struct km_buf *out,
                                 const struct km_registry_claim *claim)
{
    const struct km_etcd_step otherwise = {.range = {.key = claim->member_key}};
    kama_status status = append_claim_condition(out, claim);
    if (status == KAMA_OK) {
        status = append_claim_writes(out, claim);
    }
    if (status == KAMA_OK && claim->prefix.len > 0) {
        status = append_claim_read(out, claim->prefix);
    }
    return status == KAMA_OK
               ? km_pb_append_element(out, KM_ETCD_TXN_FAILURE,
                                      &km_etcd_step_pb, &otherwise)
               : status;
}

static kama_status append_sister(struct km_buf *out,
                                 const struct km_registry_update *update)
{
    return update->sister_value.len > 0
               ? append_put(out, update->sister_key, update->sister_value,
                            update->lease)
               : append_delete(out, update->sister_key);
}

kama_status km_etcd_encode_update(struct km_buf *out,
                                  const struct km_registry_update *update)
{
    kama_status status =
        append_compare(out, update->member_key, KM_ETCD_TARGET_LEASE,
                       KM_ETCD_COMPARE_LEASE, update->lease);
    if (status == KAMA_OK) {
        status = append_put(out, update->member_key, update->member_value,
                            update->lease);
    }
    return status == KAMA_OK ? append_sister(out, update) : status;
}

kama_status km_etcd_encode_remove(struct km_buf *out, kama_bytes key,
                                  int64_t lease)
{
    kama_status status = append_compare(out, key, KM_ETCD_TARGET_LEASE,
                                        KM_ETCD_COMPARE_LEASE, lease);
    return status == KAMA_OK ? append_delete(out, key) : status;
}

/* -- reading ------------------------------------------------------------- */

kama_status km_etcd_encode_list(struct km_buf *out, kama_bytes prefix,
                                int64_t limit)
{
    struct km_buf end;
    km_buf_init(&end, out->mem, SIZE_MAX);
    kama_status status = append_end(&end, prefix);
    if (status == KAMA_OK) {
        const struct km_etcd_range range = {
            .key = prefix, .range_end = km_buf_bytes(&end), .limit = limit};
        status = km_pb_append(out, &km_etcd_range_pb, &range);
    }
    km_buf_fini(&end);
    return status;
}

kama_status km_etcd_encode_watch(struct km_buf *out, kama_bytes prefix,
                                 int64_t from_revision)
{
    struct km_buf end;
    km_buf_init(&end, out->mem, SIZE_MAX);
    kama_status status = append_end(&end, prefix);
    if (status == KAMA_OK) {
        const struct km_etcd_watch watch = {
            .create = {.key = prefix,
                       .range_end = km_buf_bytes(&end),
                       .start_revision = from_revision,
                       .progress_notify = true,
                       .fragment = true}};
        status = km_pb_append(out, &km_etcd_watch_pb, &watch);
    }
    km_buf_fini(&end);
    return status;
}

/* -- leases and users ---------------------------------------------------- */

kama_status km_etcd_encode_grant(struct km_buf *out, int64_t ttl_ms)
{
    const struct km_etcd_lease_grant grant = {
        .ttl = ttl_ms <= 1000 ? 1 : ttl_ms / 1000 + (ttl_ms % 1000 != 0)};
    return km_pb_append(out, &km_etcd_lease_grant_pb, &grant);
}

kama_status km_etcd_encode_lease(struct km_buf *out, int64_t lease)
{
    const struct km_etcd_lease message = {.id = lease};
    return km_pb_append(out, &km_etcd_lease_pb, &message);
}

kama_status km_etcd_encode_login(struct km_buf *out, const char *user,
                                 const char *password)
{
    const struct km_etcd_authenticate message = {
        .name = kama_bytes_str(user), .password = kama_bytes_str(password)};
    return km_pb_append(out, &km_etcd_authenticate_pb, &message);
}
