/* SPDX-License-Identifier: MIT */
/* The rules are in the store (store/apply.h). This file finds out when a value expires,
 * and whether this node can keep it. A value that it was sent it keeps, whatever its own view
 * says of the holders (R17). */
#include "group/sync_apply.h"

#include "base/assert.h"
#include "group/group_internal.h"
#include "store/store_touch.h"

bool km_group_is_synced(const kama_group *group)
{
    return group->sync.ops != NULL;
}

int64_t km_group_sync_timeout_ms(const kama_group *group)
{
    return group->config.sync_timeout_ms;
}

int64_t km_group_fence_wait_ms(const kama_group *group)
{
    return group->config.fence_wait_ms;
}

void km_group_count_fence_wait(kama_group *group)
{
    km_group_count(group, KM_GROUP_FENCE_WAITS);
}

enum km_sync_ack km_group_ack(const kama_group *group)
{
    return group->config.sync_ack;
}

/* Returns when a value expires that has so much left of its time. */
static km_ns expires_at(const kama_group *group, int64_t ttl_ms)
{
    if (ttl_ms == KAMA_TTL_FOREVER) {
        return 0;
    }
    return km_ns_after_ms(km_group_now(group), ttl_ms > 0 ? ttl_ms : 1);
}

/* Makes the item of a SET. Returns NULL if this node cannot keep it. The thread, which
 * receives the mutations of all nodes, does not wait for room in the store. */
static kama_value *item_of(kama_group *group,
                           const struct km_group_record *record)
{
    const struct km_item_spec spec = {.key = record->key,
                                      .value = record->value,
                                      .expires_at =
                                          expires_at(group, record->ttl_ms),
                                      .stamp = record->version};
    return record->value.len <= group->config.max_value_bytes
               ? km_store_item_now(group->store, &spec)
               : NULL;
}

static bool apply(kama_group *group, const struct km_group_record *record)
{
    const struct km_stamp stamp = {.version = record->version};
    struct km_operation op = {.kind = record->kind,
                              .hash = km_store_hash(group->store, record->key),
                              .key = record->key,
                              .base = record->base};
    if (op.kind == KM_APPLY_SET) {
        op.item = item_of(group, record);
        op.kind = op.item != NULL ? KM_APPLY_SET : KM_APPLY_DROP;
    } else if (op.kind == KM_APPLY_EXPIRE) {
        op.expires_at = expires_at(group, record->ttl_ms);
    }
    return km_store_apply(group->store, &op, &stamp) == KAMA_OK;
}

/* The group on this node may have another strategy than the one on the node that has
 * sent the record. Then it is none of its records. */
bool km_group_apply(kama_group *group, const struct km_group_record *record)
{
    bool changed = false;
    if (km_group_is_synced(group) && km_group_key_is_good(record->key) &&
        km_gate_enter(&group->gate)) {
        km_group_count(group, KM_GROUP_SYNC_APPLIED);
        changed = apply(group, record);
        km_gate_leave(&group->gate);
    }
    return changed;
}

void km_group_cleared(kama_group *group)
{
    if (km_group_is_synced(group)) {
        km_group_count(group, KM_GROUP_SYNC_APPLIED);
    }
}

bool km_group_merge_clock(kama_group *group, uint64_t hlc)
{
    const struct km_group_sync *sync = &group->sync;
    return hlc == 0 || !km_group_is_synced(group) ||
           sync->ops->merge(sync->arg, hlc);
}

kama_value *km_group_value_of(kama_group *group, kama_bytes key,
                              struct km_version version, int64_t *ret_ttl_ms)
{
    kama_value *value = NULL;
    if (km_gate_enter(&group->gate)) {
        value = km_store_value_of(
            group->store, km_store_hash(group->store, key), key, version);
        km_gate_leave(&group->gate);
    }
    if (value != NULL) {
        *ret_ttl_ms = kama_value_ttl_ms(value);
        *ret_ttl_ms = *ret_ttl_ms == 0 ? 1 : *ret_ttl_ms;
    }
    return value;
}
