/* SPDX-License-Identifier: MIT */
/*
 * What this node has of each other node, for any thread (rule R8).
 *
 *     K   clock of the newest mutation of the member that has reached this node
 *     W   every mutation of the member up to this clock is applied here
 *
 *     requester                                 owner
 *     token (store/fill.h), then:
 *     needs = min(floor of the key's slot, K of each member) --> W >= needs? else waits
 *     keeps an explicit value of member o only if its version <= K of o
 *
 * Both only grow. The sync loop stores K before it applies a record and W behind it, with
 * release; others load with acquire. So a thread that sees W sees what was applied.
 *
 * The table of the members is a snapshot that the sync loop replaces when it adopts a
 * view; the numbers of a member stay in one structure as long as any table has it.
 *
 * Threads: new, free and the setters: the sync loop; the questions: any thread. Errors:
 * KAMA_ERR_NO_MEMORY. Ownership: the table owns references to its members. Cost: a
 * question is O(members).
 */
#pragma once

#include "base/snapshot.h"
#include "sync/log.h"
#include "view/view.h"

struct km_sync_origins;

/* A clock that an answer must have reached of one member. */
struct km_sync_need {
    struct km_member_id id;
    uint64_t clock;
};

KAMA_NODISCARD kama_status km_sync_origins_new(const kama_allocator *mem,
                                               struct km_sync_log *log,
                                               struct km_sync_origins **ret);
void km_sync_origins_free(struct km_sync_origins *origins);

/* R8, requester. Calls cb for each need of a fill whose key's slot has the floor, that
 * the member `to` may not fulfil yet as far as this node knows (its `stable`). */
void km_sync_needs(struct km_sync_origins *origins, uint64_t floor,
                   const struct km_member_id *to,
                   void (*cb)(void *arg, const struct km_sync_need *need),
                   void *arg);
/* R8, answering node. Returns whether W has reached the need. A member that is in no
 * view here any more counts as reached: what it lacks was invalidated. */
bool km_sync_has(struct km_sync_origins *origins,
                 const struct km_sync_need *need);
/* R8, requester: struct km_group_sync_ops.may_keep. */
bool km_sync_may_keep(struct km_sync_origins *origins,
                      struct km_version version, uint64_t view_id);

/* What is shown of the stream from one member, and to it. */
struct km_sync_member_info {
    struct km_member_id id;
    const char *address;
    const char *state; /* of the stream to it: "down", "hello", "live" */
    uint64_t applied;  /* of its mutations, here */
    uint64_t acked;    /* of the mutations of this node, there */
    uint64_t queue;    /* mutations of this node that it has not acknowledged */
    km_ns lag;         /* how old the oldest of them is; 0: there is none */
    uint64_t sent, received, duplicates, gaps_sent, gaps_received;
    bool unsynced; /* it has not acknowledged for longer than sync_timeout */
};
