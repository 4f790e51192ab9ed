/* SPDX-License-Identifier: MIT */
/*
 * A synchronized group as the stream of mutations sees it: it applies those of other
 * nodes, and says what the value of its own ones is.
 *
 *     record of another node --> km_group_apply --> store (store/apply.h, R4)
 *     own record to be sent  --> km_group_value_of --> the value, or none: a Drop
 *
 * A value that this node cannot keep, because it is longer than its max_value_bytes or
 * there is no memory, is applied as a Drop: the old value must not stay.
 *
 * Threads: any. Errors: none. Ownership: keys and values are borrowed; what
 * km_group_value_of returns is the caller's to unref. Cost: as a set or a delete.
 */
#pragma once

#include "group/sync.h"

struct km_group_record {
    enum km_operation_kind kind;
    struct km_version version;
    struct km_version base; /* of an EXPIRE */
    kama_bytes key;
    kama_bytes value; /* of a SET */
    int64_t ttl_ms;   /* of a SET and an EXPIRE: what is left, at least 1;
                       * KAMA_TTL_FOREVER: it never expires */
};

/* R4. Applies a mutation of another node, whose version was merged into the clock
 * before (R6). Returns whether the entry of the key has changed. */
bool km_group_apply(kama_group *group, const struct km_group_record *record);

/* A clear of another node has emptied the group: counts it. */
void km_group_cleared(kama_group *group);

/* Receives the clock of a node that lets this one carry out a mutation. Returns false if
 * it is too far ahead of the wall clock, and is not merged then. A group that is not
 * synchronized has no clock. */
KAMA_NODISCARD bool km_group_merge_clock(kama_group *group, uint64_t hlc);

/* Returns the explicit value of a key if it has exactly this version and has not
 * expired, with what is left of its time; NULL: it is gone or another one. It is no
 * use of the entry for the policy, and no hit. */
kama_value *km_group_value_of(kama_group *group, kama_bytes key,
                              struct km_version version, int64_t *ret_ttl_ms);

/* Returns whether the group is synchronized. */
bool km_group_is_synced(const kama_group *group);

/* Returns the options of the group that concern its node: after how long a member is
 * unsynced, and for how long the node waits for what a fill of the group needs (R8). */
int64_t km_group_sync_timeout_ms(const kama_group *group);
int64_t km_group_fence_wait_ms(const kama_group *group);

/* Counts a call of another node that waits for what its answer must include (R8). */
void km_group_count_fence_wait(kama_group *group);

/* Returns when a mutation of the group is acknowledged to its caller. */
enum km_sync_ack km_group_ack(const kama_group *group);
