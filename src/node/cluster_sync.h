/* SPDX-License-Identifier: MIT */
/*
 * The synchronization of a cluster's groups: the machine of src/sync on a loop of its
 * own, the sync loop, and how the rest of the node reaches it.
 *
 *     membership: view, id     --+
 *     peers: adopted             +-- one mail --> machine --> streams to all members
 *     stop: refuse, goodbye    --+
 *     groups: the log has grown ---- one mail -->
 *     groups: a mutation waits  ---- one mail -->
 *     people: the streams      <---- copied every KM_SYNC_SHOWN_MS, with each view, and
 *                                    when all stand, under a lock
 *
 * Every view reaches the machine, in order, because a member may have come and gone in
 * one. One for which there is no memory is replaced by the next, and then all
 * groups are invalidated (R6).
 *
 * The role that groups are told (group/sync.h):
 *
 *     JOINING --the view says `active`--> ORIGINATES --goodbye--> LEAVING
 *        +-------------------- goodbye ---------------------------->+
 *
 * A node that leaves goes on until its clients have gone: every mutation is on its way
 * before the goodbye.
 *
 * Threads: new, start, close and free are setup; `role`, `origins`, `grew`,
 * `has_witnesses`, `await` and `find` any thread; goodbye and retire the thread that stops the node; the rest the
 * control loop. Errors: KAMA_ERR_NO_MEMORY, KAMA_ERR_THREADS, KAMA_ERR_IO. Ownership: part
 * of a cluster. Cost: one thread, and one connection to each member.
 */
#pragma once

#include "base/clock.h"
#include "base/limits.h"
#include "group/sync.h"
#include "services/cluster.h"
#include "services/sync_source.h"

#include <kamacache/kamacache.h>

struct km_cluster;
struct km_cluster_sync;
struct km_sync_origins;
struct km_view;

#define KM_SYNC_SHOWN_MS 250
#define KM_SYNC_PAUSE_MS 1000 /* R15 */
/* The least time that a goodbye gets, however long the drain took. */
#define KM_SYNC_GOODBYE_MS 500

/* -- life ------------------------------------------------------------------ */

KAMA_NODISCARD kama_status km_cluster_sync_new(
    struct km_cluster *cluster, struct km_cluster_sync **ret_sync);
/* Starts the sync loop. */
KAMA_NODISCARD kama_status km_cluster_sync_start(struct km_cluster_sync *sync);
/* Ends all streams and the loop, if it runs; once more does nothing. No question of a group is under way. */
void km_cluster_sync_close(struct km_cluster_sync *sync);
/* Returns whether the calling thread is the sync loop's. */
bool km_cluster_sync_is_inside(const struct km_cluster_sync *sync);
/* Passing NULL does nothing. */
void km_cluster_sync_free(struct km_cluster_sync *sync);

/* What the services get: the streams of other nodes go there. */
struct km_service_sync km_cluster_sync_service(
    const struct km_cluster *cluster);

/* -- for groups -------------------------------------------------------------- */

enum km_sync_role km_cluster_sync_role(const struct km_cluster *cluster);
struct km_sync_origins *km_cluster_sync_origins(
    const struct km_cluster *cluster);
void km_cluster_sync_grew(const struct km_cluster *cluster);
/* Returns whether the noticed view has other members (struct km_group_sync_ops). */
bool km_cluster_sync_has_witnesses(const struct km_cluster *cluster);
/* R1. Waits for the acknowledgement of a mutation; `done` runs on the sync loop. */
void km_cluster_sync_await(const struct km_cluster *cluster,
                           struct km_sync_wait *wait);

/* -- news -------------------------------------------------------------------- */

/* R12. The node has an id. prev: what its record says of the life before; its id is none
 * if there was none. */
void km_cluster_sync_set_self(struct km_cluster_sync *sync,
                              const struct km_member_id *id,
                              const char *address,
                              const struct km_member_goodbye *prev);
void km_cluster_sync_notice(struct km_cluster_sync *sync, struct km_view *view);
void km_cluster_sync_adopt(struct km_cluster_sync *sync, struct km_view *view);
/* The adopted view says that this node is active: it originates, unless it leaves
 * already. */
void km_cluster_sync_activate(struct km_cluster *cluster);

/* Tells the control loop, once, when the streams to and from all active members of the
 * adopted view stand: the step `streams` is done. And no more, after which it does not. */
void km_cluster_sync_watch(struct km_cluster_sync *sync);
void km_cluster_sync_unwatch(struct km_cluster_sync *sync);

/* R10. A life of a member went by unseen: all groups are invalidated. Any thread. */
void km_cluster_sync_forget(struct km_cluster_sync *sync);

/* R3. The node has another group, whose strategy the members have to compare. Any thread. */
void km_cluster_sync_regrouped(struct km_cluster_sync *sync);

/* -- the stop, in this order ------------------------------------------------- */

/* Ends the streams of the other nodes, so that the server can drain. */
void km_cluster_sync_refuse(struct km_cluster_sync *sync);
/* Mutations run at the owners from now on; those that have begun here are over when it
 * returns. */
void km_cluster_sync_retire(struct km_cluster *cluster);
/* R11. Sends what is left, and the goodbye, and waits until the members have it, at the
 * latest until `until`. */
void km_cluster_sync_goodbye(struct km_cluster_sync *sync, km_ns until);

/* -- for people -------------------------------------------------------------- */

/* Writes what is shown of the streams with a member; all zero if there are none. */
void km_cluster_sync_find(struct km_cluster_sync *sync,
                          const uint8_t id[KM_MEMBER_ID_BYTES],
                          struct km_cluster_stream *ret_stream);
/* Writes a sentence about a group that has another strategy on a member; "": there is none. */
void km_cluster_sync_differs(struct km_cluster_sync *sync,
                             char ret_text[KM_EVENT_BYTES_MAX]);
