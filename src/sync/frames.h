/* SPDX-License-Identifier: MIT */
/*
 * Building the messages of a stream (proto/kama/peer/v1/peer.proto).
 *
 *     frame   | view, seq and clock of the first | group name | mutation | mutation ... |
 *
 * A frame has mutations of one view, with rising clocks, and has at most
 * KM_SYNC_FRAME_BYTES. A group is named when its number occurs for the first time in the
 * stream; a mutation says the number of its group only if it is not that of the mutation
 * before, and how much its clock is above that of the one before.
 *
 *     struct km_sync_frame frame;
 *     km_sync_frame_begin(&frame, &buf);
 *     while (... && km_sync_frame_add(&frame, &named, &mutation) == KAMA_OK) { ... }
 *
 * The other messages are one field each, which km_pb_append_element writes.
 *
 * Cost: O(bytes). Threads: pure functions. Errors: those of km_buf_append, and
 * KAMA_ERR_TOO_LARGE for a mutation that does not fit; the buffer is unchanged then.
 * Ownership: everything is borrowed.
 */
#pragma once

#include "base/limits.h"
#include "sync/log.h"
#include "wire/msg/peer.h"

/* The numbers of the fields of SyncRequest, and of SyncGap and others. */
enum {
    KM_SYNC_FIELD_HELLO = 1,
    KM_SYNC_FIELD_WELCOME = 1, /* of SyncResponse */
    KM_SYNC_FIELD_GAP_GROUPS = 4,
    KM_SYNC_FIELD_GAP = 7,
    KM_SYNC_FIELD_HEARTBEAT = 8,
    KM_SYNC_FIELD_VIEW = 9,
    KM_SYNC_FIELD_STRATEGIES = 8, /* of SyncHello and SyncWelcome */
    KM_SYNC_FIELD_BYE = 10,
    KM_SYNC_FIELD_CHUNK = 11
};

/* A mutation as it is sent: a record of the log, and the value of a SET. */
struct km_sync_mutation {
    uint64_t seq;
    uint64_t hlc;
    uint64_t view_id;
    struct km_version base;
    enum km_sync_kind kind;
    uint32_t number;  /* of the group, in the log */
    const char *name; /* of the group */
    kama_bytes key;
    kama_bytes value;
    int64_t ttl_ms; /* KAMA_TTL_FOREVER: it never expires */
};

/* The groups that were named in a stream. */
struct km_sync_named {
    uint64_t bits[KM_GROUPS_MAX / 64];
};

static inline bool km_sync_named_has(const struct km_sync_named *named,
                                     uint32_t number)
{
    return (named->bits[number / 64] >> number % 64 & 1) != 0;
}

static inline void km_sync_named_add(struct km_sync_named *named,
                                     uint32_t number)
{
    named->bits[number / 64] |= UINT64_C(1) << number % 64;
}

struct km_sync_frame {
    struct km_buf *out;
    uint64_t view_id;
    uint64_t clock;  /* of the newest mutation */
    uint32_t number; /* of its group */
    unsigned count;
};

/* Begins a frame in an empty buffer. */
void km_sync_frame_begin(struct km_sync_frame *frame, struct km_buf *out);
/* Appends a mutation, which follows the one before. KAMA_ERR_TOO_LARGE: it belongs into
 * the next frame, because of its length or its view. */
KAMA_NODISCARD kama_status
km_sync_frame_add(struct km_sync_frame *frame, struct km_sync_named *named,
                  const struct km_sync_mutation *mutation);

/* Returns whether a mutation is sent in chunks, because no frame has room for it. */
bool km_sync_is_large(const struct km_sync_mutation *mutation);
/* Makes the first chunk, which has the mutation and a part of its value, or a later
 * one. */
KAMA_NODISCARD kama_status km_sync_put_first_chunk(
    struct km_buf *out, struct km_sync_named *named,
    const struct km_sync_mutation *mutation, kama_bytes part);
KAMA_NODISCARD kama_status km_sync_put_chunk(struct km_buf *out,
                                             kama_bytes part);

/* Makes a Gap that names the groups for which `is_lost` returns true. It says "all
 * groups" instead of more names than a frame may have. */
KAMA_NODISCARD kama_status km_sync_put_gap(struct km_buf *out,
                                           const struct km_msg_sync_gap *gap,
                                           struct km_sync_log *log,
                                           uint32_t groups, uint64_t applied);
